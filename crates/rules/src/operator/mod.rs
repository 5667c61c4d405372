//! Rules on the configuration of OpenShift's Cluster Network Operator and of reconcilers, with their
//! subjects.

pub(crate) mod invalid_additional_network;
pub(crate) mod invalid_reconciler_schedule;

use nadmit_cni::operator::AdditionalNetwork;

/// The list `spec.additionalNetworks` of `Network.operator.openshift.io`.
#[derive(Debug)]
pub struct OperatorSubject<'a> {
    /// The entries of the list.
    pub entries: &'a [AdditionalNetwork],
}

/// A `ConfigMap` with settings.
#[derive(Debug)]
pub struct ConfigMapSubject<'a> {
    /// The name of the `ConfigMap`.
    pub name: &'a str,
    /// The field `data` as JSON.
    pub data: &'a str,
}
