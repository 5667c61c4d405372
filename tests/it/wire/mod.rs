//! What a pod's annotations put on the wire is the pod's own, or the pod is refused.
//!
//! `multus` and `plugins` are models of what decodes the annotations and sets the addresses; `real`
//! compares them with the real plugins. `property` sends generated pods through nadmit's webhooks, as
//! the API server would, and asks the index who holds what the model says is on the wire.
//!
//! `NADMIT_WIRE_SEED=N` runs the case of one seed again; `NADMIT_FUZZ_SECONDS` makes the property run
//! longer; `NADMIT_CNI_PLUGINS` names a folder with plugins of another version than Debian's.

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

use crate::plugins::host::Host;

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
    let missing = !Host::is_possible();
    let real = [
        Trial::test("wire::real::fixed_cases", || cases::real(&Host::new()?)),
        Trial::test("wire::real::generated_cases", || {
            real::generated(&Host::new()?, property::first_seed()?)
        }),
    ];
    trials.extend(real.map(|trial| {
        match missing {
            true => trial
                .with_kind("without root, ip or the plugins")
                .with_ignored_flag(true),
            false => trial,
        }
    }));
    trials
}
