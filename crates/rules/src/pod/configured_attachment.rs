//! The interface that a network's plugin configures for one attachment of a pod.

use crate::{Attachment, PodSubject};
use nadmit_cni::{
    AddressRequest,
    cni::{NetworkConfig, Plugin},
    configure::{ConfigureFailure, ConfiguredInterface, RequestedAddresses, pool_addresses},
    ipam::Ipam,
    selection::CniArgs,
};

/// An attachment and its possible interfaces.
pub(crate) struct ConfiguredAttachment<'a> {
    /// The configuration of the network.
    pub(crate) config: &'a NetworkConfig,
    /// The plugin with the IPAM, or the first plugin of a network without IPAM.
    pub(crate) plugin: &'a Plugin,
    /// The interface for each possible choice of addresses. Never empty.
    pub(crate) possible: Vec<ConfiguredInterface>,
}

impl<'a> ConfiguredAttachment<'a> {
    /// Simulates the attachment. Returns `None` if the behavior of the plugin or IPAM is not known, or if
    /// an address is not valid.
    pub(crate) fn of(subject: &PodSubject<'a>, attachment: Attachment<'_, 'a>) -> Option<Self> {
        let network = attachment.network()?;
        let config = network.config.loaded()?;
        let plugin = config.addressing().or(config.main())?;
        let selection = attachment.selection;
        let ips: Vec<AddressRequest> = match &selection.ips {
            None => Vec::new(),
            Some(ips) => ips
                .value
                .iter()
                .map(|ip| ip.ok().copied())
                .collect::<Option<_>>()?,
        };
        let args = match &selection.cni_args {
            None => Vec::new(),
            Some(args) => cni_args_addresses(args)?,
        };
        let asks = !ips.is_empty() || !args.is_empty();
        let pool = network.pool().filter(|name| !name.is_empty());
        let addresses = match (&plugin.ipam, pool) {
            // The addresses are injected later.
            (Some(Ipam::Static(_)), Some(name)) if !asks => {
                let pool = subject.catalog.pool(name).valid()?;
                vec![pool_addresses(pool.ranges.iter().map(|range| range.subnet))]
            }
            _ => plugin.possible_addresses(RequestedAddresses {
                ips: &ips,
                args: &args,
            }),
        };
        if plugin.ipam.is_some() && addresses.iter().any(Vec::is_empty) {
            return None;
        }
        let possible: Vec<ConfiguredInterface> = addresses
            .iter()
            .map(|addresses| plugin.configure(addresses))
            .collect();
        (!possible.is_empty()).then_some(Self {
            config,
            plugin,
            possible,
        })
    }

    /// Returns a failure, if every possible interface has one.
    pub(crate) fn certain_failure(&self) -> Option<(&ConfiguredInterface, &ConfigureFailure)> {
        let mut failures = self.possible.iter().map(|configured| {
            let failure = configured.failures.first()?;
            Some((configured, failure))
        });
        let first = failures.next()??;
        failures.all(|failure| failure.is_some()).then_some(first)
    }

    /// Returns true if no other plugin of the network changes addresses or routes.
    pub(crate) fn is_final(&self) -> bool {
        let mut others = self
            .config
            .plugins
            .iter()
            .filter(|p| !std::ptr::eq(*p, self.plugin));
        others.all(Plugin::is_passive)
    }
}

/// Returns the addresses of `ips` in `cni-args`, which IPAM static reads from `args.cni`; `None` if one
/// of them is not valid.
fn cni_args_addresses(args: &CniArgs<'_>) -> Option<Vec<AddressRequest>> {
    let ips = args.list("ips").into_iter();
    ips.map(|text| AddressRequest::parse(&text?.string()?).ok())
        .collect()
}
