//! Over real connections, in real time.

use std::{net::TcpListener, time::Duration};

use kube::Config;
use libtest_mimic::{Failed, Trial};
use nadmit::{
    allocation::{Allocation, Write},
    api::call::{RetryPolicy, client},
    ledger::{ClusterLedger, ClusterLedgerOptions, Store as _, WriteError},
};

use super::support::*;
use crate::api_server::{ApiServer, InjectedFailure, SeedObjects};

pub(super) fn tests() -> Vec<Trial> {
    vec![
        Trial::test("cluster_ledger::a_record_is_written_over_a_socket", || {
            real()?.block_on(written())
        }),
        Trial::test(
            "cluster_ledger::an_unreachable_server_has_written_nothing",
            || real()?.block_on(unreachable()),
        ),
    ]
}

fn real() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

fn ledger_at(url: &str) -> Result<ClusterLedger, Failed> {
    let client = client(Config::new(url.parse()?))?;
    let mut options = ClusterLedgerOptions::new("a");
    options.retry_policy = RetryPolicy::default().within(Duration::from_secs(2));
    Ok(ClusterLedger::new(client, options))
}

async fn written() -> TestResult {
    let server = ApiServer::start(SeedObjects::of_text("")?, usize::MAX, Vec::new())?;
    let ledger = ledger_at(&server.url())?;
    fault(&server, "create", InjectedFailure::Connection, 1);
    fault(&server, "create", InjectedFailure::TooManyRequests(1), 1);
    let (version, took) = timed(write(&ledger, create(1, "a"))).await;
    let version = version?;
    holds(took >= Duration::from_secs(1), took)?;
    same(ledger.requests().creates, 3)?;
    same(
        ledger.get("192.0.2.1").await?,
        Some(stored(1, "a", version)),
    )?;
    let (_, cursor) = ledger.list().await?;
    let mut events = ledger.follow(cursor);
    let record: Allocation = allocation(1, "a");
    write(&ledger, Write::Delete(record.clone(), version)).await?;
    let received = futures_util::StreamExt::next(&mut events).await;
    same(received.ok_or("no event")??.allocation(), &record)
}

async fn unreachable() -> TestResult {
    // A port that was free when it was chosen.
    let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let ledger = ledger_at(&format!("http://{address}"))?;
    let error = refused(&ledger, vec![create(1, "a")]).await?;
    holds(matches!(error, WriteError::Unavailable { .. }), &error)?;
    let words = error.to_string();
    holds(words.contains("cannot be reached"), &words)?;
    holds(ledger.requests().retries > 0, ledger.requests())
}
