//! `invalid-cni-args`: arguments that Multus or the IPAM plugin cannot read.

use crate::{
    network::{
        AddressRequest,
        ipam::Ipam,
        json::{Kind, Node, find},
        selection::FaultKind,
    },
    rules::{
        Attachment, Check, Example, Levels, PodSubject, Report, Rule,
        examples::{STORAGE_NET, pod},
        subject::is_cni_args,
    },
};

/// The rule.
pub const RULE: Rule = Rule {
    code: "invalid-cni-args",
    levels: Levels::FAILS,
    summary: "cni-args cannot be read",
    explanation: "cni-args is an object, which Multus merges over the network's own args. Of it, \
        static reads cni.ips: a list of addresses with their prefixes. Anything else fails the \
        pod; where the network's own args are not an object, Multus crashes. Source: the spec, section 4.1.2.1.6; CNI conventions, \"args in network config\"; \
        static, LoadIPAMConfig.",
    wrong: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "cni-args": {"cni": {"ips": "192.0.2.205/24"}}}]"#),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "cni-args": {"cni": {"ips": ["192.0.2.205/24"]}}}]"#),
    ]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for request in &subject.requests {
        for fault in request
            .annotation
            .faults
            .iter()
            .filter(|fault| is_cni_args(fault))
        {
            if let FaultKind::Kind { found, .. } = fault.kind {
                report.add(
                    request.place_at(&fault.path, fault.span),
                    format!("cni-args is {}, but has to be an object", found.described()),
                    "write an object: {\"key\": \"value\"}",
                );
            }
        }
    }
    for attachment in subject.attachments() {
        if let Some(args) = attachment.selection.cni_args {
            check_merge(attachment, args, report);
            check_cni(attachment, args, report);
        }
    }
}

/// What they are merged into.
fn check_merge(attachment: Attachment<'_, '_>, args: Node<'_>, report: &mut Report<'_>) {
    let config = attachment
        .network()
        .and_then(|network| network.config.loaded());
    if config.is_some_and(|config| config.plugins.iter().any(|plugin| plugin.odd_args)) {
        let name = attachment.selection.network_name().unwrap_or_default();
        report.add(
            attachment.place("cni-args", args.span()),
            format!("the \"args\" of network \"{name}\" are not an object, so that Multus crashes when it adds these"),
            "remove \"cni-args\", or have the network's \"args\" mended",
        );
    }
}

/// The part that the CNI conventions name.
fn check_cni(attachment: Attachment<'_, '_>, args: Node<'_>, report: &mut Report<'_>) {
    let is_static = attachment
        .network()
        .and_then(|network| network.config.loaded()?.ipam())
        .is_some_and(|ipam| matches!(ipam, Ipam::Static(_)));
    if !is_static {
        return;
    }
    let members = args.members().unwrap_or_default();
    let Some(cni) = find(&members, "cni") else {
        return;
    };
    let Some(inner) = cni.value.members() else {
        return wrong_kind(attachment, "cni-args.cni", cni.value, "an object", report);
    };
    let Some(ips) = find(&inner, "ips") else {
        return;
    };
    let Some(elements) = ips.value.elements() else {
        return wrong_kind(
            attachment,
            "cni-args.cni.ips",
            ips.value,
            "a list of strings",
            report,
        );
    };
    for (index, element) in elements.into_iter().enumerate() {
        check_ip(attachment, index, element, report);
    }
}

fn check_ip(
    attachment: Attachment<'_, '_>,
    index: usize,
    element: Node<'_>,
    report: &mut Report<'_>,
) {
    let path = format!("cni-args.cni.ips[{index}]");
    let Some(text) = element.string() else {
        return wrong_kind(attachment, &path, element, "a string", report);
    };
    let fault = match AddressRequest::parse(&text) {
        Ok(request) if request.prefix.is_some() => return,
        Ok(_) => "has no prefix length, without which static fails".to_owned(),
        Err(error) => error.to_string(),
    };
    report.add(
        attachment.place(&path, element.span()),
        format!("{text:?} {fault}"),
        "write an address with its prefix length, such as 192.0.2.205/24",
    );
}

fn wrong_kind(
    attachment: Attachment<'_, '_>,
    path: &str,
    value: Node<'_>,
    expected: &str,
    report: &mut Report<'_>,
) {
    if value.kind() == Kind::Null {
        return;
    }
    report.add(
        attachment.place(path, value.span()),
        format!(
            "{path} is {}, but has to be {expected}",
            value.kind().described()
        ),
        format!("write {expected}"),
    );
}
