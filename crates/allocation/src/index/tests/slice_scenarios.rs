//! Random scenarios on sliced pools so small that everything collides: nodes come and go, claims
//! succeed, fail and expire, pods move, and addresses are requested by name.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use proptest::{prelude::*, test_runner::TestCaseError};

use super::*;
use crate::{Exhausted, Slice};

const NODES: [&str; 3] = ["a", "b", "c"];

/// One step of a scenario.
#[derive(Debug, Clone)]
enum ScenarioStep {
    /// A pod requests any address, or the one with this number, on a node.
    Request(u8, usize, Option<u8>, ClaimOutcome),
    /// A record is deleted.
    Release(usize),
    /// A slice without records is deleted.
    DeleteSlice(usize),
    /// Time passes.
    Wait,
}

/// The outcome of the claims that a request needs.
#[derive(Debug, Clone, Copy)]
enum ClaimOutcome {
    Recorded,
    /// Another replica records the slice first, for this node.
    Lost(usize),
    Failed,
    /// The planning replica never reports back.
    Forgotten,
}

fn step() -> impl Strategy<Value = ScenarioStep> {
    let claim = prop_oneof![
        6 => Just(ClaimOutcome::Recorded),
        2 => (0..NODES.len()).prop_map(ClaimOutcome::Lost),
        1 => Just(ClaimOutcome::Failed),
        1 => Just(ClaimOutcome::Forgotten),
    ];
    let node = 0..NODES.len();
    let named = prop::option::weighted(0.15, 0..17u8);
    prop_oneof![
        8 => (0..24u8, node, named, claim).prop_map(|(p, n, i, c)| ScenarioStep::Request(p, n, i, c)),
        3 => any::<usize>().prop_map(ScenarioStep::Release),
        1 => any::<usize>().prop_map(ScenarioStep::DeleteSlice),
        1 => Just(ScenarioStep::Wait),
    ]
}

fn spec(strict: bool, dual: bool) -> String {
    let v6 = if dual {
        r#",{"range":"2001:db8::/124","exclude":["2001:db8::4/127"]}"#
    } else {
        ""
    };
    format!(
        r#"{{"ranges":[{{"range":"192.0.2.0/28","rangeStart":"192.0.2.2","gateway":"192.0.2.6",
            "exclude":["192.0.2.8/30"]}}{v6}],"nodeSliceSize":"/30","strictSlices":{strict}}}"#
    )
}

struct Scenario {
    index: Index,
    pool: Arc<Pool>,
    strict: bool,
    /// The ledger: for each address its holder and the node it was assigned on.
    records: BTreeMap<IpAddr, (String, String)>,
    slices: BTreeMap<String, (Slice, Version)>,
    last: u64,
    now: Timestamp,
}

impl Scenario {
    fn new(strict: bool, dual: bool) -> Self {
        let pool = pool("storage", &spec(strict, dual));
        let mut index = super::index(&[Arc::clone(&pool)], &[]);
        index.enable_slices();
        Self {
            index,
            pool,
            strict,
            records: BTreeMap::new(),
            slices: BTreeMap::new(),
            last: 0,
            now: NOW,
        }
    }

    fn version(&mut self) -> Version {
        self.last += 1;
        Version(self.last)
    }

    fn allocatable(&self, range: usize) -> impl Iterator<Item = IpAddr> + '_ {
        let range = &self.pool.ranges[range];
        let [first, last] = [range.subnet.range().first(), range.subnet.range().last()]
            .map(|ip| Address::Ip(ip).number());
        let family = Address::Ip(range.subnet.address).family();
        let all = (first..=last).filter_map(move |number| family.address(number).ip());
        all.filter(|ip| range.exclusion(*ip).is_none())
    }

    fn is_of(&self, ip: IpAddr, node: &str) -> bool {
        let mut slices = self.slices.values();
        slices.any(|(slice, _)| &*slice.node == node && slice.contains(ip))
    }

    fn step(&mut self, step: &ScenarioStep) -> Result<(), TestCaseError> {
        match step {
            ScenarioStep::Request(pod, node, named, claim) => {
                let ip = named.map(|last| format!("192.0.2.{last}"));
                let request = request(&ip.iter().map(String::as_str).collect::<Vec<_>>());
                self.request(&format!("p-{pod}"), NODES[*node], &request, *claim)?;
            }
            ScenarioStep::Release(which) => {
                let count = self.records.len().max(1);
                if let Some(ip) = self.records.keys().nth(which % count).copied() {
                    self.records.remove(&ip);
                    release(&mut self.index, &ip.to_string());
                }
            }
            ScenarioStep::DeleteSlice(which) => {
                let empty = |slice: &Slice| !self.records.keys().any(|ip| slice.contains(*ip));
                let names = self.slices.iter().filter(|(_, (slice, _))| empty(slice));
                let names: Vec<String> = names.map(|(name, _)| name.clone()).collect();
                if let Some(name) = names.get(which % names.len().max(1)) {
                    let gone = self.slices.remove(name);
                    let version = gone.map(|(_, version)| version).unwrap_or_default();
                    self.index.apply_slice_delete(name, version);
                }
            }
            ScenarioStep::Wait => self.now = self.now.plus(Duration::from_secs(45)),
        }
        Ok(())
    }

    fn request(
        &mut self,
        pod: &str,
        node: &str,
        request: &AttachmentRequest,
        claim: ClaimOutcome,
    ) -> Result<(), TestCaseError> {
        let requester = requester(pod).on_node(Some(node.into()));
        for _ in 0..12 {
            let rejected =
                match self
                    .index
                    .plan(&requester, std::slice::from_ref(request), self.now)
                {
                    Ok(planned) => return self.assigned(pod, node, request, planned),
                    Err(rejected) => rejected[0].error.clone(),
                };
            let AllocationError::NeedsSlice(slice) = &rejected else {
                return self.rejected(pod, node, &rejected);
            };
            prop_assert_eq!(&*slice.node, node);
            let something = (0..self.pool.ranges.len())
                .any(|range| self.allocatable(range).any(|ip| slice.contains(ip)));
            prop_assert!(something, "{} has nothing to give", slice.window);
            match claim {
                ClaimOutcome::Recorded => self.record_slice(slice)?,
                ClaimOutcome::Lost(other) => {
                    let node = NODES[other].into();
                    self.record_slice(&Slice::new(&slice.pool, slice.window, &node))?;
                }
                ClaimOutcome::Failed => {
                    self.index.drop_claim(slice);
                    return Ok(());
                }
                ClaimOutcome::Forgotten => return Ok(()),
            }
        }
        Err(TestCaseError::fail("no number of slices is enough"))
    }

    /// Records a slice; names are unique.
    fn record_slice(&mut self, slice: &Slice) -> Result<(), TestCaseError> {
        let name = slice.record_name();
        prop_assert!(!self.slices.contains_key(&name), "{} is recorded", name);
        for (other, _) in self.slices.values() {
            let common = other.window.range().intersection(slice.window.range());
            prop_assert_eq!(common, None, "{} overlaps {}", slice.window, other.window);
        }
        let version = self.version();
        self.slices.insert(name, (slice.clone(), version));
        self.index.apply_slice(slice.clone(), version);
        Ok(())
    }

    fn assigned(
        &mut self,
        pod: &str,
        node: &str,
        request: &AttachmentRequest,
        planned: AllocationPlan,
    ) -> Result<(), TestCaseError> {
        let ips: Vec<IpAddr> = planned.assignments[0]
            .ips
            .iter()
            .map(|(ip, _)| *ip)
            .collect();
        let mut borrowed = 0;
        for (range, of) in self.pool.ranges.iter().enumerate() {
            let inside: Vec<&IpAddr> = ips.iter().filter(|ip| of.contains(**ip)).collect();
            prop_assert!(!inside.is_empty(), "nothing of {}", of.subnet);
            for ip in inside {
                prop_assert!(
                    self.allocatable(range).any(|good| good == *ip),
                    "{} is given",
                    ip
                );
                let here = (pod.to_owned(), node.to_owned());
                let retained = self.records.get(ip) == Some(&here);
                let own = self.is_of(*ip, node);
                prop_assert!(
                    retained || own || !self.strict,
                    "{} is lent to {}",
                    ip,
                    node
                );
                borrowed += usize::from(!retained && !own);
            }
        }
        prop_assert_eq!(planned.borrowed, borrowed);
        let mut versions = Vec::new();
        for write in &planned.writes {
            let ip = write.allocation().address.ip();
            let ip = ip.ok_or_else(|| TestCaseError::fail("no MACs here"))?;
            let holder = self.records.get(&ip).map(|(holder, _)| holder.as_str());
            match write {
                Write::Create(_) => prop_assert_eq!(holder, None, "{} is given twice", ip),
                _ => prop_assert_eq!(holder, Some(pod), "{} is taken away", ip),
            }
            self.records.insert(ip, (pod.to_owned(), node.to_owned()));
            versions.push(self.version());
        }
        self.index.commit(planned.id, &versions);
        // A repeated request gets the same result without writes.
        let requester = requester(pod).on_node(Some(node.into()));
        let again = self
            .index
            .plan(&requester, std::slice::from_ref(request), self.now);
        let again = again.map_err(|rejected| TestCaseError::fail(format!("{rejected:?}")))?;
        let same: Vec<IpAddr> = again.assignments[0].ips.iter().map(|(ip, _)| *ip).collect();
        prop_assert_eq!((same, again.writes.len(), again.borrowed), (ips, 0, 0));
        self.index.commit(again.id, &[]);
        Ok(())
    }

    /// Checks that the model justifies a rejection.
    fn rejected(
        &self,
        pod: &str,
        node: &str,
        error: &AllocationError,
    ) -> Result<(), TestCaseError> {
        let free = |range: usize| {
            let all = self.allocatable(range);
            all.filter(|ip| !self.records.contains_key(ip))
                .collect::<Vec<_>>()
        };
        match error {
            AllocationError::Exhausted(all) => {
                prop_assert!(!self.strict);
                let Exhausted { range, .. } = &**all;
                let full = self
                    .pool
                    .ranges
                    .iter()
                    .position(|r| Some(r.subnet) == *range);
                let full = full.ok_or_else(|| TestCaseError::fail("of no range"))?;
                prop_assert_eq!(free(full), Vec::<IpAddr>::new());
            }
            AllocationError::SlicesFull(full) => {
                prop_assert!(self.strict);
                let range = self.pool.ranges.iter().position(|r| r.subnet == full.range);
                let free = free(range.unwrap_or_default());
                prop_assert_eq!(free.len() as u128, full.elsewhere);
                for ip in free {
                    prop_assert!(!self.is_of(ip, node), "{} is free and of {}", ip, node);
                }
            }
            AllocationError::OutsideSlice(outside) => {
                prop_assert!(self.strict && !self.is_of(outside.address, node));
            }
            AllocationError::InUse { address, .. } => {
                let holder = address.ip().and_then(|ip| self.records.get(&ip));
                prop_assert!(holder.is_some_and(|(holder, _)| holder != pod));
            }
            AllocationError::HoldsAnother { .. }
            | AllocationError::OutsidePool { .. }
            | AllocationError::Excluded { .. } => {}
            AllocationError::Busy(_) => prop_assert!(self.strict, "nothing else is in flight"),
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        }
        Ok(())
    }

    /// Checks that the counts of the index match the model.
    fn compare(&self) -> Result<(), TestCaseError> {
        let ranges = 0..self.pool.ranges.len();
        let free = ranges.flat_map(|range| self.allocatable(range));
        let free: BTreeSet<IpAddr> = free.filter(|ip| !self.records.contains_key(ip)).collect();
        let usage = self.index.usage("storage").unwrap_or_default();
        prop_assert_eq!(usage.free, free.len() as u128);
        let outside = free
            .iter()
            .filter(|ip| NODES.iter().all(|node| !self.is_of(**ip, node)));
        let slicing = self.index.slicing_usage("storage").unwrap_or_default();
        prop_assert_eq!(slicing.free_outside, outside.count() as u128);
        prop_assert_eq!(self.index.slices().count(), self.slices.len());
        prop_assert_eq!(self.index.mismatched_slices().len(), 0);
        let in_slices = self.index.slice_usages("storage").into_iter();
        let in_slices = in_slices.map(|usage| usage.free).sum::<u128>();
        prop_assert_eq!(in_slices + slicing.free_outside, usage.free);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn slices_do_not_overlap_and_addresses_are_allocated_once(
        strict in any::<bool>(),
        dual in any::<bool>(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut scenario = Scenario::new(strict, dual);
        for step in &steps {
            scenario.step(step)?;
            scenario.compare()?;
        }
    }

    /// Without `strictSlices` every address can be allocated, whatever happened before.
    #[test]
    fn every_address_of_a_lax_pool_can_be_allocated(
        dual in any::<bool>(),
        steps in prop::collection::vec(step(), 0..40),
        last in 0..NODES.len(),
    ) {
        let mut scenario = Scenario::new(false, dual);
        for step in &steps {
            scenario.step(step)?;
        }
        scenario.now = scenario.now.plus(Duration::from_secs(600));
        for number in 0..24 {
            let (pod, claim) = (format!("last-{number}"), ClaimOutcome::Recorded);
            scenario.request(&pod, NODES[last], &request(&[]), claim)?;
        }
        let left = |range| scenario.allocatable(range).any(|ip| !scenario.records.contains_key(&ip));
        prop_assert!((0..scenario.pool.ranges.len()).any(|range| !left(range)));
    }
}
