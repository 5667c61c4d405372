//! A catalog and a ledger whose status is written.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use libtest_mimic::Failed;
use nadmit::{
    allocation::{Allocation, SharedIndex, Stored, Version},
    controllers::StatusWriter,
    manifests,
    sources::catalog_of,
};
use serde_json::{Value, json};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::support::{RecordingSink, SettableClock, TestResult, same};
use crate::api_server::ApiServer;

pub(super) const POOLS: &str = "addresspools.nadmit.io";
pub(super) const RESERVATIONS: &str = "addressreservations.nadmit.io";

const MANIFESTS: &str = r#"
apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: storage, generation: 3}
spec: {ranges: [{range: 192.0.2.0/24, rangeEnd: 192.0.2.20}], namespaceSelector: {}}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: storage-net, namespace: db, annotations: {nadmit.io/address-pool: storage}}
spec: {config: '{"cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true}, "ipam": {"type": "static"}}'}
"#;

pub(super) struct StatusFixture {
    pub(super) server: ApiServer,
    pub(super) wall: SettableClock,
    pub(super) catalog: Arc<ArcSwapOption<nadmit::catalog::Catalog>>,
    pub(super) index: Arc<SharedIndex>,
    pub(super) leads: watch::Sender<bool>,
    pub(super) events: RecordingSink,
    pub(super) version: u64,
    pub(super) stop: CancellationToken,
}

impl StatusFixture {
    pub(super) fn new(more: &str) -> Result<Self, Failed> {
        let fixture = Self {
            server: ApiServer::new(),
            wall: SettableClock::at("2026-03-01T12:00:00Z")?,
            catalog: Arc::default(),
            index: Arc::default(),
            leads: watch::Sender::new(true),
            events: RecordingSink::default(),
            version: 0,
            stop: CancellationToken::new(),
        };
        fixture.server.namespace("db", &[]);
        fixture.show(more)?;
        tokio::spawn(fixture.writer().run(fixture.stop.clone()));
        Ok(fixture)
    }

    pub(super) fn writer(&self) -> StatusWriter {
        StatusWriter::new(
            self.server.client(),
            Arc::clone(&self.catalog),
            Arc::clone(&self.index),
            self.leads.subscribe(),
            Arc::new(self.events.clone()),
            self.wall.clock(),
        )
    }

    /// Replaces the catalog with the base objects and these.
    pub(super) fn show(&self, more: &str) -> TestResult {
        let text = format!("{MANIFESTS}---\n{more}");
        let read = manifests::read(&text, "world.yaml");
        same(read.errors.len(), 0)?;
        let catalog = Arc::new(catalog_of([("world.yaml", read.objects)]).0);
        drop(self.index.synced(catalog.pool_config()));
        self.catalog.store(Some(catalog));
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text)?;
        for object in objects {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
            let there = [POOLS, RESERVATIONS]
                .iter()
                .any(|kind| self.server.stored(kind, namespace, name).is_some());
            if !there {
                self.server.put(object);
            }
        }
        Ok(())
    }

    /// Replaces the held addresses: `192.0.2.<last>` each, with its holder.
    pub(super) fn hold(&mut self, held: &[(u8, Value)]) -> TestResult {
        self.version += 1;
        let version = Version(self.version);
        let stored = held.iter().map(|(last, holder)| -> Result<Stored, Failed> {
            let allocation: Allocation = serde_json::from_value(json!({
                "address": format!("192.0.2.{last}"), "pool": "storage", "since": 0,
                "network": {"namespace": "db", "name": "storage-net"}, "holder": holder,
            }))?;
            Ok(Stored {
                allocation,
                version,
            })
        });
        let stored = stored.collect::<Result<Vec<_>, _>>()?;
        self.index.lock().replace(stored, version);
        Ok(())
    }

    pub(super) fn hold_first(&mut self, count: u8) -> TestResult {
        let held: Vec<(u8, Value)> = (1..=count)
            .map(|last| (last, pod(&format!("p{last}"))))
            .collect();
        self.hold(&held)
    }

    /// Returns the number of writes of the status.
    pub(super) fn writes(&self, resource: &str) -> u64 {
        let key = ("patch".to_owned(), format!("{resource}.nadmit.io/status"));
        self.server.written().get(&key).copied().unwrap_or(0)
    }

    pub(super) fn status(&self, name: &str) -> Result<Value, Failed> {
        let pool = self.server.stored(POOLS, "", name).ok_or("no pool")?;
        Ok(pool["status"].clone())
    }

    /// Returns status, reason and message of an object's only condition.
    pub(super) fn condition(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<String, Failed> {
        let object = self
            .server
            .stored(kind, namespace, name)
            .ok_or("no object")?;
        let one = &object["status"]["conditions"][0];
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        Ok(format!(
            "{} {}: {}",
            text("status"),
            text("reason"),
            text("message")
        ))
    }
}

pub(super) fn pod(name: &str) -> Value {
    json!({"pod": {"namespace": "db", "name": name}})
}

pub(super) async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}
