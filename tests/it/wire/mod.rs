//! What a pod's annotations put on the wire is the pod's own, or the pod is refused.
//!
//! `multus` and `plugins` are models of what decodes the annotations and sets the addresses; `real`
//! compares them with the real plugins. `property` sends generated pods through nadmit's webhooks, as
//! the API server would, and asks the index who holds what the model says is on the wire.
//!
//! `NADMIT_WIRE_SEED=N` runs the case of one seed again; `NADMIT_FUZZ_SECONDS` makes the property run
//! longer; `NADMIT_CNI_PLUGINS` names a folder with plugins of another version than Debian's.

mod attached;
mod cases;
mod generate;
mod go;
mod held;
mod model;
mod multus;
mod plugins;
mod property;
mod real;
mod scene;
mod world;

use libtest_mimic::Trial;

pub(crate) use self::attached::{Definition, attached};
use crate::plugins::host::{Host, Plugins};

/// The property for an annotation of any bytes: a fuzz target.
pub(crate) fn any_annotation(data: &[u8]) {
    property::any_annotation(data);
}

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = cases::trials();
    trials.push(Trial::test(
        "wire::what_is_on_the_wire_is_held_by_the_pod_or_refused",
        property::holds,
    ));
    trials.extend(of_real("real", Some(Plugins::packaged())));
    trials.extend(of_real("pinned", Plugins::pinned()));
    trials
}

/// Returns the trials that compare the model with plugins.
fn of_real(group: &str, plugins: Option<Plugins>) -> [Trial; 2] {
    let plugins = plugins.filter(Plugins::can_run);
    let missing = plugins.is_none();
    let host = move || {
        let plugins = plugins.clone().ok_or("no plugins")?;
        Host::new(plugins)
    };
    let other = host.clone();
    let trials = [
        Trial::test(format!("wire::{group}::fixed_cases"), move || {
            cases::real(&host()?)
        }),
        Trial::test(format!("wire::{group}::generated_cases"), move || {
            real::generated(&other()?, property::first_seed()?)
        }),
    ];
    trials.map(|trial| match missing {
        true => trial
            .with_kind("without root, ip or the plugins")
            .with_ignored_flag(true),
        false => trial,
    })
}
