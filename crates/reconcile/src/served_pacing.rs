//! The times at which the leader makes the writes of a [`ServedPlan`].
//!
//! Two kinds of writes wait, because the plugins patch the same object:
//! - those for a pod that is not bound: its Binding is making them, most likely;
//! - takeovers, by which an entry of the plugin gets nadmit's mark: many of them go in one patch. Until then
//!   a DEL of the pod's sandbox removes the entry, and the next plan writes it again.
//!
//! [`ServedPlan`]: crate::ServedPlan

use core::time::Duration;
use std::collections::HashMap;

use crate::{MonotonicTime, ServedWrite, WriteKind};

/// The time that a Binding has for its own writes, with a margin.
const BINDING_TIME: Duration = Duration::from_secs(6);
/// The minimum interval between two passes with takeovers. A sandbox that fails does so at once, and its
/// entry is written again before the next one; so a longer interval loses nothing.
const TAKEOVER_INTERVAL: Duration = Duration::from_secs(5);

/// The writes that the leader postpones.
#[derive(Debug, Default)]
pub struct ServedPacing {
    /// The times at which the records of Bindings were first seen, by record.
    bindings: HashMap<String, MonotonicTime>,
    last_takeover: Option<MonotonicTime>,
}

/// The writes of a plan, by the time at which they are due.
#[derive(Debug, PartialEq, Eq)]
pub struct PacedWrites {
    /// The writes that are due now.
    pub due: Vec<ServedWrite>,
    /// The time at which the first of the others is due; `None` if there is no other.
    pub next: Option<MonotonicTime>,
}

impl ServedPacing {
    /// Selects the writes that are due. They count as made.
    pub fn due(&mut self, writes: Vec<ServedWrite>, now: MonotonicTime) -> PacedWrites {
        let known = std::mem::take(&mut self.bindings);
        let takeovers_due = self
            .last_takeover
            .map_or(now, |last| last.plus(TAKEOVER_INTERVAL));
        let mut paced = PacedWrites {
            due: Vec::new(),
            next: None,
        };
        for write in writes {
            let due = match write.kind {
                WriteKind::Correction => now,
                WriteKind::Takeover => takeovers_due,
                WriteKind::Binding => {
                    let record = write.rests_on.first().map(|one| &one.record);
                    let since = record.and_then(|record| known.get(record)).copied();
                    let since = since.unwrap_or(now);
                    let first_seen = record.map(|record| (record.clone(), since));
                    self.bindings.extend(first_seen);
                    since.plus(BINDING_TIME)
                }
            };
            if due <= now {
                if write.kind == WriteKind::Takeover {
                    self.last_takeover = Some(now);
                }
                paced.due.push(write);
            } else {
                paced.next = Some(paced.next.map_or(due, |next| next.min(due)));
            }
        }
        paced
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use nadmit_whereabouts::{DesiredEntry, DesiredUse, ServedAddress};

    use super::*;
    use crate::RestsOn;

    fn write(kind: WriteKind, last: u8) -> ServedWrite {
        let address = IpAddr::from([192, 0, 2, last]);
        ServedWrite {
            kind,
            entry: DesiredEntry {
                at: ServedAddress {
                    namespace: "kube-system".into(),
                    pool: None,
                    address,
                    space: "".into(),
                    reservation: None,
                },
                desired: DesiredUse::Held { last: None },
            },
            rests_on: vec![RestsOn {
                record: address.to_string(),
                version: None,
            }],
            absent: None,
        }
    }

    /// Returns the last bytes of the addresses whose writes are due, and the time of the next.
    fn due(
        pacing: &mut ServedPacing,
        writes: &[(WriteKind, u8)],
        millis: u64,
    ) -> (Vec<u8>, Option<u128>) {
        let writes = writes.iter().map(|(kind, last)| write(*kind, *last));
        let now = MonotonicTime::after_origin(Duration::from_millis(millis));
        let found = pacing.due(writes.collect(), now);
        let last = |write: &ServedWrite| match write.entry.at.address {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(_) => 0,
        };
        let next = found.next.map(|next| next.since_origin().as_millis());
        (found.due.iter().map(last).collect(), next)
    }

    #[test]
    fn takeovers_wait_for_each_other() {
        use WriteKind::{Correction, Takeover};
        let mut pacing = ServedPacing::default();
        let both = [(Takeover, 1), (Takeover, 2)];
        assert_eq!(due(&mut pacing, &both, 0), (vec![1, 2], None));
        let more = [(Takeover, 3), (Correction, 4)];
        assert_eq!(due(&mut pacing, &more, 200), (vec![4], Some(5000)));
        assert_eq!(due(&mut pacing, &[(Takeover, 3)], 5000), (vec![3], None));
    }

    #[test]
    fn a_binding_makes_its_writes_itself_unless_it_ends() {
        use WriteKind::{Binding, Takeover};
        let mut pacing = ServedPacing::default();
        assert_eq!(
            due(&mut pacing, &[(Binding, 1)], 0),
            (Vec::new(), Some(6000))
        );
        let more = [(Binding, 1), (Binding, 2), (Takeover, 3)];
        assert_eq!(due(&mut pacing, &more, 5000), (vec![3], Some(6000)));
        let both = [(Binding, 1), (Binding, 2)];
        assert_eq!(due(&mut pacing, &both, 6000), (vec![1], Some(11000)));
        // Its record is made again: that is another Binding.
        assert_eq!(due(&mut pacing, &[], 7000), (Vec::new(), None));
        assert_eq!(
            due(&mut pacing, &[(Binding, 2)], 8000),
            (Vec::new(), Some(14000))
        );
    }
}
