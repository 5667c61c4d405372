//! The invariants of every step, and of the end, when nothing is left to do.

use std::{collections::BTreeMap, net::IpAddr};

use nadmit_allocation::{Allocation, Holder};
use nadmit_catalog::Existence;

use super::{
    steps::{PODS, REPLICAS, Step},
    world::{Sandbox, SandboxState, World},
};

/// The number of rounds after which nothing may be left to do.
const ROUNDS: usize = 14;

impl World {
    /// Returns the records of a pod's holder.
    fn records_of<'w>(&'w self, holder: &'w Holder) -> impl Iterator<Item = &'w Allocation> {
        let records = self.api.records.values().map(|stored| &stored.allocation);
        records.filter(move |record| record.holder == *holder)
    }

    /// Returns the addresses on the interfaces of pods that exist and have not ended.
    fn live(&self) -> impl Iterator<Item = (&Sandbox, IpAddr)> {
        self.sandboxes.values().filter_map(|sandbox| {
            let pod = self.api.pods.get(&sandbox.pod)?;
            let lives = pod.uid == sandbox.uid && !pod.ended;
            match sandbox.state {
                SandboxState::Up(address) if lives => Some((sandbox, address)),
                _ => None,
            }
        })
    }

    /// Returns true if nadmit keeps Whereabouts's records of an address.
    fn is_kept(&self, address: IpAddr) -> bool {
        let mut pools = self.api.pools.keys().filter_map(|name| self.api.pool(name));
        let mut reservations = self.api.reservations.keys().filter(|name| {
            let of_address =
                name.ends_with(&format!("-{address}")) || **name == address.to_string();
            of_address
                && self
                    .api
                    .reservation(name)
                    .is_some_and(|found| found.is_kept())
        });
        reservations.next().is_some()
            || pools.any(|pool| {
                let mut entries = pool.entries.iter();
                entries.any(|entry| entry.address == address && entry.is_kept())
            })
    }

    /// No address is on the interfaces of two live pods.
    pub(super) fn check(&mut self) {
        let mut users: BTreeMap<IpAddr, &str> = BTreeMap::new();
        for (sandbox, address) in self.live() {
            if let Some(other) = users.insert(address, &sandbox.pod) {
                panic!(
                    "{address} is on the interfaces of {other} and {}",
                    sandbox.pod
                );
            }
        }
        let recorded = self.live().filter_map(|(sandbox, address)| {
            let holder = &self.api.pods.get(&sandbox.pod)?.holder;
            let mut records = self.records_of(holder);
            let is_recorded = records.any(|one| one.address.ip() == Some(address));
            let is_kept = is_recorded && self.is_kept(address);
            (is_kept && holder.is_persistent()).then(|| (holder.clone(), address))
        });
        let recorded: Vec<_> = recorded.collect();
        self.lasting.extend(recorded);
    }

    /// A served pod gets its record's address, and no pod that of a replica.
    pub(super) fn check_given(&mut self, sandbox: &Sandbox, address: IpAddr) {
        let Some(pod) = self
            .api
            .pods
            .get(&sandbox.pod)
            .filter(|pod| pod.uid == sandbox.uid)
        else {
            return;
        };
        for (holder, lasting) in &self.lasting {
            let recorded = self
                .records_of(holder)
                .any(|one| one.address.ip() == Some(*lasting));
            assert!(
                *lasting != address || *holder == pod.holder || !recorded,
                "{address} of {holder} is given to {}",
                sandbox.pod
            );
        }
        if !sandbox.pod.starts_with("db/") {
            return;
        }
        let holder = pod.holder.clone();
        let by_plugin = self.by_plugin.contains(&sandbox.uid);
        let recorded: Vec<_> = self
            .records_of(&holder)
            .filter_map(|one| one.address.ip())
            .collect();
        assert!(
            by_plugin || recorded.contains(&address),
            "{} gets {address}, and its records are {recorded:?}",
            sandbox.pod
        );
        if self.lasting.get(&holder) != Some(&address) {
            self.lasting.remove(&holder);
        }
    }

    /// Does everything that is left, with fresh views.
    pub(super) fn settle(&mut self) {
        for round in 0..ROUNDS {
            let mut requests = 0;
            while self.has_tasks() {
                self.step(Step::Finish(0));
                self.check();
                requests += 1;
                assert!(requests < 10_000, "the work has no end");
            }
            for replica in 0..2 {
                self.step(Step::RefreshAll(replica));
            }
            self.finish_pods();
            self.step(Step::ReconcilePass(0));
            self.step(Step::ServedPass(0));
            if round % 2 == 0 {
                self.step(Step::ReconcilePass(1));
            }
            self.step(Step::Wait);
            self.step(Step::Wait);
        }
        while self.has_tasks() {
            self.step(Step::Finish(0));
        }
        self.check();
        self.check_settled();
    }

    /// Lets the scheduler, the kubelet and the StatefulSet do what they would.
    fn finish_pods(&mut self) {
        for pod in 0..REPLICAS {
            self.step(Step::Create(pod));
        }
        for (pod, (key, _)) in PODS.iter().enumerate() {
            let found = self.api.pods.get(*key);
            let of_pod = |one: &&Sandbox| one.pod == *key;
            let is_stale = self.sandboxes.values().filter(of_pod).any(|sandbox| {
                let own = found
                    .is_some_and(|pod| pod.uid == sandbox.uid && !pod.ended && !pod.terminating);
                !own || sandbox.state == SandboxState::Failed
            });
            if is_stale {
                self.step(Step::StopSandbox(pod));
            }
            let ended = self.api.pods.get(*key).is_some_and(|pod| pod.ended);
            let surplus = pod < REPLICAS && pod >= self.wanted as usize;
            if ended || surplus {
                self.step(Step::Delete(pod));
            }
            self.step(Step::Bind { replica: 0, pod });
            self.step(Step::StartSandbox(pod));
        }
        self.remove_ended();
    }

    /// Records, Whereabouts's records and interfaces agree.
    fn check_settled(&self) {
        let live: BTreeMap<&str, IpAddr> = self
            .live()
            .map(|(sandbox, address)| (&*sandbox.pod, address))
            .collect();
        for (key, pod) in &self.api.pods {
            // The plugin gave the address of a replica away while nadmit was late: the replica waits.
            let mut recorded = self
                .records_of(&pod.holder)
                .filter_map(|one| one.address.ip());
            let waits =
                recorded.any(|own| live.iter().any(|(other, ip)| other != key && *ip == own));
            if waits && pod.holder.is_persistent() {
                continue;
            }
            assert!(live.contains_key(&**key), "{key} ({pod:?}) has no address");
        }
        let record_of = |address: IpAddr, space: Option<&str>| {
            let mut records = self.api.records.values();
            records.find(|stored| {
                let record = &stored.allocation;
                let is_meant = space.is_none_or(|space| record.space.network_name() == space);
                record.address.ip() == Some(address) && is_meant
            })
        };
        let mut entries: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        let mut kept = Vec::new();
        for name in self.api.pools.keys() {
            let pool = self.api.pool(name);
            for entry in pool.iter().flat_map(|pool| &pool.entries) {
                if let Some(pod) = &entry.pod {
                    assert!(
                        self.api.pods.contains_key(&pod.to_string()),
                        "{entry:?} is left"
                    );
                    entries
                        .entry(pod.to_string())
                        .or_default()
                        .push(entry.address);
                }
                if entry.is_kept() {
                    assert!(
                        record_of(entry.address, entry.kept_for()).is_some(),
                        "{entry:?} has no record"
                    );
                    kept.push(entry.address);
                } else {
                    let record = record_of(entry.address, None).map(|stored| &stored.allocation);
                    let waits = record.is_some_and(|record| record.holder.is_persistent());
                    assert!(record.is_none() || waits, "{entry:?} is not kept");
                    kept.extend(record.and(Some(entry.address)));
                }
            }
        }
        for name in self.api.reservations.keys() {
            let found = self.api.reservation(name);
            let known = self.replicas[0].catalog.whereabouts();
            let found = found.unwrap_or_else(|| panic!("{name}"));
            if found.is_kept() {
                let address = known
                    .addresses_of(&found)
                    .first()
                    .map(|(_, address)| *address);
                let recorded = address.is_some_and(|address| record_of(address, None).is_some());
                assert!(recorded, "{found:?} has no record");
            }
        }
        for (key, address) in &live {
            let of_pod = entries.get(*key).cloned().unwrap_or_default();
            assert_eq!(of_pod, [*address], "the entries of {key}");
        }
        let mut recorded: BTreeMap<IpAddr, &Allocation> = BTreeMap::new();
        for stored in self.api.records.values() {
            let record = &stored.allocation;
            let Some(address) = record.address.ip() else {
                continue;
            };
            if let Some(other) = recorded.insert(address, record) {
                // Others removed the entry of a replica that waits for its address.
                let waits = [other, record].iter().any(|one| one.holder.is_persistent());
                assert!(waits, "{record:?} and {other:?}");
            }
            assert!(kept.contains(&address), "{record:?} has no entry");
            let pod = PODS.iter().find(|(key, _)| {
                self.api
                    .pods
                    .get(*key)
                    .is_some_and(|pod| pod.holder == record.holder)
            });
            match pod {
                Some((key, _)) if live.contains_key(key) => {
                    assert_eq!(live.get(key), Some(&address), "{record:?}");
                }
                Some(_) => assert!(record.holder.is_persistent(), "{record:?}"),
                None => assert!(record.holder.is_persistent(), "{record:?} is left"),
            }
        }
        let workloads = self.replicas[0].catalog.workloads();
        let set = workloads.stateful_set("db", "db");
        assert!(matches!(set, Existence::Present(_)), "{set:?}");
        for (holder, address) in &self.lasting {
            let recorded: Vec<_> = self
                .records_of(holder)
                .filter_map(|one| one.address.ip())
                .collect();
            assert_eq!(recorded, [*address], "the addresses of {holder}");
        }
    }
}
