//! A tour: one pod, from the bytes of its review to the bytes of the response.
//!
//! Read it from top to bottom; every step is executed.

use std::sync::Arc;

use crate::support::TestResult;
use libtest_mimic::Trial;
use nadmit::{
    admission::{Decision, Freshness, Review, ReviewContext, Webhook, decide},
    allocation::SharedIndex,
    catalog::{Catalog, LiveRead},
    network::{Annotation, Network, Position},
    rules::Policy,
};
use serde_json::{Value, json};

pub(crate) fn tests() -> Vec<Trial> {
    vec![Trial::test("tour", tour)]
}

fn tour() -> TestResult {
    // A user runs `kubectl apply` on a pod. The API server calls nadmit: POST /validate, with these
    // bytes. Two things are wrong with the pod. Do you see them?
    let body = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "ad64ab84-33dd-4162-a962-4ce5fa36286f",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "name": "db-0",
            "namespace": "db",
            "operation": "CREATE",
            "object": {
                "metadata": {
                    "name": "db-0",
                    "namespace": "db",
                    "annotations": {
                        "k8s.v1.cni.cncf.io/networks":
                            r#"[{"name": "storage-nett", "mac": "CA:FE:C0:FF:EE"}]"#
                    }
                },
                "spec": {"containers": []}
            }
        }
    })
    .to_string();

    // 1. `admission` parses the review. Only the relevant members are parsed; the rest stays as
    //   text.
    let review = Review::parse(body.as_bytes())?;
    let annotations = &review
        .request
        .object
        .as_ref()
        .ok_or("no object")?
        .metadata
        .annotations;
    let text = annotations.networks.as_deref().ok_or("no annotation")?;

    // 2. `network` parses the annotation. An invalid value is kept with its error, and every value
    //   has its position.
    let annotation = Annotation::parse(text);
    let selection = &annotation.selections[0];
    assert_eq!(selection.network_name(), Some("storage-nett"));
    let mac = selection.mac.as_ref().ok_or("no MAC")?;
    assert!(mac.value.is_err(), "five bytes are no MAC");
    assert_eq!(
        Position::of(mac.span.start, text),
        Position {
            line: 1,
            column: 35
        }
    );

    // 3. `catalog` contains the existing networks. A source fills it: here by hand, in the server
    //   from a folder of manifests.
    let config = r#"{"cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true},
                     "ipam": {"type": "static"}}"#;
    let network = Arc::new(Network::new("db", "storage-net", Some(config)));
    let catalog = Catalog::new([], [network], []);

    // 4. `rules` produce findings, and `admission` makes a decision from them. The network is not
    //   in the catalog, but the catalog may lag: the first decision is to read it live.
    let policy = Policy::default();
    let request = &review.request;
    let first = decide(
        Webhook::Validate,
        request,
        &ReviewContext::authoritative(&catalog, &policy, &SharedIndex::default())
            .with_freshness(Freshness::Cached),
    );
    let missing = LiveRead::Network {
        namespace: "db".into(),
        name: "storage-nett".into(),
    };
    assert_eq!(first, Decision::VerifyLive(vec![missing]));

    // 5. `server` reads the network at its source, does not find it, and decides again.
    let second = decide(
        Webhook::Validate,
        request,
        &ReviewContext::authoritative(&catalog, &policy, &SharedIndex::default()),
    );
    let Decision::Respond(answer) = second else {
        return Err("no answer".into());
    };

    // 6. The response is returned: both findings at once, each with its position and a fix.
    let answer: Value = serde_json::from_slice(&answer.to_json(&request.uid))?;
    let response = &answer["response"];
    assert_eq!(response["uid"], "ad64ab84-33dd-4162-a962-4ce5fa36286f");
    assert_eq!(response["allowed"], false);
    assert_eq!(
        response["status"]["details"]["causes"],
        json!([
            {
                "reason": "invalid-mac",
                "field": "metadata.annotations[k8s.v1.cni.cncf.io/networks][0].mac",
                "message": "[nadmit invalid-mac] \"CA:FE:C0:FF:EE\" is not a valid MAC for an \
                            interface: it has 5 bytes (column 35); write six bytes, such as \"02:5e:00:00:00:01\"",
            },
            {
                "reason": "unknown-network",
                "field": "metadata.annotations[k8s.v1.cni.cncf.io/networks][0].name",
                "message": "[nadmit unknown-network] network \"storage-nett\" does not exist \
                            in namespace \"db\" \
                            (column 12); did you mean \"storage-net\"?",
            },
        ])
    );
    Ok(())
}
