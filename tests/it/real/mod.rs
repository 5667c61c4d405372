//! A cluster without containers: the real control plane, CNI plugins and Multus, and nadmit as its image
//! would run it, in the network namespaces of its pods.
//!
//! `tests/real/build.sh` builds the parts; `KUBEBUILDER_ASSETS`, `NADMIT_CNI_PLUGINS` and `MULTUS` name others.
//! Where one is missing the trials are shown as ignored, with the reason. Without Multus the model in `wire`
//! decides which plugins are run, and the trials say so. It needs root, for network namespaces.

mod away;
mod cluster;
mod columns;
mod control_plane;
mod install;
mod node;
mod parts;
mod rollout;
mod stage;
mod statefulset;
mod typo;
mod upgrade;

use libtest_mimic::{Failed, Trial};

pub(crate) use self::cluster::end;
use self::parts::Parts;

/// A trial's name and what it does.
type Named = (&'static str, fn() -> Result<(), Failed>);

pub(crate) fn trials() -> Vec<Trial> {
    let missing = Parts::find().err();
    let trials = [
        statefulset::TRIALS,
        typo::TRIALS,
        columns::TRIALS,
        away::TRIALS,
        rollout::TRIALS,
        install::TRIALS,
    ]
    .concat();
    let each = trials.into_iter().map(|(name, run)| {
        let trial = Trial::test(format!("real::{name}"), move || cluster::alone(run));
        match &missing {
            Some(reason) => trial.with_kind(reason.as_str()).with_ignored_flag(true),
            None => trial,
        }
    });
    each.collect()
}
