//! nadmit's own tests, apart from those beside the code: one named trial a case.
//!
//! `cargo test --test it NAME` runs the trials whose name holds NAME. The conformance suite, which
//! speaks to the running server, is a binary of its own.

mod annotations;
mod api_conversations;
mod api_server;
mod architecture;
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
mod hooks;
mod install;
mod kube_types;
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
mod real;
mod reconciler;
mod reports;
mod resync;
mod secrets;
mod shared;
mod simulation;
mod support;
mod targets;
mod tour;
mod whereabouts;
mod wire;

use libtest_mimic::{Arguments, Trial};

fn main() {
    if crash::run_as_writer() {
        return;
    }
    let arguments = Arguments::from_args();
    let trials: Vec<Trial> = [
        tour::trials(),
        api_conversations::trials(),
        architecture::trials(),
        authority::trials(),
        binding::trials(),
        certificates::trials(),
        check::trials(),
        check_cluster::trials(),
        cluster_ledger::trials(),
        cluster_sources::trials(),
        cluster_speed::trials(),
        crash::trials(),
        crds::trials(),
        deploy::trials(),
        kube_types::trials(),
        launchers::trials(),
        match_conditions::trials(),
        multus::trials(),
        plugins::trials(),
        pools::trials(),
        neighbours::trials(),
        openshift::trials(),
        operate::trials(),
        ownership::trials(),
        components::trials(),
        process::trials(),
        docs::trials(),
        fuzzed::trials(),
        e2e::trials(),
        hooks::trials(),
        install::trials(),
        examples::trials(),
        annotations::trials(),
        networks::trials(),
        profiles::trials(),
        properties::trials(),
        real::trials(),
        reports::trials(),
        reconciler::trials(),
        resync::trials(),
        secrets::trials(),
        simulation::trials(),
        whereabouts::trials(),
        wire::trials(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    e2e::end();
    real::end();
    multus::end();
    whereabouts::end();
    api_server::end();
    conclusion.exit();
}
