//! The servers that nadmit is compared with: its own server (TLS, hyper, allocator, limits of
//! connections and heads) with a handler that does a part of what nadmit does for a review.

use std::{fs, hint::black_box, io::Write as _, path::Path, sync::Arc, time::Instant};

use anyhow::Context as _;
use arc_swap::{ArcSwap, ArcSwapOption};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderName, header},
    routing::post,
};
use nadmit::{
    admission::{AdmissionResponse, Decision, Review, ReviewContext, Webhook, decide},
    allocation::SharedIndex,
    catalog::Catalog,
    rules::Policy,
    server::{Metrics, Shutdown, record_answer},
};
use serde::de::IgnoredAny;

use super::{bare_server, fixture};

/// The option that makes this program such a server; the folder and the part follow.
pub(crate) const FLAG: &str = "--serve-part";
/// The name of the response's file in that folder.
pub(crate) const ANSWER: &str = "answer.json";

/// The part of the work on a review that a server does, each with what the one before it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Reads the body and returns a constant of the size of nadmit's response.
    Bare,
    /// Finds the end of the JSON.
    Skip,
    /// Parses the review.
    Parse,
    /// Decides with 10,000 networks, and writes the response.
    Decide,
    /// Counts and logs.
    Record,
}

impl Part {
    /// All parts, from the smallest.
    pub(crate) const ALL: [Self; 5] = [
        Self::Bare,
        Self::Skip,
        Self::Parse,
        Self::Decide,
        Self::Record,
    ];

    /// Returns the word on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Skip => "skip",
            Self::Parse => "parse",
            Self::Decide => "decide",
            Self::Record => "record",
        }
    }

    /// Returns what the part adds to the one before it.
    pub(crate) fn added(self) -> &'static str {
        match self {
            Self::Bare => "bare server",
            Self::Skip => "+ skip the JSON",
            Self::Parse => "+ parse the review",
            Self::Decide => "+ decide and respond",
            Self::Record => "+ metrics and log",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.word() == word)
    }
}

/// A server's part of the work, with what it needs.
struct PartWork {
    part: Part,
    answer: Bytes,
    catalog: Arc<ArcSwapOption<Catalog>>,
    policy: Arc<ArcSwap<Policy>>,
    allocations: SharedIndex,
    metrics: Arc<Metrics>,
}

impl PartWork {
    fn answer(&self, body: &[u8]) -> Bytes {
        match self.part {
            Part::Bare => {
                black_box(body);
            }
            Part::Skip => {
                black_box(serde_json::from_slice::<IgnoredAny>(body).expect("JSON"));
            }
            Part::Parse => {
                black_box(Review::parse(body).expect("a review"));
            }
            Part::Decide => {
                let review = Review::parse(body).expect("a review");
                return self.decided(&review).to_json(&review.request.uid).into();
            }
            Part::Record => {
                let begun = Instant::now();
                let review = Review::parse(body).expect("a review");
                let request = &review.request;
                let response = self.decided(&review);
                let elapsed = begun.elapsed();
                record_answer(
                    &self.metrics,
                    Webhook::Validate,
                    request,
                    &response,
                    elapsed,
                );
                return response.to_json(&request.uid).into();
            }
        }
        self.answer.clone()
    }

    fn decided(&self, review: &Review<'_>) -> AdmissionResponse {
        let catalog = self.catalog.load();
        let catalog = catalog.as_ref().expect("a catalog");
        let policy = self.policy.load();
        let context = ReviewContext::authoritative(catalog, &policy, &self.allocations);
        match decide(Webhook::Validate, &review.request, &context) {
            Decision::Respond(response) => response,
            other => panic!("no response: {other:?}"),
        }
    }
}

async fn handle(
    State(work): State<Arc<PartWork>>,
    body: Bytes,
) -> ([(HeaderName, &'static str); 1], Bytes) {
    let answer = work.answer(&body);
    ([(header::CONTENT_TYPE, "application/json")], answer)
}

/// Serves until the process is killed. The arguments are the folder and the part.
pub(crate) fn serve(arguments: &[String]) -> anyhow::Result<()> {
    let [folder, word] = arguments else {
        anyhow::bail!("{FLAG} needs a folder and a part");
    };
    let folder = Path::new(folder);
    let part = Part::parse(word).with_context(|| format!("there is no part {word:?}"))?;
    let decides = [Part::Decide, Part::Record].contains(&part);
    let state = bare_server::state(decides.then(fixture::catalog));
    let work = PartWork {
        part,
        answer: Bytes::from(fs::read(folder.join(ANSWER))?),
        catalog: state.catalog.clone(),
        policy: state.policy.clone(),
        allocations: SharedIndex::default(),
        metrics: state.metrics.clone(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let routes = Router::new()
            .route("/validate", post(handle))
            .with_state(Arc::new(work));
        let server = bare_server::bind(&folder.join("certs"), state, routes).await?;
        println!("https://{}", server.address()?);
        std::io::stdout().flush()?;
        server.run(Shutdown::new()).await;
        Ok(())
    })
}
