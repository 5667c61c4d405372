//! KubeVirt's `VirtualMachine`: its Multus networks.

use serde_json::{Map, Value, json};

use crate::{
    catalog::Catalog,
    rules::{Finding, Level, PodSubject, Policy, Report, judge::run_pod_rules_of},
};

/// The rules that make sense of a machine: whether its networks exist and work. The others speak of
/// how an annotation is written, and this one KubeVirt writes.
const CODES: [&str; 5] = [
    "invalid-network-name",
    "invalid-namespace",
    "unknown-network",
    "cross-namespace-network",
    "broken-network",
];

/// A machine's networks.
#[derive(Debug)]
pub struct VirtualMachineSubject<'a> {
    /// The machine's namespace.
    pub namespace: &'a str,
    /// Each network of Multus: its place in `spec.template.spec.networks`, and its `networkName`.
    pub networks: Vec<(usize, &'a str)>,
    /// The settings.
    pub policy: &'a Policy,
    /// The networks there are.
    pub catalog: &'a Catalog,
}

impl VirtualMachineSubject<'_> {
    /// What the rules say of the annotation that KubeVirt will write on the machine's pod, each
    /// finding at the `networkName` that it comes from.
    pub fn judge(&self, max_level: Level) -> Vec<Finding> {
        if self.networks.is_empty() {
            return Vec::new();
        }
        let annotation = self.annotation();
        let subject = PodSubject::new(
            self.namespace,
            false,
            Some(&annotation),
            None,
            self.policy,
            self.catalog,
        );
        let mut report = Report::new(self.policy, max_level);
        run_pod_rules_of(&subject, &mut report, |code| CODES.contains(&code));
        let mut findings = report.into_findings();
        for finding in &mut findings {
            let index = self.index_of(&finding.field);
            finding.field = network_name_path(index.unwrap_or_default());
            // These are of a text that nobody sees.
            finding.span = None;
            finding.position = None;
        }
        findings
    }

    /// The networks as KubeVirt writes them: `namespace/name` is split at the first slash.
    fn annotation(&self) -> String {
        let selection = |(_, name): &(usize, &str)| {
            let mut selection = Map::new();
            let name = match name.split_once('/') {
                Some((namespace, name)) => {
                    selection.insert("namespace".to_owned(), json!(namespace));
                    name
                }
                None => name,
            };
            selection.insert("name".to_owned(), json!(name));
            Value::Object(selection)
        };
        Value::Array(self.networks.iter().map(selection).collect()).to_string()
    }

    /// The place in the machine's list of the network that an annotation's field speaks of.
    fn index_of(&self, field: &str) -> Option<usize> {
        let (_, behind) = field.split_once("][")?;
        let (index, _) = behind.split_once(']')?;
        let (index, _) = self.networks.get(index.parse::<usize>().ok()?)?;
        Some(*index)
    }
}

/// The path of the name of a machine's network.
pub fn network_name_path(index: usize) -> String {
    format!("spec.template.spec.networks[{index}].multus.networkName")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;

    #[test]
    fn networks_of_a_virtual_machine_must_exist() {
        let network = std::sync::Arc::new(Network::new(
            "db",
            "vlan",
            Some(r#"{"cniVersion": "0.3.1", "type": "bridge"}"#),
        ));
        let catalog = Catalog::new([], [network], []);
        let policy = Policy::default();
        let subject = VirtualMachineSubject {
            namespace: "db",
            networks: vec![(1, "vlan"), (2, "db/vlan"), (4, "db/vlam"), (5, "web/vlan")],
            policy: &policy,
            catalog: &catalog,
        };
        let findings = subject.judge(Level::Warn);
        let found: Vec<(&str, &str)> = findings.iter().map(|f| (f.code, &*f.field)).collect();
        assert_eq!(
            found,
            [
                ("unknown-network", &*network_name_path(4)),
                ("cross-namespace-network", &*network_name_path(5)),
            ]
        );
    }
}
