//! `invalid-cni-args`: `cni-args` that Multus or a plugin cannot read.

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, pod},
    subject::is_cni_args_fault,
};
use nadmit_cni::{
    AddressRequest, HardwareAddress,
    cni::NetworkConfig,
    ipam::Ipam,
    json::{JsonMember, JsonNode, ValueKind, folds_to},
    selection::{CniArgs, DecodeErrorKind},
};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-cni-args",
    levels: Levels::FAILS,
    summary: "Multus or a plugin cannot read cni-args",
    docs: RuleDocs {
        checks: "cni-args is not an object, or a value in it has a type that a plugin of the \
            network does not accept. static reads \"ips\", a list of addresses with their prefix \
            lengths; host-local reads it with or without prefix lengths. bridge reads \"mac\"; \
            tuning reads \"mac\", \"promisc\", \"mtu\", \"allmulti\", \"txQLen\" and \"sysctl\". \
            The rule also reports cni-args on a network whose own args or args.cni is not an \
            object. It also reports \"sysctl\" for a tuning plugin that has no \"sysctl\" of its \
            own.",
        consequence: "Multus copies cni-args over args.cni of every plugin of the network, key \
            by key. A value of another type fails the pod. Multus crashes where the network's \
            own args or args.cni is not an object. tuning panics on \"sysctl\" where it has none \
            of its own.",
        fix: "Write an object with values of the types that the plugins read, such as {\"ips\": \
            [\"192.0.2.205/24\"]}. If the network is the cause, its author makes \"args\" an \
            object, or adds \"sysctl\": {} to tuning.",
        source: "Multus, injectCNIArgs; static and host-local, LoadIPAMConfig; bridge, \
            loadNetConf; tuning, parseConf.",
    },
    wrong: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "cni-args": {"ips": "192.0.2.205/24"}}]"#),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "cni-args": {"ips": ["192.0.2.205/24"]}}]"#),
    ]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for request in &subject.requests {
        for fault in request
            .annotation
            .decode_errors
            .iter()
            .filter(|fault| is_cni_args_fault(fault))
        {
            if let DecodeErrorKind::Kind { found, .. } = fault.kind {
                report.add(
                    request.field_ref_at(&fault.path, fault.span),
                    format!("expected an object, got {}", found.described()),
                    "write an object, such as {\"ips\": [\"192.0.2.205/24\"]}",
                );
            }
        }
    }
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let config = attachment
            .network()
            .and_then(|network| network.config.loaded());
        if let (Some(args), Some(config)) = (&attachment.selection.cni_args, config) {
            check_merge(attachment, args, config, report);
            for member in &args.members {
                check_member(attachment, member, config, report);
            }
            check_ips(attachment, args, config, report);
            check_mac(attachment, args, config, report);
        }
    }
}

/// Checks the plugins' `args`, into which Multus merges `cni-args`.
fn check_merge(
    attachment: Attachment<'_, '_>,
    args: &CniArgs<'_>,
    config: &NetworkConfig,
    report: &mut Report<'_>,
) {
    if let Some(member) = config
        .plugins
        .iter()
        .find_map(|plugin| plugin.non_object_args)
    {
        let name = attachment.selection.network_name().unwrap_or_default();
        report.add(
            attachment.field_ref("cni-args", args.span),
            format!(
                "Multus crashes on cni-args here: {member} of network \"{name}\" is not an object"
            ),
            format!(
                "remove \"cni-args\"; to keep it, the network's author makes {member} an object"
            ),
        );
    }
}

/// Returns the type that a plugin of the network expects for a key.
fn expected(key: &str, config: &NetworkConfig) -> Option<ArgType> {
    let has = |kinds: [&str; 2]| {
        let mut plugins = config.plugins.iter();
        plugins.any(|plugin| kinds.contains(&&*plugin.kind))
    };
    let named = |name: &&(&str, ArgType)| folds_to(key, name.0);
    let by_tuning = || {
        let fields = [
            ("mac", ArgType::Text),
            ("promisc", ArgType::Boolean),
            ("mtu", ArgType::Whole),
            ("allmulti", ArgType::Boolean),
            ("txQLen", ArgType::Whole),
            ("sysctl", ArgType::Texts),
        ];
        fields.iter().find(named).map(|field| field.1)
    };
    let ipam = config.ipam();
    if folds_to(key, "ips") && matches!(ipam, Some(Ipam::Static(_) | Ipam::HostLocal(_))) {
        return Some(ArgType::List);
    }
    if folds_to(key, "mac") && has(["bridge", "cnv-bridge"]) {
        return Some(ArgType::Text);
    }
    by_tuning().filter(|_| has(["tuning", "cnv-tuning"]))
}

/// The type of an argument.
#[derive(Clone, Copy, PartialEq)]
enum ArgType {
    Boolean,
    List,
    Text,
    Texts,
    Whole,
}

impl ArgType {
    fn described(self) -> &'static str {
        match self {
            Self::Boolean => "a boolean",
            Self::List => "a list of strings",
            Self::Text => "a string",
            Self::Texts => "an object of strings",
            Self::Whole => "a whole number",
        }
    }

    /// Returns the part of the value that has a wrong type, with its path. `null` counts as missing.
    fn fault(self, value: JsonNode<'_>) -> Option<(String, JsonNode<'_>)> {
        let is_text =
            |node: &JsonNode<'_>| matches!(node.kind(), ValueKind::String | ValueKind::Null);
        let wrong = |right: bool| (!right).then(|| (String::new(), value));
        if value.is_null() {
            return None;
        }
        match self {
            Self::Boolean => wrong(value.boolean().is_some()),
            Self::Text => wrong(value.kind() == ValueKind::String),
            Self::Whole => wrong(value.integer().is_some()),
            Self::List => match value.elements() {
                None => wrong(false),
                Some(elements) => {
                    let mut elements = elements.into_iter().enumerate();
                    let other = elements.find(|(_, element)| !is_text(element));
                    other.map(|(index, element)| (format!("[{index}]"), element))
                }
            },
            Self::Texts => match value.members() {
                None => wrong(false),
                Some(members) => {
                    let other = members.into_iter().find(|member| !is_text(&member.value));
                    other.map(|member| (format!(".{}", member.name.value), member.value))
                }
            },
        }
    }
}

fn check_member(
    attachment: Attachment<'_, '_>,
    member: &JsonMember<'_>,
    config: &NetworkConfig,
    report: &mut Report<'_>,
) {
    let key = &*member.name.value;
    let Some(arg_type) = expected(key, config) else {
        return;
    };
    if let Some((part, value)) = arg_type.fault(member.value) {
        let expected = if part.is_empty() {
            arg_type.described()
        } else {
            "a string"
        };
        let path = format!("cni-args.{key}{part}");
        report.add(
            attachment.field_ref(&path, value.span()),
            format!("expected {expected}, got {}", value.kind().described()),
            format!("write {expected}"),
        );
    } else if arg_type == ArgType::Texts
        && member
            .value
            .members()
            .is_some_and(|members| !members.is_empty())
        && config.plugins.iter().any(|plugin| plugin.panics_on_sysctl)
    {
        report.add(
            attachment.field_ref(&format!("cni-args.{key}"), member.value.span()),
            "the network's tuning plugin panics on \"sysctl\", because it has none of its own",
            "remove \"sysctl\"; to keep it, the network's author adds \"sysctl\": {} to the plugin",
        );
    }
}

/// Checks the addresses that the IPAM plugin reads.
fn check_ips(
    attachment: Attachment<'_, '_>,
    args: &CniArgs<'_>,
    config: &NetworkConfig,
    report: &mut Report<'_>,
) {
    let ipam = match config.ipam() {
        Some(ipam @ (Ipam::Static(_) | Ipam::HostLocal(_))) => ipam,
        _ => return,
    };
    let Some(key) = args.named("ips").last().map(|member| &*member.name.value) else {
        return;
    };
    for (index, element) in args.list("ips").into_iter().enumerate() {
        let span = element.map_or(args.span, JsonNode::span);
        let Some(text) = element.map_or(Some("".into()), JsonNode::string) else {
            continue;
        };
        let fault = match AddressRequest::parse(&text) {
            // host-local accepts addresses with and without a prefix.
            Ok(request) if request.prefix.is_some() || ipam.name() != "static" => continue,
            Ok(_) => "has no prefix length, which static requires".to_owned(),
            // Go reads it as an IPv4 address.
            Err(nadmit_cni::AddressError::Mapped) => continue,
            Err(error) => error.to_string(),
        };
        report.add(
            attachment.field_ref(&format!("cni-args.{key}[{index}]"), span),
            format!("{text:?} {fault}"),
            "write an address with its prefix length, such as 192.0.2.205/24",
        );
    }
}

/// Checks the MAC that bridge or tuning reads.
fn check_mac(
    attachment: Attachment<'_, '_>,
    args: &CniArgs<'_>,
    config: &NetworkConfig,
    report: &mut Report<'_>,
) {
    let Some(value) = args
        .text("mac")
        .filter(|_| expected("mac", config).is_some())
    else {
        return;
    };
    let Some(text) = value.string().filter(|text| !text.is_empty()) else {
        return;
    };
    if let Err(error) = HardwareAddress::parse(&text) {
        report.add(
            attachment.field_ref("cni-args.mac", value.span()),
            format!("{text:?} {error}"),
            "write six bytes, such as \"02:5e:00:00:00:01\"",
        );
    }
}
