//! A slice into which Go's decoder decodes more than once.

/// The backing array of a Go slice. A repeated key is decoded into the same array, in which each
/// element starts with the previous value at its index, even beyond the current end of the slice.
#[derive(Debug)]
pub(super) struct Slots<T>(Vec<Option<T>>);

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Slots<T> {
    /// Removes all values, as `null` does.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Begins decoding a list of `length` elements; an empty list allocates a new array.
    pub(super) fn begin(&mut self, length: usize) {
        if length == 0 {
            self.clear();
        }
    }

    /// Returns the previous value at an index.
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.0.get(index)?.as_ref()
    }

    /// Stores a value at an index.
    pub(super) fn set(&mut self, index: usize, value: T) {
        *self.slot(index) = Some(value);
    }

    /// Removes the value at an index.
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
