//! Pods by record and holder, and the interfaces they have.

use std::collections::HashMap;

use nadmit_allocation::{Allocation, Holder};
use nadmit_catalog::{Catalog, Pod};
use nadmit_cni::{Annotation, status};

/// The pods of a catalog, indexed by holder.
pub(crate) struct PodIndex<'c> {
    catalog: &'c Catalog,
    /// The pods whose names do not follow from their holders.
    by_holder: HashMap<&'c Holder, Vec<&'c Pod>>,
}

impl<'c> PodIndex<'c> {
    /// Indexes the pods of a catalog.
    pub(crate) fn of(catalog: &'c Catalog) -> Self {
        let mut by_holder: HashMap<&Holder, Vec<&Pod>> = HashMap::new();
        for pod in catalog.pods() {
            if matches!(
                pod.holder,
                Holder::Unnamed { .. } | Holder::VirtualMachine { .. }
            ) {
                by_holder.entry(&pod.holder).or_default().push(pod);
            }
        }
        Self { catalog, by_holder }
    }

    /// Returns the pod that a record names, if it is present. Pods without a known UID match by name.
    pub(crate) fn named(&self, record: &Allocation) -> Option<&'c Pod> {
        let known = record.pod.as_ref()?;
        let pod = self.catalog.pod(record.holder.namespace(), &known.name)?;
        let other = match (&known.uid, &pod.uid) {
            (Some(known), Some(uid)) => **known != **uid,
            _ => false,
        };
        (!other).then_some(pod)
    }

    /// Returns all pods that may use the address of a record: the pod it names, and those of its
    /// holder. A holder token is valid for one pod.
    pub(crate) fn users(&self, record: &Allocation) -> Vec<&'c Pod> {
        let named = self.named(record);
        let uid = record.pod.as_ref().and_then(|pod| pod.uid.as_deref());
        let taken = matches!(record.holder, Holder::Unnamed { .. }) && uid.is_some();
        let mut users = match taken {
            true => Vec::new(),
            false => self.of_holder(&record.holder),
        };
        if let Some(named) = named
            && !users.iter().any(|pod| std::ptr::eq(*pod, named))
        {
            users.push(named);
        }
        users
    }

    fn of_holder(&self, holder: &Holder) -> Vec<&'c Pod> {
        let called = |name: &str| {
            let pod = self.catalog.pod(holder.namespace(), name);
            let pod = pod.map(|pod| &**pod);
            pod.filter(|pod| pod.holder == *holder)
                .into_iter()
                .collect()
        };
        match holder {
            Holder::Pod { name, .. } => called(name),
            Holder::Replica {
                stateful_set,
                ordinal,
                ..
            } => called(&format!("{stateful_set}-{ordinal}")),
            _ => self.by_holder.get(holder).cloned().unwrap_or_default(),
        }
    }
}

/// Returns true if a pod requests a record's network on its interface, or has it; also if an annotation
/// cannot be read.
///
/// `own` is true if the record names this very pod. `multus_namespace` is the namespace of default
/// networks that name none.
pub(crate) fn has_interface(
    pod: &Pod,
    record: &Allocation,
    own: bool,
    multus_namespace: &str,
) -> bool {
    let network = (&*record.network.namespace, &*record.network.name);
    let requests = |text: Option<&str>, home: &str, is_default: bool| {
        let Some(text) = text else { return false };
        let annotation = Annotation::parse(text);
        let mut selections = annotation.selections.iter();
        !annotation.decode_errors.is_empty()
            || selections.any(|selection| {
                let name = selection.network_name().unwrap_or_default();
                // An interface without an explicit name is named by its position, which changes when
                // the annotation is edited. An interface of a predecessor counts if the position is the
                // same.
                let changes = own && selection.interface.is_none();
                (selection.namespace_or(home), name) == network
                    && (is_default || changes || *selection.interface_name() == *record.interface)
            })
    };
    let has = |text: Option<&str>| {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return false;
        };
        let Ok(attachments) = status::parse(text) else {
            return true;
        };
        attachments.iter().any(|attachment| {
            let own = (&*pod.namespace, &*attachment.name);
            let interface = attachment.interface.as_deref();
            attachment.name.split_once('/').unwrap_or(own) == network
                && interface.is_none_or(|interface| interface == &*record.interface)
        })
    };
    requests(pod.networks.as_deref(), &pod.namespace, false)
        || requests(pod.default_network.as_deref(), multus_namespace, true)
        || has(pod.network_status.as_deref())
}
