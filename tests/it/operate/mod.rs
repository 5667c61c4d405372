//! The commands of operators, as the real binary: against a running server, and against its file.

mod cluster;
pub(crate) mod fixture;
mod maps;
pub(crate) mod monitoring;
mod real;
mod recovery;
mod scenario;
pub(crate) mod server;
mod whereabouts;

use std::{fs, path::Path};

use crate::support::TestResult;
use libtest_mimic::Trial;

pub(crate) fn tests() -> Vec<Trial> {
    let no_curl = !server::has_curl();
    let served = tests!["operate";
        scenario::a_running_server_answers,
        scenario::the_file_answers_without_a_server,
        scenario::allocations_move,
        monitoring::monitoring_names_exported_metrics,
    ];
    let served = served
        .into_iter()
        .map(|test| test.with_ignored_flag(no_curl));
    let others = tests!["operate";
        scenario::errors_have_remedies,
        the_page_shows_what_is_printed,
        monitoring::both_forms_of_the_alerts_are_one,
        monitoring::help_texts_of_a_replica_end_in_a_full_stop,
    ];
    served
        .chain(others)
        .chain(recovery::tests())
        .chain(maps::tests())
        .chain(cluster::tests(no_curl))
        .chain(real::tests())
        .chain(whereabouts::tests())
        .collect()
}

/// The output of `nadmit pools` in docs/how-to/operate-addresses.md equals the snapshots.
fn the_page_shows_what_is_printed() -> TestResult {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/how-to/operate-addresses.md"))?;
    let read = |name| fs::read_to_string(root.join("tests/it/snapshots").join(name));
    for (command, snapshot) in [
        ("nadmit pools\n", read("operate.pools")?),
        ("nadmit pools storage --map\n", read("operate.map")?),
    ] {
        let begin = format!("```console\n$ {command}");
        let shown = page
            .split_once(&begin)
            .and_then(|(_, rest)| rest.split_once("```"));
        let (shown, _) = shown.ok_or_else(|| format!("the page has no {command}"))?;
        if !snapshot.starts_with(shown) {
            return Err(format!("the page shows\n{shown}\nbut it prints\n{snapshot}").into());
        }
    }
    Ok(())
}

/// Compares with a file in `tests/it/snapshots`; `NADMIT_UPDATE=1` writes it.
fn snapshot(name: &str, printed: &str) -> TestResult {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/snapshots")
        .join(format!("operate.{name}"));
    if std::env::var_os("NADMIT_UPDATE").is_some() {
        fs::write(&path, printed)?;
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    if kept == printed {
        return Ok(());
    }
    Err(format!("{} has\n{kept}\nbut it says\n{printed}", path.display()).into())
}
