//! The one-line message of a denial (`status.message`), which controllers copy into events.
//!
//! An event's message is cut at 1,024 bytes, including the text that the controller puts before it; a
//! changed message makes a new event. The line is therefore short, begins with the most blocking
//! finding, and has no numbers that change. `status.details.causes` has every finding in full.

use nadmit_cni::text::{OMISSION, clipped};
use nadmit_rules::{Finding, MAX_FINDINGS};

/// The maximum number of findings in the line.
const MAX_SHOWN: usize = 3;
/// The maximum length of a finding in the line, in bytes.
pub const MAX_FINDING_BYTES: usize = 300;
/// The maximum length of the line, in bytes.
pub const MAX_LINE_BYTES: usize = 700;
/// The maximum length of a help if the message fills the rest, in bytes.
const MAX_HELP_BYTES: usize = 140;
/// The maximum length of the object in the line, in bytes.
const MAX_OBJECT_BYTES: usize = 180;
/// The maximum length of a name in the line, in characters.
const MAX_NAME_CHARS: usize = 63;
/// The number of characters that are kept at the end of a longer name, where generated names differ.
const NAME_END_CHARS: usize = 20;
/// The separator of findings.
const SEPARATOR: &str = " | ";

/// Returns the tag that every text about a finding begins with.
pub fn tag(code: &str) -> String {
    format!("[nadmit {code}]")
}

/// Returns the line for these findings. `object` identifies the object where the caller's text does not.
pub(crate) fn status_message(denied: &[&Finding], object: Option<&str>) -> String {
    let mut ordered = denied.to_vec();
    ordered.sort_by_key(|finding| finding.precedence());
    let object = object.map_or(String::new(), |object| {
        let object = clipped(&with_short_names(object), MAX_OBJECT_BYTES);
        format!(" ({object})")
    });
    let mut line = String::new();
    let mut named = 0;
    for finding in ordered.iter().take(MAX_SHOWN) {
        let next = one_line(finding);
        let rest = rest(ordered.len(), named + 1);
        let length = line.len() + SEPARATOR.len() + next.len() + rest.len() + object.len();
        if named > 0 && length > MAX_LINE_BYTES {
            break;
        }
        if named > 0 {
            line += SEPARATOR;
        }
        line += &next;
        named += 1;
    }
    line + &rest(ordered.len(), named) + &object
}

/// Returns the number of findings or warnings that a response does not contain; `None` if it has all. A
/// report that is full may have left some out.
pub(crate) fn others(all: usize, shown: usize, noun: &str) -> Option<String> {
    let left = all.saturating_sub(shown);
    let plural = if left == 1 { "" } else { "s" };
    match left {
        0 => None,
        _ if all >= MAX_FINDINGS => Some(format!(
            "{left} or more other {noun}{plural}: run nadmit check"
        )),
        _ => Some(format!("{left} more {noun}{plural}: run nadmit check")),
    }
}

/// Returns the end of a line that does not contain all findings.
fn rest(all: usize, shown: usize) -> String {
    others(all, shown, "finding").map_or(String::new(), |others| format!("{SEPARATOR}{others}"))
}

/// Returns a text without a rule, in at most [`MAX_LINE_BYTES`].
pub(crate) fn bounded(text: &str) -> String {
    clipped(&with_short_names(text), MAX_LINE_BYTES)
}

/// Returns a finding with its code, the short path of its field, and its help, in at most
/// [`MAX_FINDING_BYTES`].
pub fn one_line(finding: &Finding) -> String {
    let path = with_short_names(&short_path(&finding.field));
    let path = match &*path {
        "" => String::new(),
        path => format!("{path}: "),
    };
    let start = tag(finding.code);
    let message = format!("{path}{}", with_short_names(&finding.message));
    let room = MAX_FINDING_BYTES.saturating_sub(start.len() + " ".len() + "; ".len());
    let left = room.saturating_sub(message.len());
    let help = clipped(&with_short_names(&finding.help), left.max(MAX_HELP_BYTES));
    let message = clipped(&message, room.saturating_sub(help.len()));
    format!("{start} {message}; {help}")
}

/// Returns the path of a field for text: `networks[0].ips[1]` for an element of the annotation on
/// networks, wherever the pod's metadata are.
pub(crate) fn short_path(field: &str) -> String {
    const ANNOTATIONS: [(&str, &str); 2] = [
        ("k8s.v1.cni.cncf.io/networks", "networks"),
        ("v1.multus-cni.io/default-network", "default-network"),
    ];
    for (key, short) in ANNOTATIONS {
        let annotation = format!("metadata.annotations[{key}]");
        if let Some((_, rest)) = field.split_once(&annotation) {
            return format!("{short}{rest}");
        }
    }
    field.to_owned()
}

/// Shortens each name that is longer than a label of a DNS name: its beginning and its end stay.
fn with_short_names(text: &str) -> String {
    let is_of_name = |c: char| c.is_alphanumeric() || "-._/:".contains(c);
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_of_name) {
        let (between, name) = rest.split_at(start);
        let end = name.find(|c| !is_of_name(c)).unwrap_or(name.len());
        let (name, after) = name.split_at(end);
        short += between;
        let length = name.chars().count();
        if length <= MAX_NAME_CHARS {
            short += name;
        } else {
            let begin = MAX_NAME_CHARS - NAME_END_CHARS - 1;
            short.extend(name.chars().take(begin));
            short.push(OMISSION);
            short.extend(name.chars().skip(length - NAME_END_CHARS));
        }
        rest = after;
    }
    short + rest
}

#[cfg(test)]
mod tests {
    use nadmit_rules::Level;

    use super::*;

    fn finding(code: &'static str, message: &str, help: &str) -> Finding {
        Finding {
            code,
            level: Level::Deny,
            would_deny: false,
            field: "metadata.annotations[k8s.v1.cni.cncf.io/networks][0].name".to_owned(),
            position: None,
            span: None,
            message: message.to_owned(),
            detail: "most by namespace db: 2".to_owned(),
            help: help.to_owned(),
            requires_live_read: None,
        }
    }

    #[test]
    fn the_most_blocking_findings_come_first_and_the_rest_is_counted() {
        let codes = [
            "empty-request",
            "missing-capability",
            "invalid-mac",
            "unknown-network",
            "malformed-annotation",
        ];
        let findings: Vec<Finding> = codes.map(|code| finding(code, "it is so", "fix it")).into();
        let all: Vec<&Finding> = findings.iter().collect();
        assert_eq!(
            status_message(&all, None),
            "[nadmit malformed-annotation] networks[0].name: it is so; fix it \
             | [nadmit unknown-network] networks[0].name: it is so; fix it \
             | [nadmit invalid-mac] networks[0].name: it is so; fix it \
             | 2 more findings: run nadmit check"
        );
        assert_eq!(
            status_message(&all[3..4], Some("addresspool \"storage\"")),
            "[nadmit unknown-network] networks[0].name: it is so; fix it (addresspool \"storage\")"
        );
    }

    #[test]
    fn no_text_exceeds_the_limits() {
        let long = "ä ".repeat(1000);
        let name = "n".repeat(10_000);
        for (message, help) in [(&*long, &*long), (&*name, &*name), ("x", &*long)] {
            let one = finding("invalid-mac", message, help);
            let line = status_message(&[&one], None);
            assert!(line.len() <= MAX_FINDING_BYTES, "{line}");
            for object in [&*name, &*long] {
                let line = status_message(&[&one; 40], Some(object));
                assert!(line.len() <= MAX_LINE_BYTES, "{line}");
                assert!(line.contains(" more findings: "), "{line}");
            }
            let line = status_message(&[&one; MAX_FINDINGS], None);
            assert!(line.contains(" or more other findings: "), "{line}");
        }
    }

    #[test]
    fn names_longer_than_a_label_are_shortened() {
        let name = format!("{}-x7k2p", "a".repeat(100));
        let short = with_short_names(&format!("pod \"db/{name}\" is not \"ready\""));
        assert_eq!(
            short,
            format!(
                "pod \"db/{}…{}-x7k2p\" is not \"ready\"",
                "a".repeat(39),
                "a".repeat(14)
            )
        );
        let label = "a".repeat(63);
        assert_eq!(with_short_names(&label), label);
    }

    #[test]
    fn a_path_into_an_annotation_is_short() {
        for (field, expected) in [
            (
                "spec.template.metadata.annotations[k8s.v1.cni.cncf.io/networks][0].mac",
                "networks[0].mac",
            ),
            (
                "metadata.annotations[v1.multus-cni.io/default-network]",
                "default-network",
            ),
            ("spec.config.ipam.range", "spec.config.ipam.range"),
            ("", ""),
        ] {
            assert_eq!(short_path(field), expected);
        }
    }
}
