//! Decodes pods, and only the fields that the catalog keeps.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use crate::{cluster::projection, objects};
use nadmit_catalog::Pod;
use nadmit_cni::{Position, Span, status};
use nadmit_manifests::{Located, PodIdentity, PodManifest, PodName, SourceLocation, is_finished};

/// The label `app.kubernetes.io/name` of nadmit's pods, as `deploy/` has it.
const OWN_LABEL: &str = "nadmit";

#[derive(Deserialize)]
struct PodObject {
    metadata: Metadata,
    #[serde(default)]
    spec: Option<Spec>,
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    name: Box<str>,
    #[serde(default)]
    namespace: Box<str>,
    #[serde(default)]
    uid: Option<Box<str>>,
    #[serde(default)]
    generate_name: Option<Box<str>>,
    #[serde(default)]
    deletion_timestamp: Option<IgnoredAny>,
    #[serde(default)]
    owner_references: Option<Vec<Owner>>,
    #[serde(default)]
    labels: Option<Labels>,
    #[serde(default)]
    annotations: Option<Annotations>,
}

/// The relevant labels.
#[derive(Deserialize)]
struct Labels {
    #[serde(default, rename = "app.kubernetes.io/name")]
    app: Option<Box<str>>,
    #[serde(default, rename = "kubevirt.io/migrationJobUID")]
    migration_uid: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owner {
    #[serde(default)]
    controller: Option<bool>,
    #[serde(default)]
    api_version: Box<str>,
    #[serde(default)]
    kind: Box<str>,
    #[serde(default)]
    name: Box<str>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    node_name: Option<Box<str>>,
    #[serde(default)]
    host_network: Option<bool>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    phase: Option<Box<str>>,
}

/// The relevant annotations; others are skipped while decoding.
struct Annotations(Vec<(Box<str>, Located<Box<str>>)>);

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnnotationVisitor;

        impl<'de> Visitor<'de> for AnnotationVisitor {
            type Value = Annotations;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("annotations")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Annotations, A::Error> {
                let mut kept = Vec::new();
                while let Some(key) = map.next_key::<Box<str>>()? {
                    if projection::is_read_annotation(&key) {
                        let value: Option<Box<str>> = map.next_value()?;
                        kept.push((key, nowhere(value.unwrap_or_default())));
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Annotations(kept))
            }
        }

        deserializer.deserialize_map(AnnotationVisitor)
    }
}

/// Gives a value a dummy location, because a cluster's objects are in no file.
fn nowhere(value: Box<str>) -> Located<Box<str>> {
    let place = SourceLocation {
        span: Span::default(),
        position: Position { line: 1, column: 1 },
    };
    Located {
        value,
        location: place,
    }
}

/// A pod as it is known from the API server.
#[derive(Debug, PartialEq)]
pub(super) enum ReadPod {
    /// A pod that uses or requests additional networks.
    WithNetworks(Box<Pod>),
    /// A pod with this UID that uses no additional networks and is not bound yet.
    PlainUnbound(Box<str>),
    /// A pod with nadmit's label that is bound and uses no additional networks. Its namespace says if it is
    /// a replica.
    Replica,
    /// A pod that has ended, or is bound and uses no additional networks.
    Irrelevant,
}

/// Decodes a pod.
pub(super) fn read(text: &str) -> Result<ReadPod, serde_json::Error> {
    let slim: PodObject = serde_json::from_str(text)?;
    let labels = slim.metadata.labels.as_ref();
    let has_own_label = labels.is_some_and(|labels| labels.app.as_deref() == Some(OWN_LABEL));
    Ok(match objects::pod(slim.manifest()) {
        Some(pod) if concerns_networks(&pod) => ReadPod::WithNetworks(Box::new(pod)),
        Some(Pod {
            uid: Some(uid),
            node: None,
            ..
        }) => ReadPod::PlainUnbound(uid),
        Some(_) if has_own_label => ReadPod::Replica,
        _ => ReadPod::Irrelevant,
    })
}

impl PodObject {
    fn manifest(self) -> PodManifest {
        let metadata = self.metadata;
        let spec = self.spec.unwrap_or_default();
        let owners = metadata.owner_references.into_iter().flatten();
        let mut controllers = owners.filter(|owner| owner.controller == Some(true));
        let phase = self.status.and_then(|status| status.phase);
        PodManifest {
            namespace: metadata.namespace,
            name: PodName::Explicit(metadata.name),
            identity: PodIdentity {
                uid: metadata.uid,
                generate_name: metadata.generate_name.unwrap_or_default(),
                migration_uid: metadata.labels.and_then(|labels| labels.migration_uid),
                controller: controllers
                    .next()
                    .map(|owner| [owner.api_version, owner.kind, owner.name]),
            },
            host_network: spec.host_network.unwrap_or_default(),
            finished: is_finished(phase.as_deref()),
            terminating: metadata.deletion_timestamp.is_some(),
            node: spec.node_name.filter(|node| !node.is_empty()),
            annotations: metadata.annotations.map_or_else(Vec::new, |kept| kept.0),
        }
    }
}

/// Returns true if the pod uses or requests additional networks. The cluster's default network, which
/// Multus reports for every pod, does not count.
fn concerns_networks(pod: &Pod) -> bool {
    let requested = [
        &pod.networks,
        &pod.default_network,
        &pod.requested.networks,
        &pod.requested.default_network,
    ];
    let has_additional = |text: &str| match status::parse(text) {
        Ok(attachments) => attachments.iter().any(|attachment| !attachment.default),
        // An unreadable status may contain anything.
        Err(_) => true,
    };
    requested.into_iter().any(Option::is_some)
        || pod.network_status.as_deref().is_some_and(has_additional)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::FileObjects;
    use nadmit_manifests::Manifest;

    const PODS: [&str; 6] = [
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"db-1","namespace":"db","uid":"u1",
            "resourceVersion":"9","generateName":"db-","deletionTimestamp":"2026-11-01T00:00:00Z",
            "ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"x"},
              {"apiVersion":"apps/v1","kind":"StatefulSet","name":"db","controller":true}],
            "annotations":{"k8s.v1.cni.cncf.io/networks":"a-net","other":"x","nadmit.io/requested-networks":"a-net",
              "k8s.v1.cni.cncf.io/network-status":"[]"}},
            "spec":{"nodeName":"n1","containers":[{"name":"c"}]},"status":{"phase":"Running"}}"#,
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"launcher","namespace":"vm","uid":"u2",
            "labels":{"kubevirt.io":"virt-launcher","kubevirt.io/migrationJobUID":"m-1"},
            "ownerReferences":[{"apiVersion":"kubevirt.io/v1","kind":"VirtualMachineInstance","name":"vm1",
              "controller":true}],"annotations":{"kubevirt.io/migrationJobName":"m","v1.multus-cni.io/default-network":"x/y"}}}"#,
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-abcde","namespace":"web","uid":"u3",
            "generateName":"web-","annotations":{"nadmit.io/holder-token":"t",
            "k8s.v1.cni.cncf.io/networks":"[{\"name\":\"a-net\"}]"}},"spec":{"hostNetwork":false,"nodeName":""}}"#,
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"static","namespace":"web","uid":"u4",
            "annotations":{"kubernetes.io/config.mirror":"x","k8s.v1.cni.cncf.io/networks":"a-net"}},
            "spec":{"hostNetwork":true}}"#,
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"done","namespace":"web",
            "annotations":{"k8s.v1.cni.cncf.io/networks":"a-net"}},"status":{"phase":"Failed"}}"#,
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"had","namespace":"web",
            "annotations":{"k8s.v1.cni.cncf.io/network-status":"[{\"name\":\"web/a-net\",\"ips\":[\"192.0.2.1\"]}]"}}}"#,
    ];

    #[test]
    fn a_pod_decodes_like_its_manifest() {
        for text in PODS {
            let read = manifests_of(text);
            let objects = FileObjects::of(read, "pod.json", &mut Vec::new());
            let expected = objects.pods.into_iter().next();
            let expected = expected.map(|(pod, _)| Pod::clone(&pod));
            let expected = expected.map_or(ReadPod::Irrelevant, |pod| {
                ReadPod::WithNetworks(Box::new(pod))
            });
            let found = super::read(text).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(found, expected, "{text}");
        }
    }

    fn manifests_of(text: &str) -> Vec<Located<Manifest>> {
        let read = nadmit_manifests::read(text, "pod.json");
        assert_eq!(read.errors, []);
        read.objects
    }

    #[test]
    fn pods_without_additional_networks_are_dropped() {
        for annotations in [
            "null",
            "{}",
            r#"{"other":"x"}"#,
            r#"{"k8s.v1.cni.cncf.io/network-status":"[{\"name\":\"kindnet\",\"default\":true,\"ips\":[\"10.0.0.1\"]}]"}"#,
        ] {
            let text = format!(
                r#"{{"metadata":{{"name":"a","namespace":"web","annotations":{annotations}}}}}"#
            );
            assert_eq!(read(&text).ok(), Some(ReadPod::Irrelevant), "{text}");
        }
    }

    #[test]
    fn an_unbound_pod_without_additional_networks_is_known_by_its_uid() {
        let of = |spec: &str| {
            let text =
                format!(r#"{{"metadata":{{"name":"a","namespace":"web","uid":"u"}}{spec}}}"#);
            read(&text).unwrap_or_else(|e| panic!("{e}"))
        };
        assert_eq!(of(""), ReadPod::PlainUnbound("u".into()));
        assert_eq!(
            of(r#","spec":{"nodeName":""}"#),
            ReadPod::PlainUnbound("u".into())
        );
        assert_eq!(of(r#","spec":{"nodeName":"n"}"#), ReadPod::Irrelevant);
        assert_eq!(of(r#","status":{"phase":"Failed"}"#), ReadPod::Irrelevant);
    }

    #[test]
    fn a_bound_pod_with_the_label_of_nadmit_is_a_replica_until_it_ends() {
        let of = |app: &str, more: &str| {
            let text = format!(
                r#"{{"metadata":{{"name":"nadmit-1","namespace":"nadmit","uid":"u",
                    "labels":{{"app.kubernetes.io/name":"{app}"}}}}{more}}}"#
            );
            read(&text).unwrap_or_else(|e| panic!("{e}"))
        };
        let bound = r#","spec":{"nodeName":"n"}"#;
        assert_eq!(of("nadmit", bound), ReadPod::Replica);
        assert_eq!(of("other", bound), ReadPod::Irrelevant);
        assert_eq!(of("nadmit", ""), ReadPod::PlainUnbound("u".into()));
        let ended = format!(r#"{bound},"status":{{"phase":"Succeeded"}}"#);
        assert_eq!(of("nadmit", &ended), ReadPod::Irrelevant);
    }
}
