//! The object under review: the fields that decisions need, everything else skipped.

use std::borrow::Cow;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use nadmit_cni::{annotations, near_miss::intended_key};

/// A Kubernetes object of any kind.
#[derive(Debug, Default, Deserialize)]
pub struct ReviewObject<'a> {
    #[serde(borrow, default)]
    pub metadata: ReviewMetadata<'a>,
    /// The relevant part of the spec.
    #[serde(borrow, default)]
    pub spec: ReviewSpec<'a>,
    /// The target of a Binding.
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub target: Option<TargetNode<'a>>,
    /// The `data` of a `ConfigMap`, as JSON.
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
}

/// The node that a Binding targets.
#[derive(Debug, Default, Deserialize)]
pub struct TargetNode<'a> {
    /// The node's name.
    #[serde(borrow, default)]
    pub name: Cow<'a, str>,
}

/// The relevant part of an object's metadata.
#[derive(Debug, Default, Deserialize)]
pub struct ReviewMetadata<'a> {
    /// The name; absent until the API server has generated one.
    #[serde(borrow, default, deserialize_with = "text")]
    pub name: Option<Cow<'a, str>>,
    /// The prefix that the API server generates a name from.
    #[serde(borrow, default, rename = "generateName", deserialize_with = "text")]
    pub generate_name: Option<Cow<'a, str>>,
    /// The time of the deletion request; absent unless the object is being deleted.
    #[serde(
        borrow,
        default,
        rename = "deletionTimestamp",
        deserialize_with = "text"
    )]
    pub deletion_timestamp: Option<Cow<'a, str>>,
    /// The UID; absent until the API server has assigned one.
    #[serde(borrow, default, deserialize_with = "text")]
    pub uid: Option<Cow<'a, str>>,
    /// The owner references, as JSON.
    #[serde(borrow, default, rename = "ownerReferences")]
    pub owners: Option<RawJson<'a>>,
    /// The annotations that nadmit reads.
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub annotations: ReviewAnnotations<'a>,
    /// The labels that nadmit reads.
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub labels: ReviewLabels<'a>,
}

/// The annotations that nadmit reads, each as written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ReviewAnnotations<'a> {
    /// `k8s.v1.cni.cncf.io/networks`
    pub networks: Option<Cow<'a, str>>,
    /// `v1.multus-cni.io/default-network`
    pub default_network: Option<Cow<'a, str>>,
    /// `k8s.v1.cni.cncf.io/resourceName`, on a network.
    pub resource_name: Option<Cow<'a, str>>,
    /// `nadmit.io/requested-networks`
    pub requested_networks: Option<Cow<'a, str>>,
    /// `nadmit.io/requested-default-network`
    pub requested_default_network: Option<Cow<'a, str>>,
    /// `nadmit.io/holder-token`
    pub holder_token: Option<Cow<'a, str>>,
    /// Keys that nearly match one of Multus's keys for requesting networks.
    pub near_misses: Vec<Cow<'a, str>>,
    /// Set if the object has annotations at all.
    pub present: bool,
    /// `nadmit.io/address-pool`, on a network.
    pub address_pool: Option<Cow<'a, str>>,
    /// Set on the mirror of a static pod, which the kubelet runs in any case.
    pub mirror: bool,
    /// `kubevirt.io/migrationJobName`
    pub migration_name: Option<Cow<'a, str>>,
    /// The size of all keys and values, including those that nadmit does not read.
    pub size: ByteCount,
}

/// A number of bytes. Any two are equal, so that a size does not make annotations differ.
#[derive(Debug, Default, Clone, Copy)]
pub struct ByteCount(pub usize);

impl PartialEq for ByteCount {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for ByteCount {}

/// The labels that nadmit reads.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ReviewLabels<'a> {
    /// Set on the pods in which KubeVirt runs virtual machines.
    pub virt_launcher: bool,
    /// `kubevirt.io/migrationJobUID`
    pub migration_uid: Option<Cow<'a, str>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for ReviewLabels<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LabelsVisitor<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for LabelsVisitor<'a> {
            type Value = ReviewLabels<'a>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut labels = ReviewLabels::default();
                while let Some(BorrowedText(key)) = map.next_key()? {
                    match &*key {
                        annotations::KUBEVIRT_LABEL => {
                            let role = value(&mut map)?;
                            labels.virt_launcher =
                                role.is_some_and(|role| role == annotations::VIRT_LAUNCHER);
                        }
                        annotations::MIGRATION_UID_LABEL => {
                            labels.migration_uid = value(&mut map)?;
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(labels)
            }
        }
        deserializer.deserialize_map(LabelsVisitor(std::marker::PhantomData))
    }
}

/// The relevant part of a spec, read in the same pass as the rest. Fields of an unexpected type
/// read as the default: the API server validates the object.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ReviewSpec<'a> {
    /// Set if a pod uses the host network; Multus then ignores its annotations.
    pub host_network: bool,
    /// The node that a pod is bound to, or is to be.
    pub node_name: Option<Cow<'a, str>>,
    /// A network's configuration, if it is a string.
    pub config: Option<Cow<'a, str>>,
    /// A network's configuration as JSON, if it is not a string. The API server's schema rules that
    /// out, but not for manifests that are checked without it.
    pub non_string_config: Option<&'a str>,
    /// A workload's pod template.
    pub template: Option<RawJson<'a>>,
    /// A `CronJob`'s job template.
    pub job_template: Option<RawJson<'a>>,
    /// A workload's number of pods.
    pub replicas: Option<RawJson<'a>>,
    /// The number of a job's pods that run at once.
    pub parallelism: Option<RawJson<'a>>,
    /// The number of a job's pods that have to succeed.
    pub completions: Option<RawJson<'a>>,
    /// A Deployment's update strategy.
    pub strategy: Option<RawJson<'a>>,
    /// A `CronJob`'s concurrency policy.
    pub concurrency: Option<RawJson<'a>>,
    /// A virtual machine's networks.
    pub networks: Option<RawJson<'a>>,
    /// The additional networks of OpenShift's network operator, as JSON.
    pub additional_networks: Option<&'a str>,
}

/// A value kept as JSON text and parsed only where needed. It may be anything: the API server
/// validates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawJson<'a>(&'a str);

impl<'de: 'a, 'a> Deserialize<'de> for RawJson<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value: &'de RawValue = Deserialize::deserialize(deserializer)?;
        Ok(Self(value.get()))
    }
}

impl<'a> RawJson<'a> {
    /// Parses the value; `None` if it has another type.
    pub fn read<T: Deserialize<'a>>(self) -> Option<T> {
        serde_json::from_str(self.0).ok()
    }

    /// Returns the value's field `type`.
    pub(super) fn kind(self) -> Option<String> {
        #[derive(Deserialize)]
        struct Typed {
            #[serde(rename = "type")]
            kind: String,
        }
        self.read::<Typed>().map(|typed| typed.kind)
    }

    /// Returns the Multus networks among a machine's networks: index and name.
    pub(super) fn multus_names(self) -> Vec<(usize, String)> {
        #[derive(Deserialize)]
        struct MachineNetwork {
            multus: MultusNetwork,
        }
        #[derive(Deserialize)]
        struct MultusNetwork {
            #[serde(rename = "networkName")]
            name: String,
        }
        let networks: Vec<&'a RawValue> = self.read().unwrap_or_default();
        let names = networks.into_iter().enumerate();
        names
            .filter_map(|(index, network)| {
                let network: MachineNetwork = serde_json::from_str(network.get()).ok()?;
                Some((index, network.multus.name))
            })
            .collect()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ReviewSpec<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SpecVisitor<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for SpecVisitor<'a> {
            type Value = ReviewSpec<'a>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ReviewSpec<'a>, A::Error> {
                let mut spec = ReviewSpec::default();
                while let Some(BorrowedText(key)) = map.next_key()? {
                    match &*key {
                        "hostNetwork" => {
                            let value: &RawValue = map.next_value()?;
                            spec.host_network = value.get() == "true";
                        }
                        "nodeName" => {
                            let value: &'de RawValue = map.next_value()?;
                            let text =
                                serde_json::from_str::<Option<BorrowedText<'de>>>(value.get());
                            let text = text.ok().flatten().map(|BorrowedText(text)| text);
                            spec.node_name = text.filter(|text| !text.is_empty());
                        }
                        "config" => {
                            let value: &'de RawValue = map.next_value()?;
                            let text =
                                serde_json::from_str::<Option<BorrowedText<'de>>>(value.get());
                            match text {
                                Ok(text) => spec.config = text.map(|BorrowedText(text)| text),
                                Err(_) => spec.non_string_config = Some(value.get()),
                            }
                        }
                        "template" => spec.template = raw(&mut map)?,
                        "jobTemplate" => spec.job_template = raw(&mut map)?,
                        "replicas" => spec.replicas = raw(&mut map)?,
                        "parallelism" => spec.parallelism = raw(&mut map)?,
                        "completions" => spec.completions = raw(&mut map)?,
                        "strategy" => spec.strategy = raw(&mut map)?,
                        "concurrencyPolicy" => spec.concurrency = raw(&mut map)?,
                        "networks" => spec.networks = raw(&mut map)?,
                        "additionalNetworks" => {
                            let value: &'de RawValue = map.next_value()?;
                            spec.additional_networks = Some(value.get());
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(spec)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ReviewSpec<'a>, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(ReviewSpec::default())
            }

            fn visit_unit<E>(self) -> Result<ReviewSpec<'a>, E> {
                Ok(ReviewSpec::default())
            }

            fn visit_bool<E>(self, _: bool) -> Result<ReviewSpec<'a>, E> {
                Ok(ReviewSpec::default())
            }

            fn visit_i64<E>(self, _: i64) -> Result<ReviewSpec<'a>, E> {
                Ok(ReviewSpec::default())
            }

            fn visit_u64<E>(self, _: u64) -> Result<ReviewSpec<'a>, E> {
                Ok(ReviewSpec::default())
            }

            fn visit_f64<E>(self, _: f64) -> Result<ReviewSpec<'a>, E> {
                Ok(ReviewSpec::default())
            }

            fn visit_str<E>(self, _: &str) -> Result<ReviewSpec<'a>, E> {
                Ok(ReviewSpec::default())
            }
        }
        deserializer.deserialize_any(SpecVisitor(std::marker::PhantomData))
    }
}

/// A member's value as it is written; of `null`, nothing.
fn raw<'de: 'a, 'a, A: MapAccess<'de>>(map: &mut A) -> Result<Option<RawJson<'a>>, A::Error> {
    let value: &'de RawValue = map.next_value()?;
    Ok(Some(RawJson(value.get())).filter(|raw| raw.0 != "null"))
}

impl<'de: 'a, 'a> Deserialize<'de> for ReviewAnnotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnnotationsVisitor<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for AnnotationsVisitor<'a> {
            type Value = ReviewAnnotations<'a>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = ReviewAnnotations {
                    present: true,
                    ..ReviewAnnotations::default()
                };
                while let Some(BorrowedText(key)) = map.next_key()? {
                    found.size.0 += key.len();
                    let before = found.value_bytes();
                    match &*key {
                        annotations::NETWORKS => found.networks = value(&mut map)?,
                        annotations::DEFAULT_NETWORK => found.default_network = value(&mut map)?,
                        annotations::RESOURCE_NAME => found.resource_name = value(&mut map)?,
                        annotations::REQUESTED_NETWORKS => {
                            found.requested_networks = value(&mut map)?;
                        }
                        annotations::REQUESTED_DEFAULT_NETWORK => {
                            found.requested_default_network = value(&mut map)?;
                        }
                        annotations::HOLDER_TOKEN => found.holder_token = value(&mut map)?,
                        annotations::ADDRESS_POOL => found.address_pool = value(&mut map)?,
                        annotations::MIGRATION_NAME => found.migration_name = value(&mut map)?,
                        annotations::MIRROR_POD => {
                            found.size.0 += json_string_bytes(map.next_value()?);
                            found.mirror = true;
                        }
                        _ => {
                            if intended_key(&key).is_some() {
                                found.near_misses.push(key);
                            }
                            found.size.0 += json_string_bytes(map.next_value()?);
                        }
                    }
                    found.size.0 += found.value_bytes().saturating_sub(before);
                }
                Ok(found)
            }
        }
        deserializer.deserialize_map(AnnotationsVisitor(std::marker::PhantomData))
    }
}

impl ReviewObject<'_> {
    /// Returns true if the object is being deleted.
    pub(crate) fn is_terminating(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }
}

impl ReviewAnnotations<'_> {
    /// Returns true if the annotations request networks.
    pub(crate) fn request_networks(&self) -> bool {
        self.networks.is_some() || self.default_network.is_some()
    }

    /// Returns the number of bytes of the values that nadmit reads.
    fn value_bytes(&self) -> usize {
        let values = [
            &self.networks,
            &self.default_network,
            &self.resource_name,
            &self.requested_networks,
            &self.requested_default_network,
            &self.holder_token,
            &self.address_pool,
            &self.migration_name,
        ];
        values.into_iter().flatten().map(|value| value.len()).sum()
    }
}

/// Returns the number of bytes of a JSON string, with its escapes resolved.
fn json_string_bytes(text: &RawValue) -> usize {
    let text = text.get();
    if text.contains('\\') {
        let text = serde_json::from_str::<BorrowedText<'_>>(text);
        return text.map_or(0, |BorrowedText(text)| text.len());
    }
    text.len().saturating_sub(2)
}

/// Reads a map's next value: a string or null.
fn value<'de: 'a, 'a, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Cow<'a, str>>, A::Error> {
    Ok(map
        .next_value::<Option<BorrowedText<'a>>>()?
        .map(|BorrowedText(text)| text))
}

/// A string, borrowed if it has no escapes (serde's own `Cow` never borrows).
#[derive(Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads a string or null, borrowed if it has no escapes.
pub(super) fn text<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Cow<'a, str>>, D::Error> {
    Ok(Option::<BorrowedText<'a>>::deserialize(deserializer)?.map(|BorrowedText(text)| text))
}

/// Reads `null`, as which Go writes an empty map, as the default.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
