//! The live reads of a full resync.

use std::collections::BTreeSet;

use super::{Inner, live_reads::refresh_all, report::ReconcileReport};
use crate::ReadTarget;
use nadmit_allocation::Holder;
use nadmit_catalog::Catalog;
use nadmit_ledger::Store as _;

impl Inner {
    /// Lists the ledger, and reads live the pods, nodes and networks behind its records and the pools.
    /// What cannot be read stays as it was known.
    pub(super) async fn refresh(&self, report: &mut ReconcileReport) {
        match self.ledger.list().await {
            Ok((all, cursor)) => self.index.lock().apply_list_response(all, cursor.version()),
            Err(error) => report.error(error.to_string()),
        }
        if let Some(slices) = &self.slices {
            match slices.list().await {
                Ok((all, at)) => self.index.lock().replace_slices(all, at),
                Err(error) => report.error(error.to_string()),
            }
        }
        let Some(catalog) = self.catalog.load_full() else {
            return;
        };
        let dependencies = self.all_dependencies(&catalog);
        for (target, error) in refresh_all(&*self.live, &dependencies).await {
            report.error(format!("{target:?}: {error}"));
        }
    }

    fn all_dependencies(&self, catalog: &Catalog) -> BTreeSet<ReadTarget> {
        let mut dependencies = BTreeSet::new();
        let served = catalog.pool_config().served.values().flatten();
        for network in served {
            let home: Box<str> = (&*network.namespace).into();
            dependencies.insert(ReadTarget::Network(home.clone(), (&*network.name).into()));
            dependencies.insert(ReadTarget::PodsOf(home));
        }
        let nodes_known = catalog.nodes().are_known();
        let index = self.index.lock();
        for (record, _) in index.allocations() {
            let home: Box<str> = (&**record.holder.namespace()).into();
            if !matches!(
                record.holder,
                Holder::Reservation { .. } | Holder::Network { .. }
            ) {
                dependencies.insert(ReadTarget::PodsOf(home));
            }
            let node = record.pod.as_ref().and_then(|pod| pod.node.as_deref());
            if let Some(node) = node.filter(|_| nodes_known) {
                dependencies.insert(ReadTarget::Node(node.into()));
            }
        }
        dependencies
    }
}
