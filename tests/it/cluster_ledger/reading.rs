//! Lists and live reads.

use libtest_mimic::Trial;
use nadmit::{
    allocation::{Holder, Write},
    ledger::{ClusterLedger, ClusterLedgerOptions, Store as _},
};
use serde_json::json;

use super::support::*;
use crate::api_server::{ApiServer, InjectedFailure, ListFault};

pub(super) fn tests() -> Vec<Trial> {
    tests![with test;
        a_list_is_read_page_by_page,
        an_expired_list_is_restarted,
        a_list_that_is_cut_off_for_ever_is_an_error,
        a_foreign_object_does_not_stop_a_list,
        a_holder_is_read_live,
        names_are_read_together,
        a_read_is_tried_again,
    ]
}

/// Returns a ledger that lists in pages of two.
fn by_two(server: &ApiServer) -> ClusterLedger {
    let options = ClusterLedgerOptions {
        page_size: 2,
        ..ClusterLedgerOptions::new("a")
    };
    ClusterLedger::new(server.client(), options)
}

async fn seven(ledger: &ClusterLedger) -> TestResult {
    for last in [3, 1, 7, 5, 2, 6, 4] {
        write(ledger, create(last, "a")).await?;
    }
    Ok(())
}

async fn a_list_is_read_page_by_page() -> TestResult {
    let server = ApiServer::new();
    let ledger = by_two(&server);
    seven(&ledger).await?;
    let (records, cursor) = ledger.list().await?;
    let addresses: Vec<_> = records.iter().map(|one| one.allocation.address).collect();
    let expected: Vec<_> = (1..=7).map(|last| allocation(last, "a").address).collect();
    same(addresses, expected)?;
    same(ledger.requests().lists, 4)?;
    let newest = records.iter().map(|one| one.version).max();
    holds(newest <= Some(cursor.version()), (newest, cursor))
}

async fn an_expired_list_is_restarted() -> TestResult {
    let server = ApiServer::new();
    let ledger = by_two(&server);
    seven(&ledger).await?;
    server.fault(ListFault::Expires(PLURAL, 2.into()).rule());
    same(ledger.list().await?.0.len(), 7)
}

async fn a_list_that_is_cut_off_for_ever_is_an_error() -> TestResult {
    let server = ApiServer::new();
    let ledger = by_two(&server);
    seven(&ledger).await?;
    server.fault(ListFault::Expires(PLURAL, usize::MAX.into()).rule());
    match ledger.list().await {
        Err(error) => holds(error.to_string().contains("cut off"), error),
        Ok(_) => Err("listed".into()),
    }
}

async fn a_foreign_object_does_not_stop_a_list() -> TestResult {
    let (server, ledger) = cluster();
    write(&ledger, create(1, "a")).await?;
    for (name, spec) in [
        ("192.0.2.2", json!({"address": "elsewhere"})),
        ("192.0.2.3", json!(null)),
        // A valid record, but under another record's name.
        (
            "192.0.2.4",
            json!({
                "address": "192.0.2.5", "pool": "storage", "since": "2023-11-14T22:13:20Z",
                "network": {"namespace": "db", "name": "storage-net"},
                "holder": {"pod": {"namespace": "db", "name": "a"}},
            }),
        ),
    ] {
        server.put(json!({
            "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressAllocation",
            "metadata": {"name": name}, "spec": spec,
        }));
    }
    for _ in 0..2 {
        let (records, _) = ledger.list().await?;
        same(records.len(), 1)?;
    }
    same(ledger.requests().unreadable, 6)
}

async fn a_holder_is_read_live() -> TestResult {
    let (server, ledger) = cluster();
    for (last, pod) in [(1, "a"), (2, "b"), (3, "a")] {
        write(&ledger, create(last, pod)).await?;
    }
    // An object with another record's label, as after a hash collision.
    let mut object = server.stored(RESOURCE, "", "192.0.2.2").ok_or("gone")?;
    let label = nadmit::api::labels::holder_label(&allocation(1, "a").holder);
    object["metadata"]["labels"]["nadmit.io/holder"] = json!(label);
    server.put(object);
    let held = ledger.list_held(&allocation(1, "a").holder).await?;
    let addresses: Vec<_> = held.iter().map(|one| one.allocation.address).collect();
    let expected: Vec<_> = [1, 3].map(|last| allocation(last, "a").address).into();
    same(addresses, expected)?;
    let nobody = Holder::VirtualMachine {
        namespace: "db".into(),
        name: "a".into(),
    };
    same(ledger.list_held(&nobody).await?, Vec::new())
}

async fn names_are_read_together() -> TestResult {
    let (_, ledger) = cluster();
    let version = write(&ledger, create(1, "a")).await?;
    let other = allocation(2, "b");
    let second = write(&ledger, Write::Create(other.clone())).await?;
    let names = ["192.0.2.2", "192.0.2.9", "192.0.2.1"].map(str::to_owned);
    let expected = vec![
        Some(stored(2, "b", second)),
        None,
        Some(stored(1, "a", version)),
    ];
    same(ledger.get_many(&names).await?, expected)
}

async fn a_read_is_tried_again() -> TestResult {
    let (server, ledger) = cluster();
    let version = write(&ledger, create(1, "a")).await?;
    fault(&server, "get", InjectedFailure::Silence, 1);
    fault(&server, "get", InjectedFailure::TooManyRequests(1), 1);
    same(
        ledger.get("192.0.2.1").await?,
        Some(stored(1, "a", version)),
    )?;
    fault(&server, "list", InjectedFailure::Connection, 1);
    same(ledger.list().await?.0.len(), 1)?;
    same(ledger.requests().retries, 3)
}
