//! A network as its plugin sets it up for one pod's attachment.

use crate::{
    network::{
        AddressRequest,
        cni::{NetworkConfig, Plugin},
        configure::{ConfigureFailure, ConfiguredInterface, RequestedAddresses, pool_addresses},
        ipam::Ipam,
        selection::CniArgs,
    },
    rules::{Attachment, PodSubject},
};

/// The interface of an attachment.
pub(in crate::rules) struct ConfiguredAttachment<'a> {
    /// The network's configuration.
    pub(in crate::rules) config: &'a NetworkConfig,
    /// The plugin that gives addresses; without IPAM the first.
    pub(in crate::rules) plugin: &'a Plugin,
    /// The interface, for each possibility; at least one.
    pub(in crate::rules) possible: Vec<ConfiguredInterface>,
}

impl<'a> ConfiguredAttachment<'a> {
    /// Sets the attachment up; `None` where what its plugin or IPAM does is not known, or an address
    /// cannot be read.
    pub(in crate::rules) fn of(
        subject: &PodSubject<'a>,
        attachment: Attachment<'_, 'a>,
    ) -> Option<Self> {
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
        let pool = network
            .address_pool
            .as_deref()
            .filter(|name| !name.is_empty());
        let addresses = match (&plugin.ipam, pool) {
            // They are given later.
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

    /// A failure, if each possibility has one.
    pub(in crate::rules) fn certain_failure(
        &self,
    ) -> Option<(&ConfiguredInterface, &ConfigureFailure)> {
        let mut failures = self.possible.iter().map(|configured| {
            let failure = configured.failures.first()?;
            Some((configured, failure))
        });
        let first = failures.next()??;
        failures.all(|failure| failure.is_some()).then_some(first)
    }

    /// Whether the plugins behind leave addresses and routes alone.
    pub(in crate::rules) fn is_final(&self) -> bool {
        let mut others = self
            .config
            .plugins
            .iter()
            .filter(|p| !std::ptr::eq(*p, self.plugin));
        others.all(Plugin::is_passive)
    }
}

/// The addresses of `ips` in `cni-args`, which static reads in `args.cni`; `None` if one of them cannot
/// be read.
fn cni_args_addresses(args: &CniArgs<'_>) -> Option<Vec<AddressRequest>> {
    let ips = args.list("ips").into_iter();
    ips.map(|text| AddressRequest::parse(&text?.string()?).ok())
        .collect()
}
