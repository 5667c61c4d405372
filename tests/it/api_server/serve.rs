//! The service: handles a request, subject to the faults, and returns a response.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, fmt::rfc2822};
use serde_json::Value;
use tokio::time::sleep;

use super::{
    ApiServer, Shared, discovery,
    faults::{Effect, Failure, FaultAction},
    kinds::Kind,
    locked,
    resource_request::Asked,
    response::{Answer, Refusal, nothing_there},
    store::{Key, State},
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answered = Result<Response<Body>, BoxError>;

impl<B> tower::Service<Request<B>> for ApiServer
where
    B: hyper::body::Body + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Answered> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(Into::into)?.to_bytes();
            let mut answer = server.answer(&parts, body).await?;
            server.date(answer.headers_mut());
            Ok(answer)
        })
    }
}

impl ApiServer {
    /// Adds the `Date` header with the server's time.
    fn date(&self, headers: &mut http::HeaderMap) {
        let skew = locked(&self.shared.skews).get(&*self.client).copied();
        let Some(skew) = skew.unwrap_or(Some(SignedDuration::ZERO)) else {
            return;
        };
        let now = (self.shared.clock)().saturating_add(skew);
        let printer = rfc2822::DateTimePrinter::new();
        let date = now.and_then(|now| printer.timestamp_to_rfc9110_string(&now));
        if let Some(date) = date.ok().and_then(|date| date.parse().ok()) {
            headers.insert(http::header::DATE, date);
        }
    }

    async fn answer(&self, parts: &http::request::Parts, body: Bytes) -> Answered {
        let shared = &self.shared;
        locked(&shared.seen).push(parts.uri.to_string());
        let Some(asked) = Asked::of(parts, body, &self.client) else {
            let found = discovery::answer(&shared.state(), parts.uri.path());
            return Ok(found.map_or_else(nothing_there, Answer::response));
        };
        shared.count(&shared.asked, &asked);
        if !shared.knows(&asked) {
            return Ok(asked.forbidden("system:anonymous").answer().response());
        }
        let action = shared.faults.of(&asked);
        let shared = Arc::clone(shared);
        if !asked.writes() {
            return shared.act(asked, action).await;
        }
        // A request that was sent takes effect even if its sender is gone.
        tokio::spawn(shared.act(asked, action)).await?
    }
}

impl Shared {
    fn count(&self, counts: &std::sync::Mutex<super::Counts>, asked: &Asked) {
        let resource = match asked.subresource.as_str() {
            "" => asked.qualified(),
            subresource => format!("{}/{subresource}", asked.qualified()),
        };
        *locked(counts)
            .entry((asked.verb.to_owned(), resource))
            .or_default() += 1;
    }

    /// Writes an object or, if it is `None`, removes it; under the lock that the caller holds.
    pub(super) fn commit(
        &self,
        state: &mut State,
        asked: &Asked,
        kind: &Kind,
        key: &Key,
        object: Option<Value>,
    ) -> Result<Arc<Value>, Refusal> {
        if asked.blocked {
            return Err(asked.forbidden("test"));
        }
        let gone = object.is_none();
        let change = state.commit(&kind.qualified(), key, object);
        let change = change.ok_or_else(|| Refusal::not_found(kind, &key.1))?;
        self.record(asked, change.what, &change.object);
        if kind.plural == "customresourcedefinitions" {
            state.define(&change.object, gone);
        }
        if gone && kind.namespaced {
            self.leave(state, asked, &key.0);
        }
        Ok(change.object)
    }

    /// Counts a write that changed something, and logs it.
    fn record(&self, asked: &Asked, what: &str, object: &Value) {
        self.count(&self.written, asked);
        let Some(log) = locked(&self.log).clone() else {
            return;
        };
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
        let subresource = match asked.subresource.as_str() {
            "" => String::new(),
            subresource => format!("/{subresource}"),
        };
        log(&format!(
            "{} {} {} {}{subresource} {}/{} {what} {}",
            (self.clock)(),
            asked.client,
            asked.verb,
            asked.qualified(),
            text("namespace"),
            text("name"),
            text("resourceVersion"),
        ));
    }

    fn knows(&self, asked: &Asked) -> bool {
        let bearer = asked
            .header(http::header::AUTHORIZATION)
            .strip_prefix("Bearer ");
        self.token.is_none() || self.token.as_deref() == bearer
    }

    async fn act(self: Arc<Self>, asked: Asked, action: FaultAction) -> Answered {
        pause(action.before).await;
        let Some(failure) = &action.failure else {
            let after = action.after;
            let answer = self.take_effect(asked, &action).await;
            pause(after).await;
            return Ok(answer);
        };
        match action.effect {
            Effect::AsAnswered => {}
            Effect::Admitted => {
                let blocked = Asked {
                    blocked: true,
                    ..asked.clone()
                };
                drop(Arc::clone(&self).take_effect(blocked, &action).await);
            }
            Effect::Lost => drop(Arc::clone(&self).take_effect(asked.clone(), &action).await),
            Effect::Later(after) => {
                let (shared, asked, action) = (Arc::clone(&self), asked.clone(), action.clone());
                tokio::spawn(async move {
                    pause(after).await;
                    drop(shared.take_effect(asked, &action).await);
                });
            }
        }
        pause(action.after).await;
        if matches!(failure, Failure::Silence) {
            std::future::pending::<()>().await;
        }
        Ok(failure.refusal(&asked)?.answer().response())
    }

    async fn take_effect(self: Arc<Self>, asked: Asked, action: &FaultAction) -> Response<Body> {
        let answer = match asked.verb {
            "watch" => {
                let refused = |refusal: Refusal| refusal.answer().response();
                return self.watch(asked, action).unwrap_or_else(refused);
            }
            "get" => self.get(&asked),
            "list" => self.list(&asked, action.lag.max(self.lag_of(&asked.client))),
            "create" => self.create(&asked).await,
            "update" => self.update(&asked).await,
            "patch" => self.patch(&asked).await,
            "delete" => self.delete(&asked).await,
            "deletecollection" => self.delete_all(&asked).await,
            _ => Err(Refusal::new(
                405,
                "MethodNotAllowed",
                "the stand-in does not do this",
            )),
        };
        answer.unwrap_or_else(|refusal| refusal.answer()).response()
    }
}

/// Sleeps; a zero duration does not yield to other tasks.
async fn pause(time: std::time::Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}
