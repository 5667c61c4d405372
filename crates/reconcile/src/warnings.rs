//! Warnings about what only operators can fix: addresses with several users, and pods that have
//! something else than is recorded for them.

use std::{collections::BTreeSet, fmt};

use nadmit_allocation::{
    Address, Allocation, Holder, NetworkRef,
    reconcile::{ActionReason, InUse},
};
use nadmit_cni::mac::Mac;

use crate::{Plan, Planner, observed_addresses::ReportedInterface};

/// A warning about a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodWarning {
    pub pod: WarnedPod,
    pub reason: WarningReason,
}

/// The pod of a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarnedPod {
    /// The pod's namespace.
    pub namespace: Box<str>,
    /// The pod's name.
    pub name: Box<str>,
    /// The pod's UID, if known.
    pub uid: Option<Box<str>>,
}

/// The reason for a warning, displayed as the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarningReason {
    /// Several holders use an address.
    Duplicate {
        address: Address,
        /// The holders that use it.
        users: Vec<Holder>,
    },
    /// An interface reports something else than is recorded for it.
    Drift {
        /// The network of the interface.
        network: NetworkRef,
        /// The name of the interface in the pod.
        interface: String,
        /// The difference.
        drift: Drift,
    },
}

/// A difference between an interface's network-status and its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// The addresses differ.
    Addresses {
        /// The addresses in the pool's ranges that the interface reports.
        reported: BTreeSet<Address>,
        /// The recorded addresses.
        recorded: BTreeSet<Address>,
    },
    /// The MAC differs.
    Mac {
        /// The MAC that the interface reports.
        reported: Mac,
        recorded: Mac,
    },
}

impl Planner {
    /// Returns a warning for each pod that shares an address.
    pub fn duplicate_warnings(&self, plan: &Plan) -> Vec<PodWarning> {
        let mut warnings = Vec::new();
        for planned in &plan.actions {
            let ActionReason::Duplicate { address, users } = &planned.action.reason else {
                continue;
            };
            let used = self.addresses.in_use();
            let used = used.filter(|one| one.address == *address);
            let pods = used
                .filter(|one| users.contains(&one.holder))
                .filter_map(WarnedPod::of_user);
            warnings.extend(pods.map(|pod| PodWarning {
                pod,
                reason: WarningReason::Duplicate {
                    address: *address,
                    users: users.clone(),
                },
            }));
        }
        warnings
    }

    /// Returns a warning for each bound pod whose network-status shows, on a pool's network, other
    /// addresses than are recorded. Recorded addresses that the pod does not use are ignored: they are
    /// about to be released.
    pub fn drift_warnings(&self, plan: &Plan) -> Vec<PodWarning> {
        let mismatches: Vec<_> = self.addresses.mismatches().collect();
        let addresses = mismatches.iter().flat_map(|(_, used, _)| used);
        let addresses: BTreeSet<Address> = addresses.map(|one| one.address).collect();
        let records = plan.records.iter().map(|one| &one.allocation);
        let records: Vec<&Allocation> = records
            .filter(|record| addresses.contains(&record.address))
            .collect();
        let mut warnings = Vec::new();
        for (pod, used, reported) in mismatches {
            let of_pod = |record: &&&Allocation| {
                let on_it =
                    record.network == reported.network && *record.interface == *reported.interface;
                on_it && record.holder == pod.holder
            };
            let is_used =
                |record: &&&Allocation| used.iter().any(|one| one.address == record.address);
            let records = records.iter().filter(of_pod).filter(is_used);
            let records: Vec<&Allocation> = records.copied().collect();
            // Addresses that are being recorded or adopted are complete in a later pass.
            let is_recorded =
                |one: &&InUse| records.iter().any(|record| record.address == one.address);
            if !used.iter().all(is_recorded) {
                continue;
            }
            if let Some(drift) = RecordedAddresses::of(&records).differs(reported) {
                let pod = WarnedPod {
                    namespace: pod.namespace.clone(),
                    name: pod.name.clone(),
                    uid: pod.uid.clone(),
                };
                let reason = WarningReason::Drift {
                    network: reported.network.clone(),
                    interface: reported.interface.clone(),
                    drift,
                };
                warnings.push(PodWarning { pod, reason });
            }
        }
        warnings
    }
}

impl WarnedPod {
    fn of_user(user: &InUse) -> Option<Self> {
        let pod = user.pod.as_ref()?;
        Some(Self {
            namespace: (&**user.holder.namespace()).into(),
            name: (&*pod.name).into(),
            uid: pod.uid.as_deref().map(Into::into),
        })
    }
}

/// The recorded addresses of an interface.
#[derive(Default)]
struct RecordedAddresses {
    ips: BTreeSet<Address>,
    mac: Option<Mac>,
}

impl RecordedAddresses {
    fn of(records: &[&Allocation]) -> Self {
        let mut recorded = Self::default();
        for record in records {
            match record.address {
                Address::Ip(_) => {
                    recorded.ips.insert(record.address);
                    recorded.mac = recorded.mac.or(record.mac);
                }
                Address::Mac(mac) => recorded.mac = Some(mac),
            }
        }
        recorded
    }

    fn differs(self, interface: &ReportedInterface) -> Option<Drift> {
        if self.ips != interface.ips {
            return Some(Drift::Addresses {
                reported: interface.ips.clone(),
                recorded: self.ips,
            });
        }
        let (reported, recorded) = (interface.mac?, self.mac?);
        (reported != recorded).then_some(Drift::Mac { reported, recorded })
    }
}

/// Returns the message about an address with several users, which are sorted.
pub(crate) fn duplicate_message(address: Address, users: &[Holder]) -> String {
    let name = |user: &Holder| match user {
        Holder::Pod { namespace, name } => Some(format!("{namespace}/{name}")),
        _ => None,
    };
    let (kind, one, mut names) = match users.iter().map(name).collect::<Option<Vec<String>>>() {
        Some(pods) => ("pods ", "one", pods),
        None => {
            let names = users.iter().map(ToString::to_string).collect();
            ("", "one of the pods", names)
        }
    };
    names.sort_unstable();
    let names = match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => names.concat(),
    };
    let is_network = |user: &&Holder| matches!(user, Holder::Network { .. });
    let networks = users.iter().filter(is_network).count();
    let action = match (networks, users.len() - networks) {
        (0, 0..=2) => format!("delete {one}, its successor gets another address"),
        (0, _) => "delete all pods but one, their successors get other addresses".to_owned(),
        (_, 0) => "remove the address from all configurations but one".to_owned(),
        (_, 1) => "delete the pod, its successor gets another address".to_owned(),
        (_, _) => "delete the pods, their successors get other addresses".to_owned(),
    };
    format!("{address} is used by {kind}{names}; {action}")
}

impl fmt::Display for WarningReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { address, users } => f.write_str(&duplicate_message(*address, users)),
            Self::Drift {
                network,
                interface,
                drift,
            } => write!(
                f,
                "interface {interface} of network {}/{} {drift}; the plugin ignores the request, or \
                 the annotation was changed without nadmit; delete the pod",
                network.namespace, network.name
            ),
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |ips: &BTreeSet<Address>| match ips.is_empty() {
            true => "no address".to_owned(),
            false => {
                let ips: Vec<String> = ips.iter().map(ToString::to_string).collect();
                ips.join(", ")
            }
        };
        match self {
            Self::Addresses { reported, recorded } => {
                let (reported, recorded) = (list(reported), list(recorded));
                write!(f, "reports {reported}, but nadmit recorded {recorded}")
            }
            Self::Mac { reported, recorded } => {
                write!(f, "reports MAC {reported}, but nadmit recorded {recorded}")
            }
        }
    }
}
