//! The records of addresses: nadmit's and Whereabouts's.

use std::collections::BTreeMap;

use anyhow::Context as _;
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, ListParams},
};
use serde_json::Value;

use super::{
    api::ClusterApi,
    network::{BenchNetwork, Mode},
};

const WHEREABOUTS: &str = "whereabouts.cni.cncf.io/v1alpha1";
/// The namespace of Whereabouts's records.
const HOME: &str = "kube-system";

/// The records of the networks.
pub(crate) struct AddressRecords<'c>(pub(crate) &'c ClusterApi);

impl AddressRecords<'_> {
    /// Returns the recorded addresses by the names of their pods.
    pub(crate) async fn by_pod(
        &self,
        network: &BenchNetwork,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        if network.mode == Mode::OneWord {
            let all = self.allocations().await?;
            let spec = all.iter().map(|one| &one.data["spec"]);
            let spec = spec.filter(|spec| network.has(text(&spec["address"])));
            let record = |spec: &Value| {
                let pod = text(&spec["pod"]["name"]).to_owned();
                (pod, text(&spec["address"]).to_owned())
            };
            return Ok(spec.map(record).collect());
        }
        let mut found = BTreeMap::new();
        for (offset, entry) in self.entries(network).await? {
            let pod = text(&entry["podref"]).split('/').next_back();
            let address = network.address(offset.parse().context("an offset")?);
            found.insert(pod.unwrap_or_default().to_owned(), address);
        }
        Ok(found)
    }

    /// Returns true if a pod of this name has an allocation of the network.
    pub(crate) async fn has_allocation(
        &self,
        network: &BenchNetwork,
        pod: &str,
    ) -> anyhow::Result<bool> {
        let all = self.allocations().await?;
        Ok(all
            .iter()
            .map(|one| &one.data["spec"])
            .any(|spec| text(&spec["pod"]["name"]) == pod && network.has(text(&spec["address"]))))
    }

    /// Returns the number of entries, reservations and allocations of the network.
    pub(crate) async fn count(&self, network: &BenchNetwork) -> anyhow::Result<usize> {
        let entries = self.entries(network).await?.len();
        let reservations: Api<DynamicObject> =
            self.0
                .objects(WHEREABOUTS, "OverlappingRangeIPReservation", Some(HOME))?;
        let reservations = reservations.list(&ListParams::default()).await?;
        let names = reservations.iter().map(|one| one.name_any());
        let reservations = names.filter(|name| network.has(name)).count();
        let allocations = self.allocations().await?;
        let addresses = allocations.iter().map(|one| &one.data["spec"]["address"]);
        let allocations = addresses.filter(|one| network.has(text(one))).count();
        Ok(entries + reservations + allocations)
    }

    async fn entries(
        &self,
        network: &BenchNetwork,
    ) -> anyhow::Result<serde_json::Map<String, Value>> {
        let pools = self.0.objects(WHEREABOUTS, "IPPool", Some(HOME))?;
        let pool = pools.get_opt(&network.ip_pool()).await?;
        let entries = pool.map(|pool| pool.data["spec"]["allocations"].clone());
        Ok(match entries {
            Some(Value::Object(entries)) => entries,
            _ => serde_json::Map::new(),
        })
    }

    async fn allocations(&self) -> anyhow::Result<Vec<DynamicObject>> {
        let api = self
            .0
            .objects("nadmit.io/v1alpha1", "AddressAllocation", None)?;
        Ok(api.list(&ListParams::default()).await?.items)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
