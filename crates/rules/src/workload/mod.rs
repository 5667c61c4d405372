//! Rules on workloads: kinds with a pod template, and KubeVirt's virtual machines.
//!
//! Templates are checked by the rules on pods, by default as warnings, because the pods are checked again
//! when they are created. [`fixed_address`] and [`host_local`] apply only to templates, [`metadata`] to
//! the annotations of the workload itself. A virtual machine is checked by the annotation that KubeVirt
//! will write for it.

pub(crate) mod fixed_address;
pub mod host_local;
pub mod kind;
pub mod metadata;
pub mod virtual_machine;

pub use self::{
    kind::{Scale, WorkloadKind},
    metadata::{MetadataSubject, NetworksLocation},
    virtual_machine::VirtualMachineSubject,
};

use super::subject::PodSubject;

/// The input of the rules on templates.
#[derive(Debug)]
pub struct TemplateSubject<'a> {
    /// The pod of the template.
    pub pod: PodSubject<'a>,
    pub kind: &'static WorkloadKind,
    /// The fields of the workload that determine its number of pods.
    pub scale: Scale<'a>,
}
