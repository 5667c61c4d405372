//! Names in alphabetical order, among which similar ones are searched.

use super::most_similar;

/// The maximum number of names that are compared with an unknown one. Among more, those are taken
/// that are next to it in alphabetical order: they begin alike.
const MAX_COMPARED: usize = 1_000;

/// Names in alphabetical order.
#[derive(Debug, Clone, Default)]
pub(super) struct SortedNames(Vec<Box<str>>);

impl SortedNames {
    /// Sorts names.
    pub(super) fn of<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let mut names: Vec<Box<str>> = names.map(Into::into).collect();
        names.sort_unstable();
        Self(names)
    }

    /// Returns the names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    /// Returns the number of names.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the most similar name, if one is similar enough.
    pub(super) fn similar_to(&self, name: &str) -> Option<&str> {
        let place = self.0.partition_point(|known| **known < *name);
        let last = self.0.len().saturating_sub(MAX_COMPARED);
        let first = place.saturating_sub(MAX_COMPARED / 2).min(last);
        most_similar(name, self.iter().skip(first).take(MAX_COMPARED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_similar_name_is_found_among_very_many() {
        let names: Vec<String> = (0..5_000).map(|i| format!("net-{i:04}")).collect();
        let names = SortedNames::of(names.iter().map(String::as_str));
        for name in ["net-0000", "net-2500", "net-4999"] {
            assert_eq!(names.similar_to(&format!("{name}x")), Some(name));
        }
        assert_eq!(names.similar_to("storage"), None);
        assert_eq!(SortedNames::default().similar_to("net"), None);
        assert_eq!(names.len(), 5_000);
    }
}
