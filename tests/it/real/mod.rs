//! A cluster without containers: the real control plane, CNI plugins and Multus, and nadmit as its
//! image would run it, in the network namespaces of its pods.
//!
//! `tests/real/build.sh` builds the programs; `KUBEBUILDER_ASSETS`, `NADMIT_CNI_PLUGINS` and
//! `MULTUS` name others. If one is missing, the tests are ignored with the reason. Without Multus
//! the model in `wire` decides which plugins are run, and the tests print that. They need root, for
//! network namespaces.

mod audit;
mod cluster;
mod columns;
mod control_plane;
mod copies;
mod install;
mod node;
mod one_word;
mod outage;
mod page_shell;
mod pages;
mod parts;
mod repair;
mod rollout;
mod served;
mod served_leaving;
mod served_load;
mod served_migration;
mod served_pods;
mod served_settings;
mod served_slices;
mod served_to_pool;
mod statefulset;
mod steps;
mod typo;
mod upgrade;

use libtest_mimic::Trial;

pub(crate) use self::cluster::end;
use self::parts::Programs;
use crate::deploy::objects::tool;
use crate::support::NamedTest;

pub(crate) fn tests() -> Vec<Trial> {
    let found = Programs::find();
    let tests = [
        statefulset::TESTS,
        typo::TESTS,
        columns::TESTS,
        outage::TESTS,
        rollout::TESTS,
        install::TESTS,
        pages::TESTS,
    ]
    .concat();
    let each = tests.into_iter().map(|named| (named, found.clone().err()));
    let whereabouts = found
        .as_ref()
        .is_ok_and(|parts| parts.whereabouts.is_some());
    let helm = tool("helm").is_some();
    let no_whereabouts =
        (!whereabouts).then_some("needs whereabouts: tests/real/build.sh whereabouts");
    let further = [
        (pages::TESTS_WITH_WHEREABOUTS, no_whereabouts),
        (audit::TESTS, no_whereabouts),
        (served::TESTS, no_whereabouts),
        (one_word::TESTS, no_whereabouts),
        (served_leaving::TESTS, no_whereabouts),
        (served_pods::TESTS, no_whereabouts),
        (served_settings::TESTS, no_whereabouts),
        (repair::TESTS, no_whereabouts),
        (copies::TESTS, no_whereabouts),
        (served_load::TESTS, no_whereabouts),
        (served_slices::TESTS, no_whereabouts),
        (served_to_pool::TESTS, no_whereabouts),
        (served_migration::TESTS, no_whereabouts),
        (
            pages::TESTS_WITH_HELM,
            (!helm).then_some("needs helm: tests/tools.sh"),
        ),
    ];
    let further = further.into_iter().flat_map(|(tests, missing)| {
        let missing = found.clone().err().or(missing.map(str::to_owned));
        tests.iter().map(move |named| (*named, missing.clone()))
    });
    let each = each.chain(further).map(|((name, run), missing)| {
        let test = Trial::test(format!("real::{name}"), move || cluster::alone(run));
        match missing {
            Some(reason) => test.with_kind(reason).with_ignored_flag(true),
            None => test,
        }
    });
    each.collect()
}
