//! Who is given what a virtual machine holds: one launcher, and the target of a migration in progress.

use libtest_mimic::{Failed, Trial};
use nadmit::{
    admission::{Answer, Decision, Evidence, Late, Review, Situation, Webhook, decide, late},
    allocation::{Address, Holder, SharedIndex, Space, Timestamp, Version},
    catalog::{Catalog, Migration},
    manifests,
    rules::{Injection, Lookup, Policy},
    sources::catalog_of,
};
use serde_json::{Value, json};

const WORLD: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: vms, labels: {nadmit.io/injection: enabled}}
---
apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: machines}
spec: {ranges: [{range: 192.0.2.0/28}], namespaceSelector: {}, macs: {prefix: "02:5e:00"}}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: machine-net, namespace: vms, annotations: {nadmit.io/address-pool: machines}}
spec: {config: '{"cniVersion": "0.3.1", "type": "bridge", "capabilities": {"ips": true, "mac": true}, "ipam": {"type": "static"}}'}
"#;

const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
const REQUESTED: &str = "nadmit.io/requested-networks";
/// What the only machine is given; the MAC follows from no address.
const GIVEN: &str = r#"[{"name":"machine-net","ips":["192.0.2.1/28"],"mac":"02:5e:00:00:00:10"}]"#;

type Told = Result<(), Failed>;

/// The pods of a case, their migrations, and who holds what.
struct World {
    catalog: Catalog,
    policy: Policy,
    index: SharedIndex,
}

/// A launcher of the machine vm1, waiting to be bound.
fn launcher(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "vms", "uid": format!("uid-{name}"),
            "labels": {"kubevirt.io": "virt-launcher"},
            "ownerReferences": [{"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
                "name": "vm1", "uid": "u", "controller": true}],
            "annotations": {NETWORKS: "machine-net"},
        },
        "spec": {"containers": []},
    })
}

/// The same with a node, and with what it was given.
fn running(name: &str) -> Value {
    let mut pod = launcher(name);
    pod["metadata"]["annotations"] = json!({NETWORKS: GIVEN, REQUESTED: "machine-net"});
    pod["spec"]["nodeName"] = "node-1".into();
    pod
}

/// The same as the target of a migration.
fn target_of(mut pod: Value, name: &str, uid: &str) -> Value {
    pod["metadata"]["labels"]["kubevirt.io/migrationJobUID"] = uid.into();
    pod["metadata"]["annotations"]["kubevirt.io/migrationJobName"] = name.into();
    pod
}

fn migration(machine: &str, ended: bool) -> Migration {
    Migration {
        uid: "m-1".into(),
        machine: machine.into(),
        ended,
    }
}

fn look_pod(name: &str) -> Lookup {
    Lookup::Pod {
        namespace: "vms".into(),
        name: name.into(),
    }
}

fn look_migration() -> Lookup {
    Lookup::Migration {
        namespace: "vms".into(),
        name: "m".into(),
    }
}

impl World {
    fn of(pods: &[Value], migrations: &[Migration]) -> Result<Self, Failed> {
        let pods = pods.iter().map(|pod| format!("---\n{pod}\n"));
        let text = format!("{WORLD}{}", pods.collect::<String>());
        let read = manifests::read(&text, "world.yaml");
        if let Some(error) = read.errors.first() {
            return Err(error.to_string().into());
        }
        let mut catalog = catalog_of([("world.yaml", read.objects)]).0;
        for migration in migrations {
            let workloads = catalog.workloads_mut();
            workloads.set_migration(("vms", "m"), Some(migration.clone()));
        }
        let index = SharedIndex::default();
        index.lock().sync(catalog.layout());
        index.lock().set_ready("machines");
        let mut policy = Policy::default();
        policy.injection = Some(Injection::Bind);
        Ok(Self {
            catalog,
            policy,
            index,
        })
    }

    /// In which `first` runs with what it was given; then these pods are there, too.
    fn after(first: &str, pods: &[Value], migrations: &[Migration]) -> Result<Self, Failed> {
        let before = Self::of(&[launcher(first)], &[])?;
        before.done(Webhook::Mutate, &binding(first), Evidence::Confirmed)?;
        let world = Self::of(pods, migrations)?;
        std::mem::swap(&mut *world.index.lock(), &mut *before.index.lock());
        world.index.lock().sync(world.catalog.layout());
        Ok(world)
    }

    fn decide(
        &self,
        webhook: Webhook,
        body: &Value,
        evidence: Evidence<'_>,
    ) -> Result<Decision, Failed> {
        let body = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": body,
        });
        let body = body.to_string();
        let review = Review::parse(body.as_bytes())?;
        let situation = Situation {
            now: Timestamp(1000),
            ..Situation::confirmed(&self.catalog, &self.policy, &self.index)
        };
        Ok(decide(webhook, &review.request, &situation.with(evidence)))
    }

    /// The answer, with what is written for it recorded.
    fn done(
        &self,
        webhook: Webhook,
        body: &Value,
        evidence: Evidence<'_>,
    ) -> Result<Answer, Failed> {
        match self.decide(webhook, body, evidence)? {
            Decision::Answer(answer) => Ok(answer),
            Decision::Plan(plan) => {
                let highest = self.index.lock().recorded().map(|(_, v)| v.0).max();
                let first = highest.unwrap_or(0) + 1;
                let versions = (first..).map(Version).take(plan.writes.len());
                let versions: Vec<Version> = versions.collect();
                self.index.lock().confirm(plan.ticket, &versions);
                Ok(plan.answer)
            }
            other => Err(format!("{other:?}").into()),
        }
    }

    /// What is looked up for a request that nothing was looked up for yet.
    fn looks(&self, webhook: Webhook, body: &Value) -> Result<Vec<Lookup>, Failed> {
        match self.decide(webhook, body, Evidence::Cached)? {
            Decision::Confirm(lookups) => Ok(lookups),
            other => Err(format!("{other:?}").into()),
        }
    }

    fn refuses(&self, webhook: Webhook, body: &Value) -> Told {
        let answer = self.done(webhook, body, Evidence::Confirmed)?;
        same(answer.codes(), vec!["address-in-use"])
    }
}

/// The request to bind a pod.
fn binding(name: &str) -> Value {
    json!({
        "uid": "1", "kind": {"group": "", "version": "v1", "kind": "Binding"},
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "binding",
        "name": name, "namespace": "vms", "operation": "CREATE", "dryRun": false,
        "userInfo": {"username": "system:kube-scheduler"},
        "object": {
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": name, "namespace": "vms", "uid": format!("uid-{name}")},
            "target": {"kind": "Node", "name": "node-2"},
        },
    })
}

/// The request in which a pod is created.
fn creation(mut pod: Value) -> Value {
    if let Some(metadata) = pod["metadata"].as_object_mut() {
        metadata.remove("uid");
    }
    json!({
        "uid": "1", "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "name": pod["metadata"]["name"], "namespace": "vms",
        "operation": "CREATE", "dryRun": false, "userInfo": {"username": "dev"}, "object": pod,
    })
}

/// The request in which a second network is plugged into a pod.
fn plugging(before: &Value) -> Value {
    let mut after = before.clone();
    let text = before["metadata"]["annotations"][NETWORKS].as_str();
    let mut all: Vec<Value> = text
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    all.push(json!({"name": "machine-net", "interface": "net9"}));
    after["metadata"]["annotations"][NETWORKS] = Value::Array(all).to_string().into();
    let mut ask = creation(after.clone());
    ask["operation"] = "UPDATE".into();
    ask["object"] = after;
    ask["oldObject"] = before.clone();
    ask["userInfo"]["username"] = "system:serviceaccount:kubevirt:kubevirt-controller".into();
    ask
}

/// The networks that an answer writes.
fn put_in(answer: &Answer) -> String {
    let patch = answer.patch().map(ToString::to_string).unwrap_or_default();
    let operations: Vec<Value> = serde_json::from_str(&patch).unwrap_or_default();
    let of = |operation: &Value| {
        let value = &operation["value"];
        let path = operation["path"].as_str().unwrap_or_default();
        match path.ends_with("k8s.v1.cni.cncf.io~1networks") {
            true => value.as_str().map(str::to_owned),
            false => value[NETWORKS].as_str().map(str::to_owned),
        }
    };
    operations.iter().find_map(of).unwrap_or_default()
}

fn same<T: PartialEq + std::fmt::Debug>(found: T, expected: T) -> Told {
    if found == expected {
        return Ok(());
    }
    Err(format!("{found:?} instead of {expected:?}").into())
}

pub(crate) fn trials() -> Vec<Trial> {
    let cases: [(&str, fn() -> Told); 13] = [
        ("a_machine_has_one_launcher", second),
        ("the_target_of_a_migration_shares", migrated),
        ("what_proves_no_migration_shares_nothing", unproven),
        ("a_migration_has_one_target", twin),
        ("who_has_nothing_is_in_nobody_s_way", in_the_way),
        ("who_was_there_a_moment_ago_is_looked_up", recorded),
        ("a_second_launcher_is_refused_when_it_is_created", created),
        ("of_two_that_are_created_at_once_one_waits", at_once),
        ("what_a_second_launcher_brings_is_refused", brought),
        ("a_second_launcher_gets_nothing_late", missed),
        ("what_is_kept_is_looked_up_before_more_is_given", partly),
        ("who_was_let_in_stays", plugged),
        ("who_was_not_let_in_plugs_nothing_in", forged),
    ];
    cases
        .into_iter()
        .map(|(name, case)| Trial::test(format!("launchers::{name}"), case))
        .collect()
}

fn second() -> Told {
    let world = World::after("a", &[running("a"), launcher("b")], &[])?;
    same(
        world.looks(Webhook::Mutate, &binding("b"))?,
        vec![look_pod("a")],
    )?;
    let answer = world.done(Webhook::Mutate, &binding("b"), Evidence::Confirmed)?;
    same(answer.codes(), vec!["address-in-use"])?;
    for words in ["virtual machine vms/vm1", "\"a\"", "migration"] {
        if !answer.message().contains(words) {
            return Err(answer.message().into());
        }
    }
    // When the first has ended, the next has what that had.
    let next = World::after("a", &[launcher("b")], &[])?;
    let answer = next.done(Webhook::Mutate, &binding("b"), Evidence::Confirmed)?;
    same(put_in(&answer), GIVEN.to_owned())?;
    let mut ended = running("a");
    ended["status"] = json!({"phase": "Succeeded"});
    let next = World::after("a", &[ended, launcher("b")], &[])?;
    let answer = next.done(Webhook::Mutate, &binding("b"), Evidence::Confirmed)?;
    same(put_in(&answer), GIVEN.to_owned())?;
    // One that is being deleted runs on for a while.
    let mut ending = running("a");
    ending["metadata"]["deletionTimestamp"] = "2026-11-21T22:07:22Z".into();
    let world = World::after("a", &[ending, launcher("b")], &[])?;
    world.refuses(Webhook::Mutate, &binding("b"))
}

fn migrated() -> Told {
    let pods = [running("a"), target_of(launcher("b"), "m", "m-1")];
    let world = World::after("a", &pods, &[migration("vm1", false)])?;
    let lookups = world.looks(Webhook::Mutate, &binding("b"))?;
    same(lookups, vec![look_migration()])?;
    let looked = [look_migration()];
    let evidence = Evidence::LookedUp(&looked);
    let answer = world.done(Webhook::Mutate, &binding("b"), evidence)?;
    same(put_in(&answer), GIVEN.to_owned())?;
    let mut carried = binding("b");
    carried["object"]["metadata"]["annotations"] =
        json!({NETWORKS: GIVEN, REQUESTED: "machine-net"});
    same(
        world.looks(Webhook::Validate, &carried)?,
        vec![look_migration()],
    )?;
    let answer = world.done(Webhook::Validate, &carried, evidence)?;
    same(answer.codes(), vec![])
}

fn unproven() -> Told {
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
        let pods = [running("a"), target_of(launcher("b"), "m", "m-1")];
        let world = World::after("a", &pods, &migrations)?;
        let lookups = world.looks(Webhook::Mutate, &binding("b"))?;
        same(lookups, vec![look_migration()])?;
        world.refuses(Webhook::Mutate, &binding("b"))?;
    }
    // A name without the UID proves nothing, nor does the UID without a name.
    let mut named = launcher("b");
    named["metadata"]["annotations"]["kubevirt.io/migrationJobName"] = "m".into();
    let mut labelled = launcher("b");
    labelled["metadata"]["labels"]["kubevirt.io/migrationJobUID"] = "m-1".into();
    for pod in [named, labelled] {
        let pods = [running("a"), pod];
        let world = World::after("a", &pods, &[migration("vm1", false)])?;
        world.refuses(Webhook::Mutate, &binding("b"))?;
    }
    Ok(())
}

fn twin() -> Told {
    let pods = [
        running("a"),
        target_of(running("b"), "m", "m-1"),
        target_of(launcher("c"), "m", "m-1"),
    ];
    let world = World::after("a", &pods, &[migration("vm1", false)])?;
    world.refuses(Webhook::Mutate, &binding("c"))?;
    // The target of an earlier one is the source of the next.
    let pods = [
        target_of(running("a"), "m", "m-0"),
        target_of(launcher("b"), "m", "m-1"),
    ];
    let world = World::after("a", &pods, &[migration("vm1", false)])?;
    let answer = world.done(Webhook::Mutate, &binding("b"), Evidence::Confirmed)?;
    same(put_in(&answer), GIVEN.to_owned())
}

fn in_the_way() -> Told {
    let world = World::of(&[launcher("a"), launcher("b")], &[])?;
    let answer = world.done(Webhook::Mutate, &binding("a"), Evidence::Confirmed)?;
    same(put_in(&answer), GIVEN.to_owned())?;
    // From then on it is recorded for that one, though nobody has seen it bound.
    world.refuses(Webhook::Mutate, &binding("b"))?;
    // The launcher of another machine is.
    let mut other = running("a");
    other["metadata"]["ownerReferences"][0]["name"] = "vm2".into();
    let world = World::of(&[other, launcher("b")], &[])?;
    let answer = world.done(Webhook::Mutate, &binding("b"), Evidence::Confirmed)?;
    same(put_in(&answer), GIVEN.to_owned())
}

fn recorded() -> Told {
    let world = World::after("a", &[launcher("b")], &[])?;
    same(
        world.looks(Webhook::Mutate, &binding("b"))?,
        vec![look_pod("a")],
    )?;
    let looked = [look_pod("a")];
    let evidence = Evidence::LookedUp(&looked);
    let answer = world.done(Webhook::Mutate, &binding("b"), evidence)?;
    same(put_in(&answer), GIVEN.to_owned())
}

fn created() -> Told {
    let named = |name: &str| {
        let mut pod = launcher(name);
        pod["metadata"]["annotations"] = json!({NETWORKS: GIVEN});
        pod
    };
    let world = World::after("a", &[running("a")], &[migration("vm1", false)])?;
    for webhook in [Webhook::Mutate, Webhook::Validate] {
        let looks = world.looks(webhook, &creation(named("b")))?;
        same(looks, vec![look_pod("a")])?;
        world.refuses(webhook, &creation(named("b")))?;
    }
    let mut world = World::after("a", &[running("a")], &[migration("vm1", false)])?;
    world.policy.injection = Some(Injection::Create);
    world.refuses(Webhook::Mutate, &creation(launcher("b")))?;
    let target = creation(target_of(launcher("b"), "m", "m-1"));
    let answer = world.done(Webhook::Mutate, &target, Evidence::Confirmed)?;
    same(put_in(&answer), GIVEN.to_owned())?;
    // Asked a second time with what was put in.
    let target = creation(target_of(named("b"), "m", "m-1"));
    let answer = world.done(Webhook::Validate, &target, Evidence::Confirmed)?;
    same(answer.codes(), vec![])
}

fn at_once() -> Told {
    let mut world = World::of(&[], &[])?;
    world.policy.injection = Some(Injection::Create);
    let unnamed = || {
        let mut ask = creation(launcher(""));
        ask["name"] = "".into();
        ask["object"]["metadata"]["generateName"] = "virt-launcher-vm1-".into();
        ask
    };
    let named = |name: &str| {
        let mut ask = creation(launcher(name));
        ask["object"]["metadata"]["uid"] = format!("uid-{name}").into();
        ask["object"]["metadata"]["annotations"][NETWORKS] = GIVEN.into();
        ask
    };
    for _ in 0..2 {
        let answer = world.done(Webhook::Mutate, &unnamed(), Evidence::Confirmed)?;
        same(put_in(&answer), GIVEN.to_owned())?;
    }
    let answer = world.done(Webhook::Validate, &named("a"), Evidence::Confirmed)?;
    same(answer.codes(), vec![])?;
    same(
        world.looks(Webhook::Validate, &named("b"))?,
        vec![look_pod("a")],
    )?;
    // The first is not seen yet, but may be any moment.
    match world.decide(Webhook::Validate, &named("b"), Evidence::Confirmed)? {
        Decision::AskAgain(answer) => same(answer.codes(), vec!["pool-not-ready"]),
        other => Err(format!("{other:?}").into()),
    }
}

fn brought() -> Told {
    let world = World::after("a", &[running("a"), launcher("b")], &[])?;
    let mut carried = binding("b");
    carried["object"]["metadata"]["annotations"] = json!({NETWORKS: GIVEN});
    same(
        world.looks(Webhook::Validate, &carried)?,
        vec![look_pod("a")],
    )?;
    let answer = world.done(Webhook::Validate, &carried, Evidence::Confirmed)?;
    same(answer.codes(), vec!["binding-changes-networks"])
}

fn missed() -> Told {
    let mut bound = launcher("b");
    bound["spec"]["nodeName"] = "node-2".into();
    let lacks = |pod: &Value, migrations: &[Migration]| -> Result<Late, Failed> {
        let world = World::after("a", &[running("a"), pod.clone()], migrations)?;
        let situation = Situation::confirmed(&world.catalog, &world.policy, &world.index);
        let pod = world.catalog.pod("vms", "b").ok_or("no pod")?;
        Ok(late(pod, &situation))
    };
    match lacks(&bound, &[])? {
        Late::Refused(findings) => same(findings[0].code, "address-in-use")?,
        other => return Err(format!("{other:?}").into()),
    }
    let target = target_of(bound, "m", "m-1");
    match lacks(&target, &[migration("vm1", false)])? {
        Late::Lacks { annotations, .. } => same(&*annotations[0].1, GIVEN)?,
        other => return Err(format!("{other:?}").into()),
    }
    // What it has it keeps, though the migration is over.
    let had = target_of(running("b"), "m", "m-1");
    match lacks(&had, &[migration("vm1", true)])? {
        Late::Nothing | Late::Lacks { .. } => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

/// Another replica has written address and MAC, and the MAC was not heard of yet.
fn partly() -> Told {
    let world = World::after("a", &[launcher("b")], &[])?;
    let mac: Address = "02:5e:00:00:00:10".parse()?;
    {
        let mut index = world.index.lock();
        let version = index.version_of(&Space::default(), mac);
        index.apply_gone(&Space::default(), mac, version.ok_or("no record")?);
    }
    let looked = [look_pod("a")];
    let holder = Holder::Machine {
        namespace: "vms".into(),
        name: "vm1".into(),
    };
    let lookup = Lookup::Holdings {
        holder,
        in_part: true,
    };
    match world.decide(Webhook::Mutate, &binding("b"), Evidence::LookedUp(&looked))? {
        Decision::Confirm(lookups) => same(lookups, vec![lookup])?,
        other => return Err(format!("{other:?}").into()),
    }
    // Nothing was taken meanwhile.
    same(world.index.lock().known().count(), 1)
}

fn plugged() -> Told {
    let pods = [running("a"), target_of(running("b"), "m", "m-1")];
    let world = World::after("a", &pods, &[migration("vm1", true)])?;
    for pod in pods {
        let ask = plugging(&pod);
        let answer = world.done(Webhook::Mutate, &ask, Evidence::Confirmed)?;
        let text: Value = serde_json::from_str(&put_in(&answer))?;
        same(text[0]["ips"][0].clone(), json!("192.0.2.1/28"))?;
        same(text[1]["ips"][0].clone(), json!("192.0.2.2/28"))?;
        let mut changed = ask.clone();
        changed["object"]["metadata"]["annotations"][NETWORKS] = put_in(&answer).into();
        let answer = world.done(Webhook::Validate, &changed, Evidence::Confirmed)?;
        same(answer.codes(), vec![])?;
    }
    Ok(())
}

fn forged() -> Told {
    let mut bound = launcher("b");
    bound["metadata"]["annotations"][NETWORKS] = "[]".into();
    bound["spec"]["nodeName"] = "node-2".into();
    let world = World::after("a", &[running("a"), bound.clone()], &[])?;
    let ask = plugging(&bound);
    world.refuses(Webhook::Mutate, &ask)?;
    let mut named = bound.clone();
    named["metadata"]["annotations"][NETWORKS] = GIVEN.into();
    let mut ask = plugging(&bound);
    ask["object"] = named;
    world.refuses(Webhook::Validate, &ask)
}
