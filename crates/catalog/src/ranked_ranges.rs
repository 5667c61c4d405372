//! Ranges by the rank of their owners: how many owners overlap a range, and which of
//! them come first.
//!
//! The ranges are the leaves of a tree, in the order of their owners. Each node knows the first and
//! the last values of its ranges in ascending order, so two searches show whether one of
//! them overlaps another range. An owner with several ranges is counted by its hull, unless the
//! other range lies in a gap between two of its ranges.

use std::{net::IpAddr, ops::Range};

use nadmit_cni::IpRange;

/// The number of ranges of the smallest nodes, which are searched one by one.
const LEAF: usize = 32;
/// The number of children of a node.
const CHILDREN: usize = 4;

/// A range from its first to its last value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Interval<T> {
    pub(super) first: T,
    pub(super) last: T,
}

impl<T: Ord> Interval<T> {
    fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl From<IpRange> for Interval<IpAddr> {
    fn from(range: IpRange) -> Self {
        Self {
            first: range.first(),
            last: range.last(),
        }
    }
}

/// The ranges of owners, for questions about all of them at once.
#[derive(Debug, Clone)]
pub(super) struct RankedRanges<T> {
    /// The ranges with their owners' ranks, in this order.
    ranges: Vec<(usize, Interval<T>)>,
    /// The nodes of each level, from [`LEAF`] ranges to all of them.
    levels: Vec<Bounds<T>>,
    hulls: Bounds<T>,
    /// The bounds of the gaps between the ranges of one owner: the last value before and the first
    /// after. They are ordered by the first of both.
    gaps: Vec<(T, T)>,
    /// The values after the gaps: those of each level's nodes in ascending order.
    gap_ends: Vec<Vec<T>>,
}

/// The bounds of ranges, in ascending order within each node.
#[derive(Debug, Clone)]
struct Bounds<T> {
    firsts: Vec<T>,
    lasts: Vec<T>,
}

impl<T: Copy + Ord> Bounds<T> {
    /// Returns the number of ranges with these bounds that overlap a range.
    fn overlapping(&self, nodes: Range<usize>, range: Interval<T>) -> usize {
        let firsts = self.firsts.get(nodes.clone()).unwrap_or_default();
        let lasts = self.lasts.get(nodes).unwrap_or_default();
        let begun = firsts.partition_point(|first| *first <= range.last);
        // A range that ended before has begun before.
        begun - lasts.partition_point(|last| *last < range.first)
    }
}

impl<T: Copy + Ord> RankedRanges<T> {
    /// Creates the index of ranges with their owners' ranks.
    pub(super) fn new(ranges: Vec<(usize, impl Into<Interval<T>>)>) -> Self {
        let ranges = ranges.into_iter();
        let mut ranges: Vec<_> = ranges.map(|(rank, range)| (rank, range.into())).collect();
        ranges.sort_unstable();
        ranges.dedup();
        let (hulls, gaps) = hulls_and_gaps(&ranges);
        let whole = Bounds {
            firsts: ranges.iter().map(|(_, range)| range.first).collect(),
            lasts: ranges.iter().map(|(_, range)| range.last).collect(),
        };
        let (firsts, lasts) = (sorted_by_node(whole.firsts), sorted_by_node(whole.lasts));
        let levels = firsts.into_iter().zip(lasts);
        let levels = levels.map(|(firsts, lasts)| Bounds { firsts, lasts });
        let ends: Vec<T> = gaps.iter().map(|(_, end)| *end).collect();
        Self {
            levels: levels.collect(),
            gap_ends: sorted_by_node(ends),
            hulls,
            ranges,
            gaps,
        }
    }

    /// Returns the number of owners with a range that overlaps `range`.
    pub(super) fn count(&self, range: impl Into<Interval<T>>) -> usize {
        let range = range.into();
        let hulls = self.hulls.overlapping(0..self.hulls.firsts.len(), range);
        hulls - self.gaps_around(range)
    }

    /// Returns the owners from the rank `from` on with a range that overlaps `range`, in order.
    pub(super) fn from(
        &self,
        from: usize,
        range: impl Into<Interval<T>>,
    ) -> impl Iterator<Item = usize> {
        let (mut next, range) = (from, range.into());
        std::iter::from_fn(move || {
            let begin = self.ranges.partition_point(|(rank, _)| *rank < next);
            let top = self.levels.len().saturating_sub(1);
            let at = self.first_from(begin, range, top, 0)?;
            let (rank, _) = self.ranges.get(at)?;
            next = rank + 1;
            Some(*rank)
        })
    }

    /// Returns the lowest rank.
    pub(super) fn first_rank(&self) -> Option<usize> {
        self.ranges.first().map(|(rank, _)| *rank)
    }

    /// Returns true if an owner with this rank has a range that overlaps `range`.
    pub(super) fn overlaps(&self, rank: usize, range: impl Into<Interval<T>>) -> bool {
        self.from(rank, range).next() == Some(rank)
    }

    /// Returns the index of the first range from `begin` on that overlaps `range`, below a node: the
    /// one of this index on its level.
    fn first_from(
        &self,
        begin: usize,
        range: Interval<T>,
        level: usize,
        node: usize,
    ) -> Option<usize> {
        let size = node_size(level);
        let nodes = node * size..((node + 1) * size).min(self.ranges.len());
        if nodes.is_empty() || nodes.end <= begin {
            return None;
        }
        if let Some(bounds) = self.levels.get(level)
            && bounds.overlapping(nodes.clone(), range) == 0
        {
            return None;
        }
        match level.checked_sub(1) {
            None => {
                let first = nodes.start.max(begin);
                let mut left = self.ranges.get(first..nodes.end)?.iter();
                let at = left.position(|(_, own)| own.overlaps(&range))?;
                Some(first + at)
            }
            Some(below) => {
                let mut children = node * CHILDREN..(node + 1) * CHILDREN;
                children.find_map(|child| self.first_from(begin, range, below, child))
            }
        }
    }

    /// Returns the number of gaps that contain the whole range; an owner has one at most.
    fn gaps_around(&self, range: Interval<T>) -> usize {
        let end = self
            .gaps
            .partition_point(|(before, _)| *before < range.first);
        let (mut start, mut count) = (0, 0);
        // The gaps that begin early enough, as nodes of falling size.
        for (level, ends) in self.gap_ends.iter().enumerate().rev() {
            let size = node_size(level);
            while start + size <= end {
                let node = ends.get(start..start + size).unwrap_or_default();
                count += node.len() - node.partition_point(|after| *after <= range.last);
                start += size;
            }
        }
        let rest = self.gaps.get(start..end).unwrap_or_default().iter();
        count + rest.filter(|(_, after)| *after > range.last).count()
    }
}

/// Returns the hulls of the owners' ranges, and the gaps between the ranges of one owner.
fn hulls_and_gaps<T: Copy + Ord>(ranges: &[(usize, Interval<T>)]) -> (Bounds<T>, Vec<(T, T)>) {
    let mut gaps = Vec::new();
    let mut hulls = Bounds {
        firsts: Vec::new(),
        lasts: Vec::new(),
    };
    for owned in ranges.chunk_by(|one, other| one.0 == other.0) {
        let mut reach: Option<T> = None;
        for (_, range) in owned {
            match reach {
                None => hulls.firsts.push(range.first),
                Some(reach) if reach < range.first => gaps.push((reach, range.first)),
                Some(_) => {}
            }
            reach = reach.max(Some(range.last));
        }
        hulls.lasts.extend(reach);
    }
    hulls.firsts.sort_unstable();
    hulls.lasts.sort_unstable();
    gaps.sort_unstable();
    (hulls, gaps)
}

/// Merges ascending numbers, each once.
pub(super) fn merged<I: Iterator<Item = usize>>(
    sources: impl Iterator<Item = I>,
) -> impl Iterator<Item = usize> {
    let mut sources: Vec<_> = sources.map(Iterator::peekable).collect();
    std::iter::from_fn(move || {
        let heads = sources
            .iter_mut()
            .filter_map(|source| source.peek().copied());
        let least = heads.min()?;
        for source in &mut sources {
            source.next_if_eq(&least);
        }
        Some(least)
    })
}

/// Returns the number of ranges of a node.
fn node_size(level: usize) -> usize {
    (0..level).fold(LEAF, |size, _| size * CHILDREN)
}

/// Returns the values for each level of the tree, until one node has all: those of each node in ascending
/// order.
fn sorted_by_node<T: Copy + Ord>(mut values: Vec<T>) -> Vec<Vec<T>> {
    let mut levels = Vec::new();
    loop {
        let size = node_size(levels.len());
        for node in values.chunks_mut(size) {
            // The children are sorted already, which a stable sort makes use of.
            node.sort();
        }
        levels.push(values.clone());
        if size >= values.len() {
            return levels;
        }
    }
}

impl<T: Copy + Ord> Default for RankedRanges<T> {
    fn default() -> Self {
        Self::new(Vec::<(usize, Interval<T>)>::new())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range() -> impl Strategy<Value = IpRange> {
        (any::<bool>(), 0_u8..60, 0_u8..9).prop_map(|(wide, first, length)| {
            let address = |last: u8| match wide {
                true => IpAddr::from([0, 0, 0, 0, 0, 0, 0, u16::from(last)]),
                false => IpAddr::from([0, 0, 0, last]),
            };
            let range = IpRange::new(address(first), address(first + length));
            range.unwrap_or_else(|| IpRange::single(address(first)))
        })
    }

    proptest! {
        #[test]
        fn owners_are_those_of_a_search_one_by_one(
            ranges in proptest::collection::vec((0_usize..150, range()), 0..300),
            wanted in range(), from in 0_usize..150,
        ) {
            let found = ranges.iter().filter(|(_, own)| own.intersection(wanted).is_some());
            let mut found: Vec<usize> = found.map(|(rank, _)| *rank).collect();
            found.sort_unstable();
            found.dedup();
            let ranked = RankedRanges::new(ranges);
            prop_assert_eq!(ranked.count(wanted), found.len());
            prop_assert_eq!(ranked.overlaps(from, wanted), found.contains(&from));
            found.retain(|rank| *rank >= from);
            prop_assert_eq!(ranked.from(from, wanted).collect::<Vec<_>>(), found);
        }
    }
}
