//! Rules on what OpenShift's Cluster Network Operator and Whereabouts's controllers are given, and
//! what they look at.

pub mod invalid_additional_network;
pub mod invalid_reconciler_schedule;

use crate::network::operator::AdditionalNetwork;

/// The list `spec.additionalNetworks` of `Network.operator.openshift.io`.
#[derive(Debug)]
pub struct OperatorSubject<'a> {
    /// Its entries.
    pub entries: &'a [AdditionalNetwork],
}

/// Settings that a `ConfigMap` carries.
#[derive(Debug)]
pub struct ConfigMapSubject<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its `data` as JSON.
    pub data: &'a str,
}
