//! Routes a request to the handler for its target and operation.

use crate::{
    context::ReviewContext,
    decision::Decision,
    mutate,
    response::AdmissionResponse,
    review::{AdmissionRequest, Operation, Target},
    validate,
};

/// The webhook that was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Webhook {
    /// `POST /validate`
    Validate,
    /// `POST /mutate`
    Mutate,
}

/// Decides about one request. Pure: equal requests and contexts give equal decisions.
///
/// # Guarantees
/// - [`Decision::VerifyLive`] never asks for a read that the freshness covers; with
///   [`Freshness::Authoritative`](crate::Freshness::Authoritative) it is never returned. The same holds for [`Decision::Refresh`],
///   which never asks for a read twice.
/// - Requests without a rule are allowed, and so are CONNECT and every DELETE but a network's.
/// - Updates are judged for what they change. An object that is being deleted is never denied,
///   unless a pod is to get an address meanwhile.
pub fn decide(
    webhook: Webhook,
    request: &AdmissionRequest<'_>,
    context: &ReviewContext<'_>,
) -> Decision {
    use Operation::{Create, Delete, Update};
    let findings = match (webhook, request.target(), request.operation) {
        (Webhook::Mutate, Target::Binding, Create) => return mutate::binding(request, context),
        (Webhook::Mutate, Target::Pod, Create) => return mutate::pod(request, context),
        (Webhook::Mutate, Target::Pod, Update) => return mutate::pod_update(request, context),
        (Webhook::Mutate, ..) => return Decision::Respond(AdmissionResponse::allow(request)),
        (Webhook::Validate, Target::Binding, Create) => return validate::binding(request, context),
        (Webhook::Validate, Target::Pod, Create) => return validate::pod(request, context),
        // Annotations can be changed through the status, too.
        (Webhook::Validate, Target::Pod | Target::PodStatus, Update) => {
            return validate::pod_update(request, context);
        }
        (Webhook::Validate, Target::Network, Create | Update) => {
            validate::network(request, context)
        }
        (Webhook::Validate, Target::Network, Delete) => validate::network_delete(request, context),
        (Webhook::Validate, Target::NetworkOperator, Create | Update) => {
            validate::additional_networks(request, context)
        }
        (Webhook::Validate, Target::ConfigMap, Create | Update) => {
            validate::config_map(request, context)
        }
        (Webhook::Validate, Target::Pool, Create | Update) => validate::pool(request, context),
        (Webhook::Validate, Target::Pool, Delete) => validate::pool_delete(request, context),
        (Webhook::Validate, Target::Reservation, Create | Update) => {
            validate::reservation(request, context)
        }
        (Webhook::Validate, Target::Workload(kind), Create | Update) => {
            validate::workload(kind, request, context)
        }
        (Webhook::Validate, Target::VirtualMachine, Create | Update) => {
            validate::virtual_machine(request, context)
        }
        (Webhook::Validate, ..) => Vec::new(),
    };
    Decision::from_findings(request, findings, context.freshness)
}
