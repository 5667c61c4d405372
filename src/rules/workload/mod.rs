//! What makes pods: workloads with a template, and KubeVirt's virtual machines.
//!
//! A template is judged by the rules on pods, as a warning unless the settings say otherwise, for its
//! pods are judged again when they are made; [`fixed_address`] and [`host_local`] are what only a
//! template can have wrong, and [`metadata`] what a workload itself can. A virtual machine is judged by
//! the annotation that KubeVirt will write for it.

pub mod fixed_address;
pub mod host_local;
pub mod kind;
pub mod virtual_machine;
pub mod metadata;

pub use self::{
    kind::{Scale, WorkloadKind},
    virtual_machine::VirtualMachineSubject,
    metadata::{NetworksLocation, MetadataSubject},
};

use super::subject::PodSubject;

/// What a rule on templates looks at.
#[derive(Debug)]
pub struct TemplateSubject<'a> {
    /// The pod that the template describes.
    pub pod: PodSubject<'a>,
    /// What makes pods from it.
    pub kind: &'static WorkloadKind,
    /// How many.
    pub scale: Scale<'a>,
}
