//! The rule on Bindings: what the API server merges into a pod when that is bound to a node.

mod changes_networks;

pub use self::changes_networks::RULE as CHANGES_NETWORKS;
use super::Policy;

/// A Binding, as far as it speaks of networks.
#[derive(Debug, Clone, Copy)]
pub struct BindingSubject<'s> {
    /// The settings.
    pub policy: &'s Policy,
    /// The annotations of Multus's and of nadmit's own that it brings.
    pub annotations: &'s [BindingAnnotation<'s>],
}

/// One annotation of a Binding.
#[derive(Debug, Clone, Copy)]
pub struct BindingAnnotation<'s> {
    /// Its key.
    pub key: &'static str,
    /// Its value.
    pub text: &'s str,
    /// Its value if it says exactly what nadmit holds for the pod; `None` if there is to be none.
    pub recorded: Option<&'s str>,
}

impl BindingAnnotation<'_> {
    /// Whether it says what is held, and nothing else.
    pub fn matches_record(&self) -> bool {
        self.recorded == Some(self.text)
    }
}
