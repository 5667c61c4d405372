//! The moments before and after a Binding: creation, backfill, and a hot-plugged interface.

use super::*;

/// Returns the request to create a pod.
fn creation(mut pod: Value) -> Value {
    if let Some(metadata) = pod["metadata"].as_object_mut() {
        metadata.remove("uid");
    }
    json!({
        "uid": "1", "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"],
        "operation": "CREATE", "dryRun": false, "userInfo": {"username": "dev"}, "object": pod,
    })
}

pub(super) fn created_in_bind_mode_a_pod_waits() -> TestResult {
    let fixture = BindingFixture::of(&[])?;
    let ask = creation(pod("storage-net"));
    let answer = fixture.bind(&ask, Freshness::Cached)?;
    same(answer.patch(), None)?;
    // A pod that is not scheduled gets its addresses at once.
    let mut placed = pod("storage-net");
    placed["spec"]["nodeName"] = "node-1".into();
    added(&fixture.bind(&creation(placed), Freshness::Cached)?)?;
    // The named address is another holder's, or was not allocated by `/mutate`: refused at once.
    for (address, codes) in [
        ("192.0.2.1", vec!["address-in-use"]),
        ("192.0.2.2", vec!["address-not-allocated"]),
    ] {
        let mut other = pod(&format!(
            r#"[{{"name": "storage-net", "ips": ["{address}/29"]}}]"#
        ));
        other["metadata"]["name"] = "other".into();
        match fixture.decide(
            Webhook::Validate,
            &creation(other),
            Freshness::Authoritative,
        )? {
            Decision::Respond(answer) => same(answer.codes(), codes)?,
            other => return Err(format!("{other:?}").into()),
        }
    }
    Ok(())
}

pub(super) fn missed_pods_are_backfilled() -> TestResult {
    let mut bound = pod("storage-net");
    bound["spec"]["nodeName"] = "node-1".into();
    let fixture = BindingFixture::of(&[bound.clone()])?;
    let context = ReviewContext::authoritative(&fixture.catalog, &fixture.policy, &fixture.index);
    let known = fixture.catalog.pod("db", "app").ok_or("no pod")?;
    let LateInjection::Commit {
        writes,
        annotations,
        ..
    } = inject_late(known, &context)
    else {
        return Err("it lacks nothing".into());
    };
    same(writes.len(), 1)?;
    let expected = [
        ("k8s.v1.cni.cncf.io/networks", INJECTED),
        ("nadmit.io/requested-networks", "storage-net"),
    ];
    same(
        annotations,
        expected.map(|(k, v)| (k, v.to_owned())).to_vec(),
    )?;
    // After the networks are attached it is too late; before it is bound, too early.
    bound["metadata"]["annotations"]["k8s.v1.cni.cncf.io/network-status"] = "[]".into();
    for pod in [bound, pod("storage-net")] {
        let fixture = BindingFixture::of(&[pod])?;
        let known = fixture.catalog.pod("db", "app").ok_or("no pod")?;
        let context =
            ReviewContext::authoritative(&fixture.catalog, &fixture.policy, &fixture.index);
        same(inject_late(known, &context), LateInjection::NotNeeded)?;
    }
    Ok(())
}

pub(super) fn a_hot_plugged_interface_gets_addresses() -> TestResult {
    let mut before = pod("storage-net");
    before["metadata"]["labels"] = json!({"kubevirt.io": "virt-launcher"});
    let fixture = BindingFixture::of(&[before.clone()])?;
    let answer = fixture.bind(&binding(Some(UID), None), Freshness::Cached)?;
    before["metadata"]["annotations"] = added(&answer)?;
    before["spec"]["nodeName"] = "node-1".into();
    let mut after = before.clone();
    after["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"] =
        r#"[{"name": "storage-net"}, {"name": "storage-net", "interface": "net9"}]"#.into();
    let mut ask = creation(after.clone());
    ask["operation"] = "UPDATE".into();
    ask["object"] = after;
    ask["oldObject"] = before;
    ask["userInfo"]["username"] = "system:serviceaccount:kubevirt:kubevirt-controller".into();
    let text =
        added(&fixture.bind(&ask, Freshness::Cached)?)?["k8s.v1.cni.cncf.io/networks"].clone();
    let text: Value = serde_json::from_str(text.as_str().unwrap_or_default())?;
    same(
        [text[0]["ips"][0].clone(), text[1]["ips"][0].clone()],
        [json!("192.0.2.1/29"), json!("192.0.2.2/29")],
    )
}

pub(super) fn a_new_pod_s_named_address_is_allocated_on_creation() -> TestResult {
    let asked = r#"[{"name": "storage-net", "ips": ["192.0.2.5/29"]}, {"name": "storage-net"}]"#;
    let address: Address = "192.0.2.5".parse()?;
    let fixture = BindingFixture::of(&[pod(asked)])?;
    let unrecorded = fixture.decide(
        Webhook::Validate,
        &creation(pod(asked)),
        Freshness::Authoritative,
    )?;
    match unrecorded {
        Decision::Respond(answer) => same(answer.codes(), vec!["address-not-allocated"])?,
        other => return Err(format!("{other:?}").into()),
    }
    let answer = fixture.bind(&creation(pod(asked)), Freshness::Cached)?;
    let holders = || fixture.index.lock().recorded().count();
    same(holders(), 1)?;
    let mut other = creation(pod(asked));
    (other["name"], other["object"]["metadata"]["name"]) = (json!("other"), json!("other"));
    let refused = fixture.bind(&other, Freshness::Authoritative)?;
    same(refused.codes(), vec!["address-in-use"])?;
    // The other interface gets its addresses when the pod is bound.
    let put_in = added(&answer)?["k8s.v1.cni.cncf.io/networks"].clone();
    let text: Value = serde_json::from_str(put_in.as_str().unwrap_or_default())?;
    same(text[1]["ips"].clone(), Value::Null)?;
    let mut created = pod(put_in.as_str().unwrap_or_default());
    created["metadata"]["annotations"]["nadmit.io/requested-networks"] = asked.into();
    match fixture.decide(
        Webhook::Validate,
        &creation(created.clone()),
        Freshness::Cached,
    )? {
        Decision::Respond(answer) => same(answer.verdict(), Verdict::Allow)?,
        other => return Err(format!("{other:?}").into()),
    }
    let later = BindingFixture::of(&[created])?;
    std::mem::swap(&mut *later.index.lock(), &mut *fixture.index.lock());
    let pool_config = later.catalog.pool_config();
    later.index.synced(pool_config).set_ready("storage");
    let answer = later.bind(&binding(Some(UID), None), Freshness::Cached)?;
    let bound = added(&answer)?;
    same(bound["nadmit.io/requested-networks"].clone(), asked.into())?;
    let index = later.index.lock();
    same(index.recorded().count(), 2)?;
    let record = index.holder_of(&Space::default(), address);
    let uid = record.and_then(|record| record.pod.as_ref()?.uid.as_deref());
    same(uid, Some(UID))
}
