//! `--cluster`: operators' commands against a fake API server over HTTP, print the
//! same as against a server of nadmit's.

use std::fs;

use libtest_mimic::Trial;
use serde_json::json;

use super::{
    fixture::{OperatorFixture, RECORDS, pod, replica, same},
    scenario::{has, timeless},
};
use crate::api_server::{ApiStatus, FaultAction, FaultRule, InjectedFailure};
use crate::support::TestResult;

pub(super) fn tests(no_curl: bool) -> Vec<Trial> {
    tests!["operate::cluster";
        it_prints_the_same_as_a_server.with_ignored_flag(no_curl),
        each_question_reads_no_more_than_it_needs,
        a_release_is_decided_on_the_current_state,
        a_reserved_address_returns_to_its_reservation,
        a_policy_that_lets_nadmit_alone_write_is_named,
        forbidden_kinds_are_named,
        a_missing_object_is_named,
        the_reason_for_an_unready_pool_is_printed,
        slices_are_counted,
    ]
}

/// Returns the output without ages, and without the padding of their columns.
pub(super) fn ageless(shown: &str) -> String {
    let shown = timeless(shown);
    let is_no_age = |word: &&str| {
        let seconds = word.strip_suffix('s');
        seconds.is_none_or(|count| count.parse::<u64>().is_err())
    };
    let lines = shown.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().filter(is_no_age).collect();
        words.join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A server's export is imported into a cluster; there every output is the same.
fn it_prints_the_same_as_a_server() -> TestResult {
    let fixture = OperatorFixture::new()?;
    let serving = fixture.place.serve()?;
    for ordinal in 0..3 {
        has(&serving.create_replica(ordinal)?, "\"allowed\":true")?;
    }
    fs::write(
        fixture.place.path("export.jsonl"),
        fixture.place.run(&["export"])?,
    )?;
    has(
        &fixture.run(&["import", "export.jsonl"])?,
        "9 allocations imported",
    )?;
    // A second import is not an error: the records exist as requested.
    has(
        &fixture.run(&["import", "export.jsonl"])?,
        "9 allocations imported",
    )?;
    for arguments in [
        &["pools"][..],
        &["pools", "storage"],
        &["pools", "storage", "--map"],
        &["pools", "-o", "json"],
        &["allocations"],
        &["allocations", "--pod", "db/db-1"],
        &["whois", "192.0.2.197"],
        &["whois", "02:5e:00:00:00:06"],
        &["whois", "192.0.2.205"],
        &["whois", "192.0.2.192"],
        &["whois", "192.0.2.220"],
        &["describe", "pod", "db/web"],
        &["describe", "pod", "db/db-0"],
    ] {
        let served = ageless(&fixture.place.run(arguments)?);
        same(ageless(&fixture.output(arguments)?), served)?;
    }
    same(fixture.run(&["export"])?, fixture.place.run(&["export"])?)?;
    for (refused, address) in [
        ("pod db/web is there", "192.0.2.210"),
        ("sets it aside", "192.0.2.205"),
    ] {
        let printed = fixture.refused(&["release", address, "--yes"])?;
        has(&printed, refused)?;
        same(
            printed,
            fixture.place.refused(&["release", address, "--yes"])?,
        )?;
    }
    let release = ["release", "192.0.2.197", "--yes"];
    same(fixture.run(&release)?, fixture.place.run(&release)?)?;
    same(fixture.refused(&release)?, fixture.place.refused(&release)?)?;
    same(fixture.holder("192.0.2.197"), None)?;
    serving.stop()
}

fn each_question_reads_no_more_than_it_needs() -> TestResult {
    let fixture = OperatorFixture::new()?;
    fixture.record("192.0.2.197", replica("db-0"));
    let records = "addressallocations";
    let networks = "network-attachment-definitions";
    let (pools, reservations) = ("addresspools", "addressreservations");
    let (ip_pools, ip_reservations) = ("ippools", "overlappingrangeipreservations");
    for (arguments, expected) in [
        (
            &["allocations"][..],
            &[records, networks, "configmaps", ip_pools, "pods"][..],
        ),
        (&["export"], &[records]),
        (
            &["pools"],
            &[
                records,
                "addressslices",
                networks,
                "configmaps",
                pools,
                reservations,
                ip_pools,
                ip_reservations,
            ],
        ),
        (
            &["whois", "192.0.2.197"],
            &[
                records,
                networks,
                "configmaps",
                pools,
                reservations,
                ip_pools,
                ip_reservations,
                "pods",
            ],
        ),
        (
            &["whois", "192.0.2.198"],
            &[
                records,
                networks,
                "configmaps",
                pools,
                reservations,
                ip_pools,
                ip_reservations,
            ],
        ),
        (
            &["describe", "pod", "db/web"],
            &[records, networks, "configmaps", ip_pools, "pods"],
        ),
    ] {
        let before = fixture.server.request_paths().len();
        fixture.run(arguments)?;
        let mut listed = fixture.listed(before);
        listed.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        same(listed, expected.into_iter().map(str::to_owned).collect())?;
    }
    // Of the pods, only the one in question is read.
    let pods: Vec<String> = fixture.server.request_paths();
    let pods = pods.iter().filter(|path| path.contains("/pods"));
    for path in pods {
        has(path, "/namespaces/db/pods?")?;
        has(path, "fieldSelector=metadata.name%3D")?;
    }
    same(fixture.server.written().len(), 0)
}

fn a_release_is_decided_on_the_current_state() -> TestResult {
    let fixture = OperatorFixture::new()?;
    fixture.record("192.0.2.210", pod("web"));
    fixture.record("192.0.2.211", pod("gone"));
    let live = fixture.refused(&["release", "192.0.2.210", "--yes"])?;
    has(
        &live,
        "192.0.2.210 of pod db/web is not released: pod db/web is there and may use it: delete the pod \
         first; to release it anyway, add --force",
    )?;
    has(&fixture.refused(&["release", "192.0.2.211"])?, "--yes")?;
    let gone = fixture.run(&["release", "192.0.2.211", "--yes"])?;
    same(
        &*gone,
        "192.0.2.211 of pod db/gone is released to pool storage\n",
    )?;
    same(fixture.holder("192.0.2.211"), None)?;
    let forced = fixture.run(&["release", "192.0.2.210", "--yes", "--force"])?;
    same(
        &*forced,
        "192.0.2.210 of pod db/web is released to pool storage\n",
    )?;
    // The delete names UID and version: a write between read and delete keeps the record.
    fixture.record("192.0.2.212", pod("gone"));
    let late = ApiStatus::from(json!({
        "code": 409, "reason": "Conflict",
        "message": "Precondition failed: ResourceVersion in precondition",
    }));
    let conflict = FaultRule::of(
        "delete",
        "addressallocations",
        InjectedFailure::Refused(late).into(),
    );
    fixture.server.fault(conflict);
    let error = fixture.refused(&["release", "192.0.2.212", "--yes"])?;
    has(&error, "192.0.2.212 is created and deleted repeatedly")?;
    match fixture.holder("192.0.2.212") {
        Some(_) => Ok(()),
        None => Err("it is gone".into()),
    }
}

fn a_reserved_address_returns_to_its_reservation() -> TestResult {
    let fixture = OperatorFixture::new()?;
    let mut taken = pod("db-9");
    taken["reservation"] = json!({"namespace": "db", "name": "db-9"});
    fixture.record("192.0.2.205", taken);
    has(
        &fixture.run(&["release", "192.0.2.205", "--yes"])?,
        "192.0.2.205 of pod db/db-9 is returned to reservation db/db-9",
    )?;
    let reservation = json!({"reservation": {"namespace": "db", "name": "db-9"}});
    same(fixture.holder("192.0.2.205"), Some(reservation))?;
    let deletes = ("delete".to_owned(), RECORDS.to_owned());
    same(fixture.server.request_counts().get(&deletes).copied(), None)
}

/// Returns the API server's response when an expression of the policy is false.
fn policy() -> FaultAction {
    let refusal = ApiStatus::from(json!({
        "code": 403, "reason": "Forbidden",
        "message": "addressallocations.nadmit.io \"x\" is forbidden: ValidatingAdmissionPolicy 'nadmit' \
                    with binding 'nadmit' denied request: nadmit alone",
    }));
    InjectedFailure::Refused(refusal).into()
}

fn a_policy_that_lets_nadmit_alone_write_is_named() -> TestResult {
    const NADMIT: &str = "system:serviceaccount:nadmit:nadmit";
    let fixture = OperatorFixture::new()?;
    fixture.record("192.0.2.211", pod("gone"));
    let lines = fixture.run(&["export"])?;
    let file = fixture.place.path("export.jsonl");
    fs::write(file, lines.replace(".211", ".213"))?;
    let release = ["release", "192.0.2.211", "--yes"];
    let import = ["import", "export.jsonl"];
    fixture.server.faults(|asked| {
        let writes = matches!(asked.verb, "create" | "update" | "delete");
        (writes && asked.acting_as() != Some(NADMIT)).then(policy)
    });
    let printed = fixture.refused(&release)?;
    has(
        &printed,
        "with binding 'nadmit' denied request: nadmit alone",
    )?;
    has(&printed, "only nadmit may write allocations")?;
    has(&printed, "-- /nadmit release ADDRESS --yes")?;
    has(&printed, &format!("--as {NADMIT}"))?;
    has(&fixture.refused(&import)?, "-- /nadmit import - < FILE")?;
    same(fixture.holder("192.0.2.213"), None)?;
    fixture.run(&[&release[..], &["--as", NADMIT]].concat())?;
    same(fixture.holder("192.0.2.211"), None)?;
    fixture.run(&[&import[..], &["--as", NADMIT]].concat())?;
    // Without a policy RBAC decides.
    fixture.server.heal();
    fixture.forbid("delete", "addressallocations");
    let printed = fixture.refused(&["release", "192.0.2.213", "--yes"])?;
    has(&printed, "(403)")?;
    has(&printed, "-- /nadmit release ADDRESS --yes")?;
    has(&printed, "the verb \"delete\" on \"addressallocations\"")?;
    match fixture.holder("192.0.2.213") {
        Some(_) => Ok(()),
        None => Err("it is gone".into()),
    }
}

fn forbidden_kinds_are_named() -> TestResult {
    let fixture = OperatorFixture::new()?;
    fixture.record("192.0.2.210", pod("web"));
    fixture.forbid("list", "pods");
    let printed = fixture.output(&["whois", "192.0.2.210"])?;
    has(
        &printed,
        "warning: nadmit cannot tell whether pods exist: may not list pods in namespace db (403): give \
         your user the ClusterRole nadmit-operate of docs/how-to/operate-addresses.md",
    )?;
    has(
        &printed,
        "only with --force: nadmit cannot tell whether pods exist",
    )?;
    let printed = fixture.refused(&["release", "192.0.2.210", "--yes"])?;
    has(
        &printed,
        "is not released: nadmit cannot tell whether pods exist",
    )?;
    let printed = fixture.output(&["describe", "pod", "db/web"])?;
    has(&printed, "requested and reported addresses are unknown\n")?;
    has(&printed, "192.0.2.210")?;
    fixture.run(&["release", "192.0.2.210", "--yes", "--force"])?;
    fixture.server.heal();
    fixture.forbid("list", "addressreservations");
    fixture.forbid("list", "addressslices");
    let printed = fixture.output(&["pools"])?;
    has(&printed, "storage  192.0.2.192/27")?;
    has(
        &printed,
        "warning: the reservations are not known: may not list",
    )?;
    has(&printed, "warning: slices of nodes are not counted")?;
    has(
        &printed,
        "give your user the verb \"list\" on \"addressslices\"",
    )?;
    fixture.server.heal();
    fixture.forbid("list", "addresspools");
    let printed = fixture.refused(&["pools"])?;
    has(
        &printed,
        "the pools are not known: may not list addresspools",
    )?;
    fixture.server.heal();
    fixture.forbid("list", "addressallocations");
    let printed = fixture.refused(&["allocations"])?;
    has(
        &printed,
        "may not list addressallocations.nadmit.io in the whole cluster (403)",
    )?;
    has(&printed, "ClusterRole nadmit-operate")
}

fn a_missing_object_is_named() -> TestResult {
    let fixture = OperatorFixture::without(&["addressallocations"])?;
    let printed = fixture.refused(&["pools"])?;
    has(
        &printed,
        "has no CRD AddressAllocation; to create nadmit's CRDs",
    )?;
    has(&printed, "nadmit crds | kubectl apply")?;
    // The kinds of Multus and of users may be missing.
    let fixture = OperatorFixture::without(&[
        "addressreservations",
        "addressslices",
        "network-attachment-definitions",
    ])?;
    fixture.record("192.0.2.211", pod("gone"));
    has(&fixture.output(&["pools"])?, "storage  192.0.2.192/27")?;
    has(&fixture.run(&["whois", "192.0.2.211"])?, "nadmit release")?;
    has(
        &fixture.refused(&["describe", "pod", "db/nobody"])?,
        "does not exist",
    )?;
    has(
        &fixture.refused(&["pools", "nope"])?,
        "address pool \"nope\" does not exist; existing pools: storage",
    )?;
    let printed = fixture.place.refused(&["pools", "--data-dir", "nowhere"])?;
    has(&printed, "--cluster")?;
    has(
        &fixture.place.refused(&["pools", "--context", "x"])?,
        "--cluster",
    )
}

fn the_reason_for_an_unready_pool_is_printed() -> TestResult {
    let fixture = OperatorFixture::new()?;
    let message = "Whereabouts gives addresses of it";
    fixture.judge(
        json!({"type": "Ready", "status": "False", "reason": "OverlapsWhereabouts",
        "message": message}),
    );
    let printed = format!("storage: assigns nothing: {message}\n");
    has(&fixture.output(&["pools"])?, &printed)?;
    fixture.judge(json!({"type": "Other", "status": "True"}));
    let printed = "storage: no replica of nadmit has checked this pool yet\n";
    has(&fixture.output(&["pools"])?, printed)
}

fn slices_are_counted() -> TestResult {
    let fixture = OperatorFixture::new()?;
    let mut pool = fixture
        .server
        .stored("addresspools.nadmit.io", "", "storage")
        .ok_or("no pool")?;
    pool["spec"] = json!({
        "ranges": [{"range": "192.0.2.0/24"}], "nodeSliceSize": "/28", "retention": "Pod",
    });
    fixture.server.put(pool);
    fixture.server.put(json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressSlice",
        "metadata": {"name": "storage.192.0.2.16"},
        "spec": {"pool": "storage", "node": "node-a", "range": "192.0.2.16/28"},
    }));
    has(
        &fixture.output(&["pools"])?,
        "1 of 16 slices claimed by nodes",
    )
}
