//! The rule on Bindings, whose annotations the API server merges into the pod.

mod changes_networks;

pub(super) use self::changes_networks::RULE as CHANGES_NETWORKS;
use super::Policy;

/// The parts of a Binding that concern networks.
#[derive(Debug, Clone, Copy)]
pub struct BindingSubject<'s> {
    /// The settings of nadmit.
    pub policy: &'s Policy,
    /// The Binding's annotations with keys of Multus or nadmit.
    pub annotations: &'s [BindingAnnotation<'s>],
}

/// One annotation of a Binding.
#[derive(Debug, Clone, Copy)]
pub struct BindingAnnotation<'s> {
    /// The key of the annotation.
    pub key: &'static str,
    /// The value of the annotation.
    pub text: &'s str,
    /// The value that matches what nadmit recorded for the pod; `None` if the annotation must be absent.
    pub recorded: Option<&'s str>,
}

impl BindingAnnotation<'_> {
    /// Returns true if the value matches what is recorded.
    pub fn matches_record(&self) -> bool {
        self.recorded == Some(self.text)
    }
}
