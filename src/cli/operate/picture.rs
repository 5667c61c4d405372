//! Groups the addresses of a range for drawing: each group has one character.

use anstyle::{AnsiColor, Style};

use crate::{
    allocation::{Address, Holder},
    cli::output::{DIM, YELLOW},
    inspect::{AddressRun, AddressState},
};

/// Character of free addresses.
pub(super) const FREE: char = '·';
/// Character of addresses that are never allocated.
pub(super) const NEVER: char = '×';
/// Character of reserved addresses.
pub(super) const RESERVED: char = '▒';
/// Label of addresses with a record of Whereabouts that names no pod.
pub(super) const KEPT: &str = "kept by Whereabouts";
/// Character of further owners when the letters are used up.
const OVERFLOW: char = '#';
/// Number of owners above which the owners of one namespace share a character.
const MAX_OWNERS: usize = 26;
/// Colours of the letters, in rotation.
const COLORS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Yellow,
    AnsiColor::Blue,
    AnsiColor::Red,
];

/// Addresses that are drawn alike.
#[derive(Debug, Clone)]
pub(super) struct MapGroup {
    pub(super) sign: char,
    pub(super) style: Style,
    pub(super) label: String,
    pub(super) count: u128,
    /// First and last address of each run.
    pub(super) spans: Vec<(Address, Address)>,
}

/// The groups of a range, and the group of each run.
#[derive(Debug)]
pub(super) struct Groups {
    /// All groups, in the order of their first runs.
    pub(super) all: Vec<MapGroup>,
    /// Index of each run's group.
    pub(super) of_run: Vec<usize>,
}

impl Groups {
    /// Groups runs by owner, or by namespace if there are many owners.
    pub(super) fn of(runs: &[AddressRun]) -> Self {
        let by_owner = Self::by(runs, owner);
        let holders = by_owner.all.iter().filter(|one| !is_common(one.sign));
        if holders.count() > MAX_OWNERS {
            Self::by(runs, |holder| format!("namespace {}", holder.namespace()))
        } else {
            by_owner
        }
    }

    fn by(runs: &[AddressRun], label: impl Fn(&Holder) -> String) -> Self {
        let mut groups = Self {
            all: Vec::new(),
            of_run: Vec::new(),
        };
        let mut letters = ('a'..='z').chain('A'..='Z');
        let mut colors = COLORS.into_iter().cycle();
        for run in runs {
            let (common, label) = match &run.state {
                AddressState::Free => (Some((FREE, DIM)), "free".to_owned()),
                AddressState::Never(why) => (Some((NEVER, DIM)), format!("never assigned: {why}")),
                AddressState::Reserved(by) => {
                    let label = format!("reservation {}/{}", by.namespace, by.name);
                    (Some((RESERVED, YELLOW)), label)
                }
                AddressState::Held { holder, .. }
                | AddressState::Recorded {
                    holder: Some(holder),
                    ..
                } => (None, label(holder)),
                AddressState::Recorded { holder: None, .. } => {
                    (Some((RESERVED, YELLOW)), KEPT.to_owned())
                }
            };
            let known = groups.all.iter().position(|one| one.label == label);
            let at = known.unwrap_or_else(|| {
                let (sign, style) = common.unwrap_or_else(|| {
                    let color = colors.next().unwrap_or(AnsiColor::Cyan);
                    (
                        letters.next().unwrap_or(OVERFLOW),
                        color.on_default().bold(),
                    )
                });
                groups.all.push(MapGroup {
                    sign,
                    style,
                    label,
                    count: 0,
                    spans: Vec::new(),
                });
                groups.all.len() - 1
            });
            groups.all[at].add(run);
            groups.of_run.push(at);
        }
        groups
    }

    /// Returns the groups in the order of the legend: holders, reservations, free, never allocated.
    pub(super) fn legend(&self) -> Vec<&MapGroup> {
        let mut all: Vec<&MapGroup> = self.all.iter().collect();
        all.sort_by_key(|one| match one.sign {
            RESERVED => 1,
            FREE => 2,
            NEVER => 3,
            _ => 0,
        });
        all
    }
}

impl MapGroup {
    fn add(&mut self, run: &AddressRun) {
        self.count = self.count.saturating_add(run.count());
        match self.spans.last_mut() {
            Some((_, last)) if follows(*last, run.first) => *last = run.last,
            _ => self.spans.push((run.first, run.last)),
        }
    }
}

/// Returns whether one address directly follows the other.
pub(super) fn follows(last: Address, next: Address) -> bool {
    last.number().checked_add(1) == Some(next.number())
}

fn is_common(sign: char) -> bool {
    [FREE, NEVER, RESERVED].contains(&sign)
}

/// Returns the owner of a holder's pods; all replicas of a set have the same owner.
pub(super) fn owner(holder: &Holder) -> String {
    match holder {
        Holder::Replica {
            namespace,
            stateful_set,
            ..
        } => format!("StatefulSet {namespace}/{stateful_set}"),
        Holder::Unnamed {
            namespace,
            generate_name,
            ..
        } => format!("pods {namespace}/{generate_name}*"),
        Holder::Network { namespace, name } => format!("network {namespace}/{name} itself"),
        other => other.to_string(),
    }
}
