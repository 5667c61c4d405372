//! One look at the Secret and the webhooks, and the next, and the next.

use std::{mem, sync::Arc};

use jiff::Timestamp;
use kube::Client;
use prometheus_client::metrics::gauge::Gauge;
use serde_json::{Value, json};
use tokio::{
    sync::watch::{Receiver, Sender},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    ca_bundles::{InForce, Trust},
    contents::{Contents, Held, Served},
    make::renewed,
    options::CertificateOptions,
    renewal::{Remembered, Situation, Why},
    requests::{Dated, Requests},
    time::JudgesTime,
};
use crate::{
    api::call::Answer,
    clock::Clock,
    pki::{Certificate, Pair},
};

/// How often a write that another came before is judged anew in one look.
const TRIES: usize = 3;

/// Keeps certificates in a Secret, and the callers' trust in them.
///
/// It needs get, create and update on the Secret, get and patch on the two webhook configurations.
pub struct CertificateKeeper {
    requests: Requests,
    options: CertificateOptions,
    names: Vec<String>,
    time: JudgesTime,
    shown: Sender<Option<Arc<Pair>>>,
    remembered: Option<Remembered>,
    /// Whether it has had the occasion to tell the callers whom to trust.
    has_told: bool,
    trust: Trust,
    /// 1 if the last look did not come to its end.
    failed: Gauge,
    /// What was complained of last.
    complaint: String,
    /// What was said last of whose Secret it is.
    whose: &'static str,
}

/// The Secret as it was read or written.
struct Found {
    secret: Option<Value>,
    contents: Contents,
    held: Held,
}

/// A configuration, and where it is.
struct Configuration {
    path: String,
    object: Value,
}

impl CertificateKeeper {
    /// Asks nothing yet. The client should ask once, as that of [`crate::api::call::client`] does.
    /// Whether the last look did not come to its end is said in `failed`.
    pub fn new(client: Client, options: CertificateOptions, clock: Clock, failed: Gauge) -> Self {
        Self {
            requests: Requests::new(client, options.attempt),
            names: options.called.names(),
            trust: Trust::new(options.settles),
            time: JudgesTime::new(clock, options.lives.backdated),
            options,
            shown: Sender::new(None),
            remembered: None,
            has_told: false,
            failed,
            complaint: String::new(),
            whose: "",
        }
    }

    /// What is to be shown, now and from now on.
    pub fn shown(&self) -> Receiver<Option<Arc<Pair>>> {
        self.shown.subscribe()
    }

    /// Looks until `cancel`.
    pub async fn run(mut self, cancel: CancellationToken) {
        loop {
            let looked = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                looked = self.look() => looked,
            };
            let pause = match looked {
                Ok(Looked::Calm) => self.options.every,
                Err(_) if self.remembered.is_some() => self.options.every,
                Ok(Looked::Busy) | Err(_) => self.options.soon,
            };
            self.failed.set(i64::from(looked.is_err()));
            self.complain(looked.err().unwrap_or_default());
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// One look. The configurations are read first and the Secret second, so that a patch that rests on
    /// an old Secret meets a configuration that has changed since, and fails: see the module's page.
    async fn look(&mut self) -> Result<Looked, String> {
        let mut trouble = Vec::new();
        let (configurations, in_force) = self.registered(&mut trouble).await;
        let mut busy = configurations.len() < self.paths().len();
        let (mut found, now) = self.read().await?;
        match self.keep(&mut found, &in_force, now).await {
            Ok(written) => busy |= written,
            Err(error) => trouble.push(error),
        }
        let mut told = false;
        let believed = self.is_believed(&found, now);
        for configuration in configurations.iter().filter(|_| believed) {
            match self.tell(configuration, &found.held.authorities).await {
                Ok(patched) => told |= patched,
                Err(error) => trouble.push(error),
            }
        }
        // A replica that begins lets the callers learn first whom to trust, once: others may be
        // there to serve them meanwhile.
        let begins = self.remembered.is_none() && !mem::replace(&mut self.has_told, true);
        if !(begins && told)
            && let Err(error) = self.show(&found, believed, now)
        {
            trouble.push(error);
        }
        match (trouble.is_empty(), busy || told) {
            (true, false) => Ok(Looked::Calm),
            (true, true) => Ok(Looked::Busy),
            (false, _) => Err(trouble.join("; ")),
        }
    }

    /// The webhook configurations that are there, and whom they trust.
    async fn registered(&self, trouble: &mut Vec<String>) -> (Vec<Configuration>, InForce) {
        let (mut configurations, mut in_force) = (Vec::new(), InForce::default());
        for path in self.paths() {
            match self.requests.get(&path).await {
                Ok(Dated { object: None, .. }) => {}
                Ok(Dated {
                    object: Some(object),
                    ..
                }) => {
                    in_force.add(&object, &self.options.called);
                    configurations.push(Configuration { path, object });
                }
                Err(answer) => {
                    in_force.add_unknown();
                    trouble.push(format!("{path} cannot be read: {answer}"));
                }
            }
        }
        (configurations, in_force)
    }

    fn paths(&self) -> [String; 2] {
        ["mutating", "validating"].map(|kind| {
            let name = &self.options.webhooks;
            let group = "/apis/admissionregistration.k8s.io/v1";
            format!("{group}/{kind}webhookconfigurations/{name}")
        })
    }

    fn collection(&self) -> String {
        let namespace = &self.options.called.namespace;
        format!("/api/v1/namespaces/{namespace}/secrets")
    }

    fn secret(&self) -> String {
        let namespace = &self.options.called.namespace;
        format!("the Secret {namespace}/{}", self.options.secret)
    }

    /// The Secret as it is, and what time it is.
    async fn read(&mut self) -> Result<(Found, Timestamp), String> {
        let path = format!("{}/{}", self.collection(), self.options.secret);
        let read = self.requests.get(&path).await;
        let read = read.map_err(|answer| format!("{} cannot be read: {answer}", self.secret()))?;
        let now = self.time.of(read.time);
        Ok((Found::of(read.object), now))
    }

    /// Makes the Secret what it has to be. Whether it was written; `found` is what it holds then.
    async fn keep(
        &mut self,
        found: &mut Found,
        in_force: &InForce,
        now: Timestamp,
    ) -> Result<bool, String> {
        for _ in 0..TRIES {
            let Some((contents, why)) = self.due(found, in_force, now)? else {
                return Ok(false);
            };
            match self.write(found.secret.as_ref(), &contents).await {
                Ok(written) => {
                    tracing::info!("{} was written anew: {why}", self.secret());
                    *found = Found {
                        secret: Some(written),
                        held: Held::of(&contents),
                        contents,
                    };
                    return Ok(true);
                }
                // Another replica was faster: what it wrote counts.
                Err(Answer::AlreadyExists(_) | Answer::Conflict(_)) => {
                    *found = self.read().await?.0;
                }
                // Somebody deleted it; on a create, it is the namespace that is not there.
                Err(Answer::NotFound(_)) if found.secret.is_some() => {
                    *found = self.read().await?.0;
                }
                Err(answer) => {
                    return Err(format!("{} cannot be written: {answer}", self.secret()));
                }
            }
        }
        Err(format!("{} was changed again and again", self.secret()))
    }

    /// What the Secret has to hold from now on, if that is something else.
    fn due(
        &mut self,
        found: &mut Found,
        in_force: &InForce,
        now: Timestamp,
    ) -> Result<Option<(Contents, Why)>, String> {
        self.trust.saw(in_force, &found.held.authorities);
        let situation = Situation {
            remembered: self.remembered.as_ref(),
            names: &self.names,
            now,
            in_force: &in_force.any(),
            is_trusted: &|authority| self.trust.is_settled(authority),
            lives: self.options.lives,
        };
        let made = renewed(&found.contents, &mut found.held, &situation);
        made.map_err(|error| format!("{}: {error}", self.secret()))
    }

    async fn write(&self, before: Option<&Value>, contents: &Contents) -> Result<Value, Answer> {
        let collection = self.collection();
        let Some(before) = before else {
            let mut secret = json!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": {
                    "name": self.options.secret,
                    "namespace": self.options.called.namespace,
                    "labels": {"app.kubernetes.io/managed-by": "nadmit"},
                },
            });
            contents.write(&mut secret);
            return self.requests.create(&collection, &secret).await;
        };
        let mut secret = before.clone();
        contents.write(&mut secret);
        let path = format!("{collection}/{}", self.options.secret);
        self.requests.replace(&path, &secret).await
    }

    /// Whether callers that trust the CAs of nadmit's own Secret believe what it serves.
    fn is_believed(&self, found: &Found, now: Timestamp) -> bool {
        let (served, authorities) = (found.held.served.as_ref(), &found.held.authorities);
        !found.contents.is_foreign()
            && served.is_some_and(|served| served.is_believed(authorities, &self.names, now))
    }

    /// Shows what the Secret holds, unless what is shown is better.
    fn show(&mut self, found: &Found, believed: bool, now: Timestamp) -> Result<(), String> {
        let foreign = found.contents.is_foreign();
        let good = |served: &&Served| match foreign {
            true => self.remembered.is_none() || served.certificate.is_good_at(now),
            false => believed,
        };
        let Some(served) = found.held.served.as_ref().filter(good) else {
            self.say_whose("");
            let secret = self.secret();
            return Err(match foreign {
                true => format!(
                    "{secret} holds no certificate that is good now, and no ca.key, so that it is \
                     somebody else's to renew; delete it to have nadmit make one"
                ),
                false => format!("{secret} holds no certificate that can be served"),
            });
        };
        self.remembered = Some(Remembered {
            served: served.clone(),
            authorities: found.held.authorities.clone(),
            foreign,
        });
        self.shown.send_if_modified(|shown| {
            let new = shown.as_deref() != Some(&*served.pair);
            if new {
                *shown = Some(Arc::clone(&served.pair));
            }
            new
        });
        self.say_whose(if foreign { "foreign" } else { "own" });
        Ok(())
    }

    fn say_whose(&mut self, whose: &'static str) {
        if whose == "foreign" && self.whose != whose {
            tracing::info!(
                "{} has no ca.key, so that somebody else renews it: it is served, and neither it nor \
                 a caBundle is written",
                self.secret()
            );
        }
        self.whose = whose;
    }

    /// Has the callers trust these CAs. Whether that was written.
    async fn tell(
        &self,
        configuration: &Configuration,
        authorities: &[Certificate],
    ) -> Result<bool, String> {
        let Configuration { path, object } = configuration;
        let Some(patch) = self.options.called.patch(object, authorities) else {
            return Ok(false);
        };
        match self.requests.patch(path, &patch).await {
            Ok(_) => {
                tracing::info!("{path} trusts {} now", self.secret());
                Ok(true)
            }
            // Somebody wrote it in between: the next look sees what.
            Err(Answer::Conflict(_) | Answer::NotFound(_)) => Ok(true),
            Err(answer) => Err(format!("{path} cannot be patched: {answer}")),
        }
    }

    /// Says each failure once.
    fn complain(&mut self, error: String) {
        let last = mem::replace(&mut self.complaint, error);
        if self.complaint.is_empty() || self.complaint == last {
            return;
        }
        let error = &self.complaint;
        match self.remembered {
            Some(_) => tracing::error!("the certificate is served on, but {error}"),
            None => tracing::error!("there is no certificate to serve with: {error}"),
        }
    }
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looked {
    /// Everything as it should be for now.
    Calm,
    /// Something was written, or is not there yet.
    Busy,
}

impl Found {
    fn of(secret: Option<Value>) -> Self {
        let contents = secret.as_ref().map(Contents::of).unwrap_or_default();
        Self {
            held: Held::of(&contents),
            contents,
            secret,
        }
    }
}
