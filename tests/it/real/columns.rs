//! The columns and events that kubectl shows of a pool with one full range and one that never fills
//! up.

use super::{
    NamedTest,
    cluster::{RealCluster, installed},
    steps::{is_ready, namespace, pool, stateful_set, text},
};
use crate::support::TestResult;

pub(super) const TESTS: &[NamedTest] = named![printer_columns];

const NAMESPACE: &str = "columns";

fn printer_columns() -> TestResult {
    let cluster = installed()?;
    cluster.apply(&[
        namespace(NAMESPACE, &[("nadmit.io/injection", "enabled")]),
        // Two addresses, and 2^64 less the first and the last.
        pool("columns", &["203.0.113.0/30", "2001:db8:2::/64"]),
        cluster.network(NAMESPACE, "columns"),
    ])?;
    cluster.until_ready("columns")?;
    cluster.apply(&[stateful_set(NAMESPACE, "db", 3, "storage")])?;
    cluster.soon("no two pods are ready", || {
        let pods = cluster.get(&["pods", "-n", NAMESPACE])?;
        let pods = pods["items"].as_array().into_iter().flatten();
        Ok((pods.filter(|pod| is_ready(pod)).count() == 2).then_some(()))
    })?;
    of_pool(&cluster)?;
    of_allocations(&cluster)?;
    events_of_pool(&cluster)?;
    reason_of_pod(&cluster)?;
    cluster.done(
        &["delete", "namespace", NAMESPACE, "--timeout=100s", "--wait"],
        "",
    )?;
    cluster.until_free(NAMESPACE)?;
    cluster.done(&["delete", "addresspool", "columns", "--timeout=60s"], "")?;
    cluster.is_content()
}

/// Finds the row of a kubectl table that contains all these words; returns its cells with the
/// column headings.
fn row(table: &str, words: &[&str]) -> Option<Vec<(String, String)>> {
    let mut lines = table.lines();
    let head = lines.next()?;
    // A column begins where its heading does.
    let starts: Vec<usize> = head
        .char_indices()
        .filter(|(at, c)| *c != ' ' && (*at == 0 || head[..*at].ends_with("  ")))
        .map(|(at, _)| at)
        .collect();
    let line = lines.find(|line| words.iter().all(|word| line.contains(word)))?;
    let cell = |text: &str, index: usize| {
        let end = starts.get(index + 1).copied().unwrap_or(text.len());
        let cell = text.get(starts[index]..end.min(text.len()));
        cell.unwrap_or_default().trim().to_owned()
    };
    Some(
        (0..starts.len())
            .map(|index| (cell(head, index), cell(line, index)))
            .collect(),
    )
}

fn expect(row: &[(String, String)], expected: &[(&str, &str)]) -> TestResult {
    for (column, value) in expected {
        let found = row.iter().find(|(head, _)| head == column);
        if found.is_none_or(|(_, found)| found != value) {
            return Err(format!("{column} is to be {value}: {row:?}").into());
        }
    }
    Ok(())
}

fn of_pool(cluster: &RealCluster) -> TestResult {
    let expected = [
        ("READY", "True"),
        ("RANGES", "203.0.113.0/30,2001:db8:2::/64"),
        ("ALLOCATED", "2,2"),
        ("RESERVED", "0,0"),
        ("FREE", "0,~2^64"),
        ("CAPACITY", "2,~2^64"),
    ];
    let mut last = String::new();
    let shown = cluster.soon("the columns of the pool", || {
        last = cluster.done(&["get", "addresspools", "-o=wide"], "")?;
        let row = row(&last, &["203.0.113.0/30"]).unwrap_or_default();
        Ok(expect(&row, &expected).is_ok().then_some(()))
    });
    println!("{last}");
    shown.map_err(|error| format!("{last}\n{}", error.message().unwrap_or_default()))?;
    println!("{}", cluster.done(&["get", "addresspools"], "")?);
    Ok(())
}

fn of_allocations(cluster: &RealCluster) -> TestResult {
    let table = cluster.done(&["get", "addressallocations"], "")?;
    println!("{table}");
    for address in ["203.0.113.1", "2001:db8:2::1"] {
        let row = row(&table, &[&format!(" {address} "), "columns"]);
        let row = row.ok_or_else(|| format!("no row of {address}:\n{table}"))?;
        expect(
            &row,
            &[
                ("ADDRESS", address),
                ("POOL", "columns"),
                ("NAMESPACE", NAMESPACE),
                ("POD", "db-0"),
                ("NETWORK", "storage"),
            ],
        )?;
    }
    Ok(())
}

fn events_of_pool(cluster: &RealCluster) -> TestResult {
    let of_it = "--field-selector=involvedObject.kind=AddressPool,involvedObject.name=columns";
    let table = cluster.soon("no event says that the pool is exhausted", || {
        let table = cluster.done(&["get", "events", of_it], "")?;
        Ok(table.contains("PoolExhausted").then_some(table))
    })?;
    println!("{table}");
    let described = cluster.done(&["describe", "addresspool", "columns"], "")?;
    let events = described.rsplit_once("Events:").map(|(_, events)| events);
    match events.is_some_and(|events| events.contains("PoolExhausted")) {
        true => Ok(()),
        false => Err(format!("kubectl describe leaves the event out:\n{described}").into()),
    }
}

/// Checks that the pod that got no address reports why.
fn reason_of_pod(cluster: &RealCluster) -> TestResult {
    let pod = cluster.soon("there is no db-2", || {
        let result = cluster.kubectl(&["get", "pod", "-n", NAMESPACE, "db-2", "-o=json"], "")?;
        Ok(result.is_well().then_some(result.out))
    })?;
    let pod: serde_json::Value = serde_json::from_str(&pod)?;
    if !pod["spec"]["nodeName"].is_null() {
        return Err(format!("db-2 is bound to {}", text(&pod["spec"]["nodeName"])).into());
    }
    let of_it = "--field-selector=involvedObject.name=db-2";
    let table = cluster.soon("no event says why db-2 is not scheduled", || {
        let table = cluster.done(&["get", "events", "-n", NAMESPACE, of_it], "")?;
        let says = table.contains("203.0.113.0/30") && table.contains("pool \"columns\"");
        Ok(says.then_some(table))
    })?;
    println!("{table}");
    Ok(())
}
