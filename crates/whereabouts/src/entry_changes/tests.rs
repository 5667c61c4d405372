use nadmit_cni::Subnet;

use super::*;
use crate::{
    IpPoolRef, MARK, ServedAddress,
    serve::tests::{RAW, binding, bound, held, pod, released},
};

fn pool(entries: &Value) -> IpPool {
    let object = json!({
        "metadata": {"resourceVersion": "7"},
        "spec": {"range": "192.0.2.0/24", "allocations": entries},
    });
    IpPool::read("kube-system", "192.0.2.0-24", &object)
        .unwrap_or_else(|e| panic!("{e}"))
        .0
}

fn at(host: u8, space: &str) -> ServedAddress {
    let subnet = Subnet::parse("192.0.2.0/24").unwrap_or_else(|e| panic!("{e}"));
    let pool = IpPoolRef::new("kube-system", "", subnet);
    ServedAddress::new(
        "kube-system",
        Some(pool),
        [192, 0, 2, host].into(),
        space,
        Some("").filter(|name| *name == space),
    )
}

fn entry(id: &str, pod: &str, interface: &str) -> Value {
    json!({"id": id, "podref": pod, "ifname": interface})
}

/// Returns the entries after the changes for a record of the unnamed space, or the pod that has the address.
fn after(entries: &Value, desired: DesiredUse) -> Result<Value, Option<PodName>> {
    after_in("", entries, desired)
}

/// Returns the entries after the changes for a record of an address space.
fn after_in(space: &str, entries: &Value, desired: DesiredUse) -> Result<Value, Option<PodName>> {
    let pool = pool(entries);
    let at = at(5, space);
    let desired = DesiredEntry { at, desired };
    let found = pool.changes(&desired).map_err(|taken| taken.pod)?;
    let patch = pool.patch(&found.changes);
    let patch: json_patch::Patch = serde_json::from_value(patch).unwrap_or_else(|e| panic!("{e}"));
    let mut object = json!({
        "metadata": {"resourceVersion": "7"}, "spec": {"allocations": entries},
    });
    json_patch::patch(&mut object, &patch).unwrap_or_else(|e| panic!("{e}"));
    let entries = object["spec"]["allocations"].clone();
    let lost = pool
        .entries
        .iter()
        .filter(|entry| object["spec"]["allocations"][&*entry.key].is_null() && !entry.is_kept());
    let lost = lost.filter_map(|entry| entry.pod.clone());
    let lost = match &desired.desired {
        DesiredUse::Leaked { pod, .. } => lost.filter(|one| one != pod).collect(),
        _ => lost.collect::<Vec<PodName>>(),
    };
    assert_eq!(found.unbound, lost);
    // Planning again changes nothing, also before the pool is read again.
    let mut applied = pool.clone();
    applied.apply(&found.changes);
    assert_eq!(applied, self::pool(&entries));
    let again = applied.changes(&desired);
    assert_eq!(again, Ok(PoolChanges::default()), "{entries}");
    Ok(entries)
}

#[test]
fn entries_become_what_the_records_say() {
    let marked = format!("{MARK}{RAW}");
    let other = || Err(Some(pod("other")));
    let one = |value: Value| json!({"5": value});
    type Case = (
        &'static str,
        Value,
        DesiredUse,
        Result<Value, Option<PodName>>,
    );
    let leaked = |container: &str| DesiredUse::Leaked {
        pod: pod("db-0"),
        container: container.into(),
    };
    let table: Vec<Case> = vec![
        (
            "left behind",
            one(entry(RAW, "db/db-0", "net1")),
            leaked(RAW),
            Ok(json!({})),
        ),
        (
            "left behind, and adopted by another container",
            one(entry("b0b", "db/db-0", "net1")),
            leaked(RAW),
            Ok(one(entry("b0b", "db/db-0", "net1"))),
        ),
        (
            "left behind, and given to another pod",
            one(entry(RAW, "db/other", "net1")),
            leaked(RAW),
            Ok(one(entry(RAW, "db/other", "net1"))),
        ),
        (
            "left behind, and kept by nadmit",
            one(entry(&marked, "db/db-0", "net1")),
            leaked(RAW),
            Ok(one(entry(&marked, "db/db-0", "net1"))),
        ),
        (
            "before ADD",
            json!({}),
            binding("db-0"),
            Ok(one(entry(MARK, "db/db-0", "net1"))),
        ),
        (
            "a hold",
            one(entry(&marked, "", "")),
            binding("db-0"),
            Ok(one(entry(MARK, "db/db-0", "net1"))),
        ),
        (
            "the last pod of the holder",
            one(entry(&marked, "db/db-9", "net1")),
            binding("db-0"),
            Ok(one(entry(MARK, "db/db-0", "net1"))),
        ),
        (
            "given by the plugin to this pod",
            one(entry(RAW, "db/db-0", "net1")),
            binding("db-0"),
            Ok(one(entry(RAW, "db/db-0", "net1"))),
        ),
        (
            "given by the plugin to another pod",
            one(entry(RAW, "db/other", "net1")),
            binding("db-0"),
            other(),
        ),
        (
            "a second entry of the pod",
            json!({"5": entry(&marked, "", ""), "9": entry(RAW, "db/db-0", "net1"),
                "10": entry(RAW, "db/db-0", "net2")}),
            binding("db-0"),
            Ok(json!({"5": entry(MARK, "db/db-0", "net1"),
                "10": entry(RAW, "db/db-0", "net2")})),
        ),
        (
            "after ADD",
            one(entry(RAW, "db/db-0", "net1")),
            bound("db-0"),
            Ok(one(entry(&marked, "db/db-0", "net1"))),
        ),
        (
            "taken away by Whereabouts's reconciler",
            json!({}),
            bound("db-0"),
            Ok(one(entry(MARK, "db/db-0", "net1"))),
        ),
        (
            "the pod is deleted",
            one(entry(&marked, "db/db-0", "net1")),
            held(Some("db-0")),
            Ok(one(entry(&marked, "", ""))),
        ),
        (
            "detached from a pod that the record does not name any more",
            one(entry(&marked, "db/db-9", "net1")),
            held(None),
            Ok(one(entry(&marked, "", ""))),
        ),
        (
            "the pod is deleted before its id got the mark",
            one(entry(RAW, "db/db-0", "net1")),
            held(Some("db-0")),
            Ok(one(entry(&marked, "", ""))),
        ),
        (
            "no entry",
            json!({}),
            held(None),
            Ok(one(entry(MARK, "", ""))),
        ),
        (
            "held, and given to another pod",
            one(entry(RAW, "db/other", "net1")),
            held(Some("db-0")),
            other(),
        ),
        (
            "released after its pod",
            one(entry(&marked, "", "")),
            released(None, None),
            Ok(json!({})),
        ),
        (
            "released, and its pod is gone",
            one(entry(&marked, "db/db-0", "net1")),
            released(Some("db-0"), None),
            Ok(json!({})),
        ),
        (
            "left to a pod that runs",
            one(entry(&marked, "db/db-0", "net1")),
            released(Some("db-0"), Some("db-0")),
            Ok(one(entry(RAW, "db/db-0", "net1"))),
        ),
        (
            "left to a pod whose ADD has not run",
            one(entry(MARK, "db/db-0", "net1")),
            released(Some("db-0"), Some("db-0")),
            Ok(one(entry("", "db/db-0", "net1"))),
        ),
        (
            "left to a pod that is being deleted",
            one(entry(&marked, "", "")),
            released(None, Some("db-0")),
            Ok(one(entry(RAW, "db/db-0", "net1"))),
        ),
        (
            "given to another pod since its release was decided",
            one(entry(MARK, "db/db-9", "net1")),
            released(None, None),
            Ok(one(entry(MARK, "db/db-9", "net1"))),
        ),
        (
            "the plugin's own",
            one(entry(RAW, "db/other", "net1")),
            released(None, None),
            Ok(one(entry(RAW, "db/other", "net1"))),
        ),
    ];
    for (name, entries, desired, expected) in table {
        assert_eq!(after(&entries, desired), expected, "{name}");
    }
}

/// Two networks may have one `IPPool`, each with an address space of its own: what is kept for a record of
/// the one is not changed for one of the other.
#[test]
fn entries_of_another_space_stay() {
    const SPACE: &str = "192.0.2.0-24";
    let taken = |name: Option<&str>| Err(name.map(pod));
    type Case = (&'static str, DesiredUse, Result<Value, Option<PodName>>);
    let one = |id: &str, pod: &str| {
        let interface = if pod.is_empty() { "" } else { "net1" };
        json!({"5": entry(id, pod, interface)})
    };
    for (own, other) in [(SPACE, ""), ("", SPACE), ("a", "b")] {
        let id = |container: &str| kept_id(container, own);
        let (running, hold) = (
            one(&kept_id(RAW, other), "db/other"),
            one(&kept_id(RAW, other), ""),
        );
        let table: Vec<(&Value, Case)> = vec![
            (
                &running,
                ("running, bound", bound("db-0"), taken(Some("other"))),
            ),
            (
                &running,
                ("running, binding", binding("db-0"), taken(Some("other"))),
            ),
            (
                &running,
                ("running, held", held(Some("db-0")), taken(Some("other"))),
            ),
            (
                &running,
                (
                    "of this pod, held",
                    held(Some("other")),
                    taken(Some("other")),
                ),
            ),
            (
                &running,
                (
                    "released",
                    released(Some("other"), None),
                    Ok(running.clone()),
                ),
            ),
            (
                &running,
                // The definition of its network has changed: the entry is that of the earlier record.
                ("of this pod", bound("other"), Ok(running.clone())),
            ),
            (&hold, ("a hold, bound", bound("db-0"), taken(None))),
            (&hold, ("a hold, binding", binding("db-0"), taken(None))),
            (&hold, ("a hold, held", held(None), taken(None))),
            (
                &hold,
                ("a hold, released", released(None, None), Ok(hold.clone())),
            ),
        ];
        for (entries, (name, desired, expected)) in table {
            assert_eq!(after_in(own, entries, desired), expected, "{own} {name}");
        }
        let own_hold = one(&id(RAW), "");
        let table = [
            ("none", json!({}), binding("db-0"), one(&id(""), "db/db-0")),
            (
                "own hold",
                own_hold.clone(),
                binding("db-0"),
                one(&id(""), "db/db-0"),
            ),
            (
                "own last pod",
                one(&id(RAW), "db/db-9"),
                binding("db-0"),
                one(&id(""), "db/db-0"),
            ),
            (
                "after ADD",
                one(RAW, "db/db-0"),
                bound("db-0"),
                one(&id(RAW), "db/db-0"),
            ),
            (
                "deleted",
                one(&id(RAW), "db/db-0"),
                held(Some("db-0")),
                own_hold.clone(),
            ),
            (
                "before its mark",
                one(RAW, "db/db-0"),
                held(Some("db-0")),
                own_hold.clone(),
            ),
            ("released", own_hold, released(None, None), json!({})),
            (
                "left to its pod",
                one(&id(RAW), "db/db-0"),
                released(Some("db-0"), Some("db-0")),
                one(RAW, "db/db-0"),
            ),
        ];
        for (name, entries, desired, expected) in table {
            assert_eq!(
                after_in(own, &entries, desired),
                Ok(expected),
                "{own} {name}"
            );
        }
    }
}

#[test]
fn the_second_write_of_a_patch_sees_the_first() {
    let mut pool = pool(&json!({}));
    let wanted = |space, desired| DesiredEntry {
        at: at(5, space),
        desired,
    };
    let first = pool.changes(&wanted("a", binding("db-0")));
    let first = first.unwrap_or_else(|e| panic!("{e:?}"));
    pool.apply(&first.changes);
    let second = pool.changes(&wanted("b", binding("db-1")));
    let taken = Taken {
        address: [192, 0, 2, 5].into(),
        pod: Some(pod("db-0")),
        space: Some("a".into()),
    };
    assert_eq!(second, Err(taken));
}
