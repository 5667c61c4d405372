//! `invalid-port-mapping`: a port or protocol that cannot be mapped.

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{PORTMAP_NET, pod},
};
use nadmit_cni::{Spanned, address, cni::Capability, selection::PortMapping};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-port-mapping",
    levels: Levels::FAILS,
    summary: "A port mapping has a port, protocol or host address that cannot be mapped",
    docs: RuleDocs {
        checks: "hostPort and containerPort are required and are numbers from 1 to 65535. \
            protocol is tcp, udp or sctp, in upper or lower case; hostIP is an IP address. Any \
            other value is reported. Where no plugin of the network has the capability \
            \"portMappings\", the plugin never reads the value, and the profile multus only \
            warns.",
        consequence: "Multus passes on any value. The portmap plugin then fails, and the pod \
            stays in ContainerCreating.",
        fix: "Write both ports as numbers from 1 to 65535, such as \"hostPort\": 8080 and \
            \"containerPort\": 80. Write the protocol as \"tcp\", \"udp\" or \"sctp\", and \
            hostIP as an address of the node.",
        source: "The spec, section 4.1.2.1.7; portmap, parseConfig.",
    },
    wrong: Example(&[
        PORTMAP_NET,
        pod!(
            r#"[{"name": "portmap-net", "portMappings": [{"hostPort": 8080, "containerPort": 0}]}]"#
        ),
    ]),
    right: Example(&[
        PORTMAP_NET,
        pod!(
            r#"[{"name": "portmap-net", "portMappings": [{"hostPort": 8080, "containerPort": 80}]}]"#
        ),
    ]),
    check: Check::Pod(check),
};

const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_complete() {
            return;
        }
        let Some(mappings) = &attachment.selection.port_mappings else {
            continue;
        };
        for (index, mapping) in mappings.value.iter().enumerate() {
            if report.is_complete() {
                return;
            }
            let path = format!("portMappings[{index}]");
            check_port(
                attachment,
                &path,
                "hostPort",
                &mapping.host_port,
                mapping,
                report,
            );
            check_port(
                attachment,
                &path,
                "containerPort",
                &mapping.container_port,
                mapping,
                report,
            );
            check_protocol(attachment, &path, mapping, report);
            check_host_ip(attachment, &path, mapping, report);
        }
    }
}

fn check_port(
    attachment: Attachment<'_, '_>,
    path: &str,
    key: &str,
    port: &Option<Spanned<i64>>,
    mapping: &PortMapping<'_>,
    report: &mut Report<'_>,
) {
    let faulty = || {
        let path = format!("[{}].{path}.{key}", attachment.selection.index);
        attachment.request.has_fault_at(&path)
    };
    let (message, span) = match port {
        None if faulty() => return,
        None => (format!("the port mapping has no {key}"), mapping.span),
        Some(port) if (1..=65535).contains(&port.value) => return,
        Some(port) => (
            format!("{key} {} is not a port number", port.value),
            port.span,
        ),
    };
    let field_ref = attachment.field_ref(&format!("{path}.{key}"), span);
    report.add_capped(
        attachment.rejection_class(Capability::PortMappings),
        field_ref,
        message,
        format!("write {key} as a number from 1 to 65535"),
    );
}

fn check_protocol(
    attachment: Attachment<'_, '_>,
    path: &str,
    mapping: &PortMapping<'_>,
    report: &mut Report<'_>,
) {
    let Some(protocol) = &mapping.protocol else {
        return;
    };
    if PROTOCOLS
        .iter()
        .any(|known| protocol.value.eq_ignore_ascii_case(known))
    {
        return;
    }
    report.add_capped(
        attachment.rejection_class(Capability::PortMappings),
        attachment.field_ref(&format!("{path}.protocol"), protocol.span),
        format!(
            "expected protocol tcp, udp or sctp, got {:?}",
            protocol.value
        ),
        "write \"tcp\", \"udp\" or \"sctp\"",
    );
}

fn check_host_ip(
    attachment: Attachment<'_, '_>,
    path: &str,
    mapping: &PortMapping<'_>,
    report: &mut Report<'_>,
) {
    let Some(host_ip) = &mapping.host_ip else {
        return;
    };
    let Err(error) = address::parse_address(&host_ip.value) else {
        return;
    };
    report.add_capped(
        attachment.rejection_class(Capability::PortMappings),
        attachment.field_ref(&format!("{path}.hostIP"), host_ip.span),
        format!("{:?} {error}", host_ip.value),
        "write an address of the node, or remove hostIP to use all of them",
    );
}
