//! Faults of the fake API server, injected on demand.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
    time::Duration,
};

use super::{resource_request::ResourceRequest, response::ApiStatus};

/// A fault of lists.
pub enum ListFault {
    /// The caller may not list this resource.
    Forbidden(&'static str),
    /// The caller is not authenticated.
    Unauthorized,
    /// The `continue` tokens of this resource expire; the number counts down.
    Expires(&'static str, AtomicUsize),
}

impl ListFault {
    /// Returns the rule that injects this fault into every list.
    pub fn rule(self) -> FaultRule {
        match self {
            Self::Forbidden(resource) => {
                FaultRule::of("list", resource, InjectedFailure::Forbidden.into())
            }
            Self::Unauthorized => FaultRule::of("*", "*", InjectedFailure::Unauthorized.into()),
            Self::Expires(resource, times) => {
                let lost = ApiStatus::expired("The provided continue parameter is too old");
                FaultRule::of("list", resource, InjectedFailure::Refused(lost).into())
                    .continued()
                    .times(times.into_inner())
            }
        }
    }
}

/// The failure that the caller gets instead of the response.
#[derive(Clone, Debug)]
pub enum InjectedFailure {
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
    Refused(ApiStatus),
}

impl InjectedFailure {
    /// Returns the Status to send, or an error if there is no response.
    pub(super) fn refusal(&self, request: &ResourceRequest) -> io::Result<ApiStatus> {
        let resource = request.qualified();
        Ok(match self {
            Self::Unauthorized => ApiStatus::new(401, "Unauthorized", "Unauthorized"),
            Self::Forbidden => request.forbidden("test"),
            Self::Conflict => {
                let why = "the object has been modified; please apply your changes to the latest \
                           version and try again";
                ApiStatus::conflict(&request.resource, &request.group, request.name(), why)
            }
            Self::Invalid => {
                let message = format!("{resource} is invalid: spec: Invalid value");
                ApiStatus::new(422, "Invalid", &message)
            }
            Self::TooManyRequests(seconds) => {
                let message = "the server has received too many requests and has asked us to try \
                               again later";
                ApiStatus::new(429, "TooManyRequests", message).retried_after(*seconds)
            }
            Self::Internal => ApiStatus::internal(&format!("{resource}: something broke")),
            Self::Unavailable => ApiStatus::new(
                503,
                "ServiceUnavailable",
                "the server is currently unable to handle the request",
            ),
            Self::Timeout => {
                let message = "Timeout: request did not complete within the allotted timeout";
                ApiStatus::new(504, "Timeout", message)
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
pub struct FaultAction {
    /// Delay before the request takes effect.
    pub before: Duration,
    /// Delay between the effect and the response.
    pub after: Duration,
    /// The failure that the caller gets instead of the response.
    pub failure: Option<InjectedFailure>,
    /// The effect on a matching request.
    pub effect: FaultEffect,
    /// Staleness of a watch, or of a list from the cache.
    pub lag: Duration,
    /// Time after which the watch breaks.
    pub drop_after: Option<Duration>,
}

/// The effect of a request that fails for its caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FaultEffect {
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

impl From<InjectedFailure> for FaultAction {
    fn from(failure: InjectedFailure) -> Self {
        Self {
            failure: Some(failure),
            ..Self::default()
        }
    }
}

impl FaultAction {
    /// Delays the request before and after its effect.
    pub fn slow(before: Duration, after: Duration) -> Self {
        Self {
            before,
            after,
            ..Self::default()
        }
    }

    /// Takes effect, but fails for the caller.
    pub fn lost(failure: InjectedFailure) -> Self {
        Self {
            effect: FaultEffect::Lost,
            ..failure.into()
        }
    }

    /// Fails after the webhooks have responded.
    pub fn after_admission(failure: InjectedFailure) -> Self {
        Self {
            effect: FaultEffect::Admitted,
            ..failure.into()
        }
    }

    /// Fails, and takes effect afterwards.
    pub fn later(after: Duration, failure: InjectedFailure) -> Self {
        Self {
            effect: FaultEffect::Later(after),
            ..failure.into()
        }
    }

    /// Delays every event of a watch.
    pub fn lagging(lag: Duration) -> Self {
        Self {
            lag,
            ..Self::default()
        }
    }

    /// Breaks a watch after this time.
    pub fn dropped(after: Duration) -> Self {
        Self {
            drop_after: Some(after),
            ..Self::default()
        }
    }
}

/// A fault for the requests that it matches.
#[derive(Clone, Debug)]
pub struct FaultRule {
    verb: String,
    resource: String,
    name: Option<String>,
    client: Option<String>,
    continued: bool,
    left: usize,
    action: FaultAction,
}

impl FaultRule {
    /// Returns a permanent rule for a verb and a resource (`addresspools`, with or without its
    /// group) or subresource (`pods/binding`); `*` matches any.
    pub fn of(verb: &str, resource: &str, action: FaultAction) -> Self {
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
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Limits the rule to this client.
    pub fn for_client(mut self, client: &str) -> Self {
        self.client = Some(client.to_owned());
        self
    }

    /// Limits the number of times that the rule applies.
    pub fn times(mut self, times: usize) -> Self {
        self.left = times;
        self
    }

    /// Limits the rule to the later pages of a list.
    fn continued(mut self) -> Self {
        self.continued = true;
        self
    }

    fn takes(&mut self, request: &ResourceRequest) -> bool {
        let is = |wanted: &str, found: &str| wanted == "*" || wanted == found;
        let whole = |resource: String| match request.subresource.as_str() {
            "" => resource,
            subresource => format!("{resource}/{subresource}"),
        };
        let of_resource = is(&self.resource, &whole(request.resource.clone()))
            || self.resource == whole(request.qualified());
        let matches = is(&self.verb, request.verb)
            && of_resource
            && self
                .name
                .as_deref()
                .is_none_or(|wanted| wanted == request.object_name())
            && self
                .client
                .as_deref()
                .is_none_or(|wanted| wanted == request.client)
            && (!self.continued || request.query("continue").is_some());
        let takes = matches && self.left > 0;
        if takes {
            self.left -= 1;
        }
        takes
    }
}

type FaultDecider = dyn Fn(&ResourceRequest) -> Option<FaultAction> + Send + Sync;

/// The faults that a test has programmed.
#[derive(Default)]
pub(super) struct FaultSet {
    pub(super) rules: Mutex<Vec<FaultRule>>,
    pub(super) decide: Mutex<Option<Arc<FaultDecider>>>,
}

impl FaultSet {
    /// Returns the fault for a request: that of the first matching rule, else the closure's.
    pub(super) fn of(&self, request: &ResourceRequest) -> FaultAction {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rule) = rules
            .iter_mut()
            .find_map(|rule| rule.takes(request).then_some(rule))
        {
            return rule.action.clone();
        }
        drop(rules);
        let decide = self
            .decide
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        decide
            .and_then(|decide| decide(request))
            .unwrap_or_default()
    }
}
