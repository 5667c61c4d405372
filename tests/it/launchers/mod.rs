//! Access to the addresses of a virtual machine: one launcher, and the target of a migration in
//! progress.

mod fixture;

use libtest_mimic::{Failed, Trial};
use nadmit::{
    admission::{Decision, Freshness, LateInjection, ReviewContext, Webhook, inject_late},
    allocation::{Address, Holder, Space},
    catalog::{LiveRead, Migration},
    rules::Injection,
};
use serde_json::{Value, json};

use self::fixture::*;

pub(crate) fn tests() -> Vec<Trial> {
    tests!["launchers";
        a_machine_has_one_launcher,
        the_target_of_a_migration_shares,
        a_launcher_without_a_proven_migration_shares_nothing,
        a_migration_has_one_target,
        a_launcher_without_addresses_blocks_no_other,
        a_recently_seen_launcher_is_read_live,
        a_second_launcher_is_refused_when_it_is_created,
        of_two_that_are_created_at_once_one_waits,
        addresses_set_by_a_second_launcher_are_refused,
        a_second_launcher_is_not_backfilled,
        retained_addresses_are_read_live_before_allocating,
        an_admitted_launcher_stays_admitted,
        a_launcher_that_was_not_admitted_hot_plugs_nothing,
    ]
}

fn a_machine_has_one_launcher() -> TestResult {
    let fixture = LauncherFixture::after("a", &[running("a"), launcher("b")], &[])?;
    same(
        fixture.required_reads(Webhook::Mutate, &binding("b"))?,
        vec![look_pod("a")],
    )?;
    let answer = fixture.done(Webhook::Mutate, &binding("b"), Freshness::Authoritative)?;
    same(answer.codes(), vec!["address-in-use"])?;
    for words in ["virtual machine vms/vm1", "\"a\"", "migration"] {
        if !answer.message().contains(words) {
            return Err(answer.message().into());
        }
    }
    // Once the first has ended, the next one gets its addresses.
    let next = LauncherFixture::after("a", &[launcher("b")], &[])?;
    let answer = next.done(Webhook::Mutate, &binding("b"), Freshness::Authoritative)?;
    same(put_in(&answer), ASSIGNED.to_owned())?;
    let mut ended = running("a");
    ended["status"] = json!({"phase": "Succeeded"});
    let next = LauncherFixture::after("a", &[ended, launcher("b")], &[])?;
    let answer = next.done(Webhook::Mutate, &binding("b"), Freshness::Authoritative)?;
    same(put_in(&answer), ASSIGNED.to_owned())?;
    // A terminating launcher runs until its grace period ends.
    let mut ending = running("a");
    ending["metadata"]["deletionTimestamp"] = "2026-11-21T22:07:22Z".into();
    let fixture = LauncherFixture::after("a", &[ending, launcher("b")], &[])?;
    fixture.refuses(Webhook::Mutate, &binding("b"))
}

fn the_target_of_a_migration_shares() -> TestResult {
    let pods = [running("a"), migration_target(launcher("b"), "m", "m-1")];
    let fixture = LauncherFixture::after("a", &pods, &[migration("vm1", false)])?;
    let lookups = fixture.required_reads(Webhook::Mutate, &binding("b"))?;
    same(lookups, vec![look_migration()])?;
    let looked = [look_migration()];
    let evidence = Freshness::verified_for(&looked);
    let answer = fixture.done(Webhook::Mutate, &binding("b"), evidence)?;
    same(put_in(&answer), ASSIGNED.to_owned())?;
    let mut carried = binding("b");
    carried["object"]["metadata"]["annotations"] =
        json!({NETWORKS: ASSIGNED, REQUESTED: "machine-net"});
    same(
        fixture.required_reads(Webhook::Validate, &carried)?,
        vec![look_migration()],
    )?;
    let answer = fixture.done(Webhook::Validate, &carried, evidence)?;
    same(answer.codes(), vec![])
}

fn a_launcher_without_a_proven_migration_shares_nothing() -> TestResult {
    let other_uid = Migration {
        uid: "m-2".into(),
        ..migration("vm1", false)
    };
    for migrations in [
        vec![],
        vec![migration("vm1", true)],
        vec![migration("vm2", false)],
        vec![other_uid],
    ] {
        let pods = [running("a"), migration_target(launcher("b"), "m", "m-1")];
        let fixture = LauncherFixture::after("a", &pods, &migrations)?;
        let lookups = fixture.required_reads(Webhook::Mutate, &binding("b"))?;
        same(lookups, vec![look_migration()])?;
        fixture.refuses(Webhook::Mutate, &binding("b"))?;
    }
    // A name without the UID proves nothing, nor does the UID without the name.
    let mut named = launcher("b");
    named["metadata"]["annotations"]["kubevirt.io/migrationJobName"] = "m".into();
    let mut labelled = launcher("b");
    labelled["metadata"]["labels"]["kubevirt.io/migrationJobUID"] = "m-1".into();
    for pod in [named, labelled] {
        let pods = [running("a"), pod];
        let fixture = LauncherFixture::after("a", &pods, &[migration("vm1", false)])?;
        fixture.refuses(Webhook::Mutate, &binding("b"))?;
    }
    Ok(())
}

fn a_migration_has_one_target() -> TestResult {
    let pods = [
        running("a"),
        migration_target(running("b"), "m", "m-1"),
        migration_target(launcher("c"), "m", "m-1"),
    ];
    let fixture = LauncherFixture::after("a", &pods, &[migration("vm1", false)])?;
    fixture.refuses(Webhook::Mutate, &binding("c"))?;
    // The target of an earlier migration is the source of the next.
    let pods = [
        migration_target(running("a"), "m", "m-0"),
        migration_target(launcher("b"), "m", "m-1"),
    ];
    let fixture = LauncherFixture::after("a", &pods, &[migration("vm1", false)])?;
    let answer = fixture.done(Webhook::Mutate, &binding("b"), Freshness::Authoritative)?;
    same(put_in(&answer), ASSIGNED.to_owned())
}

fn a_launcher_without_addresses_blocks_no_other() -> TestResult {
    let fixture = LauncherFixture::of(&[launcher("a"), launcher("b")], &[])?;
    let answer = fixture.done(Webhook::Mutate, &binding("a"), Freshness::Authoritative)?;
    same(put_in(&answer), ASSIGNED.to_owned())?;
    // From then on it is recorded for that one, even before its binding is observed.
    fixture.refuses(Webhook::Mutate, &binding("b"))?;
    // A launcher of another machine is.
    let mut other = running("a");
    other["metadata"]["ownerReferences"][0]["name"] = "vm2".into();
    let fixture = LauncherFixture::of(&[other, launcher("b")], &[])?;
    let answer = fixture.done(Webhook::Mutate, &binding("b"), Freshness::Authoritative)?;
    same(put_in(&answer), ASSIGNED.to_owned())
}

fn a_recently_seen_launcher_is_read_live() -> TestResult {
    let fixture = LauncherFixture::after("a", &[launcher("b")], &[])?;
    same(
        fixture.required_reads(Webhook::Mutate, &binding("b"))?,
        vec![look_pod("a")],
    )?;
    let looked = [look_pod("a")];
    let evidence = Freshness::verified_for(&looked);
    let answer = fixture.done(Webhook::Mutate, &binding("b"), evidence)?;
    same(put_in(&answer), ASSIGNED.to_owned())
}

fn a_second_launcher_is_refused_when_it_is_created() -> TestResult {
    let named = |name: &str| {
        let mut pod = launcher(name);
        pod["metadata"]["annotations"] = json!({NETWORKS: ASSIGNED});
        pod
    };
    let fixture = LauncherFixture::after("a", &[running("a")], &[migration("vm1", false)])?;
    for webhook in [Webhook::Mutate, Webhook::Validate] {
        let looks = fixture.required_reads(webhook, &creation(named("b")))?;
        same(looks, vec![look_pod("a")])?;
        fixture.refuses(webhook, &creation(named("b")))?;
    }
    let mut fixture = LauncherFixture::after("a", &[running("a")], &[migration("vm1", false)])?;
    fixture.policy.injection = Some(Injection::Create);
    fixture.refuses(Webhook::Mutate, &creation(launcher("b")))?;
    let target = creation(migration_target(launcher("b"), "m", "m-1"));
    let answer = fixture.done(Webhook::Mutate, &target, Freshness::Authoritative)?;
    same(put_in(&answer), ASSIGNED.to_owned())?;
    // Reviewed again with the injected annotation.
    let target = creation(migration_target(named("b"), "m", "m-1"));
    let answer = fixture.done(Webhook::Validate, &target, Freshness::Authoritative)?;
    same(answer.codes(), vec![])
}

fn of_two_that_are_created_at_once_one_waits() -> TestResult {
    let mut fixture = LauncherFixture::of(&[], &[])?;
    fixture.policy.injection = Some(Injection::Create);
    fixture.catalog.workloads_mut().set_machines_known(true);
    fixture.catalog.workloads_mut().set_instances_known(true);
    let unnamed = || {
        let mut ask = creation(launcher(""));
        ask["name"] = "".into();
        ask["object"]["metadata"]["generateName"] = "virt-launcher-vm1-".into();
        ask
    };
    let named = |name: &str| {
        let mut ask = creation(launcher(name));
        ask["object"]["metadata"]["uid"] = format!("uid-{name}").into();
        ask["object"]["metadata"]["annotations"][NETWORKS] = ASSIGNED.into();
        ask
    };
    for _ in 0..2 {
        let answer = fixture.done(Webhook::Mutate, &unnamed(), Freshness::Authoritative)?;
        same(put_in(&answer), ASSIGNED.to_owned())?;
    }
    let answer = fixture.done(Webhook::Validate, &named("a"), Freshness::Authoritative)?;
    same(answer.codes(), vec![])?;
    same(
        fixture.required_reads(Webhook::Validate, &named("b"))?,
        vec![look_pod("a")],
    )?;
    // The first is not observed yet, but may be at any time.
    match fixture.decide(Webhook::Validate, &named("b"), Freshness::Authoritative)? {
        Decision::Retry(answer) => same(answer.codes(), vec!["pool-not-ready"]),
        other => Err(format!("{other:?}").into()),
    }
}

fn addresses_set_by_a_second_launcher_are_refused() -> TestResult {
    let fixture = LauncherFixture::after("a", &[running("a"), launcher("b")], &[])?;
    let mut carried = binding("b");
    carried["object"]["metadata"]["annotations"] = json!({NETWORKS: ASSIGNED});
    same(
        fixture.required_reads(Webhook::Validate, &carried)?,
        vec![look_pod("a")],
    )?;
    let answer = fixture.done(Webhook::Validate, &carried, Freshness::Authoritative)?;
    same(answer.codes(), vec!["binding-changes-networks"])
}

fn a_second_launcher_is_not_backfilled() -> TestResult {
    let mut bound = launcher("b");
    bound["spec"]["nodeName"] = "node-2".into();
    let lacks = |pod: &Value, migrations: &[Migration]| -> Result<LateInjection, Failed> {
        let fixture = LauncherFixture::after("a", &[running("a"), pod.clone()], migrations)?;
        let context =
            ReviewContext::authoritative(&fixture.catalog, &fixture.policy, &fixture.index);
        let pod = fixture.catalog.pod("vms", "b").ok_or("no pod")?;
        Ok(inject_late(pod, &context))
    };
    match lacks(&bound, &[])? {
        LateInjection::Rejected(findings) => same(findings[0].code, "address-in-use")?,
        other => return Err(format!("{other:?}").into()),
    }
    let target = migration_target(bound, "m", "m-1");
    match lacks(&target, &[migration("vm1", false)])? {
        LateInjection::Commit { annotations, .. } => same(&*annotations[0].1, ASSIGNED)?,
        other => return Err(format!("{other:?}").into()),
    }
    // It keeps its addresses although the migration is over.
    let had = migration_target(running("b"), "m", "m-1");
    match lacks(&had, &[migration("vm1", true)])? {
        LateInjection::NotNeeded | LateInjection::Commit { .. } => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

/// Another replica has written address and MAC, and only the address was observed.
fn retained_addresses_are_read_live_before_allocating() -> TestResult {
    let fixture = LauncherFixture::after("a", &[launcher("b")], &[])?;
    let mac: Address = "02:5e:00:00:00:10".parse()?;
    {
        let mut index = fixture.index.lock();
        let version = index.version_of(&Space::default(), mac);
        index.apply_delete(&Space::default(), mac, version.ok_or("no record")?);
    }
    let looked = [look_pod("a")];
    let holder = Holder::VirtualMachine {
        namespace: "vms".into(),
        name: "vm1".into(),
    };
    let lookup = LiveRead::Holdings {
        holder,
        partially_known: true,
    };
    match fixture.decide(
        Webhook::Mutate,
        &binding("b"),
        Freshness::verified_for(&looked),
    )? {
        Decision::VerifyLive(lookups) => same(lookups, vec![lookup])?,
        other => return Err(format!("{other:?}").into()),
    }
    // Nothing was recorded meanwhile.
    same(fixture.index.lock().allocations().count(), 1)
}

fn an_admitted_launcher_stays_admitted() -> TestResult {
    let pods = [running("a"), migration_target(running("b"), "m", "m-1")];
    let fixture = LauncherFixture::after("a", &pods, &[migration("vm1", true)])?;
    for pod in pods {
        let ask = plugging(&pod);
        let answer = fixture.done(Webhook::Mutate, &ask, Freshness::Authoritative)?;
        let text: Value = serde_json::from_str(&put_in(&answer))?;
        same(text[0]["ips"][0].clone(), json!("192.0.2.1/28"))?;
        same(text[1]["ips"][0].clone(), json!("192.0.2.2/28"))?;
        let mut changed = ask.clone();
        changed["object"]["metadata"]["annotations"][NETWORKS] = put_in(&answer).into();
        let answer = fixture.done(Webhook::Validate, &changed, Freshness::Authoritative)?;
        same(answer.codes(), vec![])?;
    }
    Ok(())
}

fn a_launcher_that_was_not_admitted_hot_plugs_nothing() -> TestResult {
    let mut bound = launcher("b");
    bound["metadata"]["annotations"][NETWORKS] = "[]".into();
    bound["spec"]["nodeName"] = "node-2".into();
    let fixture = LauncherFixture::after("a", &[running("a"), bound.clone()], &[])?;
    let ask = plugging(&bound);
    fixture.refuses(Webhook::Mutate, &ask)?;
    let mut named = bound.clone();
    named["metadata"]["annotations"][NETWORKS] = ASSIGNED.into();
    let mut ask = plugging(&bound);
    ask["object"] = named;
    fixture.refuses(Webhook::Validate, &ask)
}
