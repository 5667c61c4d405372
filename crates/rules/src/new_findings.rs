//! The findings that an update introduces.

use std::collections::HashMap;

use super::Finding;

/// Removes the findings that the object had before the update: an object that was already wrong may stay
/// wrong, but not become worse.
///
/// Findings are compared by rule, annotation and message without list indices, because inserting an
/// element shifts the indices of those behind it. The field path is ignored, because one object can be
/// written in two forms (an annotation as a list of names or as JSON, a configuration as one plugin or a
/// list). Each finding of the baseline removes one finding, so a mistake that is repeated once more is
/// reported.
pub fn subtract_baseline(mut findings: Vec<Finding>, baseline: &[Finding]) -> Vec<Finding> {
    let key = |finding: &Finding| {
        (
            finding.code,
            annotation(&finding.field).to_owned(),
            without_indices(&finding.message),
        )
    };
    let mut left: HashMap<_, usize> = HashMap::new();
    for finding in baseline {
        *left.entry(key(finding)).or_default() += 1;
    }
    findings.retain(|finding| match left.get_mut(&key(finding)) {
        Some(count @ 1..) => {
            *count -= 1;
            false
        }
        _ => true,
    });
    findings
}

/// Returns the part of a field's path that names an annotation; empty for other fields.
fn annotation(field: &str) -> &str {
    let Some(start) = field.find("metadata.annotations[") else {
        return "";
    };
    let end = field[start..].find(']').map_or(0, |end| start + end);
    field.get(start..end).unwrap_or_default()
}

/// Removes list indices: `plugins[1].ipam` becomes `plugins[].ipam`.
fn without_indices(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('[') {
        out.push_str(before);
        out.push('[');
        let digits = behind.len()
            - behind
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .len();
        let is_index = digits > 0 && behind[digits..].starts_with(']');
        rest = if is_index { &behind[digits..] } else { behind };
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;

    fn finding(field: &str, message: &str) -> Finding {
        Finding {
            code: "c",
            level: Level::Deny,
            would_deny: false,
            field: field.to_owned(),
            position: None,
            span: None,
            message: message.to_owned(),
            detail: String::new(),
            help: String::new(),
            requires_live_read: None,
        }
    }

    fn new_findings(findings: &[(&str, &str)], known: &[(&str, &str)]) -> Vec<String> {
        let [findings, known] = [findings, known].map(|list| {
            let found = list.iter().map(|(field, message)| finding(field, message));
            found.collect::<Vec<_>>()
        });
        let new = subtract_baseline(findings, &known).into_iter();
        new.map(|f| format!("{} {}", f.field, f.message)).collect()
    }

    const NETWORKS: &str = "metadata.annotations[k8s.v1.cni.cncf.io/networks]";
    const DEFAULT: &str = "metadata.annotations[v1.multus-cni.io/default-network]";

    #[test]
    fn a_known_finding_at_another_index_or_form_is_not_new() {
        let at = |path: &str| format!("{NETWORKS}{path}");
        let [before, after] = [at("[0]"), at("[3].name")];
        let known = [
            (&*before, "x"),
            ("spec.config.ipam", "\"plugins[1]\" is null"),
        ];
        let now = [
            (&*after, "x"),
            ("spec.config.plugins[0].ipam", "\"plugins[12]\" is null"),
        ];
        assert_eq!(new_findings(&now, &known), [""; 0]);
    }

    #[test]
    fn a_repeated_finding_or_one_in_another_annotation_is_new() {
        let known = [(NETWORKS, "x")];
        assert_eq!(
            new_findings(&[(NETWORKS, "x"), (NETWORKS, "x")], &known).len(),
            1
        );
        assert_eq!(new_findings(&[(DEFAULT, "x")], &known).len(), 1);
        assert_eq!(new_findings(&[(NETWORKS, "y")], &known).len(), 1);
    }

    #[test]
    fn only_list_indices_are_removed() {
        assert_eq!(
            without_indices("a[k8s.v1/x][10].ips[1]"),
            "a[k8s.v1/x][].ips[]"
        );
        assert_eq!(without_indices("[1, [2], [3x] 4]["), "[1, [], [3x] 4][");
    }
}
