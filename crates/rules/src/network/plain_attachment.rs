//! The interface that a network's plugin configures for a pod that requests no addresses, with references
//! to the fields of the configuration.

use crate::{FieldRef, Levels, NetworkSubject, network::fields::Fields};
use nadmit_cni::{
    cni::{Capability, Plugin},
    configure::{
        AddressSource, AssignedAddress, ConfigureFailure, ConfiguredInterface, RequestedAddresses,
        pool_addresses,
    },
    ipam::Ipam,
};

/// The attachment of a pod that requests no addresses.
pub(super) struct PlainAttachment<'s, 'a> {
    /// The plugin with the IPAM.
    pub(super) plugin: &'s Plugin,
    /// The fields of the plugin.
    pub(super) fields: Fields<'s, 'a>,
    /// The fields of the plugin's IPAM.
    pub(super) ipam: Fields<'s, 'a>,
    pub(super) addresses: Vec<AssignedAddress>,
    /// The configured interface, with the failures that occur for every possible choice of addresses.
    pub(super) configured: ConfiguredInterface,
}

impl<'s, 'a> PlainAttachment<'s, 'a> {
    /// Simulates the attachment. Returns `None` if the behavior of the plugin or IPAM is not known.
    pub(super) fn of(subject: &'s NetworkSubject<'a>) -> Option<Self> {
        let config = subject.parsed()?;
        let index = config.plugins.iter().position(|p| p.ipam.is_some())?;
        let plugin = config.plugins.get(index)?;
        let (_, fields) = Fields::plugins(subject).into_iter().nth(index)?;
        let ipam = fields.object("ipam")?;
        let possible = match (&plugin.ipam, subject.address_pool) {
            (Some(Ipam::Static(_)), Some(name)) if !name.is_empty() => {
                let pool = subject.catalog.pool(name).valid()?;
                let ranges = pool.ranges.iter().map(|range| range.subnet);
                vec![pool_addresses(ranges)]
            }
            _ => plugin.possible_addresses(RequestedAddresses::default()),
        };
        let mut choices = possible.into_iter().map(|addresses| {
            let configured = plugin.configure(&addresses);
            (addresses, configured)
        });
        let (addresses, mut configured) = choices.next()?;
        for (_, other) in choices {
            let fails = |failure: &ConfigureFailure| {
                other.failures.iter().any(|f| is_same_failure(f, failure))
            };
            configured.failures.retain(fails);
        }
        if addresses.is_empty() {
            return None;
        }
        Some(Self {
            plugin,
            fields,
            ipam,
            addresses,
            configured,
        })
    }

    /// Returns the class of a failure. It is advice if pods can replace the configured addresses by their
    /// own, or if the plugin's behavior is not known.
    pub(super) fn failure_class(&self) -> Levels {
        let replaceable = matches!(self.plugin.ipam, Some(Ipam::Static(_)))
            && self.plugin.capabilities.has(Capability::Ips);
        if replaceable || !self.plugin.configures() {
            Levels::ADVICE
        } else {
            Levels::FAILS
        }
    }

    /// Returns a reference to the gateway of an address, or to the object that lacks one.
    pub(super) fn gateway_ref(&self, source: AddressSource) -> FieldRef<'a> {
        match (source, &self.plugin.ipam) {
            (AddressSource::Configured(index), _) => {
                let entries = self.ipam.objects("addresses").into_iter();
                let mut entries = entries.filter(|entry| entry.is_text("address"));
                match entries.nth(index) {
                    Some(entry) => entry.field_ref("gateway"),
                    None => self.ipam.own_ref(),
                }
            }
            (AddressSource::Range { set, index }, Some(Ipam::HostLocal(_))) => {
                match self.host_local_range(set, index) {
                    Some(range) => range.field_ref("gateway"),
                    None => self.ipam.own_ref(),
                }
            }
            _ => self.ipam.field_ref("gateway"),
        }
    }

    /// Returns a range of host-local. Sets are counted as by the parser: the range in `ipam` itself is
    /// the first.
    fn host_local_range(&self, set: usize, index: usize) -> Option<Fields<'s, 'a>> {
        let old_form = self.ipam.is_text("subnet").then(|| vec![self.ipam.clone()]);
        let lists = self.ipam.list("ranges").into_iter();
        let sets = lists
            .filter(|set| set.node.elements().is_some())
            .map(|set| {
                let ranges = set
                    .elements()
                    .into_iter()
                    .filter_map(|range| range.fields());
                ranges.filter(|range| range.is_text("subnet")).collect()
            });
        let set: Vec<_> = old_form.into_iter().chain(sets).nth(set)?;
        set.into_iter().nth(index)
    }

    /// Returns a reference to the gateway of a route, or to the route.
    pub(super) fn route_ref(&self, index: Option<usize>) -> FieldRef<'a> {
        let Some(index) = index else {
            return self.fields.field_ref("isDefaultGateway");
        };
        let route = self.ipam.list("routes").into_iter().nth(index);
        match route.and_then(|route| route.fields()) {
            Some(route) if route.has("gw") => route.field_ref("gw"),
            Some(route) => route.own_ref(),
            None => self.ipam.field_ref("routes"),
        }
    }
}

/// Returns true if two failures have the same cause.
fn is_same_failure(one: &ConfigureFailure, other: &ConfigureFailure) -> bool {
    match (one, other) {
        (ConfigureFailure::Route { index: a, .. }, ConfigureFailure::Route { index: b, .. }) => {
            a == b
        }
        (ConfigureFailure::Gateway { .. }, ConfigureFailure::Gateway { .. }) => true,
        _ => false,
    }
}
