//! Faults of the stand-in, injected on demand.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
    time::Duration,
};

use super::{resource_request::Asked, response::Refusal};

/// A fault of lists.
pub(crate) enum Fault {
    /// The caller may not list this resource.
    Forbidden(&'static str),
    /// The caller is not authenticated.
    Unauthorized,
    /// The `continue` tokens of this resource expire; the number counts down.
    Expires(&'static str, AtomicUsize),
}

impl Fault {
    pub(crate) fn rule(self) -> Rule {
        match self {
            Self::Forbidden(resource) => Rule::of("list", resource, Failure::Forbidden.into()),
            Self::Unauthorized => Rule::of("*", "*", Failure::Unauthorized.into()),
            Self::Expires(resource, times) => {
                let lost = Refusal::expired("The provided continue parameter is too old");
                Rule::of("list", resource, Failure::Refused(lost).into())
                    .continued()
                    .times(times.into_inner())
            }
        }
    }
}

/// The failure that the caller gets instead of the response.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 409
    Conflict,
    /// 422
    Invalid,
    /// 429, with a `Retry-After` in seconds.
    TooManyRequests(u64),
    /// 500
    Internal,
    /// 503
    Unavailable,
    /// 504
    Timeout,
    /// The connection breaks.
    Connection,
    /// No response is ever sent.
    Silence,
    /// Any other Status.
    Refused(Refusal),
}

impl Failure {
    /// Returns the Status to send, or an error if there is no response.
    pub(super) fn refusal(&self, asked: &Asked) -> io::Result<Refusal> {
        let resource = asked.qualified();
        Ok(match self {
            Self::Unauthorized => Refusal::new(401, "Unauthorized", "Unauthorized"),
            Self::Forbidden => asked.forbidden("test"),
            Self::Conflict => {
                let why = "the object has been modified; please apply your changes to the latest \
                           version and try again";
                Refusal::conflict(&asked.resource, &asked.group, asked.name(), why)
            }
            Self::Invalid => {
                let message = format!("{resource} is invalid: spec: Invalid value");
                Refusal::new(422, "Invalid", &message)
            }
            Self::TooManyRequests(seconds) => {
                let message = "the server has received too many requests and has asked us to try \
                               again later";
                Refusal::new(429, "TooManyRequests", message).retried_after(*seconds)
            }
            Self::Internal => Refusal::internal(&format!("{resource}: something broke")),
            Self::Unavailable => Refusal::new(
                503,
                "ServiceUnavailable",
                "the server is currently unable to handle the request",
            ),
            Self::Timeout => {
                let message = "Timeout: request did not complete within the allotted timeout";
                Refusal::new(504, "Timeout", message)
            }
            Self::Connection | Self::Silence => {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Self::Refused(refusal) => refusal.clone(),
        })
    }
}

/// The fault applied to a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultAction {
    /// Delay before the request takes effect.
    pub(crate) before: Duration,
    /// Delay between the effect and the response.
    pub(crate) after: Duration,
    /// The failure that the caller gets instead of the response.
    pub(crate) failure: Option<Failure>,
    pub(crate) effect: Effect,
    /// Staleness of a watch, or of a list from the cache.
    pub(crate) lag: Duration,
    /// Time after which the watch breaks.
    pub(crate) drop_after: Option<Duration>,
}

/// The effect of a request that fails for its caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It takes effect only if it does not fail.
    #[default]
    AsAnswered,
    /// The webhooks are called, but nothing is written, as when a quota refuses the request.
    Admitted,
    /// It takes effect, and the caller does not learn of it.
    Lost,
    /// It takes effect this long after the caller got the failure.
    Later(Duration),
}

impl From<Failure> for FaultAction {
    fn from(failure: Failure) -> Self {
        Self {
            failure: Some(failure),
            ..Self::default()
        }
    }
}

impl FaultAction {
    /// Delays the request before and after its effect.
    pub(crate) fn slow(before: Duration, after: Duration) -> Self {
        Self {
            before,
            after,
            ..Self::default()
        }
    }

    /// Takes effect, but fails for the caller.
    pub(crate) fn lost(failure: Failure) -> Self {
        Self {
            effect: Effect::Lost,
            ..failure.into()
        }
    }

    /// Fails after the webhooks have responded.
    pub(crate) fn after_admission(failure: Failure) -> Self {
        Self {
            effect: Effect::Admitted,
            ..failure.into()
        }
    }

    /// Fails, and takes effect afterwards.
    pub(crate) fn later(after: Duration, failure: Failure) -> Self {
        Self {
            effect: Effect::Later(after),
            ..failure.into()
        }
    }

    /// Delays every event of a watch.
    pub(crate) fn lagging(lag: Duration) -> Self {
        Self {
            lag,
            ..Self::default()
        }
    }

    /// Breaks a watch after this time.
    pub(crate) fn dropped(after: Duration) -> Self {
        Self {
            drop_after: Some(after),
            ..Self::default()
        }
    }
}

/// A fault for the requests that it matches.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    verb: String,
    resource: String,
    name: Option<String>,
    client: Option<String>,
    continued: bool,
    left: usize,
    action: FaultAction,
}

impl Rule {
    /// Returns a permanent rule for a verb and a resource (`addresspools`, with or without its
    /// group) or subresource (`pods/binding`); `*` matches any.
    pub(crate) fn of(verb: &str, resource: &str, action: FaultAction) -> Self {
        Self {
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            name: None,
            client: None,
            continued: false,
            left: usize::MAX,
            action,
        }
    }

    /// Limits the rule to the object of this name.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Limits the rule to this client.
    pub(crate) fn for_client(mut self, client: &str) -> Self {
        self.client = Some(client.to_owned());
        self
    }

    /// Limits the number of times that the rule applies.
    pub(crate) fn times(mut self, times: usize) -> Self {
        self.left = times;
        self
    }

    /// Limits the rule to the later pages of a list.
    fn continued(mut self) -> Self {
        self.continued = true;
        self
    }

    fn takes(&mut self, asked: &Asked) -> bool {
        let is = |wanted: &str, found: &str| wanted == "*" || wanted == found;
        let whole = |resource: String| match asked.subresource.as_str() {
            "" => resource,
            subresource => format!("{resource}/{subresource}"),
        };
        let of_resource = is(&self.resource, &whole(asked.resource.clone()))
            || self.resource == whole(asked.qualified());
        let matches = is(&self.verb, asked.verb)
            && of_resource
            && self
                .name
                .as_deref()
                .is_none_or(|wanted| wanted == asked.object_name())
            && self
                .client
                .as_deref()
                .is_none_or(|wanted| wanted == asked.client)
            && (!self.continued || asked.query("continue").is_some());
        let takes = matches && self.left > 0;
        if takes {
            self.left -= 1;
        }
        takes
    }
}

type Decide = dyn Fn(&Asked) -> Option<FaultAction> + Send + Sync;

/// The faults that a test has programmed.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) rules: Mutex<Vec<Rule>>,
    pub(super) decide: Mutex<Option<Arc<Decide>>>,
}

impl Faults {
    /// Returns the fault for a request: that of the first matching rule, else the closure's.
    pub(super) fn of(&self, asked: &Asked) -> FaultAction {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rule) = rules
            .iter_mut()
            .find_map(|rule| rule.takes(asked).then_some(rule))
        {
            return rule.action.clone();
        }
        drop(rules);
        let decide = self
            .decide
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        decide.and_then(|decide| decide(asked)).unwrap_or_default()
    }
}
