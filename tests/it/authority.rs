//! No request bypasses the allocator: each attempt to take another pod's address or MAC is refused,
//! in every profile, mode, injection setting and namespace.

use std::sync::{Arc, LazyLock};

use libtest_mimic::{Failed, Trial};
use nadmit::{
    admission::{AdmissionResponse, Decision, Review, ReviewContext, Webhook, decide},
    allocation::{SharedIndex, Version},
    catalog::{Catalog, Mode, NamespaceLabels},
    manifests,
    rules::{Injection, Level, NamespaceIsolation, Policy, Profile, registry},
    sources,
};
use serde_json::{Value, json};

use crate::deploy::registered::{RegisteredWebhook, hooks};
use crate::support;
use crate::support::TestResult;

pub(crate) fn tests() -> Vec<Trial> {
    tests!["authority";
        no_attempt_takes_what_another_holds,
        no_change_takes_what_another_holds,
        own_addresses_are_allowed,
        a_new_pod_that_is_not_sent_needs_no_change,
        a_later_webhook_cannot_add_an_address,
        an_unknown_network_is_looked_up,
        kubevirt_s_default_network_passes,
    ]
}

/// A pool, networks that it serves, and networks that it does not. `%%` stands for a network's
/// header.
const MANIFESTS: &str = r#"
apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: storage}
spec:
  ranges: [{range: 192.0.2.0/27}]
  macs: {prefix: "02:5e:00"}
  namespaceSelector: {}
---
%% {name: storage-net, namespace: db, annotations: {nadmit.io/address-pool: storage}}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "storage-net", "plugins": [
      {"type": "macvlan", "master": "eth1", "capabilities": {"ips": true}, "ipam": {"type": "static"}},
      {"type": "tuning", "capabilities": {"mac": true}}]}
---
%% {name: bare-net, namespace: db, annotations: {nadmit.io/address-pool: storage}}
spec: {config: '{"cniVersion": "0.3.1", "type": "macvlan", "master": "eth1", "ipam": {"type": "static"}}'}
---
%% {name: shared-net, namespace: infra, annotations: {nadmit.io/address-pool: storage}}
spec: {config: '{"cniVersion": "0.3.1", "type": "macvlan", "master": "eth1", "ipam": {"type": "static"}}'}
---
%% {name: local-net, namespace: db, annotations: {nadmit.io/address-pool: storage}}
spec: {config: '{"cniVersion": "0.3.1", "type": "macvlan", "master": "eth1", "ipam": {"type": "host-local", "subnet": "192.0.2.0/27"}}'}
---
%% {name: l2-net, namespace: db, annotations: {nadmit.io/address-pool: storage}}
spec: {config: '{"cniVersion": "0.3.1", "type": "bridge", "bridge": "br1"}'}
---
%% {name: node-net, namespace: db, annotations: {nadmit.io/address-pool: storage}}
---
%% {name: plain-net, namespace: db}
spec: {config: '{"cniVersion": "0.3.1", "type": "macvlan", "master": "eth1", "ipam": {"type": "static"}}'}
---
%% {name: file-net, namespace: db}
---
%% {name: far-net, namespace: db}
spec: {config: '{"cniVersion": "0.3.1", "type": "macvlan", "master": "eth9", "ipam": {"type": "static"}}'}
"#;

const HEAD: &str = "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata:";

/// Annotations that would put 192.0.2.5 or 02:5e:00:00:00:05, which the pod `holder` has, on an
/// interface.
const ATTEMPTS: [&str; 44] = [
    // By the regular keys, in every case and notation.
    r#"[{"name":"storage-net","ips":["192.0.2.5/27"]}]"#,
    r#"[{"name":"storage-net","IPS":["192.0.2.5"]}]"#,
    r#"[{"name":"storage-net","ip\u017f":["192.0.2.5/27"]}]"#,
    r#"[{"name":"storage-net","ips":["192.0.2.5/27","192.0.2.5/24"]}]"#,
    r#"[{"name":"storage-net","ips":["192.0.2.5/27","192.0.2.5/27"]}]"#,
    r#"[{"name":"storage-net","ips":["::ffff:192.0.2.5/123"]}]"#,
    r#"[{"name":"storage-net","ips":["0:0:0:0:0:FFFF:c000:205/123"]}]"#,
    r#"[{"name":"storage-net","ips":["192.0.2.5/27"],"ips":[null]}]"#,
    r#"[{"name":"storage-net","ips":["192.0.2.5/27"],"IPS":[null]}]"#,
    r#"[{"name":"storage-net","ips":["192.0.2.9/27","192.0.2.5/27"],"ips":["192.0.2.9/27",null]}]"#,
    r#"[{"name":"storage-net","mac":"02:5e:00:00:00:05"}]"#,
    r#"[{"name":"storage-net","MAC":"02-5E-00-00-00-05"}]"#,
    r#"[{"name":"storage-net","mac":"025e.0000.0005"}]"#,
    r#"[{"name":"storage-net","mac":"02:5e:00:00:00:05:00:00"}]"#,
    // Without capabilities: CNI_ARGS.
    r#"[{"name":"bare-net","ips":["192.0.2.5/27"]}]"#,
    r#"[{"name":"bare-net","mac":"02:5e:00:00:00:05"}]"#,
    r#"[{"name":"l2-net","mac":"02:5e:00:00:00:05"}]"#,
    // By cni-args.
    r#"[{"name":"storage-net","cni-args":{"ips":["192.0.2.5/27"]}}]"#,
    r#"[{"name":"storage-net","cni-args":{"mac":"02:5e:00:00:00:05"}}]"#,
    r#"[{"name":"storage-net","cni-args":{"MaC":"02:5e:00:00:00:05"}}]"#,
    r#"[{"name":"storage-net","cni-args":{"ip\u017f":["192.0.2.5/27"]}}]"#,
    r#"[{"name":"storage-net","cni-args":{"ips":["192.0.2.5/27"]},"cni-args":{"x":1}}]"#,
    r#"[{"name":"storage-net","CNI-ARGS":{"ips":["192.0.2.5/27"],"ips":[null]}}]"#,
    r#"[{"name":"storage-net","cni-args":{"mac":""}}]"#,
    // In selections that cannot be served.
    r#"[{"name":"storage-net","ips":["192.0.2.5/27"]},{"name":"far-net","ips":5}]"#,
    r#"[{"name":"storage-net","ips":["192.0.2.5/27"]},{"name":"far-net","portMappings":[null]}]"#,
    r#"[{"name":"storage-net","ips":["192.0.2.5/27"],"portMappings":[null]}]"#,
    r#"[{"name":"storage-net","ips":["192.0.2.5/27"]},{"name":"far-net","interface":"net1"}]"#,
    r#"[{"name":"storage-net","ips":["192.0.2.5/27"]},{"name":"storage-net","interface":"net1"}]"#,
    r#"[{"name":"storage-net","ips":["192.0.2.5/27"]},{"name":"far-net","ips":["192.0.2"]}]"#,
    r#"[{"name":"storage-net","ips":["192.0.2.5/27"]},{"name":"far-net","mac":"zz"}]"#,
    r#"[{"name":"storage-net","ips":["192.0.2.5/27"],"mac":"zz"}]"#,
    r#"[{"name":"storage-net","ips":["192.0.2.5/27"]},null]"#,
    // On networks of the pool that the pool cannot serve.
    r#"[{"name":"local-net","ips":["192.0.2.5/27"]}]"#,
    r#"[{"name":"node-net","ips":["192.0.2.5/27"]}]"#,
    r#"[{"name":"l2-net","ips":["192.0.2.5/27"]}]"#,
    // On another network of the same wire, or of an unknown one.
    r#"[{"name":"plain-net","ips":["192.0.2.5/27"]}]"#,
    r#"[{"name":"plain-net","ips":["::ffff:192.0.2.5/123"]}]"#,
    r#"[{"name":"plain-net","mac":"02:5e:00:00:00:05:00:00"}]"#,
    r#"[{"name":"plain-net","cni-args":{"IPs":["192.0.2.5/27"]}}]"#,
    r#"[{"name":"plain-net","cni-args":{"mac":"02:5e:00:00:00:05"}}]"#,
    r#"[{"name":"file-net","ips":["192.0.2.5/27"]}]"#,
    r#"[{"name":"to-come","ips":["192.0.2.5/27"]}]"#,
    // In another namespace.
    r#"[{"name":"shared-net","namespace":"infra","ips":["192.0.2.5/27"]}]"#,
];

fn catalog(mode: Option<Mode>) -> Result<Catalog, Failed> {
    let world = MANIFESTS.replace("%%", HEAD);
    let read = manifests::read(&world, "world.yaml");
    if let Some(error) = read.errors.first() {
        return Err(error.to_string().into());
    }
    let (catalog, _) = sources::catalog_of([("world.yaml", read.objects)]);
    let labels = NamespaceLabels {
        mode,
        ..NamespaceLabels::default()
    };
    let networks = catalog.networks().map(Arc::clone).collect::<Vec<_>>();
    let layout = Arc::clone(catalog.pool_config());
    let pools = layout.pools.iter();
    let pools = pools.map(|(name, pool)| (Box::from(&**name), Ok(Arc::clone(pool))));
    Ok(Catalog::new([("db".into(), labels)], networks, []).with_pools(pools, [], &Arc::default()))
}

/// The settings under which the holder was created.
static DEFAULT_SETTINGS: LazyLock<Policy> = LazyLock::new(Policy::default);

/// A catalog, an index and settings, with reviews of pods.
struct AuthorityFixture<'a> {
    catalog: &'a Catalog,
    policy: &'a Policy,
    index: SharedIndex,
}

impl<'a> AuthorityFixture<'a> {
    /// Returns a fixture in which the pod `holder` has 192.0.2.5.
    fn new(catalog: &'a Catalog, policy: &'a Policy) -> Result<Self, Failed> {
        let fixture = Self {
            catalog,
            policy,
            index: SharedIndex::default(),
        };
        let pool_config = catalog.pool_config();
        fixture.index.synced(pool_config).set_ready("storage");
        let first = r#"[{"name":"storage-net","ips":["192.0.2.5/27"],"mac":"02:5e:00:00:00:05"}]"#;
        let holder = Self {
            policy: &DEFAULT_SETTINGS,
            ..fixture
        };
        let (denied, _) = holder.create(&pod("holder", &json!({NETWORKS: first})))?;
        match denied.as_slice() {
            [] => Ok(Self { policy, ..holder }),
            _ => Err(format!("the holder: {denied:?}").into()),
        }
    }

    /// Creates a pod; returns the codes of its denial, and the mutated pod. Unless pods get addresses
    /// when they are created, `/mutate` sees what its match conditions let through.
    fn create(&self, pod: &Value) -> Result<(Vec<&'static str>, Value), Failed> {
        let mut pod = pod.clone();
        let sent = self.policy.injection() == Injection::Create || is_sent(&pod)?;
        let mutate = sent.then_some(Webhook::Mutate);
        for webhook in mutate.into_iter().chain([Webhook::Validate]) {
            let answer = self.ask(webhook, &support::create(&pod))?;
            if let Some(patch) = answer.patch() {
                json_patch::patch(&mut pod, patch)?;
            }
            let denied = denied(&answer);
            if !denied.is_empty() {
                return Ok((denied, pod));
            }
        }
        Ok((Vec::new(), pod))
    }

    /// Updates a pod; returns the codes of the denial.
    fn change(&self, before: &Value, after: &Value) -> Result<Vec<&'static str>, Failed> {
        let mut after = after.clone();
        let mutated = self.ask(Webhook::Mutate, &support::update(before, &after))?;
        if let Some(patch) = mutated.patch() {
            json_patch::patch(&mut after, patch)?;
        }
        let validated = self.ask(Webhook::Validate, &support::update(before, &after))?;
        Ok([denied(&mutated), denied(&validated)].concat())
    }

    fn ask(&self, webhook: Webhook, body: &[u8]) -> Result<AdmissionResponse, Failed> {
        let review = Review::parse(body)?;
        let context = ReviewContext::authoritative(self.catalog, self.policy, &self.index);
        match decide(webhook, &review.request, &context) {
            Decision::Respond(answer) => Ok(answer),
            Decision::Commit(plan) => {
                let versions: Vec<Version> = (1..).take(plan.writes.len()).map(Version).collect();
                self.index.lock().commit(plan.plan_id, &versions);
                Ok(plan.response)
            }
            other => Err(format!("no answer, but {other:?}").into()),
        }
    }
}

thread_local! {
    static OF_NEW_PODS: Result<RegisteredWebhook, String> = hooks()
        .map_err(|error| error.message().unwrap_or_default().to_owned())
        .and_then(|hooks| {
            let mut hooks = hooks.into_iter();
            let of_pods = hooks.find(|hook| hook.name() == "mutate pods.nadmit.io");
            of_pods.ok_or_else(|| "no webhook".to_owned())
        });
}

/// Returns true if the API server sends the creation of this pod to `/mutate`.
fn is_sent(pod: &Value) -> Result<bool, Failed> {
    let mut object = pod.clone();
    // Every pod has a spec.
    if object["spec"].is_null() {
        object["spec"] = json!({"containers": []});
    }
    let review = support::create(&object);
    let mut review: Value = serde_json::from_slice(&review)?;
    review["request"]["userInfo"] = json!({"username": "alice"});
    OF_NEW_PODS.with(|hook| match hook {
        Ok(hook) => hook.wants(&review["request"]),
        Err(error) => Err(error.into()),
    })
}

fn denied(answer: &AdmissionResponse) -> Vec<&'static str> {
    let findings = answer.findings().iter();
    let denied = findings.filter(|finding| finding.level == Level::Deny);
    denied.map(|finding| finding.code).collect()
}

fn is_authority(code: &str) -> bool {
    registry::find(code).is_some_and(|rule| rule.levels.is_authority())
}

const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
const DEFAULT_NETWORK: &str = "v1.multus-cni.io/default-network";

fn pod(name: &str, annotations: &Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "db", "uid": name, "annotations": annotations}})
}

/// Runs a test under every setting that could lower authority.
fn each_setting(mut run: impl FnMut(&Catalog, &Policy, &str) -> TestResult) -> TestResult {
    for mode in [None, Some(Mode::Deny), Some(Mode::Warn), Some(Mode::Off)] {
        let catalog = catalog(mode)?;
        for profile in Profile::ALL {
            for injection in Injection::ALL {
                for (isolation, excluded) in [(true, false), (false, false), (true, true)] {
                    let mut policy = Policy::of(profile);
                    policy.injection = Some(injection);
                    policy.namespace_isolation = Some(match isolation {
                        true => NamespaceIsolation::On,
                        false => NamespaceIsolation::Off,
                    });
                    if excluded {
                        policy.excluded_namespaces.insert("db".into());
                    }
                    let setting = format!(
                        "mode {mode:?}, {profile:?}, injection {injection:?}, isolation \
                         {isolation}, excluded {excluded}"
                    );
                    run(&catalog, &policy, &setting)?;
                }
            }
        }
    }
    Ok(())
}

/// Moves an attempt to the default-network annotation, whose names default to Multus's namespace.
fn as_default_network(networks: &str) -> String {
    match networks.contains("\"namespace\"") {
        true => networks.to_owned(),
        false => networks.replace("[{\"name\"", "[{\"namespace\":\"db\",\"name\""),
    }
}

fn no_attempt_takes_what_another_holds() -> TestResult {
    let mut through = Vec::new();
    each_setting(|catalog, policy, setting| {
        let fixture = AuthorityFixture::new(catalog, policy)?;
        for networks in ATTEMPTS {
            for (key, text) in [
                (NETWORKS, networks.to_owned()),
                (DEFAULT_NETWORK, as_default_network(networks)),
            ] {
                let (denied, pod) = fixture.create(&pod("thief", &json!({key: text})))?;
                if denied.is_empty() {
                    let annotation = &pod["metadata"]["annotations"][key];
                    through.push(format!("{setting}: {key} {text}: {annotation}"));
                }
                // Users who may create pods may set the annotation of a node's static pod copies.
                let annotations = json!({key: text, "kubernetes.io/config.mirror": "x"});
                let mut pod = self::pod("thief", &annotations);
                pod["spec"] = json!({"nodeName": "node-1"});
                if fixture.create(&pod)?.0.is_empty() {
                    through.push(format!("{setting}: as a static pod's copy: {key} {text}"));
                }
            }
        }
        Ok(())
    })?;
    report(&through)
}

/// A running pod without addresses cannot take one by an update, either.
fn no_change_takes_what_another_holds() -> TestResult {
    let mut through = Vec::new();
    each_setting(|catalog, policy, setting| {
        let mut policy = policy.clone();
        policy.immutable_attachments = false;
        let fixture = AuthorityFixture::new(catalog, &policy)?;
        let mut before = pod("thief", &json!({}));
        before["spec"] = json!({"nodeName": "node-1"});
        for networks in ATTEMPTS {
            let mut after = before.clone();
            after["metadata"]["annotations"] = json!({NETWORKS: networks});
            let denied = fixture.change(&before, &after)?;
            if denied.is_empty() {
                through.push(format!("{setting}: {networks}"));
            }
            // While it is being deleted, it runs until the end of its grace period.
            let deleted = json!("2026-11-21T22:02:09Z");
            let [mut before, mut after] = [&before, &after].map(Value::clone);
            for pod in [&mut before, &mut after] {
                pod["metadata"]["deletionTimestamp"] = deleted.clone();
            }
            if fixture.change(&before, &after)?.is_empty() {
                through.push(format!("{setting}: while it is deleted: {networks}"));
            }
        }
        Ok(())
    })?;
    report(&through)
}

fn report(through: &[String]) -> TestResult {
    if through.is_empty() {
        return Ok(());
    }
    let first = through.iter().take(40).cloned().collect::<Vec<_>>();
    Err(format!("{} let through:\n{}", through.len(), first.join("\n")).into())
}

/// Addresses that are free, or on another wire, are allowed.
fn own_addresses_are_allowed() -> TestResult {
    let mut refused = Vec::new();
    each_setting(|catalog, policy, setting| {
        let fixture = AuthorityFixture::new(catalog, policy)?;
        for (number, networks) in [
            r#"[{"name":"storage-net","ips":["192.0.2.6/27"]}]"#,
            r#"[{"name":"storage-net","ips":["::ffff:192.0.2.7/123"]}]"#,
            r#"[{"name":"storage-net","ips":["192.0.2.8/27","192.0.2.8/27"]}]"#,
            r#"[{"name":"storage-net","ips":["192.0.2.5/27"],"ips":["192.0.2.9/27"]}]"#,
            r#"[{"name":"bare-net","ips":["192.0.2.10/27"],"mac":"ca:fe:c0:ff:ee:00"}]"#,
            r#"[{"name":"far-net","ips":["192.0.2.5/27"]}]"#,
            r#"[{"name":"far-net","cni-args":{"ips":["192.0.2.5/27"]}}]"#,
            r#"[{"name":"storage-net","ips":["192.0.2.11/27"],"cni-args":{"mtu":1400}}]"#,
            r#"[{"name":"storage-net","ips":["192.0.2.12/27"],"portMappings":[null]}]"#,
            r#"[{"name":"storage-net","ips":["192.0.2.13/27"]},{"name":"far-net","mac":"ca:fe:c0:ff:ee:00:00:01"}]"#,
        ]
        .into_iter()
        .enumerate()
        {
            let pod = pod(&format!("honest-{number}"), &json!({NETWORKS: networks}));
            let (denied, _) = fixture.create(&pod)?;
            if denied.iter().any(|code| is_authority(code)) {
                refused.push(format!("{setting}: {networks}: {denied:?}"));
            }
        }
        Ok(())
    })?;
    match refused.first() {
        None => Ok(()),
        Some(_) => Err(refused.join("\n").into()),
    }
}

/// New pods that the match conditions keep from `/mutate` would be allowed without a change.
fn a_new_pod_that_is_not_sent_needs_no_change() -> TestResult {
    const OTHERS: [&str; 9] = [
        "storage-net",
        "storage-net, infra/shared-net@net7",
        r#"[{"name":"storage-net"}]"#,
        r#"[{"name":"storage-net","interface":"net7","default-route":["192.0.2.1"]}]"#,
        r#"[{"name":"storage-net","portMappings":[{"hostPort":1}]}]"#,
        r#"[{"name":"storage-net","\u0069ps":["192.0.2.6/27"]}]"#,
        r#"[{"name":"storage-net","ip\u017f":["192.0.2.6/27"]}]"#,
        "[{\"name\":\"storage-net\",\"ip\u{17f}\":[\"192.0.2.6/27\"]}]",
        r#"[{"name":"storage-net""#,
    ];
    let catalog = catalog(None)?;
    let (mut sent, mut unsent) = (0, 0);
    for injection in [Injection::Bind, Injection::Off] {
        let mut policy = Policy::default();
        policy.injection = Some(injection);
        for (number, networks) in ATTEMPTS.into_iter().chain(OTHERS).enumerate() {
            for (key, text) in [
                (NETWORKS, networks.to_owned()),
                (DEFAULT_NETWORK, as_default_network(networks)),
            ] {
                let pod = pod(&format!("pod-{number}"), &json!({key: text}));
                if is_sent(&pod)? {
                    sent += 1;
                    continue;
                }
                unsent += 1;
                let fixture = AuthorityFixture::new(&catalog, &policy)?;
                let answer = fixture.ask(Webhook::Mutate, &support::create(&pod))?;
                if answer.patch().is_some() || !denied(&answer).is_empty() {
                    return Err(format!("{injection:?}: {key} {text}: {answer:?}").into());
                }
            }
        }
    }
    match (sent, unsent) {
        (1.., 1..) => Ok(()),
        _ => Err(format!("{sent} sent, {unsent} not").into()),
    }
}

/// A mutating webhook after nadmit's adds an address to a pod whose creation was not sent, or that passed:
/// `/validate` sees the result, and refuses what is not recorded for the pod.
fn a_later_webhook_cannot_add_an_address() -> TestResult {
    const FREE: &str = r#"[{"name":"storage-net","ips":["192.0.2.6/27"]}]"#;
    let mut through = Vec::new();
    each_setting(|catalog, policy, setting| {
        let fixture = AuthorityFixture::new(catalog, policy)?;
        for networks in ATTEMPTS.into_iter().chain([FREE]) {
            let pod = pod("thief", &json!({NETWORKS: networks}));
            let answer = fixture.ask(Webhook::Validate, &support::create(&pod))?;
            if denied(&answer).is_empty() {
                through.push(format!("{setting}: {networks}"));
            }
        }
        Ok(())
    })?;
    report(&through)
}

/// A network that does not exist yet may be on any wire: before a denial it is read live.
fn an_unknown_network_is_looked_up() -> TestResult {
    let catalog = catalog(Some(Mode::Off))?;
    let policy = Policy::default();
    let index = SharedIndex::default();
    let networks = r#"[{"name":"to-come","ips":["192.0.2.5/27"]}]"#;
    let body = support::create(&pod("p", &json!({NETWORKS: networks})));
    let review = Review::parse(&body)?;
    let cached = ReviewContext::authoritative(&catalog, &policy, &index)
        .with_freshness(nadmit::admission::Freshness::Cached);
    match decide(Webhook::Validate, &review.request, &cached) {
        Decision::VerifyLive(lookups) if lookups.len() == 1 => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

/// kubevirt-ipam-controller puts launchers of a primary user-defined network on OVN-Kubernetes's
/// own network; a network of another namespace is only warned about.
fn kubevirt_s_default_network_passes() -> TestResult {
    let catalog = catalog(None)?;
    let mut policy = Policy::default();
    policy.set_level("cross-namespace-default-network", Level::Deny)?;
    let codes = |default_network: &str, user: &str, launcher: bool| -> Result<_, Failed> {
        let mut pod = pod("p", &json!({DEFAULT_NETWORK: default_network}));
        if launcher {
            pod["metadata"]["labels"] = json!({"kubevirt.io": "virt-launcher"});
        }
        let mut review: Value = serde_json::from_slice(&support::create(&pod))?;
        review["request"]["userInfo"] = json!({"username": user});
        let answer = support::answer(review.to_string().as_bytes(), &catalog, &policy)?;
        let findings = answer.findings().iter();
        Ok(findings
            .filter(|finding| finding.code == "cross-namespace-default-network")
            .count())
    };
    let (user, kubevirt) = ("jane", "system:serviceaccount:kubevirt:kubevirt-controller");
    let ovn = r#"[{"name":"default","namespace":"ovn-kubernetes"}]"#;
    for (default_network, user, launcher, found) in [
        (ovn, kubevirt, true, 0),
        (ovn, user, false, 0),
        ("openshift-ovn-kubernetes/default", user, false, 0),
        ("infra/shared-net", user, false, 1),
        ("infra/shared-net", user, true, 1),
        ("infra/shared-net", kubevirt, true, 0),
        ("kube-system/net", user, false, 0),
        ("default/net", user, false, 0),
        ("db/plain-net", user, false, 0),
        ("net", user, false, 0),
    ] {
        assert_eq!(
            codes(default_network, user, launcher)?,
            found,
            "{default_network} {user}"
        );
    }
    Ok(())
}
