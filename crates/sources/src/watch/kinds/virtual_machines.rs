//! Virtual machines and their instances: only their existence matters.

use serde::de::IgnoredAny;

use nadmit_catalog::Catalog;

use super::known_objects::{DecodeError, KnownObjects};
use crate::{
    cluster::kinds::{ClusterKind, VIRTUAL_MACHINES, custom},
    watch::progress::ObjectKey,
};

/// The VirtualMachines of the catalog.
pub(super) struct VirtualMachines;

/// The VirtualMachineInstances of the catalog, which may exist without a VirtualMachine.
pub(super) struct VirtualMachineInstances;

impl KnownObjects for VirtualMachines {
    const KIND: &'static ClusterKind = &VIRTUAL_MACHINES;

    type Content = IgnoredAny;

    fn decode(_: &str) -> Result<IgnoredAny, DecodeError> {
        Ok(IgnoredAny)
    }

    fn set(
        catalog: &mut Catalog,
        (namespace, name): &ObjectKey,
        found: Option<IgnoredAny>,
    ) -> bool {
        let workloads = catalog.workloads_mut();
        workloads.set_machine((namespace, name), found.is_some())
    }

    fn set_known(catalog: &mut Catalog, known: bool) -> bool {
        catalog.workloads_mut().set_machines_known(known)
    }
}

impl KnownObjects for VirtualMachineInstances {
    const KIND: &'static ClusterKind = &custom(
        "VirtualMachineInstance",
        "kubevirt.io/v1",
        "virtualmachineinstances",
        &[],
    );

    type Content = IgnoredAny;

    fn decode(_: &str) -> Result<IgnoredAny, DecodeError> {
        Ok(IgnoredAny)
    }

    fn set(
        catalog: &mut Catalog,
        (namespace, name): &ObjectKey,
        found: Option<IgnoredAny>,
    ) -> bool {
        let workloads = catalog.workloads_mut();
        workloads.set_instance((namespace, name), found.is_some())
    }

    fn set_known(catalog: &mut Catalog, known: bool) -> bool {
        catalog.workloads_mut().set_instances_known(known)
    }
}
