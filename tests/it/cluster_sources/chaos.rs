//! Random changes, faults and live reads: objects never go back in time, and the catalog converges.

use std::{collections::BTreeMap, time::Duration};

use libtest_mimic::{Failed, Trial};
use nadmit::catalog::{Catalog, LiveRead};
use tokio::time::{Instant, sleep};

use super::support::{CLIENT, FollowedCluster, NETWORKS, TestResult, network, paused, pod, same};
use crate::api_server::{ApiServer, FakeServerSettings, FaultAction, FaultRule, InjectedFailure};

const STEPS: u64 = 150;
const SEEDS: u64 = 40;

pub(super) fn tests() -> Vec<Trial> {
    tests!["cluster_sources"; with paused;
        nothing_goes_back_and_the_catalog_converges,
        the_same_seed_gives_the_same_run,
    ]
}

/// Random numbers from a seed (splitmix64).
struct ChaosRng(u64);

impl ChaosRng {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

async fn nothing_goes_back_and_the_catalog_converges() -> TestResult {
    for seed in 0..SEEDS {
        let history = ChaosRun::run(seed).await;
        history.map_err(|error| format!("seed {seed}: {}", error.message().unwrap_or("?")))?;
    }
    Ok(())
}

async fn the_same_seed_gives_the_same_run() -> TestResult {
    for seed in [3, 1_000] {
        let (one, other) = (ChaosRun::run(seed).await?, ChaosRun::run(seed).await?);
        same(&one, &other)?;
    }
    Ok(())
}

struct ChaosRun {
    followed: FollowedCluster,
    chance: ChaosRng,
    /// By pod, the lower bound of the step in which it was last written, or seen to be gone; writes
    /// put the step into its annotation.
    confirmed: BTreeMap<String, u64>,
    began: Instant,
    log: Vec<String>,
}

impl ChaosRun {
    async fn run(seed: u64) -> Result<Vec<String>, Failed> {
        let server = ApiServer::with(FakeServerSettings {
            page: 4,
            ..FakeServerSettings::default()
        });
        let mut history = Self {
            followed: FollowedCluster::synced(server).await?,
            chance: ChaosRng(seed),
            confirmed: BTreeMap::new(),
            began: Instant::now(),
            log: Vec::new(),
        };
        for number in 0..STEPS {
            history.step(number).await?;
            history.check_progress()?;
        }
        history.followed.server.heal();
        sleep(Duration::from_secs(400)).await;
        history.check_progress()?;
        history.settled()?;
        history
            .log
            .push(format!("{:?}", history.followed.source.status().published));
        Ok(history.log)
    }

    async fn step(&mut self, number: u64) -> TestResult {
        let name = format!("p{}", self.chance.below(12));
        let server = &self.followed.server;
        match self.chance.below(14) {
            0..=4 => {
                self.followed.put([pod("db", &name, &number.to_string())])?;
            }
            5 | 6 => drop(
                self.followed
                    .delete(&format!("/api/v1/namespaces/db/pods/{name}"))
                    .await,
            ),
            7 => self
                .followed
                .put([network("db", &name, &number.to_string())])?,
            8 => server.drop_watches("pods"),
            9 => server.compact(),
            10 => server.lag(CLIENT, Duration::from_millis(self.chance.below(4_000))),
            11 => {
                let verb = ["watch", "list"][usize::try_from(self.chance.below(2))?];
                let action: FaultAction = match self.chance.below(4) {
                    0 => InjectedFailure::Connection.into(),
                    1 => InjectedFailure::Unavailable.into(),
                    2 => FaultAction::slow(Duration::from_millis(300), Duration::from_millis(700)),
                    _ => FaultAction::dropped(Duration::from_millis(50)),
                };
                server.fault(
                    FaultRule::of(verb, "pods", action)
                        .for_client(CLIENT)
                        .times(2),
                );
            }
            12 => self.confirm(&name, number).await,
            _ => {
                if self.followed.read(LiveRead::pods_of("db")).await.is_ok() {
                    for other in 0..12 {
                        self.agrees(&format!("p{other}"), number);
                    }
                }
            }
        }
        sleep(Duration::from_millis(self.chance.below(500))).await;
        Ok(())
    }

    async fn confirm(&mut self, name: &str, step: u64) {
        if self.followed.read(LiveRead::pod("db", name)).await.is_ok() {
            self.agrees(name, step);
        }
    }

    /// Checks that a live read returns the stored object; nothing else writes.
    fn agrees(&mut self, name: &str, step: u64) {
        let stored = self.followed.server.stored("pods", "db", name);
        let stored = stored.and_then(|pod| {
            let text = pod["metadata"]["annotations"][NETWORKS].as_str();
            text.map(str::to_owned)
        });
        let found = self.followed.networks_of("db", name);
        if found != stored {
            self.log
                .push(format!("WRONG {name}: found {found:?}, stored {stored:?}"));
        }
        let number = stored.and_then(|text| text.parse().ok());
        self.confirmed
            .insert(name.to_owned(), number.unwrap_or(step));
    }

    /// Checks that no object is older than when it was last seen.
    fn check_progress(&mut self) -> TestResult {
        let catalog = self.followed.catalog();
        self.log.push(format!(
            "{} {}",
            self.began.elapsed().as_millis(),
            digest(&catalog)
        ));
        if let Some(wrong) = self.log.iter().find(|line| line.starts_with("WRONG")) {
            return Err(wrong.into());
        }
        for (name, number) in &mut self.confirmed {
            let found = self.followed.networks_of("db", name);
            let found: Option<u64> = found.and_then(|text| text.parse().ok());
            match found {
                Some(found) if found < *number => {
                    return Err(format!("{name} went back from {number} to {found}").into());
                }
                Some(found) => *number = found,
                None => {}
            }
        }
        Ok(())
    }

    fn settled(&self) -> TestResult {
        let stored = self.followed.server.all("pods");
        let stored: BTreeMap<String, String> = stored
            .iter()
            .map(|pod| {
                let text =
                    |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
                let metadata = &pod["metadata"];
                (
                    text(&metadata["name"]),
                    text(&metadata["annotations"][NETWORKS]),
                )
            })
            .collect();
        let catalog = self.followed.catalog();
        let found = catalog.pods().map(|pod| {
            let networks = pod.networks.as_deref().unwrap_or_default();
            (pod.name.to_string(), networks.to_owned())
        });
        same(&found.collect(), &stored)?;
        let networks = self
            .followed
            .server
            .all("network-attachment-definitions.k8s.cni.cncf.io");
        same(&catalog.network_count(), &networks.len())?;
        same(&self.followed.source.status().stale().count(), &0)
    }
}

fn digest(catalog: &Catalog) -> String {
    let pods = catalog
        .pods()
        .map(|pod| format!("{}={:?}", pod.name, pod.networks));
    let networks = catalog.networks().map(|network| network.name.to_string());
    pods.chain(networks).collect::<Vec<_>>().join(" ")
}
