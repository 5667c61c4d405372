//! API servers: the fake one of the crate `fake-apiserver`, and real ones.

mod network_definition;
mod real;
mod real_companion;
mod real_outage;
mod shared;

pub(crate) use fake_apiserver::{
    ApiServer, ApiStatus, FakeServerSettings, FaultAction, FaultEffect, FaultRule, InjectedFailure,
    ListFault, ResourceKind, ResourceRequest, SeedObjects, Webhook, installed, kubeconfig, posting,
};

pub(crate) use self::{
    network_definition::network_definition,
    real::{IGNORE_REASON, RealServer, RealServerOptions},
    shared::{ForeignKind, SharedServer, end, shared},
};
