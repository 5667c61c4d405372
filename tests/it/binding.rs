//! Binding: the decision table of `mutate::binding` in `crates/admission`, case by case.

mod other_moments;

use crate::support::TestResult;
use crate::support::same;
use libtest_mimic::{Failed, Trial};
use nadmit::{
    admission::{
        AdmissionResponse, Decision, Freshness, LateInjection, Review, ReviewContext, Verdict,
        Webhook, decide, inject_late,
    },
    allocation::{Address, SharedIndex, Space, Timestamp, Version},
    catalog::{Catalog, LiveRead},
    manifests,
    rules::{Injection, Policy},
    sources::catalog_of,
};
use serde_json::{Value, json};

const MANIFESTS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: db, labels: {nadmit.io/injection: enabled}}
---
apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: storage}
spec: {ranges: [{range: 192.0.2.0/29}], namespaceSelector: {}, macs: {prefix: "02:5e:00"}}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: storage-net, namespace: db, annotations: {nadmit.io/address-pool: storage}}
spec: {config: '{"cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true, "mac": true}, "ipam": {"type": "static"}}'}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: plain-net, namespace: db}
spec: {config: '{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "dhcp"}}'}
"#;

const UID: &str = "3239b2d2-cd73-479a-9620-6ac93fb25752";
const INJECTED: &str =
    r#"[{"name":"storage-net","ips":["192.0.2.1/29"],"mac":"02:5e:00:00:00:01"}]"#;

/// The pods of a case, and the records.
struct BindingFixture {
    catalog: Catalog,
    policy: Policy,
    index: SharedIndex,
}

/// Returns a pod as stored by the API server.
fn pod(networks: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "app", "namespace": "db", "uid": UID,
            "annotations": {"k8s.v1.cni.cncf.io/networks": networks},
        },
        "spec": {"containers": []},
    })
}

impl BindingFixture {
    fn of(pods: &[Value]) -> Result<Self, Failed> {
        let pods = pods.iter().map(|pod| format!("---\n{pod}\n"));
        let read = manifests::read(
            &format!("{MANIFESTS}{}", pods.collect::<String>()),
            "world.yaml",
        );
        if let Some(error) = read.errors.first() {
            return Err(error.to_string().into());
        }
        let index = SharedIndex::default();
        let catalog = catalog_of([("world.yaml", read.objects)]).0;
        index.synced(catalog.pool_config()).set_ready("storage");
        let mut policy = Policy::default();
        policy.injection = Some(Injection::Bind);
        Ok(Self {
            catalog,
            policy,
            index,
        })
    }

    fn decide(
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

    /// Decides on a binding in `/mutate`, and records the plan.
    fn bind(&self, binding: &Value, evidence: Freshness<'_>) -> Result<AdmissionResponse, Failed> {
        match self.decide(Webhook::Mutate, binding, evidence)? {
            Decision::Respond(answer) | Decision::Retry(answer) => Ok(answer),
            Decision::Commit(plan) => {
                let versions: Vec<Version> = (1..).map(Version).take(plan.writes.len()).collect();
                self.index.lock().commit(plan.plan_id, &versions);
                Ok(plan.response)
            }
            other => Err(format!("{other:?}").into()),
        }
    }
}

/// Returns the request to bind the pod.
fn binding(uid: Option<&str>, annotations: Option<Value>) -> Value {
    let mut object = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "app", "namespace": "db"},
        "target": {"kind": "Node", "name": "node-1"},
    });
    if let Some(uid) = uid {
        object["metadata"]["uid"] = uid.into();
    }
    if let Some(annotations) = annotations {
        object["metadata"]["annotations"] = annotations;
    }
    json!({
        "uid": "1", "kind": {"group": "", "version": "v1", "kind": "Binding"},
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "binding",
        "name": "app", "namespace": "db", "operation": "CREATE", "dryRun": false,
        "userInfo": {"username": "system:kube-scheduler"}, "object": object,
    })
}

fn networks(text: &str) -> Value {
    json!({"k8s.v1.cni.cncf.io/networks": text})
}

/// Returns the annotations that a response adds.
fn added(answer: &AdmissionResponse) -> Result<Value, Failed> {
    let patch = answer.patch().ok_or("no patch")?;
    // A Binding may have no annotations at all.
    let whole = patch.to_string().contains("metadata/annotations/");
    let mut object = match whole {
        true => json!({"metadata": {"annotations": {}}}),
        false => json!({"metadata": {}}),
    };
    json_patch::patch(&mut object, patch)?;
    Ok(object["metadata"]["annotations"].clone())
}

fn pod_lookup() -> LiveRead {
    LiveRead::Pod {
        namespace: "db".into(),
        name: "app".into(),
    }
}

fn pod_lookup_of(uid: &str) -> LiveRead {
    LiveRead::PodOfUid {
        namespace: "db".into(),
        name: "app".into(),
        uid: uid.into(),
    }
}

pub(crate) fn tests() -> Vec<Trial> {
    tests!["binding";
        a_pending_pod_gets_its_addresses,
        a_repeated_request_gets_the_same_address_without_a_write,
        the_older_resource_is_the_same,
        an_unknown_pod_is_read_live,
        a_binding_without_uid_is_for_the_pod_as_it_is_now,
        another_pod_of_the_name_is_left_alone,
        a_pod_that_goes_or_is_bound_is_left_alone,
        nodes_own_network_static_pods_and_plain_networks_get_nothing,
        a_pool_that_is_not_ready_refuses,
        an_exhausted_pool_is_searched_and_refuses_with_counts,
        a_dry_run_allocates_nothing,
        addresses_that_were_asked_for_are_taken_now,
        other_moments::a_new_pod_s_named_address_is_allocated_on_creation,
        a_binding_may_set_held_addresses,
        a_binding_may_not_set_addresses_that_are_not_held,
        a_binding_may_set_other_annotations,
        a_binding_without_networks_rests_on_the_records_of_its_pod_s_addresses,
        other_moments::created_in_bind_mode_a_pod_waits,
        other_moments::missed_pods_are_backfilled,
        other_moments::a_hot_plugged_interface_gets_addresses,
    ]
}

fn a_pending_pod_gets_its_addresses() -> TestResult {
    let fixture = BindingFixture::of(&[pod("storage-net")])?;
    let answer = fixture.bind(&binding(Some(UID), None), Freshness::Cached)?;
    same(answer.verdict(), Verdict::Allow)?;
    same(
        added(&answer)?,
        json!({
            "k8s.v1.cni.cncf.io/networks": INJECTED,
            "nadmit.io/requested-networks": "storage-net",
        }),
    )?;
    let address: Address = "192.0.2.1".parse()?;
    let index = fixture.index.lock();
    let record = index
        .holder_of(&Space::default(), address)
        .ok_or("no record")?;
    let uid = record.pod.as_ref().and_then(|pod| pod.uid.as_deref());
    same(uid, Some(UID))
}

fn a_repeated_request_gets_the_same_address_without_a_write() -> TestResult {
    let fixture = BindingFixture::of(&[pod("storage-net")])?;
    let ask = binding(Some(UID), None);
    let first = fixture.bind(&ask, Freshness::Cached)?;
    match fixture.decide(Webhook::Mutate, &ask, Freshness::Cached)? {
        Decision::Respond(answer) => same(answer, first),
        other => Err(format!("{other:?}").into()),
    }
}

fn the_older_resource_is_the_same() -> TestResult {
    let fixture = BindingFixture::of(&[pod("storage-net")])?;
    let mut ask = binding(Some(UID), None);
    ask["resource"]["resource"] = "bindings".into();
    ask["subResource"] = "".into();
    added(&fixture.bind(&ask, Freshness::Cached)?).map(drop)
}

fn an_unknown_pod_is_read_live() -> TestResult {
    let fixture = BindingFixture::of(&[])?;
    let ask = binding(Some(UID), None);
    same(
        fixture.decide(Webhook::Mutate, &ask, Freshness::Cached)?,
        Decision::VerifyLive(vec![pod_lookup_of(UID)]),
    )?;
    let answer = fixture.bind(&ask, Freshness::verified_for(&[pod_lookup_of(UID)]))?;
    same((answer.verdict(), answer.patch()), (Verdict::Allow, None))
}

fn a_binding_without_uid_is_for_the_pod_as_it_is_now() -> TestResult {
    let fixture = BindingFixture::of(&[pod("storage-net")])?;
    let ask = binding(None, None);
    same(
        fixture.decide(Webhook::Mutate, &ask, Freshness::Cached)?,
        Decision::VerifyLive(vec![pod_lookup()]),
    )?;
    added(&fixture.bind(&ask, Freshness::verified_for(&[pod_lookup()]))?).map(drop)
}

fn another_pod_of_the_name_is_left_alone() -> TestResult {
    let fixture = BindingFixture::of(&[pod("storage-net")])?;
    let answer = fixture.bind(&binding(Some("other"), None), Freshness::Authoritative)?;
    same((answer.verdict(), answer.patch()), (Verdict::Allow, None))
}

fn a_pod_that_goes_or_is_bound_is_left_alone() -> TestResult {
    let mut going = pod("storage-net");
    going["metadata"]["deletionTimestamp"] = "2026-11-21T22:07:22Z".into();
    let mut bound = pod("storage-net");
    bound["spec"]["nodeName"] = "node-2".into();
    for pod in [going, bound] {
        let fixture = BindingFixture::of(&[pod])?;
        let answer = fixture.bind(&binding(Some(UID), None), Freshness::Authoritative)?;
        same((answer.verdict(), answer.patch()), (Verdict::Allow, None))?;
    }
    Ok(())
}

fn nodes_own_network_static_pods_and_plain_networks_get_nothing() -> TestResult {
    let mut on_node = pod("storage-net");
    on_node["spec"]["hostNetwork"] = true.into();
    let mut mirror = pod("storage-net");
    mirror["metadata"]["annotations"]["kubernetes.io/config.mirror"] = "x".into();
    for pod in [on_node, mirror, pod("plain-net")] {
        let fixture = BindingFixture::of(&[pod])?;
        let answer = fixture.bind(&binding(Some(UID), None), Freshness::Cached)?;
        same((answer.verdict(), answer.patch()), (Verdict::Allow, None))?;
    }
    Ok(())
}

fn a_pool_that_is_not_ready_refuses() -> TestResult {
    let fixture = BindingFixture::of(&[pod("storage-net")])?;
    let unready = BindingFixture {
        index: SharedIndex::default(),
        ..fixture
    };
    let answer = unready.bind(&binding(Some(UID), None), Freshness::Authoritative)?;
    same(answer.codes(), vec!["pool-not-ready"])
}

fn an_exhausted_pool_is_searched_and_refuses_with_counts() -> TestResult {
    let others = (1..=6).map(|number| {
        let mut other = pod("storage-net");
        other["metadata"]["name"] = format!("other-{number}").into();
        other["metadata"]["uid"] = format!("uid-{number}").into();
        other
    });
    let fixture = BindingFixture::of(&others.chain([pod("storage-net")]).collect::<Vec<_>>())?;
    for number in 1..=6 {
        let mut ask = binding(Some(&format!("uid-{number}")), None);
        ask["name"] = format!("other-{number}").into();
        added(&fixture.bind(&ask, Freshness::Cached)?)?;
    }
    let ask = binding(Some(UID), None);
    let lookup = LiveRead::Allocations {
        pool: "storage".into(),
        address: None,
    };
    same(
        fixture.decide(Webhook::Mutate, &ask, Freshness::Cached)?,
        Decision::VerifyLive(vec![lookup.clone()]),
    )?;
    let answer = fixture.bind(&ask, Freshness::verified_for(&[lookup]))?;
    same(answer.codes(), vec!["pool-exhausted"])?;
    if !answer.message().contains('6') {
        return Err(answer.message().into());
    }
    Ok(())
}

fn a_dry_run_allocates_nothing() -> TestResult {
    let fixture = BindingFixture::of(&[pod("storage-net")])?;
    let mut ask = binding(Some(UID), None);
    ask["dryRun"] = true.into();
    match fixture.decide(Webhook::Mutate, &ask, Freshness::Cached)? {
        Decision::Respond(answer) => added(&answer)?,
        other => return Err(format!("{other:?}").into()),
    };
    same(fixture.index.lock().recorded().count(), 0)
}

fn addresses_that_were_asked_for_are_taken_now() -> TestResult {
    let asked = r#"[{"name": "storage-net", "ips": ["192.0.2.5/29"]}]"#;
    let fixture = BindingFixture::of(&[pod(asked)])?;
    let answer = fixture.bind(&binding(Some(UID), None), Freshness::Cached)?;
    let text = added(&answer)?["k8s.v1.cni.cncf.io/networks"].clone();
    let text: Value = serde_json::from_str(text.as_str().unwrap_or_default())?;
    same(text[0]["mac"].clone(), json!("02:5e:00:00:00:05"))?;
    let address: Address = "192.0.2.5".parse()?;
    same(
        fixture
            .index
            .lock()
            .holder_of(&Space::default(), address)
            .is_some(),
        true,
    )
}

fn a_binding_may_set_held_addresses() -> TestResult {
    let fixture = BindingFixture::of(&[pod("storage-net")])?;
    let answer = fixture.bind(&binding(Some(UID), None), Freshness::Cached)?;
    let carried = binding(Some(UID), Some(added(&answer)?));
    match fixture.decide(Webhook::Validate, &carried, Freshness::Cached)? {
        Decision::Respond(answer) => same(answer.verdict(), Verdict::Allow),
        other => Err(format!("{other:?}").into()),
    }
}

fn a_binding_may_not_set_addresses_that_are_not_held() -> TestResult {
    // The first is the pool's next free address; no record has it.
    let forged = [
        networks(INJECTED),
        networks(r#"[{"name": "storage-net", "ips": ["198.51.100.5/24"]}]"#),
        networks("plain-net"),
        json!({"v1.multus-cni.io/default-network": "plain-net"}),
        json!({"nadmit.io/requested-networks": "storage-net"}),
        json!({"nadmit.io/holder-token": "0"}),
    ];
    for annotations in forged {
        let fixture = BindingFixture::of(&[pod("storage-net")])?;
        let ask = binding(Some(UID), Some(annotations.clone()));
        match fixture.decide(Webhook::Validate, &ask, Freshness::Cached)? {
            Decision::VerifyLive(lookups) if lookups.contains(&pod_lookup()) => {}
            other => return Err(format!("{annotations}: {other:?}").into()),
        }
        match fixture.decide(Webhook::Validate, &ask, Freshness::Authoritative)? {
            Decision::Respond(answer) => {
                same(answer.codes(), vec!["binding-changes-networks"])?;
                same(answer.verdict(), Verdict::Deny)?;
            }
            other => return Err(format!("{annotations}: {other:?}").into()),
        }
    }
    Ok(())
}

/// The pod named its address at creation, so `/mutate` adds the requested text alone, and another
/// replica may not have seen the record.
fn a_binding_without_networks_rests_on_the_records_of_its_pod_s_addresses() -> TestResult {
    let fixture = BindingFixture::of(&[pod(INJECTED)])?;
    let requested = json!({"nadmit.io/requested-networks": "storage-net"});
    let ask = binding(Some(UID), Some(requested));
    let record = LiveRead::Allocations {
        pool: "storage".into(),
        address: Some("192.0.2.1".parse()?),
    };
    match fixture.decide(Webhook::Validate, &ask, Freshness::Cached)? {
        Decision::VerifyLive(reads) if reads.contains(&record) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

fn a_binding_may_set_other_annotations() -> TestResult {
    let fixture = BindingFixture::of(&[])?;
    let ask = binding(Some(UID), Some(json!({"example.com/zone": "a"})));
    match fixture.decide(Webhook::Validate, &ask, Freshness::Cached)? {
        Decision::Respond(answer) => same(answer.verdict(), Verdict::Allow),
        other => Err(format!("{other:?}").into()),
    }
}
