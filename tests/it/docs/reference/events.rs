//! docs/reference/events.md: the events that nadmit writes.

use std::{collections::BTreeSet, fmt::Write as _};

use libtest_mimic::Failed;

use super::{agree, code, conditions, sources, table, troubleshooting_link};
use crate::support::TestResult;

const HEAD: &str = "# Events

Each reason of an Event that nadmit writes. This page is made from a table that a test compares with the sources.

";

const NOTES: &str = "
- All of them are Warnings. The leader writes them; each replica writes `InvalidSchedule`.
- `kubectl describe` shows them with their object. Events of a pool are in the namespace `default`, where `kubectl describe
  addresspool` finds them.
- The same event is written once in ten minutes. A message has at most 1,024 bytes.
- `nadmit_notices_total` counts them: [metrics](metrics.md#cluster-only).
";

struct Event {
    reason: &'static str,
    object: &'static str,
    when: &'static str,
    message: &'static str,
    fix: &'static str,
}

const EVENTS: &[Event] = &[
    Event {
        reason: "PoolNearlyFull",
        object: "AddressPool",
        when: "At least 90 % of a range are taken. It comes again after the range was under 80 %.",
        message: "names the range; `MACs` or `MAC prefix` stands for the MACs of a pool without ranges.",
        fix: "Extend the range, or release addresses. `nadmit pools --cluster POOL --map` shows the holders; `kubectl exec -n \
              nadmit deploy/nadmit -- /nadmit release ADDRESS --yes` releases an address.",
    },
    Event {
        reason: "PoolExhausted",
        object: "AddressPool",
        when: "A range is full. It comes again after the range was under 80 %.",
        message: "names the range; `MACs` or `MAC prefix` stands for the MACs of a pool without ranges.",
        fix: "Extend the range, or release addresses. `nadmit pools --cluster POOL --map` shows the holders; `kubectl exec -n \
              nadmit deploy/nadmit -- /nadmit release ADDRESS --yes` releases an address. Pods that wait get their addresses \
              afterwards.",
    },
    Event {
        reason: "DuplicateAddress",
        object: "Pod",
        when: "Two pods have one address, or a pod has an address from the configuration of a network.",
        message: "names the address and its users, and says which pod to delete.",
        fix: "`nadmit whois --cluster ADDRESS` names the holder. Change the address of all other users. The successor of a deleted pod gets another address.",
    },
    Event {
        reason: "AddressDrift",
        object: "Pod",
        when: "The `network-status` of the pod shows another address or MAC than nadmit recorded for it.",
        message: "names the interface, the network, and both addresses or MACs.",
        fix: "Check that the plugin of the network assigns what is requested. Then delete the pod.",
    },
    Event {
        reason: "NoAddresses",
        object: "Pod",
        when: "The pod was bound without its addresses, and late injection is not possible.",
        message: "begins with the code of the rule, `[nadmit pool-exhausted]`, and names the network, the reason and the fix.",
        fix: "Do what the message says, then delete the pod.",
    },
    Event {
        reason: "WhereaboutsLeak",
        object: "IPPool, OverlappingRangeIPReservation",
        when: "Whereabouts's plugin left records behind, and nadmit does not remove them because a node is not ready.",
        message: "has the number of records, the first addresses, and the node.",
        fix: "Bring the node back, remove it, or confirm that it is shut down by the taint \
              `node.kubernetes.io/out-of-service`. The next full comparison removes the records then. `nadmit audit --cluster` shows them.",
    },
    Event {
        reason: "InvalidSchedule",
        object: "ConfigMap `nadmit-config`",
        when: "The key `reconciler_cron_expression` is not a valid schedule.",
        message: "has the error, and the schedule that stays in effect.",
        fix: "Fix the value: [Change the schedule](../how-to/change-settings.md#change-the-schedule-of-the-full-comparison).",
    },
];

/// Words of the sources in the form of reasons that are kinds of objects, types of events, statuses, or names of types.
const NOT_REASONS: &[&str] = &[
    "AddressPool",
    "ClusterPods",
    "ConfigMap",
    "False",
    "IPPool",
    "MACs",
    "Normal",
    "OverlappingRangeIPReservation",
    "Pod",
    "Reconciler",
    "Reconciling",
    "Secret",
    "ServedNetworks",
    "True",
    "Warning",
    "WhereaboutsRepair",
];

pub(super) fn page() -> Result<String, Failed> {
    let rows = EVENTS.iter().map(|event| {
        let link = format!("[`{0}`](#{1})", event.reason, event.reason.to_lowercase());
        [link, event.object.to_owned(), event.when.to_owned()]
    });
    let mut page = HEAD.to_owned() + &table(["reason", "object", "when"], rows) + NOTES;
    for event in EVENTS {
        write!(page, "\n## {}\n", event.reason)?;
        writeln!(page, "- Type and object: Warning, {}", event.object)?;
        writeln!(page, "- When: {}", event.when)?;
        writeln!(page, "- The message {}", event.message)?;
        writeln!(page, "- What to do: {}", event.fix)?;
        if let Some(link) = troubleshooting_link(event.reason)? {
            writeln!(page, "- More: {link}")?;
        }
    }
    Ok(page)
}

/// Every word of the controllers that has the form of a reason is one of an event or of a condition.
pub(super) fn all_event_reasons_are_documented() -> TestResult {
    let literals = sources::all_literals(&["crates/controllers"])?;
    let is_word = |text: &&str| {
        text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.ends_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_alphanumeric())
    };
    let found: BTreeSet<String> = literals
        .iter()
        .map(String::as_str)
        .filter(is_word)
        .map(str::to_owned)
        .collect();
    let reasons = EVENTS.iter().map(|event| event.reason);
    let documented = reasons
        .chain(conditions::names())
        .chain(NOT_REASONS.iter().copied());
    agree(&found, &documented.map(str::to_owned).collect())?;
    let (mut other, mut count) = (Vec::new(), 0);
    for folder in ["crates", "src"] {
        for (name, text) in sources::texts(folder)? {
            for (call, _) in text.match_indices(".emit(") {
                count += 1;
                let arguments: String = text[call..].chars().take(120).collect();
                if !arguments.contains("EventType::Warning") {
                    other.push(format!("{name}: {}", code(&arguments)));
                }
            }
        }
    }
    match (other.is_empty(), count) {
        (true, 4..) => Ok(()),
        _ => Err(format!("the page says that all {count} are Warnings, but {other:?}").into()),
    }
}
