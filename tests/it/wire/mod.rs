//! Property: every address and MAC that a pod's annotations put on the wire is held by the pod, or
//! the pod is refused.
//!
//! `multus` and `plugins` are models of decoding the annotations and setting the addresses; `real`
//! compares them with the real plugins. `property` sends generated pods through nadmit's webhooks,
//! as the API server would, and checks in the index who holds what the model puts on the wire.
//!
//! `NADMIT_WIRE_SEED=N` runs the case of one seed again; `NADMIT_FUZZ_SECONDS` makes the property
//! run longer; `NADMIT_CNI_PLUGINS` names a folder with plugins of another version than Debian's.

mod attached;
mod generate;
mod go_json;
mod holders;
mod known_cases;
mod model;
mod multus;
mod pipeline;
mod plugins;
mod property;
mod real;
mod scenario;

use libtest_mimic::Trial;

pub(crate) use self::attached::{NadDefinition, attached};
use crate::plugins::host::{PluginHost, PluginRelease};

/// Checks the property for an annotation of any bytes: a fuzz target.
pub(crate) fn any_annotation(data: &[u8]) {
    property::any_annotation(data);
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = known_cases::tests();
    tests.push(trial!["wire"; property::every_address_on_the_wire_is_held_by_the_pod_or_refused]);
    tests.extend(of_real("real", Some(PluginRelease::packaged())));
    tests.extend(of_real("pinned", PluginRelease::pinned()));
    tests
}

/// Returns the tests that compare the model with plugins.
fn of_real(group: &str, plugins: Option<PluginRelease>) -> [Trial; 2] {
    let plugins = plugins.filter(PluginRelease::can_run);
    let missing = plugins.is_none();
    let host = move || {
        let plugins = plugins.clone().ok_or("no plugins")?;
        PluginHost::new(plugins)
    };
    let other = host.clone();
    let tests = [
        Trial::test(format!("wire::{group}::fixed_cases"), move || {
            known_cases::real(&host()?)
        }),
        Trial::test(format!("wire::{group}::generated_cases"), move || {
            real::generated(&other()?, property::first_seed()?)
        }),
    ];
    tests.map(|test| match missing {
        true => test
            .with_kind("without root, ip or the plugins")
            .with_ignored_flag(true),
        false => test,
    })
}
