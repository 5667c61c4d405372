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

use libtest_mimic::Trial;

pub(crate) use self::shared::end;
use crate::support::NamedTest;
use crate::{
    api_server::{IGNORE_REASON, RealServer},
    deploy::objects,
};

pub(crate) fn tests() -> Vec<Trial> {
    let missing = match RealServer::is_there() {
        true => objects::missing(false),
        false => Some(IGNORE_REASON),
    };
    let tests = [
        messages::TESTS,
        applying::TESTS,
        address_release::TESTS,
        downtime::TESTS,
        load::TESTS,
        outage::TESTS,
    ];
    let of_any = tests.concat().into_iter().map(|named| test(named, missing));
    let minor = missing.is_none().then(RealServer::minor).flatten();
    let too_old = minor.is_none_or(|minor| minor < newer_apis::MINOR);
    let missing = missing.or(too_old.then_some(newer_apis::IGNORE_REASON));
    let of_newer = newer_apis::TESTS.iter().map(|named| test(*named, missing));
    of_any.chain(of_newer).chain(release::tests()).collect()
}

fn test((name, run): NamedTest, missing: Option<&'static str>) -> Trial {
    let test = Trial::test(format!("e2e::{name}"), run).with_ignored_flag(missing.is_some());
    match missing {
        Some(reason) => test.with_kind(reason),
        None => test,
    }
}
