//! The decoder's errors of an annotation, by the selections that they are in.

use nadmit_cni::selection::DecodeError;

use super::subject::NetworkRequest;

impl NetworkRequest<'_> {
    /// Returns true if the decoder rejects the member at this path, so that its absence needs no finding.
    pub(crate) fn has_fault_at(&self, path: &str) -> bool {
        let paths = self.fault_paths.get_or_init(|| {
            let faults = self.annotation.decode_errors.iter();
            faults.map(|fault| fault.path.as_str().into()).collect()
        });
        paths.contains(path)
    }

    /// Returns the decoder's errors in the selection with this index. The errors are in the order of the
    /// selections.
    pub(crate) fn faults_in(&self, index: usize) -> &[DecodeError] {
        let faults = &self.annotation.decode_errors;
        let before = |end| faults.partition_point(|fault| selection_of(fault) < Some(end));
        faults
            .get(before(index)..before(index + 1))
            .unwrap_or_default()
    }
}

/// Returns the index of the selection that a fault is in; `None` for a fault of the whole annotation.
fn selection_of(fault: &DecodeError) -> Option<usize> {
    let (index, _) = fault.path.strip_prefix('[')?.split_once(']')?;
    index.parse().ok()
}
