//! Commands that fix findings. They carry what they were decided on, as a `test` of the patch: one that
//! is run too late fails. What has a name that no API server stores gets no command: such a name comes
//! from a file, and may be an option of kubectl.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use nadmit_allocation::Address;
use nadmit_cni::{IpRange, name};
use serde_json::{Value, json};

use super::{HasObject as _, IpPool, ObjectRef, PodName, PodRecord, PoolEntry};

/// Returns a word as a POSIX shell reads it. No word has a zero byte, which none can express.
fn quoted(word: &str) -> Cow<'_, str> {
    shlex::try_quote(word).unwrap_or_default()
}

/// Returns the arguments of kubectl that name an object; `None` if its name or namespace is invalid.
fn named(object: &ObjectRef) -> Option<String> {
    let resource = object.kind.resource();
    let name = object_name(&object.name)?;
    Some(match &*object.namespace {
        "" => format!("{resource} {name}"),
        namespace => format!("{resource} -n {} {name}", namespace_name(namespace)?),
    })
}

/// Returns a name, if an object can have it.
fn object_name(text: &str) -> Option<&str> {
    name::subdomain(text).is_ok().then_some(text)
}

/// Returns a name, if a namespace can have it.
fn namespace_name(text: &str) -> Option<&str> {
    name::label(text).is_ok().then_some(text)
}

/// Returns a value as JSON of ASCII characters that can be printed: the command is the same after a
/// terminal or a page has shown it.
fn json_text(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        if matches!(c, ' '..='~') {
            text.push(c);
            continue;
        }
        // Outside of strings JSON is ASCII.
        for unit in c.encode_utf16(&mut [0; 2]) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
    text
}

/// Returns the command that deletes an object.
pub(crate) fn delete(object: &ObjectRef) -> Option<String> {
    Some(format!("kubectl delete {}", named(object)?))
}

/// Returns the command that opens an object in an editor.
pub(crate) fn edit(object: &ObjectRef) -> Option<String> {
    Some(format!("kubectl edit {}", named(object)?))
}

/// Returns the command that applies a JSON patch to an object.
pub(crate) fn patch(object: &ObjectRef, operations: &[Value]) -> Option<String> {
    let operations = json_text(&json!(operations));
    let (named, operations) = (named(object)?, quoted(&operations));
    Some(format!("kubectl patch {named} --type=json -p {operations}"))
}

/// Returns the command that creates an object. `echo` would change backslashes in some shells.
pub(crate) fn create(object: &Value) -> String {
    let object = json_text(object);
    let object = quoted(&object);
    format!("printf '%s\\n' {object} | kubectl create -f -")
}

/// Returns the command that releases an address of a pool. It runs in a pod of nadmit: a policy lets
/// only its ServiceAccount change allocations.
pub(crate) fn release(address: Address, pool: &str) -> Option<String> {
    let pool = object_name(pool)?;
    Some(format!(
        "kubectl exec -n nadmit deploy/nadmit -- /nadmit release {address} --pool {pool} --yes"
    ))
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
pub(crate) fn remove_entry(pool: &IpPool, entry: &PoolEntry) -> Option<String> {
    let path = entry_path(&entry.key);
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
    let mut operations = unchanged(pool);
    operations.push(add(&entry_path(&offset.to_string()), value(pod, interface)));
    patch(&pool.object(), &operations)
}

/// Returns the operations that fail unless the pool is as it was read.
fn unchanged(pool: &IpPool) -> Vec<Value> {
    let version = pool.version.as_deref();
    let version = version.map(|version| test("/metadata/resourceVersion", version));
    let range = test("/spec/range", &*pool.range_text);
    version.into_iter().chain([range]).collect()
}

/// Returns the command that moves a pod's entry to the address on its interface. It tests the version
/// of the pool, too: a move replaces what the address has by then.
pub(crate) fn move_entry(pool: &IpPool, entry: &PoolEntry, address: IpAddr) -> Option<String> {
    let (from, to) = (
        entry_path(&entry.key),
        entry_path(&pool.offset(address)?.to_string()),
    );
    let mut operations = unchanged(pool);
    operations.extend([
        test(&format!("{from}/podref"), entry.pod_ref()),
        json!({"op": "move", "from": from, "path": to}),
    ]);
    patch(&pool.object(), &operations)
}

/// Returns the command that gives an entry to another pod.
pub(crate) fn hand_over_entry(
    pool: &IpPool,
    entry: &PoolEntry,
    pod: &PodName,
    interface: &str,
) -> Option<String> {
    let path = entry_path(&entry.key);
    let operations = [
        test(&format!("{path}/podref"), entry.pod_ref()),
        replace(&path, value(pod, interface)),
    ];
    patch(&pool.object(), &operations)
}

/// Returns the command that starts a virtual machine again.
pub(crate) fn restart_machine(namespace: &str, name: &str) -> Option<String> {
    let (namespace, name) = (namespace_name(namespace)?, object_name(name)?);
    Some(format!("virtctl restart -n {namespace} {name}"))
}

/// Returns the command by which a pod is created again: that restarts its virtual machine, or deletes it.
pub(crate) fn restart(pod: &PodRecord) -> Option<String> {
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
pub(crate) fn entry_path(key: &str) -> String {
    format!("/spec/allocations/{key}")
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
    fn invalid_names_get_no_command() {
        let pod = |namespace: &str, name: &str| {
            let kind = crate::RecordKind::Pod;
            edit(&ObjectRef::new(kind, namespace, name))
        };
        assert_eq!(
            pod("db", "a.b").as_deref(),
            Some("kubectl edit pod -n db a.b")
        );
        for (namespace, name) in [
            ("db", "--kubeconfig=x"),
            ("db", "-A"),
            ("db", "é"),
            ("db", "a\u{1b}["),
            ("db", ""),
            ("--all", "a"),
            ("a.b", "a"),
        ] {
            assert_eq!(pod(namespace, name), None, "{namespace} {name}");
        }
        assert_eq!(restart_machine("db", "-A"), None);
        let address: IpAddr = Ipv4Addr::new(10, 0, 0, 5).into();
        assert_eq!(release(Address::Ip(address), "--x"), None);
    }

    #[test]
    fn values_are_written_in_ascii() {
        for (text, expected) in [
            ("a/b", r#""a/b""#),
            ("é", r#""\u00e9""#),
            ("\u{7f}\u{9b}\u{202e}", r#""\u007f\u009b\u202e""#),
            ("\u{1f600}", r#""\ud83d\ude00""#),
            ("\u{1b}[", r#""\u001b[""#),
        ] {
            let written = json_text(&json!(text));
            assert_eq!(written, expected);
            let read: Value = serde_json::from_str(&written).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(read, text);
        }
        let command = create(&json!({"name": "it's é; $(x)"}));
        let words = shlex::split(&command).unwrap_or_default();
        let expected = r#"{"name":"it's \u00e9; $(x)"}"#;
        assert_eq!(
            words.get(2).map(String::as_str),
            Some(expected),
            "{command}"
        );
    }
}
