//! A second tour: one address, from `/mutate` to its release.
//!
//! Read it from top to bottom; every step is run. The replica of nadmit is the one that `nadmit serve` runs in a
//! cluster; the API server is the fake one, and time is paused, so that half a minute of quarantine costs nothing.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::DeleteParams};
use libtest_mimic::{Failed, Trial};
use nadmit::{
    cli::{Replica, ReplicaOptions},
    clock::{Clock, RandomSource},
    rules::{Injection, Policy},
    server::{Limits, webhook_routes},
};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    api_server::{ApiServer, posting},
    support::TestResult,
};

const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";

pub(crate) fn tests() -> Vec<Trial> {
    vec![Trial::test("tour_of_an_address", || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()?;
        runtime.block_on(tour())
    })]
}

async fn tour() -> TestResult {
    // The cluster: a namespace labelled for injection, a pool of addresses, and a network that allocates from it.
    let server = ApiServer::new();
    server.namespace("nadmit", &[]);
    server.namespace("db", &[("nadmit.io/injection", "enabled")]);
    server.put(json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool", "metadata": {"name": "storage"},
        "spec": {
            "ranges": [{"range": "192.0.2.192/27"}], "quarantine": "30s", "namespaceSelector": {},
        },
    }));
    server.put(json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {
            "name": "storage-net", "namespace": "db",
            "annotations": {"nadmit.io/address-pool": "storage"},
        },
        "spec": {"config": json!({
            "cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true},
            "ipam": {"type": "static"},
        }).to_string()},
    }));
    server.put(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}, "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }));

    // 1. A replica starts. `sources` list and watch what the catalog is made of, `LedgerSync` fills the index
    //    from the AddressAllocation objects, and the reconciler lets the pool allocate after one full pass.
    let replica = Replica::new(Client::new(server.named("replica"), "default"), options());
    let stop = CancellationToken::new();
    let state = replica.state;
    let tasks = tokio::spawn(replica.tasks.run(stop.child_token()));
    let router = webhook_routes(state, Limits::default(), clock());
    let mutate = posting(router.clone(), "/mutate");
    let validate = posting(router, "/validate");
    sleep(Duration::from_secs(10)).await;

    // 2. `kubectl apply` creates a pod. `/mutate` takes no address yet: the pod names none, and may never be
    //    scheduled. `/validate` finds nothing wrong.
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "web", "namespace": "db", "annotations": {NETWORKS: "storage-net"},
        },
        "spec": {"containers": [{"name": "app", "image": "app"}]},
    });
    let response = mutate(review("pods", None, "CREATE", &pod)).await?;
    assert_eq!(response["response"]["allowed"], true);
    assert_eq!(response["response"]["patch"], Value::Null);
    let response = validate(review("pods", None, "CREATE", &pod)).await?;
    assert_eq!(response["response"]["allowed"], true);
    assert_eq!(allocations(&server), Vec::<(String, Value)>::new());
    server.put(pod.clone());
    sleep(Duration::from_secs(1)).await;

    // 3. The scheduler binds the pod to a node: a review of the subresource `pods/binding`. Now `admission` plans
    //    the lowest free address, `ledger` commits it as one AddressAllocation, and only then the response
    //    leaves, with annotations for the Binding.
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "web", "namespace": "db"},
        "target": {"kind": "Node", "name": "node-1"},
    });
    let response = mutate(review("pods", Some("binding"), "CREATE", &binding)).await?;
    let patched = patched(&binding, &response)?;
    let annotations = &patched["metadata"]["annotations"];
    let networks: Value = serde_json::from_str(annotations[NETWORKS].as_str().ok_or("no text")?)?;
    assert_eq!(
        networks,
        json!([{"name": "storage-net", "ips": ["192.0.2.193/27"]}])
    );
    let holder = json!({"pod": {"namespace": "db", "name": "web"}});
    assert_eq!(
        allocations(&server),
        [("192.0.2.193".to_owned(), holder.clone())]
    );

    // 4. The API server shows the patched Binding to `/validate`, which lets pass what the ledger records for this
    //    pod, and nothing else: a user who may create Bindings cannot bring an address of their own.
    let response = validate(review("pods", Some("binding"), "CREATE", &patched)).await?;
    assert_eq!(response["response"]["allowed"], true);
    let mut forged = patched.clone();
    forged["metadata"]["annotations"][NETWORKS] =
        json!(r#"[{"name": "storage-net", "ips": ["192.0.2.200/27"]}]"#);
    let response = validate(review("pods", Some("binding"), "CREATE", &forged)).await?;
    assert_eq!(response["response"]["allowed"], false);
    assert_eq!(
        response["response"]["status"]["details"]["causes"][0]["reason"],
        "binding-changes-networks"
    );

    // 5. The API server merges the annotations into the pod, and sets its node. Multus puts the address on the
    //    interface, and writes what it did into the network-status.
    let mut bound = server.stored("pods", "db", "web").ok_or("no pod")?;
    bound["metadata"]["annotations"] = annotations.clone();
    bound["metadata"]["annotations"]["k8s.v1.cni.cncf.io/network-status"] = json!(
        r#"[{"name": "db/storage-net", "interface": "net1", "ips": ["192.0.2.193"], "dns": {}}]"#
    );
    bound["spec"]["nodeName"] = json!("node-1");
    bound["status"] = json!({"phase": "Running"});
    server.put(bound);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(
        allocations(&server),
        [("192.0.2.193".to_owned(), holder.clone())]
    );

    // 6. The pod is deleted. Its address stays in quarantine for the pool's 30 s, in case something still sends
    //    from it. Then the reconciler reads live that the pod is gone, and deletes the record under the version
    //    that it judged.
    let pods: Api<Pod> = Api::namespaced(server.client(), "db");
    pods.delete("web", &DeleteParams::default().grace_period(0))
        .await?;
    sleep(Duration::from_secs(25)).await;
    assert_eq!(allocations(&server), [("192.0.2.193".to_owned(), holder)]);
    sleep(Duration::from_secs(15)).await;
    assert_eq!(allocations(&server), Vec::<(String, Value)>::new());

    stop.cancel();
    tasks.await?;
    Ok(())
}

/// The parts that a process brings: here a clock that follows paused time, and a fixed sequence as randomness.
fn options() -> ReplicaOptions {
    let mut policy = Policy::default();
    policy.injection = Some(Injection::Bind);
    ReplicaOptions {
        server: "the fake API server".to_owned(),
        namespace: "nadmit".to_owned(),
        writer: "replica".to_owned(),
        policy: Arc::new(ArcSwap::from_pointee(policy)),
        schedule: watch::Sender::new(None).subscribe(),
        is_leader: Some(watch::Sender::new(true).subscribe()),
        clock: clock(),
        random: RandomSource::new(|| 1),
    }
}

fn clock() -> Clock {
    let (start, epoch) = (Instant::now(), Timestamp::UNIX_EPOCH);
    Clock::new(move || {
        let elapsed = SignedDuration::try_from(start.elapsed()).unwrap_or_default();
        epoch + SignedDuration::from_hours(24 * 365 * 56) + elapsed
    })
}

/// Returns the AdmissionReview that an API server sends.
fn review(resource: &str, subresource: Option<&str>, operation: &str, object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": object["kind"]},
            "resource": {"group": "", "version": "v1", "resource": resource},
            "subResource": subresource,
            "name": object["metadata"]["name"],
            "namespace": "db",
            "operation": operation,
            "userInfo": {"username": "system:kube-scheduler"},
            "object": object,
        },
    })
}

/// Returns the object with the patch of a response applied.
fn patched(object: &Value, response: &Value) -> Result<Value, Failed> {
    let patch = response["response"]["patch"].as_str().ok_or("no patch")?;
    let patch: json_patch::Patch = serde_json::from_slice(&STANDARD.decode(patch)?)?;
    let mut object = object.clone();
    json_patch::patch(&mut object, &patch)?;
    Ok(object)
}

/// Returns the address and holder of each AddressAllocation.
fn allocations(server: &ApiServer) -> Vec<(String, Value)> {
    let all = server.all("addressallocations.nadmit.io");
    let row = |object: &Arc<Value>| {
        let spec = &object["spec"];
        let address = spec["address"].as_str().unwrap_or_default();
        (address.to_owned(), spec["holder"].clone())
    };
    all.iter().map(row).collect()
}
