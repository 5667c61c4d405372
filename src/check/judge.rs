//! Judges one object against all of the input.

use std::collections::HashMap;

use crate::{
    catalog::{Catalog, LiveRead},
    manifests::{
        ConfigMapManifest, Located, Manifest, NetworkManifest, OperatorManifest, PodManifest,
        PodName, VirtualMachineManifest, WorkloadManifest,
    },
    network::{LineIndex, Span, annotations, near_miss::intended_key},
    rules::{
        Finding, Level, NetworkSubject, PodSubject, Policy,
        judge::{
            judge_config_map, judge_metadata, judge_network, judge_operator, judge_pod,
            judge_template, judge_virtual_machine, max_level,
        },
        network_subject::RawNetwork,
        operator::ConfigMapSubject,
        workload::{
            MetadataSubject, NetworksLocation, Scale, TemplateSubject, VirtualMachineSubject,
            WorkloadKind, virtual_machine,
        },
    },
};

use super::{
    CheckOptions, Diagnostic,
    allocation_dry_run::{AllocationDryRun, ObjectIndex},
    identity::namespace,
    spans::{StringSpans, span_at},
};

/// An object's annotations or other strings, with their positions.
type LocatedTexts = [(Box<str>, Located<Box<str>>)];

/// The input and the settings that objects are judged against.
pub(super) struct CheckContext<'w> {
    pub(super) catalog: &'w Catalog,
    pub(super) policy: &'w Policy,
    pub(super) options: CheckOptions,
    pub(super) dry_run: AllocationDryRun,
    /// The networks that exist only in namespaces with certain labels: names, with the kind that
    /// creates them.
    pub(super) conditional_networks: HashMap<&'w str, &'static str>,
}

impl CheckContext<'_> {
    /// Adds the findings on one object to `out`.
    pub(super) fn judge(
        &self,
        index: ObjectIndex,
        lines: &LineIndex<'_>,
        object: &Located<Manifest>,
        out: &mut Vec<Diagnostic>,
    ) {
        let text = lines.text();
        let mut strings = StringSpans::new(text);
        // The beginning of the object, for findings without a position of their own.
        let whole = span_at(object.location.position, lines);
        let (name, findings): (String, Vec<(Finding, Span)>) = match &object.value {
            Manifest::Network(network) => (
                object_name("network", &network.network.namespace, &network.network.name),
                self.network(network, whole, &mut strings),
            ),
            Manifest::Pod(pod) => {
                let (PodName::Explicit(pod_name) | PodName::Generated(pod_name)) = &pod.name;
                let name = object_name("pod", &pod.namespace, pod_name);
                (name, self.pod(index, pod, whole, &mut strings))
            }
            Manifest::Workload(workload) => (
                object_name(
                    &workload.kind.to_lowercase(),
                    &workload.namespace,
                    &workload.name,
                ),
                self.workload(workload, whole, &mut strings),
            ),
            Manifest::VirtualMachine(machine) => (
                object_name("virtualmachine", &machine.namespace, &machine.name),
                self.machine(machine, whole, &mut strings),
            ),
            Manifest::Operator(operator) => (
                "network.operator.openshift.io".to_owned(),
                self.operator(operator, whole, &mut strings),
            ),
            Manifest::ConfigMap(settings) => (
                object_name("configmap", &settings.namespace, &settings.name),
                self.config_map(settings, whole, &mut strings),
            ),
            Manifest::Configuration(config) => (
                "CNI configuration".to_owned(),
                self.configuration(config, &mut strings),
            ),
            Manifest::Pool(pool) => (format!("pool {}", pool.name), self.pool(pool, whole, text)),
            Manifest::Reservation(found) => (
                object_name("reservation", &found.namespace, &found.name),
                self.reservation(found, whole, text),
            ),
            Manifest::Namespace(_) | Manifest::SlicePool(_) | Manifest::GeneratedNetwork(_) => {
                return;
            }
        };
        out.extend(findings.into_iter().map(|(finding, span)| Diagnostic {
            file: index.0,
            code: finding.code,
            level: finding.level,
            namespace: namespace(&object.value).to_owned(),
            object: name.clone(),
            message: finding.detailed_message(),
            field: finding.field,
            span,
            help: finding.help,
        }));
    }

    fn network(
        &self,
        manifest: &NetworkManifest,
        whole: Span,
        strings: &mut StringSpans<'_>,
    ) -> Vec<(Finding, Span)> {
        let network = &manifest.network;
        let Some(max_level) = max_level(&network.namespace, self.catalog, self.policy) else {
            return Vec::new();
        };
        let raw = RawNetwork {
            namespace: &network.namespace,
            name: &network.name,
            config: manifest.config.as_ref().map(|config| &*config.value),
            resource_name: network.resource_name.as_deref(),
            address_pool: network.address_pool.as_deref(),
            ..RawNetwork::default()
        };
        let subject = NetworkSubject::new(raw, self.policy, self.catalog);
        let mut findings = judge_network(&subject, max_level);
        self.downgrade(&mut findings);
        let placed = findings.into_iter().map(|finding| {
            let text = if finding.field.starts_with("spec.config") {
                manifest.config.as_ref()
            } else {
                manifest.address_pool.as_ref()
            };
            let span = text.map_or(whole, |text| strings.span(text, finding.span));
            (finding, span)
        });
        placed.collect()
    }

    fn operator(
        &self,
        manifest: &OperatorManifest,
        whole: Span,
        strings: &mut StringSpans<'_>,
    ) -> Vec<(Finding, Span)> {
        let findings = judge_operator(&manifest.entries, self.catalog, self.policy).into_iter();
        let placed = findings.map(|finding| {
            let texts = manifest.configs.iter().enumerate();
            let text = texts.filter_map(|(index, text)| Some((index, text.as_ref()?)));
            let mut of = text.filter(|(index, _)| {
                let field = format!("spec.additionalNetworks[{index}].rawCNIConfig");
                finding.field.starts_with(&field)
            });
            let span = of
                .next()
                .map_or(whole, |(_, text)| strings.span(text, finding.span));
            (finding, span)
        });
        placed.collect()
    }

    fn config_map(
        &self,
        manifest: &ConfigMapManifest,
        whole: Span,
        strings: &mut StringSpans<'_>,
    ) -> Vec<(Finding, Span)> {
        let Some(max_level) = max_level(&manifest.namespace, self.catalog, self.policy) else {
            return Vec::new();
        };
        let pairs = manifest.data.iter();
        let pairs = pairs.map(|(key, text)| (key.to_string(), text.value.as_ref().into()));
        let data = serde_json::Value::Object(pairs.collect()).to_string();
        let subject = ConfigMapSubject {
            name: &manifest.name,
            data: &data,
        };
        let findings = judge_config_map(&subject, self.policy, max_level).into_iter();
        let placed = findings.map(|finding| {
            let mut texts = manifest.data.iter();
            let text = texts.find(|(key, _)| finding.field == format!("data[{key}]"));
            let span = text.map_or(whole, |(_, text)| strings.span(text, finding.span));
            (finding, span)
        });
        placed.collect()
    }

    /// Returns the findings on a CNI configuration file, with the field's path inside the file.
    fn configuration(
        &self,
        config: &Located<Box<str>>,
        strings: &mut StringSpans<'_>,
    ) -> Vec<(Finding, Span)> {
        let raw = RawNetwork {
            config: Some(&config.value),
            ..RawNetwork::default()
        };
        let subject = NetworkSubject::new(raw, self.policy, self.catalog);
        let findings = judge_network(&subject, Level::Deny).into_iter();
        let placed = findings.map(|mut finding| {
            let path = finding.field.trim_start_matches("spec.config");
            finding.field = path.trim_start_matches('.').to_owned();
            let span = strings.span(config, finding.span);
            (finding, span)
        });
        placed.collect()
    }

    fn pod(
        &self,
        index: ObjectIndex,
        pod: &PodManifest,
        whole: Span,
        strings: &mut StringSpans<'_>,
    ) -> Vec<(Finding, Span)> {
        // The kubelet runs its mirror pods whatever the response is.
        if pod.annotation(annotations::MIRROR_POD).is_some() {
            return Vec::new();
        }
        // The rules that guard address pools apply even where all others are off.
        let max_level = max_level(&pod.namespace, self.catalog, self.policy).unwrap_or(Level::Off);
        let mut subject = self.subject(&pod.namespace, pod.host_network, &pod.annotations);
        subject.has_node = pod.node.is_some();
        let (PodName::Explicit(name) | PodName::Generated(name)) = &pod.name;
        subject.name = Some(name);
        let mut findings = judge_pod(&subject, max_level);
        findings.extend(self.dry_run.findings(index));
        self.with_spans(findings, "", &pod.annotations, whole, strings)
    }

    fn workload(
        &self,
        workload: &WorkloadManifest,
        whole: Span,
        strings: &mut StringSpans<'_>,
    ) -> Vec<(Finding, Span)> {
        let namespace = &workload.namespace;
        let (Some(max_level), Some(kind)) = (
            max_level(namespace, self.catalog, self.policy),
            WorkloadKind::of_kind(workload.kind),
        ) else {
            return Vec::new();
        };
        let subject = TemplateSubject {
            pod: self.subject(namespace, workload.host_network, &workload.annotations),
            kind,
            scale: Scale {
                replicas: workload.scale.replicas,
                parallelism: workload.scale.parallelism,
                completions: workload.scale.completions,
                strategy: workload.scale.strategy.as_deref(),
                concurrency: workload.scale.concurrency.as_deref(),
            },
        };
        let findings = judge_template(&subject, max_level);
        let mut placed = self.with_spans(
            findings,
            kind.template,
            &workload.annotations,
            whole,
            strings,
        );
        let own = MetadataSubject {
            kind: kind.kind,
            location: NetworksLocation::Template(kind.template),
            keys: keys(&workload.own_annotations),
            in_template: keys(&workload.annotations),
            policy: self.policy,
        };
        let findings = judge_metadata(&own, max_level);
        placed.extend(self.with_spans(findings, "", &workload.own_annotations, whole, strings));
        placed
    }

    fn machine(
        &self,
        manifest: &VirtualMachineManifest,
        whole: Span,
        strings: &mut StringSpans<'_>,
    ) -> Vec<(Finding, Span)> {
        let Some(max_level) = max_level(&manifest.namespace, self.catalog, self.policy) else {
            return Vec::new();
        };
        let networks = manifest.networks.iter();
        let subject = VirtualMachineSubject {
            namespace: &manifest.namespace,
            networks: networks.map(|(i, name)| (*i, &*name.value)).collect(),
            policy: self.policy,
            catalog: self.catalog,
        };
        let mut findings = judge_virtual_machine(&subject, max_level);
        self.downgrade(&mut findings);
        let placed = findings.into_iter().map(|finding| {
            let mut networks = manifest.networks.iter();
            let named = networks
                .find(|(index, _)| finding.field == virtual_machine::network_name_path(*index));
            let span = named.map_or(whole, |(_, name)| strings.span(name, None));
            (finding, span)
        });
        let mut placed: Vec<_> = placed.collect();
        let own = MetadataSubject {
            kind: "VirtualMachine",
            location: NetworksLocation::VirtualMachine,
            keys: keys(&manifest.own_annotations),
            in_template: Vec::new(),
            policy: self.policy,
        };
        let findings = judge_metadata(&own, max_level);
        placed.extend(self.with_spans(findings, "", &manifest.own_annotations, whole, strings));
        placed
    }

    fn subject<'s>(
        &'s self,
        namespace: &'s str,
        host_network: bool,
        texts: &'s LocatedTexts,
    ) -> PodSubject<'s> {
        let text = |key| text_of(texts, key).map(|text| &*text.value);
        let mut subject = PodSubject::new(
            namespace,
            host_network,
            text(annotations::NETWORKS),
            text(annotations::DEFAULT_NETWORK),
            self.policy,
            self.catalog,
        );
        let keys = texts.iter().map(|(key, _)| &**key);
        subject.unread = keys.filter(|key| intended_key(key).is_some()).collect();
        subject
    }

    /// Returns the findings on annotations, each with its span in the file.
    fn with_spans(
        &self,
        mut findings: Vec<Finding>,
        template: &str,
        texts: &LocatedTexts,
        whole: Span,
        strings: &mut StringSpans<'_>,
    ) -> Vec<(Finding, Span)> {
        self.downgrade(&mut findings);
        let placed = findings.into_iter().map(|finding| {
            let key = finding
                .field
                .strip_prefix(template)
                .and_then(annotation_key);
            let text = key.and_then(|key| text_of(texts, key));
            let span = text.map_or(whole, |text| strings.span(text, finding.span));
            (finding, span)
        });
        placed.collect()
    }

    /// Lowers denials that rest on objects which are probably just not among the input, such as
    /// networks of a namespace of which no network was read.
    fn downgrade(&self, findings: &mut [Finding]) {
        for finding in findings.iter_mut() {
            self.downgrade_conditional(finding);
        }
        if self.options.strict_networks {
            return;
        }
        for finding in findings {
            self.downgrade_pool(finding);
            let Some(LiveRead::Network { namespace, name }) = &finding.requires_live_read else {
                continue;
            };
            if !self.catalog.has_networks(namespace) {
                finding.level = finding.level.min(Level::Warn);
                if self.catalog.namespaces_of(name).next().is_none() {
                    finding.help = format!(
                        "add the networks of namespace \"{namespace}\" to the input, or deny \
                         this with --strict-networks"
                    );
                }
            }
        }
    }
}

impl CheckContext<'_> {
    /// Lowers denials of a network that is created in namespaces with certain labels, if this
    /// namespace's labels were not read.
    fn downgrade_conditional(&self, finding: &mut Finding) {
        let Some(LiveRead::Network { namespace, name }) = &finding.requires_live_read else {
            return;
        };
        let declared = self
            .catalog
            .namespace(namespace)
            .is_some_and(|n| n.declared);
        let missing = self.catalog.network(namespace, name).is_none();
        if let (false, true, Some(kind)) =
            (declared, missing, self.conditional_networks.get(&**name))
        {
            finding.level = finding.level.min(Level::Warn);
            finding.help = format!(
                "add the Namespace \"{namespace}\" with its labels to the input: the {kind} \
                 \"{name}\" \
                 creates the network where its namespaceSelector matches"
            );
        }
    }
}

fn object_name(kind: &str, namespace: &str, name: &str) -> String {
    format!("{kind} {namespace}/{name}")
}

/// Returns the key of the annotation that a field is in.
fn annotation_key(field: &str) -> Option<&str> {
    let (key, _) = field
        .strip_prefix("metadata.annotations[")?
        .split_once(']')?;
    Some(key)
}

fn keys(texts: &LocatedTexts) -> Vec<&str> {
    texts.iter().map(|(key, _)| &**key).collect()
}

fn text_of<'t>(texts: &'t LocatedTexts, key: &str) -> Option<&'t Located<Box<str>>> {
    texts
        .iter()
        .find(|(known, _)| &**known == key)
        .map(|(_, text)| text)
}
