//! Address pools and the validation of their specs.

use core::time::Duration;
use std::{fmt, net::IpAddr, sync::Arc};

use super::{
    Space,
    macs::Macs,
    network_settings::{configured_networks, settings_alone},
    node_slices::NodeSlices,
    range::AddressRange,
    record::NetworkRef,
    selector::{Labels, Selector},
    slice::SlicingConfig,
    spec::{PoolSpec, WorkloadRetentionSpec},
    spec_error::SpecError,
};
use nadmit_cni::mac::Mac;

const DEFAULT_QUARANTINE: Duration = Duration::from_secs(30);
const DEFAULT_LOST_NODE_QUARANTINE: Duration = Duration::from_secs(600);

/// A valid address pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The name of the pool.
    pub name: Arc<str>,
    /// The object that defines the pool.
    pub origin: PoolOrigin,
    /// The address space in which the pool's addresses are unique.
    pub space: Space,
    /// The ranges; each attachment gets an address from each. Empty for a pool of only MACs.
    pub ranges: Box<[AddressRange]>,
    /// The MACs, if the pool has any.
    pub macs: Option<Macs>,
    /// The slicing by node, if the pool is sliced.
    pub slicing: Option<SlicingConfig>,
    /// The slices of nodes that another controller keeps, if the pool is divided so.
    pub node_slices: Option<NodeSlices>,
    /// The retention of addresses.
    pub retention: Retention,
    /// The events that end the retention of a workload's addresses.
    pub workload_retention: WorkloadRetention,
    /// The time for which a released address is withheld from other holders.
    pub quarantine: Duration,
    /// The time for which an address is kept while its node does not respond.
    pub lost_node_quarantine: Duration,
    /// The maximum number of addresses that one namespace may hold.
    pub max_per_namespace: Option<u64>,
    /// The selector of namespaces whose pods may use the pool; `None` selects no namespace.
    pub namespaces: Option<Selector>,
    /// True if virtual machines keep their IP addresses as well as their MACs: because the pool says
    /// so, or because each of its MACs is derived from an address and cannot be kept without one.
    pub vms_retain_ips: bool,
    /// The networks whose own pools have the settings of this one. If there are any, the pool assigns
    /// nothing.
    pub configures: Box<[NetworkRef]>,
}

/// The object that defines a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PoolOrigin {
    /// An AddressPool of this name.
    #[default]
    AddressPool,
    /// The ranges in the static IPAM of networks.
    InlineRanges,
    /// The ranges of networks whose addresses the Whereabouts plugin assigns: those that nadmit writes into
    /// Whereabouts's own records.
    Whereabouts,
}

/// The retention of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Until the pod is gone.
    Pod,
    /// Until the workload is gone, according to [`WorkloadRetention`], for replicas of workloads with
    /// stable identities.
    Workload,
}

/// The events that end the retention of a workload's addresses, as
/// `persistentVolumeClaimRetentionPolicy` does for volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkloadRetention {
    /// True if a replica keeps its addresses while its set is scaled below the replica's ordinal.
    pub retain_when_scaled: bool,
    /// True if addresses are kept when the set is deleted.
    pub retain_when_deleted: bool,
}

impl Pool {
    /// Validates the spec of a pool.
    ///
    /// # Errors
    /// Returns all problems, each with its path below `spec`.
    pub fn new(name: &str, spec: &PoolSpec) -> Result<Self, Vec<SpecError>> {
        let mut validator = PoolValidator { errors: Vec::new() };
        let is_settings = spec.whereabouts.is_some();
        let configures = configured_networks(spec, &mut validator.errors);
        let settings = is_settings.then(|| settings_alone(spec));
        let spec = settings.as_ref().unwrap_or(spec);
        let ranges = validator.ranges(spec);
        let macs = spec.macs.as_ref().and_then(|macs| {
            let parsed = Macs::new(macs, ranges.first());
            validator.accept(parsed.map_err(|error| error.under("macs")))
        });
        if !is_settings && spec.ranges.is_empty() && spec.macs.is_none() {
            let reason = "the pool assigns nothing; write at least one range, or macs".to_owned();
            validator.errors.push(SpecError::new("ranges", reason));
        }
        let slicing = validator
            .accept(SlicingConfig::new(name, spec, &ranges))
            .flatten();
        let retention = validator.retention(spec);
        let workload_retention = validator.workload_retention(spec.workload_retention.as_ref());
        let quarantine = validator.duration("quarantine", &spec.quarantine, DEFAULT_QUARANTINE);
        let lost_node_quarantine = validator.duration(
            "lostNodeQuarantine",
            &spec.lost_node_quarantine,
            DEFAULT_LOST_NODE_QUARANTINE,
        );
        let max_per_namespace = validator.limit(spec.max_per_namespace);
        let namespaces = spec.namespace_selector.as_ref().and_then(|selector| {
            let parsed = Selector::new(selector);
            validator.accept(parsed.map_err(|error| error.under("namespaceSelector")))
        });
        let no_spare = macs.as_ref().is_some_and(|macs| !macs.has_spare());
        // Without MACs of the pool a machine would keep nothing.
        let default = is_settings && spec.virtual_machines.is_none();
        let vms_retain_ips =
            validator.virtual_machines(spec.virtual_machines.as_deref()) || no_spare || default;
        if !validator.errors.is_empty() {
            return Err(validator.errors);
        }
        Ok(Self {
            name: name.into(),
            origin: PoolOrigin::AddressPool,
            space: Space::new(&spec.network_name),
            ranges: ranges.into(),
            macs,
            slicing,
            node_slices: None,
            retention,
            workload_retention,
            quarantine,
            lost_node_quarantine,
            max_per_namespace,
            namespaces,
            vms_retain_ips,
            configures,
        })
    }

    /// Returns true if the pool guards its addresses on every network: pods may request them on its
    /// networks only. A pool that networks define by themselves guards them on those networks.
    pub fn is_guarded_everywhere(&self) -> bool {
        self.origin != PoolOrigin::InlineRanges
    }

    /// Returns true if the address of a pod depends on its node.
    pub fn assigns_by_node(&self) -> bool {
        self.slicing.is_some() || self.node_slices.is_some()
    }

    /// Returns true if pods of a namespace with these labels may use the pool.
    pub fn serves(&self, namespace: &Labels) -> bool {
        let selector = self.namespaces.as_ref();
        selector.is_some_and(|selector| selector.selects(namespace))
    }

    /// Returns the index of the range whose subnet contains the address.
    pub fn range_of(&self, address: IpAddr) -> Option<usize> {
        self.ranges.iter().position(|range| range.contains(address))
    }

    /// Returns the MAC derived from an address of the first range.
    pub fn derived_mac(&self, address: IpAddr) -> Option<Mac> {
        let range = self
            .ranges
            .first()
            .filter(|range| range.contains(address))?;
        self.macs.as_ref()?.derived(range.offset(address))
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pod => "Pod",
            Self::Workload => "Workload",
        })
    }
}

/// Validates the fields of a spec one by one and collects the problems.
struct PoolValidator {
    errors: Vec<SpecError>,
}

impl PoolValidator {
    fn accept<T>(&mut self, result: Result<T, SpecError>) -> Option<T> {
        result.map_err(|error| self.errors.push(error)).ok()
    }

    fn ranges(&mut self, spec: &PoolSpec) -> Vec<AddressRange> {
        let mut ranges: Vec<AddressRange> = Vec::new();
        for (index, range) in spec.ranges.iter().enumerate() {
            let path = format!("ranges[{index}]");
            match AddressRange::new(range) {
                Ok(range) => {
                    let whole = range.subnet.range();
                    let overlapping = ranges
                        .iter()
                        .find(|r| r.subnet.range().intersection(whole).is_some());
                    if let Some(overlapping) = overlapping {
                        let reason = format!(
                            "{} overlaps {} of the same pool; write ranges that do not overlap",
                            range.subnet, overlapping.subnet
                        );
                        self.errors
                            .push(SpecError::new("range", reason).under(&path));
                    }
                    ranges.push(range);
                }
                Err(errors) => {
                    let errors = errors.into_iter().map(|error| error.under(&path));
                    self.errors.extend(errors);
                }
            }
        }
        ranges
    }

    fn retention(&mut self, spec: &PoolSpec) -> Retention {
        let sliced = spec
            .node_slice_size
            .as_ref()
            .is_some_and(|size| !size.is_empty());
        let parsed = match spec.retention.as_deref() {
            None if sliced => Ok(Retention::Pod),
            None => Ok(Retention::Workload),
            Some("Pod") => Ok(Retention::Pod),
            Some("Workload") if sliced => Err(
                "an address of a node's slice cannot follow its workload to another node; write \
                 Pod, or leave out nodeSliceSize"
                    .to_owned(),
            ),
            Some("Workload") => Ok(Retention::Workload),
            Some(other) => Err(format!("{other:?} is neither Pod nor Workload")),
        };
        let parsed = parsed.map_err(|reason| SpecError::new("retention", reason));
        self.accept(parsed).unwrap_or(Retention::Pod)
    }

    fn workload_retention(&mut self, spec: Option<&WorkloadRetentionSpec>) -> WorkloadRetention {
        let mut read = |name: &str, text: Option<&str>, default: bool| match text {
            None => default,
            Some("Retain") => true,
            Some("Release") => false,
            Some(other) => {
                let reason = format!("{other:?} is neither Retain nor Release");
                let error = SpecError::new(name, reason).under("workloadRetention");
                self.errors.push(error);
                default
            }
        };
        let scaled = spec.and_then(|spec| spec.when_scaled.as_deref());
        let deleted = spec.and_then(|spec| spec.when_deleted.as_deref());
        WorkloadRetention {
            retain_when_scaled: read("whenScaled", scaled, true),
            retain_when_deleted: read("whenDeleted", deleted, false),
        }
    }

    fn duration(&mut self, name: &str, text: &Option<String>, default: Duration) -> Duration {
        let Some(text) = text.as_deref().filter(|text| !text.is_empty()) else {
            return default;
        };
        match parse_duration(text) {
            Some(duration) => duration,
            None => {
                let reason = format!("{text:?} is not a valid duration; write one such as \"30s\"");
                self.errors.push(SpecError::new(name, reason));
                default
            }
        }
    }

    fn limit(&mut self, limit: Option<i64>) -> Option<u64> {
        let limit = limit?;
        match u64::try_from(limit) {
            Ok(limit) if limit > 0 => Some(limit),
            _ => {
                let reason =
                    format!("{limit} is not a valid limit; write at least 1, or remove it");
                self.errors.push(SpecError::new("maxPerNamespace", reason));
                None
            }
        }
    }

    fn virtual_machines(&mut self, text: Option<&str>) -> bool {
        match text {
            None | Some("MAC") => false,
            Some("MACAndIPs") => true,
            Some(other) => {
                let reason = format!("{other:?} is neither MAC nor MACAndIPs");
                self.errors.push(SpecError::new("virtualMachines", reason));
                false
            }
        }
    }
}

/// Parses a duration in Go's format with whole hours, minutes and seconds (`1h30m`, `30s`).
fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        let unit = match rest.as_bytes().get(digits)? {
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = rest.get(digits + 1..)?;
    }
    // Longer ones cannot be added to a time.
    i64::try_from(seconds)
        .is_ok()
        .then_some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(spec: &str) -> Result<Pool, Vec<String>> {
        let spec: PoolSpec = serde_json::from_str(spec).unwrap_or_else(|e| panic!("{e}"));
        Pool::new("storage", &spec).map_err(|f| f.into_iter().map(|f| f.path).collect())
    }

    #[test]
    fn the_pool_of_the_design_is_valid() {
        let pool = pool(
            r#"{"ranges":[{"range":"192.0.2.192/27","exclude":["192.0.2.192/30","192.0.2.196/32"]},
                {"range":"2001:db8::/64"}],"macs":{"prefix":"02:5e:00"},
                "networkName":"example_net_common","retention":"Workload",
                "workloadRetention":{"whenScaled":"Retain","whenDeleted":"Release"},
                "quarantine":"30s","lostNodeQuarantine":"10m","maxPerNamespace":200,
                "namespaceSelector":{}}"#,
        )
        .unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(pool.lost_node_quarantine, Duration::from_secs(600));
        assert!(pool.serves(&Labels::new()));
        let address = |text: &str| text.parse().unwrap_or_else(|e| panic!("{e}"));
        let mac = pool.derived_mac(address("192.0.2.205"));
        assert_eq!(
            mac.map(|mac| mac.to_string()).as_deref(),
            Some("02:5e:00:00:00:0d")
        );
        assert_eq!(pool.derived_mac(address("2001:db8::5")), None);
        assert_eq!(pool.range_of(address("2001:db8::5")), Some(1));
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let errors = pool(
            r#"{"ranges":[{"range":"192.0.2.0/24","exclude":["x"]},{"range":"192.0.2.128/25"}],
                "macs":{"prefix":"01"},"retention":"Forever","quarantine":"soon",
                "workloadRetention":{"whenScaled":"x"},"maxPerNamespace":0,
                "namespaceSelector":{"matchExpressions":[{"key":"a"}]},"virtualMachines":"IPs"}"#,
        );
        assert_eq!(
            errors.err().unwrap_or_default(),
            [
                "ranges[0].exclude[0]",
                "macs.prefix",
                "retention",
                "workloadRetention.whenScaled",
                "quarantine",
                "maxPerNamespace",
                "namespaceSelector.matchExpressions[0].operator",
                "virtualMachines",
            ]
        );
        assert_eq!(pool("{}").err().unwrap_or_default(), ["ranges"]);
        let twins = r#"{"ranges":[{"range":"192.0.2.0/24"},{"range":"192.0.2.128/25"}]}"#;
        assert_eq!(pool(twins).err().unwrap_or_default(), ["ranges[1].range"]);
    }

    #[test]
    fn durations_are_whole_hours_minutes_and_seconds() {
        for (text, seconds) in [
            ("30s", Some(30)),
            ("1h30m", Some(5400)),
            ("0s", Some(0)),
            ("10", None),
            ("ms", None),
            ("-5s", None),
            ("5ms", None),
            ("99999999999999999999h", None),
            ("9999999999999999h", None),
        ] {
            assert_eq!(
                parse_duration(text),
                seconds.map(Duration::from_secs),
                "{text}"
            );
        }
    }

    #[test]
    fn a_sliced_pool_retains_nothing_for_a_workload() {
        let sliced = |size: &str, more: &str| {
            pool(&format!(
                r#"{{"ranges":[{{"range":"10.5.0.0/20"}}],"nodeSliceSize":"{size}"{more}}}"#
            ))
        };
        let good = sliced("/24", "").unwrap_or_else(|e| panic!("{e:?}"));
        let slicing = SlicingConfig {
            host_bits: 8,
            strict: false,
        };
        assert_eq!(
            (good.slicing, good.retention),
            (Some(slicing), Retention::Pod)
        );
        let strict = sliced("/24", r#","strictSlices":true"#).ok();
        let strict = strict.and_then(|pool| pool.slicing);
        assert!(strict.is_some_and(|slicing| slicing.strict));
        let retained = sliced("/24", r#","retention":"Workload""#);
        assert_eq!(retained.err().unwrap_or_default(), ["retention"]);
        let alone = pool(r#"{"ranges":[{"range":"10.5.0.0/20"}],"strictSlices":true}"#);
        assert_eq!(alone.err().unwrap_or_default(), ["strictSlices"]);
    }
}
