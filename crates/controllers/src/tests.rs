//! Tests of the folder reconciler and the ledger sync on a real ledger.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio_util::sync::CancellationToken;

use super::{FolderReconciler, LedgerSync};
use nadmit_allocation::{Address, Holder, SharedIndex, Space, Write};
use nadmit_catalog::Catalog;
use nadmit_host::clock::Clock;
use nadmit_ledger::{EmbeddedLedger, Ledger, Store as _};
use nadmit_manifests as manifests;
use nadmit_rules::Policy;
use nadmit_sources as sources;

/// The clock of the reconciler's test, used by no other test.
static NOW: AtomicI64 = AtomicI64::new(1_000_000);

const WORLD: &str = r#"
apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: storage}
spec: {ranges: [{range: 192.0.2.0/29}], quarantine: 30s, namespaceSelector: {}}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: storage-net, namespace: db, annotations: {nadmit.io/address-pool: storage}}
spec: {config: '{"cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true}, "ipam": {"type": "static"}}'}
---
apiVersion: nadmit.io/v1alpha1
kind: AddressReservation
metadata: {name: reports, namespace: db}
spec: {network: storage-net, holder: {pod: reports}, ips: [192.0.2.4/29]}
"#;

const POD: &str = r#"
---
apiVersion: v1
kind: Pod
metadata:
  name: app
  namespace: db
  annotations: {k8s.v1.cni.cncf.io/networks: '[{"name": "storage-net", "ips": ["192.0.2.2/29"]}]'}
spec: {containers: []}
"#;

fn catalog(text: &str) -> Arc<Catalog> {
    let read = manifests::read(text, "world.yaml");
    assert_eq!(read.errors, []);
    Arc::new(sources::catalog_of([("world.yaml", read.objects)]).0)
}

fn holder(index: &SharedIndex, address: &str) -> Option<Holder> {
    let address: Address = address.parse().unwrap_or_else(|e| panic!("{e}"));
    let index = index.lock();
    let record = index.holder_of(&Space::default(), address)?;
    Some(record.holder.clone())
}

fn name(holder: Option<Holder>) -> String {
    holder.map_or("nobody".to_owned(), |holder| holder.to_string())
}

#[tokio::test]
async fn addresses_in_use_are_adopted_and_freed_after_the_quarantine() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let ledger = EmbeddedLedger::open(folder.path()).unwrap_or_else(|e| panic!("{e}"));
    let ledger: Arc<Ledger> = Arc::new(ledger.into());
    let index: Arc<SharedIndex> = Arc::default();
    let shown = Arc::new(ArcSwapOption::empty());
    let mut reconciler = FolderReconciler::new(
        Arc::clone(&shown),
        Arc::new(ArcSwap::from_pointee(Policy::default())),
        Arc::clone(&index),
        Arc::clone(&ledger),
        Clock::new(|| {
            jiff::Timestamp::UNIX_EPOCH
                + jiff::SignedDuration::from_secs(NOW.load(Ordering::SeqCst))
        }),
    );
    reconciler.reconcile_once().await;
    assert!(!index.lock().is_ready("storage"));

    shown.store(Some(catalog(&format!("{WORLD}{POD}"))));
    reconciler.reconcile_once().await;
    assert!(index.lock().is_ready("storage"));
    assert_eq!(name(holder(&index, "192.0.2.2")), "pod db/app");
    assert_eq!(name(holder(&index, "192.0.2.4")), "reservation db/reports");

    shown.store(Some(catalog(WORLD)));
    reconciler.reconcile_once().await;
    NOW.fetch_add(29, Ordering::SeqCst);
    reconciler.reconcile_once().await;
    assert_eq!(name(holder(&index, "192.0.2.2")), "pod db/app");
    NOW.fetch_add(1, Ordering::SeqCst);
    reconciler.reconcile_once().await;
    assert_eq!(name(holder(&index, "192.0.2.2")), "nobody");

    // The ledger agrees with the index.
    let (stored, _) = ledger.list().await.unwrap_or_else(|e| panic!("{e}"));
    let recorded: Vec<String> = stored.iter().map(|s| s.allocation.record_name()).collect();
    assert_eq!(recorded, ["192.0.2.4"]);
}

#[tokio::test]
async fn the_index_follows_external_writes() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let ledger = EmbeddedLedger::open(folder.path()).unwrap_or_else(|e| panic!("{e}"));
    let ledger: Arc<Ledger> = Arc::new(ledger.into());
    let record = serde_json::json!({
        "address": "192.0.2.2", "pool": "storage", "since": 0,
        "network": {"namespace": "db", "name": "storage-net"},
        "holder": {"pod": {"namespace": "db", "name": "app"}},
    });
    let record: nadmit_allocation::Allocation =
        serde_json::from_value(record).unwrap_or_else(|e| panic!("{e}"));
    let written = ledger.write(vec![Write::Create(record.clone())]).await;
    let version = written.unwrap_or_else(|e| panic!("{e}"))[0];

    let index: Arc<SharedIndex> = Arc::default();
    let feed = LedgerSync::open(Arc::clone(&ledger), Arc::clone(&index)).await;
    let feed = feed.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(name(holder(&index, "192.0.2.2")), "pod db/app");

    let stop = CancellationToken::new();
    let task = tokio::spawn(feed.run(stop.clone()));
    let gone = ledger.write(vec![Write::Delete(record, version)]).await;
    assert!(gone.is_ok());
    while holder(&index, "192.0.2.2").is_some() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    assert!(task.await.is_ok());
}
