//! Who holds what of a range, grouped so that a picture can show it: each group has one sign.

use anstyle::{AnsiColor, Style};

use super::show::{DIM, YELLOW};
use crate::{
    allocation::{Address, Holder},
    inspect::{AddressRun, AddressState},
};

/// The sign of what is free.
pub(super) const FREE: char = '·';
/// The sign of what is never given.
pub(super) const NEVER: char = '×';
/// The sign of what is set aside.
pub(super) const RESERVED: char = '▒';
/// The sign of those for whom no letter is left.
const OVERFLOW: char = '#';
/// With more owners than this, those of one namespace share a sign.
const MAX_OWNERS: usize = 26;
/// The letters' colours, in turn.
const COLORS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Yellow,
    AnsiColor::Blue,
    AnsiColor::Red,
];

/// Addresses that are shown alike.
#[derive(Debug, Clone)]
pub(super) struct MapGroup {
    pub(super) sign: char,
    pub(super) style: Style,
    pub(super) label: String,
    pub(super) count: u128,
    /// First to last of each run.
    pub(super) spans: Vec<(Address, Address)>,
}

/// The groups of a range, and which each run belongs to.
#[derive(Debug)]
pub(super) struct Groups {
    /// In the order of their signs: holders, reservations, what is free, what is never given.
    pub(super) all: Vec<MapGroup>,
    /// For each run, the place of its group.
    pub(super) of_run: Vec<usize>,
}

impl Groups {
    /// Groups runs by who owns them; by namespace, where there are many owners.
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
                AddressState::Never(why) => (Some((NEVER, DIM)), format!("never given: {why}")),
                AddressState::Reserved(by) => {
                    let label = format!("reservation {}/{}", by.namespace, by.name);
                    (Some((RESERVED, YELLOW)), label)
                }
                AddressState::Held { holder, .. } => (None, label(holder)),
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

    /// The groups as a legend lists them.
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

/// Whether one address comes right after the other.
pub(super) fn follows(last: Address, next: Address) -> bool {
    last.number().checked_add(1) == Some(next.number())
}

fn is_common(sign: char) -> bool {
    [FREE, NEVER, RESERVED].contains(&sign)
}

/// What owns a holder's pods: all replicas of a set are one.
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
