//! A cluster without containers: the real control plane, CNI plugins and Multus, and nadmit as its
//! image would run it, in the network namespaces of its pods.
//!
//! `tests/real/build.sh` builds the programs; `KUBEBUILDER_ASSETS`, `NADMIT_CNI_PLUGINS` and
//! `MULTUS` name others. If one is missing, the tests are ignored with the reason. Without Multus
//! the model in `wire` decides which plugins are run, and the tests print that. They need root, for
//! network namespaces.

mod cluster;
mod columns;
mod control_plane;
mod install;
mod node;
mod outage;
mod pages;
mod parts;
mod rollout;
mod statefulset;
mod steps;
mod typo;
mod upgrade;

use libtest_mimic::{Failed, Trial};

pub(crate) use self::cluster::end;
use self::parts::Programs;
use crate::deploy::objects::tool;

/// The name of a test, and its function.
type NamedTest = (&'static str, fn() -> Result<(), Failed>);

pub(crate) fn trials() -> Vec<Trial> {
    let found = Programs::find();
    let trials = [
        statefulset::TRIALS,
        typo::TRIALS,
        columns::TRIALS,
        outage::TRIALS,
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
