//! Commands that fix findings. They carry what they were decided on, as a `test` of the patch: one that
//! is run too late fails.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nadmit_cni::IpRange;
use serde_json::{Value, json};

use super::{IpPool, ObjectRef, PodName, PodRecord, PoolEntry};

/// Returns a word as a POSIX shell reads it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Returns the arguments of kubectl that name an object.
fn named(object: &ObjectRef) -> String {
    let resource = object.kind.resource();
    let name = quoted(&object.name);
    match &*object.namespace {
        "" => format!("{resource} {name}"),
        namespace => format!("{resource} -n {} {name}", quoted(namespace)),
    }
}

/// Returns the command that deletes an object.
pub(crate) fn delete(object: &ObjectRef) -> String {
    format!("kubectl delete {}", named(object))
}

/// Returns the command that opens an object in an editor.
pub(crate) fn edit(object: &ObjectRef) -> String {
    format!("kubectl edit {}", named(object))
}

/// Returns the command that applies a JSON patch to an object.
pub(crate) fn patch(object: &ObjectRef, operations: &[Value]) -> String {
    let operations = quoted(&json!(operations).to_string());
    format!(
        "kubectl patch {} --type=json -p {operations}",
        named(object)
    )
}

/// Returns the command that creates an object.
pub(crate) fn create(object: &Value) -> String {
    format!("echo {} | kubectl create -f -", quoted(&object.to_string()))
}

/// Returns the operation that fails unless a value is as it was read.
pub(crate) fn test(path: &str, value: impl Into<Value>) -> Value {
    json!({"op": "test", "path": path, "value": value.into()})
}

/// Returns the operation that sets a value.
pub(crate) fn replace(path: &str, value: impl Into<Value>) -> Value {
    json!({"op": "replace", "path": path, "value": value.into()})
}

/// Returns the operation that adds or sets a value.
pub(crate) fn add(path: &str, value: impl Into<Value>) -> Value {
    json!({"op": "add", "path": path, "value": value.into()})
}

/// Returns the operation that removes a value.
pub(crate) fn remove(path: &str) -> Value {
    json!({"op": "remove", "path": path})
}

/// Returns the command that takes an entry out of its pool.
pub(crate) fn remove_entry(pool: &IpPool, entry: &PoolEntry) -> String {
    let path = entry_path(entry.offset);
    let operations = [
        test(&format!("{path}/podref"), entry.pod_ref()),
        remove(&path),
    ];
    patch(&pool.object(), &operations)
}

/// Returns the command that adds an entry for a pod; `None` if the address has no offset in the pool.
/// A patch cannot test that a path is absent, so it tests the version of the pool.
pub(crate) fn add_entry(
    pool: &IpPool,
    address: IpAddr,
    pod: &PodName,
    interface: &str,
) -> Option<String> {
    let offset = pool.offset(address)?;
    let version = pool
        .version
        .as_deref()
        .map(|version| test("/metadata/resourceVersion", version));
    let range = test("/spec/range", &*pool.range_text);
    let add = add(&entry_path(offset), value(pod, interface));
    let operations: Vec<Value> = version.into_iter().chain([range, add]).collect();
    Some(patch(&pool.object(), &operations))
}

/// Returns the command that moves a pod's entry to the address on its interface.
pub(crate) fn move_entry(pool: &IpPool, entry: &PoolEntry, address: IpAddr) -> Option<String> {
    let (from, to) = (entry_path(entry.offset), entry_path(pool.offset(address)?));
    let operations = [
        test(&format!("{from}/podref"), entry.pod_ref()),
        json!({"op": "move", "from": from, "path": to}),
    ];
    Some(patch(&pool.object(), &operations))
}

/// Returns the command that gives an entry to another pod.
pub(crate) fn hand_over_entry(
    pool: &IpPool,
    entry: &PoolEntry,
    pod: &PodName,
    interface: &str,
) -> String {
    let path = entry_path(entry.offset);
    let operations = [
        test(&format!("{path}/podref"), entry.pod_ref()),
        replace(&path, value(pod, interface)),
    ];
    patch(&pool.object(), &operations)
}

/// Returns the command that starts a virtual machine again.
pub(crate) fn restart_machine(namespace: &str, name: &str) -> String {
    format!("virtctl restart -n {} {}", quoted(namespace), quoted(name))
}

/// Returns the command by which a pod is created again: that restarts its virtual machine, or deletes it.
pub(crate) fn restart(pod: &PodRecord) -> String {
    match pod.machine() {
        Some(machine) => restart_machine(&pod.name.namespace, machine),
        None => delete(&pod.object()),
    }
}

/// Returns the fewest blocks in CIDR notation that have the addresses of a range.
pub(crate) fn blocks(range: IpRange) -> Vec<String> {
    let width: u32 = if range.is_ipv4() { 32 } else { 128 };
    let numbers = range.numbers();
    let (mut first, last) = (numbers.first, numbers.last);
    let mut blocks = Vec::new();
    loop {
        // The largest block that begins here and ends in the range.
        let mut bits = first.trailing_zeros().min(width);
        while bits > 0 && (bits == 128 || last - first < (1u128 << bits) - 1) {
            bits -= 1;
        }
        let address: IpAddr = match range.is_ipv4() {
            true => Ipv4Addr::from_bits(u32::try_from(first).unwrap_or(u32::MAX)).into(),
            false => Ipv6Addr::from_bits(first).into(),
        };
        blocks.push(format!("{address}/{}", width - bits));
        match first.checked_add(1u128 << bits) {
            Some(next) if next <= last => first = next,
            _ => return blocks,
        }
    }
}

/// Returns the path of an entry in its `IPPool`.
pub(crate) fn entry_path(offset: u128) -> String {
    format!("/spec/allocations/{offset}")
}

fn value(pod: &PodName, interface: &str) -> Value {
    json!({"id": "", "podref": pod.to_string(), "ifname": interface})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_divided_into_blocks() {
        let range = |first: &str, last: &str| {
            let address = |text: &str| text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            IpRange::new(address(first), address(last)).unwrap_or_else(|| panic!("{first}"))
        };
        for (first, last, expected) in [
            ("10.0.0.0", "10.0.0.255", &["10.0.0.0/24"][..]),
            (
                "10.0.0.1",
                "10.0.0.6",
                &["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/31", "10.0.0.6/32"],
            ),
            (
                "255.255.255.255",
                "255.255.255.255",
                &["255.255.255.255/32"],
            ),
            ("fd00::", "fd00::ffff", &["fd00::/112"]),
        ] {
            assert_eq!(blocks(range(first, last)), expected);
        }
        let ends = range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        assert!(!blocks(ends).is_empty());
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, expected) in [
            ("10.0.0.0-8", "10.0.0.0-8"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's; rm", r"'it'\''s; rm'"),
            ("$(x)", "'$(x)'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
