//! Manual releases and their effects.

use std::{path::Path, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::{
    OperatorService,
    operator::{OperatorError, ReleaseRequest},
};
use nadmit_allocation::{
    Allocation, Holder, NetworkRef, PodRef, SharedIndex, Space, Stored, Timestamp, Version, Write,
};
use nadmit_catalog::Catalog;
use nadmit_host::clock::Clock;
use nadmit_ledger::{EmbeddedLedger, Ledger, Store as _};
use nadmit_manifests as manifests;
use nadmit_rules::Policy;
use nadmit_sources as sources;

const MANIFESTS: &str = r#"
apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: storage}
spec: {ranges: [{range: 192.0.2.0/24}], namespaceSelector: {}}
---
apiVersion: nadmit.io/v1alpha1
kind: AddressReservation
metadata: {name: r, namespace: db}
spec: {network: storage-net, holder: {pod: gone}, ips: [192.0.2.9]}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: storage-net, namespace: db, annotations: {nadmit.io/address-pool: storage}}
---
apiVersion: v1
kind: Pod
metadata: {name: there, namespace: db}
"#;

/// Returns a service on a new ledger without manifests.
pub(super) async fn empty(directory: &Path) -> OperatorService {
    fixture(directory, None, &[]).await.0
}

async fn fixture(
    directory: &Path,
    manifests: Option<&str>,
    records: &[Allocation],
) -> (OperatorService, Arc<Ledger>) {
    let ledger: Arc<Ledger> = Arc::new(EmbeddedLedger::open(directory).unwrap().into());
    let writes = records.iter().cloned().map(Write::Create).collect();
    ledger.write(writes).await.unwrap();
    let index = Arc::new(SharedIndex::default());
    let (stored, cursor) = ledger.list().await.unwrap();
    index.lock().replace(stored, cursor.version());
    let catalog: Arc<ArcSwapOption<Catalog>> = Arc::default();
    if let Some(text) = manifests {
        let read = manifests::read(text, "world.yaml");
        let (read, _) = sources::catalog_of([("world.yaml", read.objects)]);
        catalog.store(Some(Arc::new(read)));
    }
    let policy = Arc::new(ArcSwap::from_pointee(Policy::default()));
    let operator = OperatorService::new(
        catalog,
        policy,
        index,
        Arc::clone(&ledger),
        Clock::new(|| jiff::Timestamp::from_second(500).unwrap_or_default()),
    );
    (operator, ledger)
}

fn record(address: &str, pod: &str) -> Allocation {
    Allocation {
        address: address.parse().unwrap(),
        space: Space::default(),
        pool: "storage".into(),
        network: NetworkRef {
            namespace: "db".into(),
            name: "storage-net".into(),
        },
        interface: "net1".into(),
        holder: Holder::Pod {
            namespace: "db".into(),
            name: pod.into(),
        },
        pod: Some(PodRef {
            name: pod.into(),
            uid: None,
            node: None,
        }),
        mac: None,
        former_nodes: Vec::new(),
        taken: None,
        reservation: None,
        since: Timestamp(100),
    }
}

fn release(address: &str) -> ReleaseRequest {
    ReleaseRequest {
        address: address.parse().unwrap(),
        network_name: Space::default(),
        version: None,
        force: false,
    }
}

async fn stored(ledger: &Ledger, address: &str) -> Option<Stored> {
    ledger.get(address).await.unwrap()
}

#[tokio::test]
async fn a_live_pod_keeps_its_address_unless_the_release_is_forced() {
    let directory = tempfile::tempdir().unwrap();
    let records = [record("192.0.2.5", "there"), record("192.0.2.6", "gone")];
    let (operator, ledger) = fixture(directory.path(), Some(MANIFESTS), &records).await;
    let refused = operator.release(release("192.0.2.5")).await;
    assert!(
        matches!(refused, Err(OperatorError::Refused(_))),
        "{refused:?}"
    );
    operator.release(release("192.0.2.6")).await.unwrap();
    let force = true;
    let forced = ReleaseRequest {
        force,
        ..release("192.0.2.5")
    };
    operator.release(forced).await.unwrap();
    assert_eq!(stored(&ledger, "192.0.2.5").await, None);
    let rows = operator.allocations(&nadmit_inspect::Filter::default());
    assert!(rows.is_empty(), "{rows:?}");
    let again = operator.release(release("192.0.2.5")).await;
    assert!(
        matches!(again, Err(OperatorError::NotFound(_))),
        "{again:?}"
    );
}

#[tokio::test]
async fn a_record_that_changed_since_it_was_seen_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let (operator, ledger) = fixture(
        directory.path(),
        Some(MANIFESTS),
        &[record("192.0.2.6", "gone")],
    )
    .await;
    let seen = stored(&ledger, "192.0.2.6").await.unwrap().version;
    let other = record("192.0.2.6", "other");
    ledger
        .write(vec![Write::Update(other, seen)])
        .await
        .unwrap();
    let version = Some(seen);
    let late = ReleaseRequest {
        version,
        ..release("192.0.2.6")
    };
    let refused = operator.release(late).await;
    assert!(matches!(&refused, Err(OperatorError::Refused(why)) if why.contains("pod db/other")));
    assert!(stored(&ledger, "192.0.2.6").await.is_some());
    let unseen = ReleaseRequest {
        version: Some(Version(seen.0 + 1)),
        ..release("192.0.2.6")
    };
    operator.release(unseen).await.unwrap();
}

#[tokio::test]
async fn what_was_taken_from_a_reservation_goes_back_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let taken = Allocation {
        reservation: Some(NetworkRef {
            namespace: "db".into(),
            name: "r".into(),
        }),
        ..record("192.0.2.9", "gone")
    };
    let (operator, ledger) = fixture(directory.path(), Some(MANIFESTS), &[taken]).await;
    let released = operator.release(release("192.0.2.9")).await.unwrap();
    assert_eq!(released.back_to.as_deref(), Some("reservation db/r"));
    let now = stored(&ledger, "192.0.2.9").await.unwrap().allocation;
    assert!(matches!(now.holder, Holder::Reservation { .. }));
    assert_eq!((now.pod, now.since), (None, Timestamp(500)));
    let refused = operator.release(release("192.0.2.9")).await;
    assert!(
        matches!(refused, Err(OperatorError::Refused(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn without_manifests_nothing_is_released_unless_it_is_forced() {
    let directory = tempfile::tempdir().unwrap();
    let (operator, _) = fixture(directory.path(), None, &[record("192.0.2.6", "gone")]).await;
    let refused = operator.release(release("192.0.2.6")).await;
    assert!(matches!(&refused, Err(OperatorError::Refused(why)) if why.contains("--manifests")));
    let rows = operator.pools();
    assert_eq!((rows[0].used, rows[0].capacity), (1, None));
    let force = true;
    let forced = ReleaseRequest {
        force,
        ..release("192.0.2.6")
    };
    operator.release(forced).await.unwrap();
}

#[tokio::test]
async fn every_view_round_trips_through_json() {
    let directory = tempfile::tempdir().unwrap();
    let wide = MANIFESTS.replace(
        "{range: 192.0.2.0/24}",
        "{range: 192.0.2.0/24}, {range: 2001:db8::/64}",
    );
    let records = [record("192.0.2.5", "there"), record("2001:db8::5", "gone")];
    let (operator, _) = fixture(directory.path(), Some(&wide), &records).await;
    fn same<T>(view: T)
    where
        T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
    {
        let text = serde_json::to_string(&view).unwrap();
        assert_eq!(serde_json::from_str::<T>(&text).unwrap(), view, "{text}");
    }
    same(operator.pools());
    same(operator.map("storage").unwrap());
    same(operator.allocations(&nadmit_inspect::Filter::default()));
    same(operator.whois("192.0.2.5".parse().unwrap()));
    same(operator.whois("192.0.2.9".parse().unwrap()));
    same(operator.pod("db", "there"));
}
