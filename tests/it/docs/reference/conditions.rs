//! docs/reference/conditions.md: the conditions of pools and reservations.

use std::collections::BTreeSet;

use libtest_mimic::Failed;

use super::{agree, code, sources, table};
use crate::support::TestResult;

const HEAD: &str = "# Status and conditions

The status of AddressPools and AddressReservations. The leader writes it when it changes, at most every 5 seconds for an object.
AddressAllocations and AddressSlices have no status.

The tables of reasons are made from a list that a test compares with the sources. All fields: [API](../api.md).

## Counts of a pool
```console
$ kubectl get addresspools
NAME      READY   RANGES               ALLOCATED   RESERVED   FREE   AGE
storage   True    192.0.2.192/27       4           1          21     3d
both      True    198.51.100.0/24,2001:db8::/64   5,5   0,0   248,~2^64   3d
```

An attachment needs an address of each range, so each range has its own count, in the order of `spec.ranges`: the pool `both`
can serve 248 more. `status.ranges` has the exact numbers. `status.capacity`, `allocated`, `reserved` and `free` are those of
the range with the fewest free addresses.
";

/// The reason of a condition.
struct Reason {
    reason: &'static str,
    /// The status of the condition with this reason.
    holds: bool,
    meaning: &'static str,
    fix: &'static str,
}

/// A condition of a kind.
struct Kind {
    kind: &'static str,
    condition: &'static str,
    about: &'static str,
    reasons: &'static [Reason],
}

const CONDITIONS: &[Kind] = &[
    Kind {
        kind: "AddressPool",
        condition: "Ready",
        about: "True while the pool assigns addresses. More: \
                [A pool assigns nothing](../how-to/troubleshooting.md#a-pool-assigns-nothing).\n\n\
                An AddressPool with `whereabouts` assigns nothing: it is True while the pools of all networks that it names have \
                its settings. More: [Settings of these pools](../pools.md#settings-of-these-pools).",
        reasons: &[
            Reason {
                reason: "Adopted",
                holds: true,
                meaning: "The pool assigns addresses. All addresses in use in its ranges are recorded.",
                fix: "Nothing.",
            },
            Reason {
                reason: "WaitingForAdoption",
                holds: false,
                meaning: "nadmit is recording the addresses that pods and networks use in its ranges.",
                fix: "Wait. After five minutes the alert `NadmitPoolNotReady` fires; the log says why.",
            },
            Reason {
                reason: "OverlapsWhereabouts",
                holds: false,
                meaning: "Networks of Whereabouts assign the same addresses. The message names them.",
                fix: "Change these networks, or exclude their addresses from the pool: \
                      [Migrate from Whereabouts](../how-to/migrate-from-whereabouts.md).",
            },
            Reason {
                reason: "Invalid",
                holds: false,
                meaning: "The pool has an error. The message gives the place.",
                fix: "Fix the spec.",
            },
            Reason {
                reason: "NoSlices",
                holds: false,
                meaning: "The pool has slices, and this nadmit does not record slices.",
                fix: "Remove `nodeSliceSize`. A replica in a cluster always records slices, so report this as a defect.",
            },
            Reason {
                reason: "Configures",
                holds: true,
                meaning: "The pools of all networks in `whereabouts.networks` have the settings. The message names the pools, and \
                          those that keep `retention: Pod` because of node slices.",
                fix: "Nothing.",
            },
            Reason {
                reason: "ConfiguredByAnother",
                holds: false,
                meaning: "Another AddressPool, which comes first by name, configures the pool of a network. The message names it.",
                fix: "Remove the network from one of both. Networks with equal definitions share one pool.",
            },
            Reason {
                reason: "NetworkNotFound",
                holds: false,
                meaning: "A network in `whereabouts.networks` does not exist. The others are configured.",
                fix: "Create it, or correct the name. The settings hold as soon as it exists.",
            },
            Reason {
                reason: "NetworkWithoutPool",
                holds: false,
                meaning: "A network in `whereabouts.networks` is not served, and has no inline pool. The others are configured.",
                fix: "The message says what to change.",
            },
        ],
    },
    Kind {
        kind: "AddressPool",
        condition: "AddressPressure",
        about: "True while a range is nearly full or was full, else absent. A new leader reads this condition, so it does not \
                repeat events.",
        reasons: &[
            Reason {
                reason: "NearlyFull",
                holds: true,
                meaning: "At least 90 % of a range are taken, or were taken and it was not under 80 % since.",
                fix: "Extend the range, or release addresses.",
            },
            Reason {
                reason: "Exhausted",
                holds: true,
                meaning: "A range was full, and was not under 80 % since.",
                fix: "Extend the range, or release addresses.",
            },
        ],
    },
    Kind {
        kind: "AddressReservation",
        condition: "Reserved",
        about: "True while all addresses of the reservation are reserved for its holder, or its holder has them.",
        reasons: &[
            Reason {
                reason: "Kept",
                holds: true,
                meaning: "The addresses are reserved until the holder requests them.",
                fix: "Nothing.",
            },
            Reason {
                reason: "Taken",
                holds: true,
                meaning: "The holder has them.",
                fix: "Nothing.",
            },
            Reason {
                reason: "Waiting",
                holds: false,
                meaning: "nadmit will record the reservation.",
                fix: "Wait.",
            },
            Reason {
                reason: "Conflict",
                holds: false,
                meaning: "Another holder has an address. The message names it.",
                fix: "Release the address, or reserve another one: \
                      [Operate addresses](../how-to/operate-addresses.md).",
            },
            Reason {
                reason: "OutsidePool",
                holds: false,
                meaning: "The pool never assigns an address of the reservation. It reserves nothing.",
                fix: "Reserve addresses of the ranges of the pool that are not excluded.",
            },
            Reason {
                reason: "NoPool",
                holds: false,
                meaning: "No pool serves the network, or its pool does not serve the namespace. It reserves nothing.",
                fix: "Name a network that a pool serves. An administrator can let the pool serve the namespace.",
            },
            Reason {
                reason: "Invalid",
                holds: false,
                meaning: "The reservation has an error. The message gives the place. It reserves nothing.",
                fix: "Fix the spec.",
            },
        ],
    },
];

pub(super) fn page() -> Result<String, Failed> {
    let mut page = HEAD.to_owned();
    for kind in CONDITIONS {
        let title = format!("\n## {} of an {}\n", kind.condition, kind.kind);
        let rows = kind.reasons.iter().map(|reason| {
            let status = if reason.holds { "True" } else { "False" };
            let [status, meaning, fix] = [status, reason.meaning, reason.fix].map(str::to_owned);
            [code(reason.reason), status, meaning, fix]
        });
        let reasons = table(["reason", "status", "meaning", "what to do"], rows);
        page.push_str(&format!("{title}{}\n\n{reasons}", kind.about));
    }
    Ok(page)
}

/// Returns the types and reasons of the conditions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    CONDITIONS.iter().flat_map(|kind| {
        let reasons = kind.reasons.iter().map(|reason| reason.reason);
        reasons.chain([kind.condition])
    })
}

/// The reasons of the status writer, with their statuses, are those of the page.
pub(super) fn all_condition_reasons_are_documented() -> TestResult {
    let mut found = BTreeSet::new();
    for (name, text) in sources::texts("crates/controllers/src/status")? {
        let kind = match name.ends_with("reservation.rs") {
            true => "AddressReservation",
            false => "AddressPool",
        };
        for (start, status) in [("State::holds(", true), ("State::fails(", false)] {
            for reason in sources::first_arguments(&text, start) {
                found.insert(format!("{reason} of {kind}: {status}"));
            }
        }
    }
    let documented = CONDITIONS.iter().flat_map(|kind| {
        let line =
            |reason: &Reason| format!("{} of {}: {}", reason.reason, kind.kind, reason.holds);
        kind.reasons.iter().map(line)
    });
    agree(&found, &documented.collect())
}
