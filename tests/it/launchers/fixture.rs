//! A namespace with virtual machines, as a decision sees it.

pub(super) use crate::support::TestResult;
pub(super) use crate::support::same;
use libtest_mimic::Failed;
use nadmit::{
    admission::{AdmissionResponse, Decision, Freshness, Review, ReviewContext, Webhook, decide},
    allocation::{SharedIndex, Timestamp, Version},
    catalog::{Catalog, LiveRead, Migration},
    manifests,
    rules::{Injection, Policy},
    sources::catalog_of,
};
use serde_json::{Value, json};

const MANIFESTS: &str = r#"
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

pub(super) const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
pub(super) const REQUESTED: &str = "nadmit.io/requested-networks";
/// The addresses of the only machine; the MAC is not derived from an address.
pub(super) const ASSIGNED: &str =
    r#"[{"name":"machine-net","ips":["192.0.2.1/28"],"mac":"02:5e:00:00:00:10"}]"#;

/// The pods of a test, their migrations, and the records.
pub(super) struct LauncherFixture {
    pub(super) catalog: Catalog,
    pub(super) policy: Policy,
    pub(super) index: SharedIndex,
}

/// Returns a launcher of the machine vm1, not bound yet.
pub(super) fn launcher(name: &str) -> Value {
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

/// Returns a launcher with a node and with the machine's addresses.
pub(super) fn running(name: &str) -> Value {
    let mut pod = launcher(name);
    pod["metadata"]["annotations"] = json!({NETWORKS: ASSIGNED, REQUESTED: "machine-net"});
    pod["spec"]["nodeName"] = "node-1".into();
    pod
}

/// Returns the launcher as the target of a migration.
pub(super) fn migration_target(mut pod: Value, name: &str, uid: &str) -> Value {
    pod["metadata"]["labels"]["kubevirt.io/migrationJobUID"] = uid.into();
    pod["metadata"]["annotations"]["kubevirt.io/migrationJobName"] = name.into();
    pod
}

pub(super) fn migration(machine: &str, ended: bool) -> Migration {
    Migration {
        uid: "m-1".into(),
        machine: machine.into(),
        ended,
    }
}

pub(super) fn look_pod(name: &str) -> LiveRead {
    LiveRead::Pod {
        namespace: "vms".into(),
        name: name.into(),
    }
}

pub(super) fn look_migration() -> LiveRead {
    LiveRead::Migration {
        namespace: "vms".into(),
        name: "m".into(),
    }
}

impl LauncherFixture {
    pub(super) fn of(pods: &[Value], migrations: &[Migration]) -> Result<Self, Failed> {
        let pods = pods.iter().map(|pod| format!("---\n{pod}\n"));
        let text = format!("{MANIFESTS}{}", pods.collect::<String>());
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
        index.synced(catalog.pool_config()).set_ready("machines");
        let mut policy = Policy::default();
        policy.injection = Some(Injection::Bind);
        Ok(Self {
            catalog,
            policy,
            index,
        })
    }

    /// Returns the state in which `first` runs with the machine's addresses and these pods exist,
    /// too.
    pub(super) fn after(
        first: &str,
        pods: &[Value],
        migrations: &[Migration],
    ) -> Result<Self, Failed> {
        let before = Self::of(&[launcher(first)], &[])?;
        before.done(Webhook::Mutate, &binding(first), Freshness::Authoritative)?;
        let fixture = Self::of(pods, migrations)?;
        std::mem::swap(&mut *fixture.index.lock(), &mut *before.index.lock());
        drop(fixture.index.synced(fixture.catalog.pool_config()));
        Ok(fixture)
    }

    pub(super) fn decide(
        &self,
        webhook: Webhook,
        body: &Value,
        evidence: Freshness<'_>,
    ) -> Result<Decision, Failed> {
        let body = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": body,
        });
        let body = body.to_string();
        let review = Review::parse(body.as_bytes())?;
        let context = ReviewContext {
            now: Timestamp(1000),
            ..ReviewContext::authoritative(&self.catalog, &self.policy, &self.index)
        };
        Ok(decide(
            webhook,
            &review.request,
            &context.with_freshness(evidence),
        ))
    }

    /// Returns the response after recording what it requires.
    pub(super) fn done(
        &self,
        webhook: Webhook,
        body: &Value,
        evidence: Freshness<'_>,
    ) -> Result<AdmissionResponse, Failed> {
        match self.decide(webhook, body, evidence)? {
            Decision::Respond(answer) => Ok(answer),
            Decision::Commit(plan) => {
                let highest = self.index.lock().recorded().map(|(_, v)| v.0).max();
                let first = highest.unwrap_or(0) + 1;
                let versions = (first..).map(Version).take(plan.writes.len());
                let versions: Vec<Version> = versions.collect();
                self.index.lock().commit(plan.plan_id, &versions);
                Ok(plan.response)
            }
            other => Err(format!("{other:?}").into()),
        }
    }

    /// Returns the live reads that a new request requires.
    pub(super) fn required_reads(
        &self,
        webhook: Webhook,
        body: &Value,
    ) -> Result<Vec<LiveRead>, Failed> {
        match self.decide(webhook, body, Freshness::Cached)? {
            Decision::VerifyLive(lookups) => Ok(lookups),
            other => Err(format!("{other:?}").into()),
        }
    }

    pub(super) fn refuses(&self, webhook: Webhook, body: &Value) -> TestResult {
        let answer = self.done(webhook, body, Freshness::Authoritative)?;
        same(answer.codes(), vec!["address-in-use"])
    }
}

/// Returns the request to bind a pod.
pub(super) fn binding(name: &str) -> Value {
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

/// Returns the request to create a pod.
pub(super) fn creation(mut pod: Value) -> Value {
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

/// Returns the request that hot-plugs a second network into a pod.
pub(super) fn plugging(before: &Value) -> Value {
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

/// Returns the networks annotation that a response writes.
pub(super) fn put_in(answer: &AdmissionResponse) -> String {
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
