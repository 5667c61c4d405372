//! Single mistakes, each put into a model, and the rule that has to find it: [`plugins`] and
//! [`ipams`] list them.

mod ipams;
mod plugins;

use libtest_mimic::Trial;
use nadmit::rules::{Finding, Level};
use proptest::prelude::*;
use serde_json::Value;

use super::{judged, models::model};
use crate::support::TestResult;
use crate::{properties::run, support};

pub(super) fn tests() -> Vec<Trial> {
    let test = |mistake: SingleMistake| {
        let SingleMistake { part, code, .. } = &mistake;
        let change = mistake.change.to_string();
        Trial::test(
            format!("networks::mistake::{part}::{code}::{change}"),
            move || is_found(&mistake),
        )
    };
    let listed = plugins::mistakes().into_iter().chain(ipams::mistakes());
    listed.map(test).collect()
}

/// Members put into a part of a model, and the rule that has to find them.
#[derive(Clone)]
struct SingleMistake {
    part: &'static str,
    change: Value,
    code: &'static str,
    level: Level,
}

/// The part, the members, the code of the rule, and its level.
type MistakeRow = (&'static str, Value, &'static str, Level);

fn read((part, change, code, level): MistakeRow) -> SingleMistake {
    SingleMistake {
        part,
        change,
        code,
        level,
    }
}

fn is_found(mistake: &SingleMistake) -> TestResult {
    run(20, model(mistake.part), |mut model| {
        let object = model.part(mistake.part).expect("the part");
        for (key, value) in mistake.change.as_object().expect("members") {
            object[key] = value.clone();
        }
        let config = model.config().to_string();
        let answer = judged("n", &config).map_err(TestCaseError::fail)?;
        let level = match is_of_routes(mistake.code) && may_use_dpdk(&config) {
            true => Level::Warn,
            false => mistake.level,
        };
        let is_it = |f: &Finding| (f.code, f.level) == (mistake.code, level);
        let got = support::lines(&answer);
        prop_assert!(answer.findings().iter().any(is_it), "{config}\n{got}");
        Ok(())
    })
}

fn is_of_routes(code: &str) -> bool {
    ["gateway-outside-subnet", "route-refused"].contains(&code)
}

/// Returns true if the device may be bound to a DPDK driver, so that the plugin configures no
/// routes on it.
fn may_use_dpdk(config: &str) -> bool {
    ["\"pciBusID\"", "\"type\":\"sriov\""]
        .iter()
        .any(|text| config.contains(text))
}
