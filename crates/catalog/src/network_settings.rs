//! AddressPools that have the settings of the pools that networks define by themselves
//! (`spec.whereabouts`).

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use thiserror::Error;

use super::{Catalog, InlinePools, WhereaboutsMode};
use nadmit_allocation::{NetworkRef, Pool};
use nadmit_cni::{Network, Serving, ipam::Ipam};

/// The effect of an AddressPool's settings on one of the networks that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingsEffect {
    /// The pool of the network has the settings.
    Applied(Arc<Pool>),
    /// The pool has the settings of another AddressPool, which comes first by name.
    Preceded { by: Arc<str> },
    /// The network has no pool of its own.
    WithoutPool(WithoutPool),
}

/// The reason why a network has no pool of its own.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WithoutPool {
    #[error("does not exist; create it, or correct the name")]
    Missing,
    #[error(
        "uses AddressPool {0:?} by its annotation nadmit.io/address-pool; write the settings there"
    )]
    Annotated(Box<str>),
    #[error("has the annotation nadmit.io/serve: \"false\"; remove the annotation")]
    ServingOff,
    #[error("is one of Whereabouts, and these are not served; set whereabouts: serve")]
    NotServed,
    #[error("has the ranges of an inline pool, and these are disabled; set inlinePools: enabled")]
    InlineDisabled,
    #[error(
        "has an inline pool only if its namespace has the label nadmit.io/injection: enabled; add it"
    )]
    NoLabel,
    #[error("has no ranges of which nadmit can make a pool; remove it from the list")]
    NoRanges,
}

/// AddressPools with settings, by name.
type SettingsByName = BTreeMap<Arc<str>, Arc<Pool>>;

/// The AddressPools with settings by what they name.
#[derive(Debug, Default)]
pub(super) struct NamedSettings {
    by_pool: HashMap<Box<str>, SettingsByName>,
    /// By the networks that have no pool of their own.
    without_pool: HashMap<NetworkRef, SettingsByName>,
}

impl NamedSettings {
    fn of(catalog: &Catalog) -> Self {
        let mut found = Self::default();
        for settings in catalog.settings() {
            for network in &settings.configures {
                let named = match catalog.own_pool_of(network) {
                    Some(pool) => found.by_pool.entry(pool.into()).or_default(),
                    None => found.without_pool.entry(network.clone()).or_default(),
                };
                named.insert(Arc::clone(&settings.name), Arc::clone(settings));
            }
        }
        found
    }
}

impl Catalog {
    /// Returns the effect of an AddressPool's settings on each network that it names, whether the catalog
    /// has the AddressPool or not.
    pub fn settings_effects<'p>(
        &self,
        settings: &'p Pool,
    ) -> Vec<(&'p NetworkRef, SettingsEffect)> {
        let networks = settings.configures.iter();
        networks
            .map(|network| (network, self.settings_effect(settings, network)))
            .collect()
    }

    fn settings_effect(&self, settings: &Pool, network: &NetworkRef) -> SettingsEffect {
        let Some(found) = self.network(&network.namespace, &network.name) else {
            return SettingsEffect::WithoutPool(WithoutPool::Missing);
        };
        let pool = own_pool(found).and_then(|name| self.pool_config().pool(name));
        let first = self.settings_beside(settings, network).next();
        match (pool, first.filter(|first| first.name < settings.name)) {
            (None, _) => SettingsEffect::WithoutPool(self.without_pool(found)),
            (Some(_), Some(first)) => SettingsEffect::Preceded {
                by: Arc::clone(&first.name),
            },
            (Some(pool), None) => SettingsEffect::Applied(Arc::clone(pool)),
        }
    }

    /// Returns the other AddressPools that name the pool of a network, ordered by name.
    pub fn settings_beside<'c>(
        &'c self,
        settings: &'c Pool,
        network: &'c NetworkRef,
    ) -> impl Iterator<Item = &'c Arc<Pool>> {
        let named = self.named_settings.get_or_init(|| NamedSettings::of(self));
        let others = match self.own_pool_of(network) {
            Some(pool) => named.by_pool.get(pool),
            None => named.without_pool.get(network),
        };
        let others = others.into_iter().flat_map(BTreeMap::values);
        others.filter(|other| other.name != settings.name)
    }

    /// Returns the settings of each pool that a network defines, by the name of that pool. `all` are ordered
    /// by name.
    pub(super) fn settings_by_pool<'s>(
        &self,
        all: impl Iterator<Item = &'s Arc<Pool>>,
    ) -> BTreeMap<&str, &'s Arc<Pool>> {
        let mut found = BTreeMap::new();
        for settings in all {
            for network in &settings.configures {
                if let Some(pool) = self.own_pool_of(network) {
                    found.entry(pool).or_insert(settings);
                }
            }
        }
        found
    }

    fn own_pool_of(&self, network: &NetworkRef) -> Option<&str> {
        own_pool(self.network(&network.namespace, &network.name)?)
    }

    fn without_pool(&self, network: &Network) -> WithoutPool {
        if let Some(name) = &network.address_pool {
            return WithoutPool::Annotated(name.clone());
        }
        let derivation = self.pool_derivation();
        let ipam = network.config.loaded().and_then(|config| config.ipam());
        match ipam {
            Some(Ipam::Whereabouts(_)) if network.serving == Serving::Off => {
                WithoutPool::ServingOff
            }
            Some(Ipam::Whereabouts(_)) if derivation.whereabouts == WhereaboutsMode::Observe => {
                WithoutPool::NotServed
            }
            Some(Ipam::Static(ipam)) if ipam.inline_pool.is_some() => {
                let enabled = derivation.inline == InlinePools::Enabled;
                match (enabled, self.has_injection_label(&network.namespace)) {
                    (false, _) => WithoutPool::InlineDisabled,
                    (true, false) => WithoutPool::NoLabel,
                    (true, true) => WithoutPool::NoRanges,
                }
            }
            _ => WithoutPool::NoRanges,
        }
    }
}

/// Returns the name of the pool that a network defines, if it uses that pool.
fn own_pool(network: &Network) -> Option<&str> {
    let derived = network.derived_pool.as_deref();
    derived.filter(|_| network.address_pool.is_none())
}

#[cfg(test)]
mod tests;
