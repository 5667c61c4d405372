//! The property itself: everything that the model puts on the wire is held by this pod in the
//! index, or the pod was refused.

use std::{
    env, fmt,
    net::IpAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use libtest_mimic::Failed;
use nadmit::{
    allocation::{Address, Holder},
    network::{annotations, mac::Mac},
};
use serde_json::Value;

use super::{
    generate::SERVED,
    model::{StartedAttachment, given, outcome},
    multus::{Nad, PodAnnotations},
    pipeline::{Pipeline, holder},
    scenario::WireScenario,
};
use crate::simulation::rng::Rng;
use crate::support::TestResult;

/// The maximum size of an annotation; everything relevant is shorter.
const MAX_ANNOTATION_LEN: usize = 16 << 10;
/// The default running time, in seconds.
const DEFAULT_SECONDS: u64 = 4;

/// An address or MAC on the wire that the pod does not hold.
#[derive(Debug, Clone, PartialEq)]
struct Stolen {
    what: StolenValue,
    network: &'static str,
    interface: String,
    holder: Option<Holder>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum StolenValue {
    Ip(IpAddr),
    Mac(Mac),
}

/// The result of one scenario.
enum ScenarioResult {
    Refused,
    /// The number of addresses and MACs on the wire, all held by the pod.
    Held(usize),
    Stolen(Stolen, Value),
}

/// Returns the first seed.
pub(super) fn first_seed() -> Result<u64, Failed> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(match number("NADMIT_WIRE_SEED") {
        Some(seed) => seed,
        None => u64::try_from(now.as_micros())?,
    })
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// Generates pods until the time is over.
pub(super) fn every_address_on_the_wire_is_held_by_the_pod_or_refused() -> TestResult {
    let first = first_seed()?;
    let asked = number("NADMIT_WIRE_SEED").is_some();
    let seconds = Duration::from_secs(number("NADMIT_FUZZ_SECONDS").unwrap_or(DEFAULT_SECONDS));
    let started = Instant::now();
    let (mut seed, mut passed, mut held) = (first, 0_usize, 0_usize);
    while started.elapsed() < seconds && !(asked && seed > first) {
        let scenario = WireScenario::of(&Rng::of(seed));
        match run_scenario(&scenario)? {
            ScenarioResult::Refused => {}
            ScenarioResult::Held(count) => {
                passed += 1;
                held += usize::from(count > 0);
            }
            ScenarioResult::Stolen(..) => {
                return Err(Violation {
                    seed,
                    scenario: minimize(scenario)?,
                }
                .describe_outcome());
            }
        }
        seed += 1;
    }
    let count = seed - first;
    // Refusing everything would satisfy the property, too.
    if count > 500 && (passed < 20 || held < 10) {
        return Err(format!("of {count} pods {passed} pass, {held} of them with addresses").into());
    }
    Ok(())
}

/// Checks the property for an annotation of any bytes, under settings derived from its length.
pub(super) fn any_annotation(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // The API server accepts no longer one.
    if text.len() > MAX_ANNOTATION_LEN {
        return;
    }
    let rng = Rng::of(data.iter().fold(0, |sum: u64, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    }));
    let is_default = rng.percent(25);
    let text = Some(text.to_owned());
    let texts = match is_default {
        true => [None, text],
        false => [text, None],
    };
    let scenario = WireScenario::of(&rng).with_texts(texts);
    match run_scenario(&scenario) {
        Ok(ScenarioResult::Stolen(stolen, pod)) => {
            panic!(
                "{stolen:?}\n{pod}\n{:?} as {:?}, {:?}\n{:?}",
                scenario.way, scenario.who, scenario.settings, scenario.nads
            );
        }
        Ok(ScenarioResult::Refused | ScenarioResult::Held(_)) => {}
        Err(error) => panic!("{error:?}"),
    }
}

/// A violation of the property, minimized.
struct Violation {
    seed: u64,
    scenario: WireScenario,
}

impl Violation {
    fn describe_outcome(self) -> Failed {
        let Self { seed, scenario } = self;
        let what = match run_scenario(&scenario) {
            Ok(ScenarioResult::Stolen(stolen, pod)) => {
                format!("{stolen:?}\npod: {}", pod["metadata"])
            }
            _ => "the result is not reproducible".to_owned(),
        };
        let config = |name: &str| scenario.nads.iter().find(|nad| nad.name == name);
        format!(
            "again: NADMIT_WIRE_SEED={seed} cargo test --test it wire::what_is_on\n{what}\n\
             asked: {:?}\n{:?} as {:?}, {:?}\nserved: {}\nunserved: {}",
            scenario.annotated(),
            scenario.way,
            scenario.who,
            scenario.settings,
            config(SERVED).map_or("", |nad| &nad.config),
            config(super::generate::UNSERVED).map_or("", |nad| &nad.config),
        )
        .into()
    }
}

/// Minimizes a scenario that violates the property.
fn minimize(mut scenario: WireScenario) -> Result<WireScenario, Failed> {
    'smaller: loop {
        for smaller in scenario.smaller() {
            if matches!(run_scenario(&smaller)?, ScenarioResult::Stolen(..)) {
                scenario = smaller;
                continue 'smaller;
            }
        }
        return Ok(scenario);
    }
}

fn run_scenario(scenario: &WireScenario) -> Result<ScenarioResult, Failed> {
    let mut pipeline = Pipeline::new(scenario)?;
    let Some(pod) = pipeline.run(scenario)? else {
        return Ok(ScenarioResult::Refused);
    };
    let annotation = |key: &str| pod["metadata"]["annotations"][key].as_str();
    let annotated = PodAnnotations {
        namespace: "db",
        networks: annotation(annotations::NETWORKS),
        default_network: annotation(annotations::DEFAULT_NETWORK),
    };
    let mut count = 0;
    for started in outcome(annotated, &scenario.nads).started {
        match check_attachment(&started, &pipeline, &scenario.nads, &holder(&pod)) {
            Ok(held) => count += held,
            Err(stolen) => return Ok(ScenarioResult::Stolen(stolen, pod)),
        }
    }
    Ok(ScenarioResult::Held(count))
}

/// Returns the number of addresses and MACs that an attachment puts on the wire and the pod holds;
/// an error is one that it does not hold.
///
/// On a network that the pool serves, everything has to be recorded. On one that it does not serve,
/// or cannot serve because of its IPAM, nothing may be on the wire that the pool allocates from or
/// that anyone holds.
fn check_attachment(
    started: &StartedAttachment,
    pipeline: &Pipeline,
    nads: &[Nad],
    holder: &Holder,
) -> Result<usize, Stolen> {
    let attachment = &started.attachment;
    let is_it =
        |nad: &&Nad| (nad.namespace, nad.name) == (&*attachment.namespace, &*attachment.name);
    let Some(nad) = nads.iter().find(is_it) else {
        return Ok(0);
    };
    let recorded = nad.name == SERVED && !nad.config.contains("host-local");
    let own = given(nad, attachment.is_default);
    let index = pipeline.index.lock();
    let (pool, space) = (&pipeline.pool, &pipeline.pool.space);
    let ips = started.on_wire.ips.difference(&own.ips);
    let macs = started.on_wire.macs.difference(&own.macs);
    let ips = ips.map(|ip| StolenValue::Ip(*ip));
    let mut count = 0;
    for what in ips.chain(macs.map(|mac| StolenValue::Mac(Mac(*mac)))) {
        let (found, of_pool) = match what {
            StolenValue::Ip(ip) => {
                let found = index.holder_of(space, Address::from(ip));
                (found, pool.range_of(ip).is_some())
            }
            StolenValue::Mac(mac) => {
                let of_pool = pool.macs.as_ref().is_some_and(|macs| macs.contains(mac));
                (index.holder_of_mac(space, mac), of_pool)
            }
        };
        let found = found.map(|record| record.holder.clone());
        if found.as_ref() == Some(holder) {
            count += 1;
        } else if recorded || of_pool || found.is_some() {
            return Err(Stolen {
                what,
                network: nad.name,
                interface: attachment.interface.clone(),
                holder: found,
            });
        }
    }
    Ok(count)
}

impl fmt::Display for StolenValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Mac(mac) => write!(f, "{mac}"),
        }
    }
}
