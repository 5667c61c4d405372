//! nadmit's integration tests: each case is a named test.
//!
//! `cargo test --test it NAME` runs the tests whose names contain NAME. The conformance suite,
//! which calls a running server, is a binary of its own.

#[macro_use]
mod support;

mod annotations;
mod api_conversations;
mod api_server;
mod architecture;
mod audit;
mod authority;
mod binding;
mod certificates;
mod check;
mod check_cluster;
mod cluster_ledger;
mod cluster_sources;
mod cluster_speed;
mod command;
mod components;
mod crash;
mod crds;
mod deploy;
mod docs;
mod e2e;
mod examples;
mod fuzzed;
mod growth;
mod hooks;
mod inline_pools;
mod install;
mod kube_types;
mod kubectl;
mod launchers;
mod match_conditions;
mod multus;
mod neighbours;
mod networks;
mod openshift;
mod operate;
mod ownership;
mod plugins;
mod pools;
mod process;
mod profiles;
mod properties;
mod prose;
mod real;
mod reconciler;
mod reports;
mod resync;
mod running_replica;
mod secrets;
mod shared;
mod shared_ip_pools;
mod simulation;
mod targets;
mod tour;
mod tour_of_an_address;
mod whereabouts;
mod wire;

use libtest_mimic::{Arguments, Trial};

fn main() {
    if crash::run_as_writer() || growth::run_as_reviewer() {
        return;
    }
    let arguments = Arguments::from_args();
    let tests: Vec<Trial> = [
        tour::tests(),
        tour_of_an_address::tests(),
        api_conversations::tests(),
        architecture::tests(),
        audit::tests(),
        authority::tests(),
        binding::tests(),
        certificates::tests(),
        check::tests(),
        check_cluster::tests(),
        cluster_ledger::tests(),
        cluster_sources::tests(),
        cluster_speed::tests(),
        crash::tests(),
        crds::tests(),
        deploy::tests(),
        kube_types::tests(),
        launchers::tests(),
        match_conditions::tests(),
        multus::tests(),
        plugins::tests(),
        pools::tests(),
        neighbours::tests(),
        openshift::tests(),
        kubectl::tests(),
        operate::tests(),
        ownership::tests(),
        components::tests(),
        process::tests(),
        docs::tests(),
        fuzzed::tests(),
        growth::tests(),
        e2e::tests(),
        hooks::tests(),
        inline_pools::tests(),
        install::tests(),
        examples::tests(),
        annotations::tests(),
        networks::tests(),
        profiles::tests(),
        properties::tests(),
        prose::tests(),
        real::tests(),
        reports::tests(),
        reconciler::tests(),
        resync::tests(),
        secrets::tests(),
        shared_ip_pools::tests(),
        simulation::tests(),
        whereabouts::tests(),
        wire::tests(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let conclusion = libtest_mimic::run(&arguments, tests);
    e2e::end();
    real::end();
    multus::end();
    whereabouts::end();
    api_server::end();
    conclusion.exit();
}
