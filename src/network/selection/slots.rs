//! A slice into which Go's decoder reads more than once.

/// The backing array of a Go slice. A key that is repeated is decoded into the same array, where each
/// element finds what its place held before, also behind the slice's end.
#[derive(Debug)]
pub(super) struct Slots<T>(Vec<Option<T>>);

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Slots<T> {
    /// Forgets everything, as `null` does.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Begins a list of so many elements: an empty one takes a new array.
    pub(super) fn begin(&mut self, length: usize) {
        if length == 0 {
            self.clear();
        }
    }

    /// Returns what the place holds.
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.0.get(index)?.as_ref()
    }

    /// Puts a value in its place.
    pub(super) fn set(&mut self, index: usize, value: T) {
        *self.slot(index) = Some(value);
    }

    /// Empties a place.
    pub(super) fn remove(&mut self, index: usize) {
        *self.slot(index) = None;
    }

    fn slot(&mut self, index: usize) -> &mut Option<T> {
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        &mut self.0[index]
    }
}
