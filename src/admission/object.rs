//! The object under review: its metadata, and the rest unread until somebody asks.

use std::borrow::Cow;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::network::annotations;

/// A Kubernetes object, whatever its kind.
#[derive(Debug, Default, Deserialize)]
pub struct Object<'a> {
    /// What every object has.
    #[serde(borrow, default)]
    pub metadata: Metadata<'a>,
    /// Its spec, unread.
    #[serde(borrow, default)]
    spec: Option<&'a RawValue>,
}

/// The part of an object's metadata that decides.
#[derive(Debug, Default, Deserialize)]
pub struct Metadata<'a> {
    /// The name; absent where the server has not made one yet.
    #[serde(borrow, default)]
    pub name: Option<Cow<'a, str>>,
    /// What a name will be made from.
    #[serde(borrow, default, rename = "generateName")]
    pub generate_name: Option<Cow<'a, str>>,
    /// When deletion was asked for; absent while the object is wanted.
    #[serde(borrow, default, rename = "deletionTimestamp")]
    pub deletion_timestamp: Option<Cow<'a, str>>,
    /// The annotations that nadmit reads.
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub annotations: Annotations<'a>,
}

/// The annotations that nadmit reads, each as written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Annotations<'a> {
    /// `k8s.v1.cni.cncf.io/networks`
    pub networks: Option<Cow<'a, str>>,
    /// `v1.multus-cni.io/default-network`
    pub default_network: Option<Cow<'a, str>>,
    /// Whether the pod is the API's copy of a static pod, which the kubelet runs in any case.
    pub mirror: bool,
}

/// The part of a pod's spec that decides.
#[derive(Debug, Default, Deserialize)]
pub struct PodSpec {
    /// Whether the pod uses the node's own network; Multus then ignores its annotation.
    #[serde(default, rename = "hostNetwork")]
    pub host_network: Option<bool>,
}

impl Object<'_> {
    /// Reads the spec as a pod's. What does not fit reads as the default: the API server checks
    /// pods, nadmit need not.
    pub fn pod_spec(&self) -> PodSpec {
        self.spec
            .and_then(|spec| serde_json::from_str(spec.get()).ok())
            .unwrap_or_default()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Known<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Known<'a> {
            type Value = Annotations<'a>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = Annotations::default();
                while let Some(Text(key)) = map.next_key()? {
                    match &*key {
                        annotations::NETWORKS => found.networks = value(&mut map)?,
                        annotations::DEFAULT_NETWORK => found.default_network = value(&mut map)?,
                        annotations::MIRROR_POD => {
                            map.next_value::<IgnoredAny>()?;
                            found.mirror = true;
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(found)
            }
        }
        fn value<'de: 'a, 'a, A: MapAccess<'de>>(
            map: &mut A,
        ) -> Result<Option<Cow<'a, str>>, A::Error> {
            Ok(map.next_value::<Option<Text<'a>>>()?.map(|Text(text)| text))
        }
        deserializer.deserialize_map(Known(std::marker::PhantomData))
    }
}

/// A text, borrowed where it has no escapes (serde's own `Cow` never borrows).
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Go writes an empty map as `null`.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
