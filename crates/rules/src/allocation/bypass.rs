//! The rules on addresses that bypass the allocator: `address-by-cni-args` and `address-of-pool`.

use super::pool_requests::PoolProvision;
use crate::{
    Attachment, Check, Example, FieldRef, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{POOL_OF_TWO, SERVED_NET, STORAGE_NET, pod},
    subject::Resolution,
};
use nadmit_allocation::{Address, Holder, Pool};
use nadmit_catalog::LiveRead;
use nadmit_cni::{
    AddressRequest, Network, Span,
    address::canonical,
    definition::ConfigState,
    json::JsonNode,
    mac::{HardwareAddress, Mac},
    text::clipped,
};

pub(crate) const BY_CNI_ARGS: Rule = Rule {
    code: "address-by-cni-args",
    levels: Levels::AUTHORITY,
    summary: "A pod requests an address of a pool's network in cni-args",
    docs: RuleDocs {
        checks: "A network entry of a network with an AddressPool has \"ips\" or \"mac\" in \
            cni-args. Keys in any case count.",
        consequence: "Multus writes cni-args into args.cni of every plugin of the network. \
            static takes \"ips\" from there, bridge takes \"mac\", and tuning takes a \"mac\" \
            that overrides the one beside \"name\". nadmit records none of these addresses, so \
            another pod can get them.",
        fix: "Write \"ips\" and \"mac\" beside \"name\" in the network entry, or remove them to \
            get an address assigned.",
        source: "Multus, injectCNIArgs; executed with static and tuning v1.9.",
    },
    wrong: Example(&[
        POOL_OF_TWO,
        SERVED_NET,
        pod!(r#"[{"name": "pooled-net", "cni-args": {"ips": ["192.0.2.2/29"]}}]"#),
    ]),
    right: Example(&[
        POOL_OF_TWO,
        SERVED_NET,
        pod!(r#"[{"name": "pooled-net", "ips": ["192.0.2.2/29"]}]"#),
    ]),
    check: Check::Pod(check_cni_args),
};

pub(crate) const OF_POOL: Rule = Rule {
    code: "address-of-pool",
    levels: Levels::AUTHORITY,
    summary: "A pod requests an address of a pool on a network that the pool does not serve",
    docs: RuleDocs {
        checks: "A pod requests an address of an AddressPool, or one of its MACs, on a network \
            that the pool does not serve. Addresses in cni-args count like \
            \"ips\" and \"mac\". The rule denies in every mode. It only warns if the \
            configurations show different L2 segments: another master, bridge or VLAN. A network \
            without a configuration in its NetworkAttachmentDefinition, or one that does not \
            exist yet, can be on any L2 segment.",
        consequence: "nadmit does not record the address on that network, and the pool assigns \
            it to another pod. If both networks are on one L2 segment, the two pods have one \
            address.",
        fix: "Request an address outside of the pool. To use the pool's addresses, an \
            administrator annotates the network with nadmit.io/address-pool.",
        source: "docs/pools.md.",
    },
    wrong: Example(&[
        POOL_OF_TWO,
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.2/29"]}]"#),
    ]),
    right: Example(&[
        POOL_OF_TWO,
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["198.51.100.5/24"]}]"#),
    ]),
    check: Check::Pod(check_pool_addresses),
};

/// The keys of `cni-args` from which plugins take addresses.
const ADDRESS_KEYS: [&str; 2] = ["ips", "mac"];

fn check_cni_args(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for served in subject.pooled() {
        if report.is_full() {
            return;
        }
        let attachment = served.attachment;
        let Some(args) = &attachment.selection.cni_args else {
            continue;
        };
        for key in ADDRESS_KEYS {
            for member in args.named(key).filter(|member| !member.value.is_null()) {
                let name = &member.name.value;
                report.add(
                    attachment.field_ref(&format!("cni-args.{name}"), member.value.span()),
                    format!(
                        "{name:?} in cni-args bypasses pool {:?}: {}",
                        served.pool,
                        shorten(member.value.text())
                    ),
                    format!("write \"{key}\" beside \"name\", or remove it to get one assigned"),
                );
            }
        }
    }
}

/// Shortens a value for a message. The length is added because different values need different messages:
/// findings of an update are compared by message.
fn shorten(value: &str) -> String {
    const MAX_BYTES: usize = 200;
    if value.len() <= MAX_BYTES {
        return value.to_owned();
    }
    format!("{} ({} bytes)", clipped(value, MAX_BYTES), value.len())
}

fn check_pool_addresses(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    if subject.catalog.pool_config().pools.is_empty() {
        return;
    }
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let Some(unrecorded) = UnrecordedAttachment::of(attachment, subject) else {
            continue;
        };
        for named in unrecorded.named_addresses() {
            let address = std::iter::once(named.address.key());
            let mut pools = subject.catalog.pools_around(address);
            let pool = pools.find(|pool| pool.is_guarded_everywhere());
            if let Some(pool) = pool {
                unrecorded.report(&named, pool, report);
            }
        }
    }
}

/// A MAC that an attachment names on the link of a pool that does not record it.
#[derive(Debug, Clone)]
pub struct UnrecordedMac {
    /// The index of the attachment in [`PodSubject::attachments`].
    pub attachment: usize,
    pub mac: Mac,
    /// The holder of the MAC.
    pub holder: Holder,
}

/// Returns the MACs that are held according to `holder` and that the pod names on a network which the
/// recording pool does not serve, but which may share the pool's link.
pub fn unrecorded_macs(
    subject: &PodSubject<'_>,
    holder: impl Fn(&Pool, Mac) -> Option<Holder>,
) -> Vec<UnrecordedMac> {
    let mut found = Vec::new();
    if subject.host_network {
        return found;
    }
    for (index, attachment) in subject.attachments().enumerate() {
        let Some(unrecorded) = UnrecordedAttachment::of(attachment, subject) else {
            continue;
        };
        for named in unrecorded.named_addresses() {
            let NamedAddress::Mac(mac) = named.address else {
                continue;
            };
            let mut pools = subject.catalog.pool_config().pools.values();
            let held = pools.find_map(|pool| {
                let holder = holder(pool, mac)?;
                unrecorded.may_share_link_with(pool).then_some(holder)
            });
            found.extend(held.map(|holder| UnrecordedMac {
                attachment: index,
                mac,
                holder,
            }));
        }
    }
    found
}

/// An attachment with addresses that no pool records.
struct UnrecordedAttachment<'s, 'a> {
    attachment: Attachment<'s, 'a>,
    subject: &'s PodSubject<'a>,
    /// Set if the pool that serves the network records the MAC.
    mac_is_recorded: bool,
}

/// An address that an attachment names, with its position.
struct LocatedAddress {
    path: String,
    span: Span,
    address: NamedAddress,
}

enum NamedAddress {
    Ip(AddressRequest),
    Mac(Mac),
}

impl NamedAddress {
    fn key(&self) -> Address {
        match self {
            Self::Ip(request) => Address::Ip(request.address),
            Self::Mac(mac) => Address::Mac(*mac),
        }
    }
}

impl std::fmt::Display for NamedAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(request) => request.address.fmt(f),
            Self::Mac(mac) => mac.fmt(f),
        }
    }
}

impl<'s, 'a> UnrecordedAttachment<'s, 'a> {
    /// Returns `None` if a pool records all addresses, or if the attachment cannot succeed.
    fn of(attachment: Attachment<'s, 'a>, subject: &'s PodSubject<'a>) -> Option<Self> {
        let mac_is_recorded = match attachment.definition() {
            None => match attachment.resolution {
                Resolution::InvalidName => return None,
                _ => false,
            },
            Some(Network {
                config: ConfigState::Broken(_),
                ..
            }) => return None,
            Some(network) => match PoolProvision::of(network) {
                Some(PoolProvision::AddressesAndMac(_)) => return None,
                Some(PoolProvision::Served) if subject.has_injection_label() => return None,
                Some(PoolProvision::Served) => false,
                Some(PoolProvision::MacOnly(_)) => true,
                None => false,
            },
        };
        Some(Self {
            attachment,
            subject,
            mac_is_recorded,
        })
    }

    fn named_addresses(&self) -> Vec<LocatedAddress> {
        let selection = self.attachment.selection;
        let ips = selection.ips.iter().flat_map(|ips| &ips.value).enumerate();
        let ips = ips.filter_map(|(index, ip)| {
            Some(LocatedAddress {
                path: format!("ips[{index}]"),
                span: ip.span,
                address: NamedAddress::Ip(canonical(&ip.text)?),
            })
        });
        let mut named: Vec<LocatedAddress> = ips.collect();
        let mac = selection.mac.as_ref().filter(|_| !self.mac_is_recorded);
        named.extend(mac.and_then(|mac| {
            Some(LocatedAddress {
                path: self.attachment.member("mac").to_owned(),
                span: mac.span,
                address: NamedAddress::Mac(mac.ok()?.as_interface_mac()),
            })
        }));
        named.extend(self.cni_args_addresses());
        named
    }

    /// Returns the addresses in `cni-args`, unless a pool serves the network: then `address-by-cni-args`
    /// reports them.
    fn cni_args_addresses(&self) -> Vec<LocatedAddress> {
        let network = self.attachment.definition();
        let served = network.is_some_and(|network| network.pool().is_some());
        let args = self.attachment.selection.cni_args.as_ref();
        let Some(args) = args.filter(|_| !served) else {
            return Vec::new();
        };
        let mut named = Vec::new();
        for member in args.named("ips") {
            for (index, element) in elements_or_self(member.value).into_iter().enumerate() {
                let request = element.string().and_then(|text| canonical(&text));
                named.extend(request.map(|request| LocatedAddress {
                    path: format!("cni-args.{}[{index}]", member.name.value),
                    span: element.span(),
                    address: NamedAddress::Ip(request),
                }));
            }
        }
        for member in args.named("mac") {
            let mac = member.value.string();
            let mac = mac.and_then(|text| HardwareAddress::parse(&text).ok());
            named.extend(mac.map(|mac| LocatedAddress {
                path: format!("cni-args.{}", member.name.value),
                span: member.value.span(),
                address: NamedAddress::Mac(mac.as_interface_mac()),
            }));
        }
        named
    }

    fn report(&self, named: &LocatedAddress, pool: &Pool, report: &mut Report<'_>) {
        let field_ref = self.attachment.field_ref(&named.path, named.span);
        let selection = self.attachment.selection;
        let network = selection.network_name().unwrap_or_default();
        let served = self.attachment.definition();
        if served.is_some_and(|served| served.pool() == Some(&*pool.name)) {
            let namespace = self.subject.namespace;
            let message = format!(
                "nadmit assigns {} on network {network:?}, but not in namespace {namespace:?}",
                named.address
            );
            let help = format!(
                "remove it, or run: kubectl label namespace {namespace} nadmit.io/injection=enabled"
            );
            return self.add(field_ref, message, help, report);
        }
        let message = format!(
            "{} belongs to pool {:?}, which does not serve network {network:?}",
            named.address, pool.name
        );
        if !self.may_share_link_with(pool) {
            return report.add_capped(Levels::ADVICE, field_ref, message, self.help(pool));
        }
        self.add(field_ref, message, self.help(pool), report);
    }

    fn add(&self, field_ref: FieldRef<'_>, message: String, help: String, report: &mut Report<'_>) {
        let missing = matches!(self.attachment.resolution, Resolution::Missing);
        let name = self.attachment.selection.network_name();
        match name.filter(|_| missing) {
            Some(name) => {
                let live_read = LiveRead::Network {
                    namespace: self.attachment.namespace().into(),
                    name: name.into(),
                };
                report.add_after_live_read(live_read, field_ref, message, help);
            }
            None => report.add(field_ref, message, help),
        }
    }

    fn help(&self, pool: &Pool) -> String {
        match self.attachment.definition() {
            None => "request one outside of the pool, or create the network first".to_owned(),
            Some(network) if network.pool().is_some() => {
                "request one outside of the pool; to use the pool, an administrator sets \
                 the network's IPAM to static"
                    .to_owned()
            }
            Some(_) => format!(
                "request one outside of the pool; to use it, an administrator annotates \
                 the network with nadmit.io/address-pool: {}",
                pool.name
            ),
        }
    }

    /// Returns true unless the network is known to be on another link than the networks that the pool
    /// serves.
    fn may_share_link_with(&self, pool: &Pool) -> bool {
        let network = self.attachment.definition();
        let own = network.and_then(|network| network.main_link());
        own.is_none_or(|own| self.subject.catalog.may_serve_link(&pool.name, own))
    }
}

/// Returns the elements of a list, or the value itself if it is not a list.
fn elements_or_self(value: JsonNode<'_>) -> Vec<JsonNode<'_>> {
    value.elements().unwrap_or_else(|| vec![value])
}
