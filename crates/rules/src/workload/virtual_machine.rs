//! Checks of the Multus networks of KubeVirt's `VirtualMachine`.

use serde_json::{Map, Value, json};

use crate::{Finding, Level, PodSubject, Policy, judge::judge_pod_by};
use nadmit_catalog::Catalog;

/// The rules that apply to virtual machines: those on the existence and validity of networks. The other
/// rules concern the notation of the annotation, which KubeVirt writes.
const CODES: [&str; 5] = [
    "invalid-network-name",
    "invalid-namespace",
    "unknown-network",
    "cross-namespace-network",
    "broken-network",
];

/// The Multus networks of a `VirtualMachine`.
#[derive(Debug)]
pub struct VirtualMachineSubject<'a> {
    /// The namespace of the `VirtualMachine`.
    pub namespace: &'a str,
    /// The Multus networks: their index in `spec.template.spec.networks`, and their `networkName`.
    pub networks: Vec<(usize, &'a str)>,
    /// The settings of nadmit.
    pub policy: &'a Policy,
    /// The known networks.
    pub catalog: &'a Catalog,
}

impl VirtualMachineSubject<'_> {
    /// Runs the rules on the annotation that KubeVirt will write on the launcher pod. Each finding refers
    /// to the `networkName` that causes it.
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
        let mut findings = judge_pod_by(&subject, max_level, |code| CODES.contains(&code));
        for finding in &mut findings {
            let index = self.index_of(&finding.field);
            finding.field = network_name_path(index.unwrap_or_default());
            // These refer to the generated annotation, which users do not see.
            finding.span = None;
            finding.position = None;
        }
        findings
    }

    /// Returns the annotation as KubeVirt writes it: `namespace/name` is split at the first slash.
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

    /// Returns the index in the `VirtualMachine`'s list of the network to which a field of the annotation
    /// belongs.
    fn index_of(&self, field: &str) -> Option<usize> {
        let (_, behind) = field.split_once("][")?;
        let (index, _) = behind.split_once(']')?;
        let (index, _) = self.networks.get(index.parse::<usize>().ok()?)?;
        Some(*index)
    }
}

/// Returns the path of the `networkName` at an index of a `VirtualMachine`'s networks.
pub fn network_name_path(index: usize) -> String {
    format!("spec.template.spec.networks[{index}].multus.networkName")
}

#[cfg(test)]
mod tests {
    use super::*;
    use nadmit_cni::Network;

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
