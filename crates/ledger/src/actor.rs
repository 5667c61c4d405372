//! Identity that ledger requests are sent with, and the remedies that fit it in error messages.

use nadmit_api::call::ApiError;

/// Kind of the policy that can refuse a write besides RBAC, as named in the API server's message.
const POLICY_KIND: &str = "ValidatingAdmissionPolicy";

/// Identity that requests to the API server are sent with. It only selects the wording of remedies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Actor {
    /// nadmit, by the ServiceAccount of its pod.
    #[default]
    Server,
    /// A person at a command line, with their own permissions.
    Operator,
}

impl Actor {
    /// Returns the error with a remedy. `verb` is the RBAC verb of the request, `resource` the resource
    /// name.
    pub(super) fn advice(self, verb: &str, resource: &str, error: &ApiError) -> String {
        let remedy = match error {
            ApiError::NotServed(_) => "create the CRDs that `nadmit crds` prints".to_owned(),
            ApiError::Refused { message, .. } if message.contains(POLICY_KIND) => {
                self.policy_advice(verb)
            }
            ApiError::Refused { code: 401, .. } => self.authentication_advice().to_owned(),
            ApiError::Refused { code: 403, .. } => self.rbac_advice(verb, resource),
            ApiError::Refused { .. } => {
                "update the CRDs to those that `nadmit crds` of this release prints".to_owned()
            }
            _ => "try again".to_owned(),
        };
        format!("{error}; {remedy}")
    }

    fn authentication_advice(self) -> &'static str {
        match self {
            Self::Server => {
                "nadmit's credentials are not accepted: check the token of its ServiceAccount"
            }
            Self::Operator => "the credentials are not accepted: log in again",
        }
    }

    fn rbac_advice(self, verb: &str, resource: &str) -> String {
        let right = format!(
            "the verb {verb:?} on {resource:?} of the API group \"nadmit.io\", in a ClusterRole"
        );
        match (self, in_pod_command(verb)) {
            (Self::Server, _) => format!("give nadmit's ServiceAccount {right}"),
            (Self::Operator, None) => format!("give your user {right}"),
            (Self::Operator, Some(inside)) => {
                format!("let nadmit do it, in its own pod ({inside}), or give your user {right}")
            }
        }
    }

    /// Returns the remedy for a write that a policy refused.
    fn policy_advice(self, verb: &str) -> String {
        match (self, in_pod_command(verb)) {
            (Self::Operator, Some(inside)) => format!(
                "only nadmit may write allocations: let nadmit do it, in its own pod ({inside}), or, if \
                 no pod of nadmit runs, impersonate nadmit as an administrator (--as \
                 system:serviceaccount:nadmit:nadmit)"
            ),
            _ => format!("let the {POLICY_KIND} let nadmit's ServiceAccount {verb} it"),
        }
    }
}

/// Returns the command that performs a write inside nadmit's pod, with nadmit's own permissions.
fn in_pod_command(verb: &str) -> Option<&'static str> {
    match verb {
        "create" => Some("kubectl exec -i -n nadmit deploy/nadmit -- /nadmit import - < FILE"),
        "update" | "delete" => {
            Some("kubectl exec -n nadmit deploy/nadmit -- /nadmit release ADDRESS --yes")
        }
        _ => None,
    }
}
