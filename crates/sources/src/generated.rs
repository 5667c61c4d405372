//! The networks that other projects generate from their objects, in the namespaces that these select.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use nadmit_allocation::selector::Selector;
use nadmit_cni::Network;
use nadmit_manifests::{GeneratedNetworkManifest, TargetNamespaces};

use super::objects::FileNamespace;

/// The namespaces of files, by their labels.
pub(super) struct LabelledNamespaces<'o> {
    all: Vec<&'o FileNamespace>,
    /// The indexes of the namespaces with each value of each label.
    by_label: HashMap<(&'o str, &'o str), Vec<usize>>,
}

impl<'o> LabelledNamespaces<'o> {
    /// Indexes namespaces.
    pub(super) fn of(namespaces: impl Iterator<Item = &'o FileNamespace>) -> Self {
        let all: Vec<&FileNamespace> = namespaces.collect();
        let mut by_label: HashMap<_, Vec<usize>> = HashMap::new();
        for (index, namespace) in all.iter().enumerate() {
            for (key, value) in &*namespace.all_labels {
                by_label.entry((&**key, &**value)).or_default().push(index);
            }
        }
        Self { all, by_label }
    }

    /// Returns the networks that are generated from an object. Their configurations are not known.
    pub(super) fn networks(&self, generator: &GeneratedNetworkManifest) -> Vec<Arc<Network>> {
        let network = |namespace: &str| {
            Arc::new(Network {
                resource_name: generator.resource_name.clone(),
                ..Network::new(namespace, &generator.network, None)
            })
        };
        match &generator.namespaces {
            TargetNamespaces::Namespace(namespace) => vec![network(namespace)],
            TargetNamespaces::Selected(selector) => {
                let selected = self.selected(selector).into_iter();
                selected.map(|namespace| network(&namespace.name)).collect()
            }
        }
    }

    /// Returns the namespaces that a selector selects, in their order.
    fn selected(&self, selector: &Selector) -> Vec<&FileNamespace> {
        let candidates: BTreeMap<usize, &FileNamespace> = match selector.required_label() {
            Some((key, values)) => {
                let lists = values
                    .iter()
                    .filter_map(|value| self.by_label.get(&(key, value)));
                let indexes = lists.flatten();
                let found = indexes.filter_map(|index| Some((*index, *self.all.get(*index)?)));
                found.collect()
            }
            None => self.all.iter().copied().enumerate().collect(),
        };
        let mut candidates: Vec<&FileNamespace> = candidates.into_values().collect();
        candidates.retain(|namespace| selector.selects(&namespace.all_labels));
        candidates
    }
}
