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
mod pages;
mod parts;
mod rollout;
mod stage;
mod statefulset;
mod typo;
mod upgrade;

use libtest_mimic::{Failed, Trial};

pub(crate) use self::cluster::end;
use self::parts::Parts;
use crate::deploy::objects::tool;

/// A trial's name and what it does.
type Named = (&'static str, fn() -> Result<(), Failed>);

pub(crate) fn trials() -> Vec<Trial> {
    let found = Parts::find();
    let trials = [
        statefulset::TRIALS,
        typo::TRIALS,
        columns::TRIALS,
        away::TRIALS,
        rollout::TRIALS,
        install::TRIALS,
        pages::TRIALS,
    ]
    .concat();
    let each = trials.into_iter().map(|named| (named, found.clone().err()));
    let whereabouts = found
        .as_ref()
        .is_ok_and(|parts| parts.whereabouts.is_some());
    let helm = tool("helm").is_some();
    let further = [
        (
            pages::TRIALS_WITH_WHEREABOUTS,
            (!whereabouts).then_some("needs whereabouts: tests/real/build.sh whereabouts"),
        ),
        (
            pages::TRIALS_WITH_HELM,
            (!helm).then_some("needs helm: tests/tools.sh"),
        ),
    ];
    let further = further.into_iter().flat_map(|(trials, missing)| {
        let missing = found.clone().err().or(missing.map(str::to_owned));
        trials.iter().map(move |named| (*named, missing.clone()))
    });
    let each = each.chain(further).map(|((name, run), missing)| {
        let trial = Trial::test(format!("real::{name}"), move || cluster::alone(run));
        match missing {
            Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
            None => trial,
        }
    });
    each.collect()
}
