//! `--cluster` with a real API server: with the roles that the page names, and the shipped policy.

use std::{fs, path::Path, time::Duration};

use kube::{
    Client,
    api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams},
    discovery::{Scope, pinned_kind},
};
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{scenario::has, server::WorkFolder};
use crate::api_server::{IGNORE_REASON, RealServer};
use crate::support::TestResult;

const NADMIT: &str = "system:serviceaccount:nadmit:nadmit";
/// The recorded addresses.
const RECORDS: [&str; 2] = ["192.0.2.210", "192.0.2.211"];

pub(super) fn tests() -> Vec<Trial> {
    let run = trial!["operate::cluster"; a_real_server_asks_for_no_more_than_the_roles];
    vec![
        run.with_kind(IGNORE_REASON)
            .with_ignored_flag(!RealServer::is_there()),
    ]
}

fn a_real_server_asks_for_no_more_than_the_roles() -> TestResult {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let server = runtime
        .block_on(RealServer::start())
        .map_err(|e| e.to_string())?;
    let place = WorkFolder::new()?;
    fs::copy(server.kubeconfig()?, place.path("kubeconfig"))?;
    let config = server.config().map_err(|e| e.to_string())?;
    let guarded = runtime.block_on(async { furnish(&Client::try_from(config)?).await })?;
    let asked = |user: &str, arguments: &[&str]| {
        let cluster = ["--cluster", "--kubeconfig", "kubeconfig", "--as", user];
        let all: Vec<String> = arguments
            .iter()
            .chain(&cluster)
            .map(|a| (*a).to_owned())
            .collect();
        move |place: &WorkFolder| -> Result<Result<String, String>, Failed> {
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            place.try_run(&all)
        }
    };
    let goes = |user: &str, arguments: &[&str]| -> Result<String, Failed> {
        let printed = asked(user, arguments)(&place)?;
        printed.map_err(|error| format!("{user} {arguments:?}: {error}").into())
    };
    let fails = |user: &str, arguments: &[&str]| -> Result<String, Failed> {
        match asked(user, arguments)(&place)? {
            Ok(printed) => Err(format!("{user} {arguments:?} went well: {printed}").into()),
            Err(error) => Ok(error),
        }
    };
    fs::write(place.path("export.jsonl"), export())?;
    let kept_out = fails("mender", &["import", "export.jsonl"])?;
    has(&kept_out, "the verb \"create\" on \"addressallocations\"")?;
    has(
        &goes(NADMIT, &["import", "export.jsonl"])?,
        "2 allocations imported",
    )?;
    let pools = goes("operator", &["pools"])?;
    has(
        &pools,
        "storage  192.0.2.192/27        26     2     23         1",
    )?;
    if pools.contains("warning") {
        return Err(pools.into());
    }
    goes("operator", &["pools", "storage", "--map"])?;
    has(&goes("operator", &["allocations"])?, "pod db/web")?;
    has(&goes("operator", &["export"])?, RECORDS[1])?;
    has(
        &goes("operator", &["describe", "pod", "db/web"])?,
        RECORDS[0],
    )?;
    let whois = goes("operator", &["whois", RECORDS[0]])?;
    has(&whois, "pod db/web is there and may use it")?;
    let nobody = fails("nobody", &["pools"])?;
    has(&nobody, "ClusterRole nadmit-operate")?;
    // Without the second role nothing can be released, and with it a pod's address still cannot.
    let release = ["release", RECORDS[1], "--yes"];
    has(&fails("operator", &release)?, "(403)")?;
    let live = fails("mender", &["release", RECORDS[0], "--yes"])?;
    has(&live, "pod db/web is there")?;
    if !guarded {
        has(&goes("mender", &release)?, "is released to pool storage")?;
        return Ok(());
    }
    let policy = fails("mender", &release)?;
    has(
        &policy,
        "ValidatingAdmissionPolicy 'nadmit' with binding 'nadmit'",
    )?;
    has(&policy, "only nadmit may write allocations")?;
    has(&policy, &format!("--as {NADMIT}"))?;
    has(&goes(NADMIT, &release)?, "is released to pool storage")?;
    has(&fails(NADMIT, &release)?, "has no holder")?;
    Ok(())
}

/// Returns an export of two records: of a pod that exists, and of one that does not.
fn export() -> String {
    let records = RECORDS.iter().zip(["web", "gone"]).map(|(address, pod)| {
        json!({
            "address": address, "networkName": "example_net_common", "pool": "storage",
            "network": {"namespace": "db", "name": "storage-net"}, "interface": "net1",
            "holder": {"pod": {"namespace": "db", "name": pod}}, "since": 1_700_000_000,
        })
        .to_string()
    });
    let header = json!({"kind": "nadmit.io/allocations", "schema": 1, "records": 2}).to_string();
    let lines: Vec<String> = [header].into_iter().chain(records).collect();
    lines.join("\n") + "\n"
}

/// Creates everything: definitions, the shipped roles and the policy, the page's roles, and the
/// fixtures. Returns false if the API server does not know policies, as before v1.30.
async fn furnish(client: &Client) -> Result<bool, Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name));
    for name in ["nadmit", "db"] {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        create(client, namespace).await?;
    }
    create(client, networks()).await?;
    for definition in nadmit::api::crds() {
        create(client, serde_json::to_value(definition)?).await?;
    }
    let page = read("docs/how-to/operate-addresses.md")?;
    let roles = page
        .split("```yaml\n")
        .filter_map(|rest| rest.split("```").next());
    let roles = roles.filter(|text| text.contains("kind: ClusterRole"));
    let roles = roles.collect::<Vec<_>>().join("---\n");
    let fixtures = read("tests/fixtures/operate/world.yaml")?;
    let policy = "ValidatingAdmissionPolicy";
    let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", policy);
    let guards = pinned_kind(client, &kind).await.is_ok();
    let mut texts = vec![read("deploy/base/access.yaml")?, roles, fixtures];
    if guards {
        texts.push(read("deploy/base/protection.yaml")?);
    }
    for text in texts {
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text)?;
        for object in objects {
            if !object.is_null() {
                create(client, object).await?;
            }
        }
    }
    for (user, role) in [
        ("operator", "nadmit-operate"),
        ("mender", "nadmit-operate"),
        ("mender", "nadmit-release"),
    ] {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": format!("{user}-{role}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        });
        create(client, binding).await?;
    }
    if guards {
        guarded(client).await?;
    }
    Ok(guards)
}

/// Returns the definition of networks.
fn networks() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "network-attachment-definitions.k8s.cni.cncf.io"},
        "spec": {
            "group": "k8s.cni.cncf.io", "scope": "Namespaced",
            "names": {
                "kind": "NetworkAttachmentDefinition",
                "plural": "network-attachment-definitions",
                "singular": "network-attachment-definition",
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                }},
            }],
        },
    })
}

/// Creates an object, waiting until its kind is served.
async fn create(client: &Client, object: Value) -> TestResult {
    let object: DynamicObject = serde_json::from_value(object)?;
    let types = object.types.clone().unwrap_or_default();
    let kind = GroupVersionKind::try_from(&types).map_err(|e| e.to_string())?;
    let mut left = 100_u32;
    let (resource, capabilities) = loop {
        match pinned_kind(client, &kind).await {
            Ok(found) => break found,
            Err(error) if left == 0 => return Err(error.into()),
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
        left -= 1;
    };
    let home = object.metadata.namespace.as_deref().unwrap_or("default");
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => Api::namespaced_with(client.clone(), home, &resource),
    };
    let created = api.create(&PostParams::default(), &object).await;
    created.map_err(|error| format!("{} {:?}: {error}", types.kind, object.metadata.name))?;
    Ok(())
}

/// Waits until the API server enforces the policy.
async fn guarded(client: &Client) -> TestResult {
    let resource = ApiResource::erase::<nadmit::api::AddressSlice>(&());
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let slice = json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressSlice", "metadata": {"name": "a.192.0.2.0"},
        "spec": {"pool": "a", "node": "b", "range": "192.0.2.0/28"},
    });
    let slice: DynamicObject = serde_json::from_value(slice)?;
    let dry = PostParams {
        dry_run: true,
        field_manager: None,
    };
    for _ in 0..300 {
        if api.create(&dry, &slice).await.is_err() {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    Err("the policy does not count".into())
}
