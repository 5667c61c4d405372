//! End-to-end tests: a real kube-apiserver and etcd, nadmit as a process with the permissions that
//! `deploy/` grants it, and kubectl.
//!
//! `KUBEBUILDER_ASSETS` names the folder of the two servers, or `tests/real/build.sh kubernetes
//! etcd` has built them; without them, or without kubectl, the tests are ignored with the reason.
//! Tests that require a newer server are ignored on an older one. Tests that stop something have a
//! server of their own; the others share one, in namespaces of their own.

mod address_release;
mod applying;
mod cluster;
mod downtime;
mod load;
mod messages;
mod newer_apis;
mod outage;
mod pod_stream;
mod process;
mod release;
mod shared;

use libtest_mimic::{Failed, Trial};

pub(crate) use self::{cluster::network_definition, shared::end};
use crate::{
    api_server::{IGNORE_REASON, RealServer},
    deploy::objects,
};

/// The name of a test, and its function.
type NamedTest = (&'static str, fn() -> Result<(), Failed>);

pub(crate) fn trials() -> Vec<Trial> {
    let missing = match RealServer::is_there() {
        true => objects::missing(false),
        false => Some(IGNORE_REASON),
    };
    let trials = [
        messages::TRIALS,
        applying::TRIALS,
        address_release::TRIALS,
        downtime::TRIALS,
        load::TRIALS,
        outage::TRIALS,
    ];
    let of_any = trials
        .concat()
        .into_iter()
        .map(|named| trial(named, missing));
    let minor = missing.is_none().then(RealServer::minor).flatten();
    let too_old = minor.is_none_or(|minor| minor < newer_apis::MINOR);
    let missing = missing.or(too_old.then_some(newer_apis::IGNORE_REASON));
    let of_newer = newer_apis::TRIALS
        .iter()
        .map(|named| trial(*named, missing));
    of_any.chain(of_newer).chain(release::trials()).collect()
}

fn trial((name, run): NamedTest, missing: Option<&'static str>) -> Trial {
    let trial = Trial::test(format!("e2e::{name}"), run).with_ignored_flag(missing.is_some());
    match missing {
        Some(reason) => trial.with_kind(reason),
        None => trial,
    }
}
