//! `pool-request-unreadable`: a request to a pool that nadmit cannot read or record exactly.

use super::pool_requests::{interfaces, is_decodable, is_recordable};
use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{POOL_OF_TWO, SERVED_NET, pod},
    subject::{NetworkRequest, PooledAttachment},
};
use nadmit_cni::{HardwareAddress, address};

pub(crate) const UNREADABLE: Rule = Rule {
    code: "pool-request-unreadable",
    levels: Levels::AUTHORITY,
    summary: "nadmit cannot read or record a request to a pool's network exactly",
    docs: RuleDocs {
        checks: "A network entry of a pool's network requests something that nadmit cannot read \
            exactly, and therefore cannot record. Examples are an invalid address or MAC, a \
            member of a wrong type, and a MAC of 8 or 20 bytes. Linux takes the first six bytes \
            of such a MAC. An address in an annotation that Multus cannot decode is denied too. \
            So is an address on an interface that another network entry has.",
        consequence: "Such a pod mostly never starts, but an interface can have the unrecorded \
            address for a moment. On a network with an AddressPool nadmit records every address \
            before it admits the pod.",
        fix: "Fix the value, or remove \"ips\" or \"mac\" to get an address assigned. Give each \
            network entry an interface of its own.",
        source: "Multus, the decoder of the annotation; Linux, MAC addresses of network devices.",
    },
    wrong: Example(&[
        POOL_OF_TWO,
        SERVED_NET,
        pod!(r#"[{"name": "pooled-net", "mac": "02:5e:00:00:00:03:00:01"}]"#),
    ]),
    right: Example(&[
        POOL_OF_TWO,
        SERVED_NET,
        pod!(r#"[{"name": "pooled-net", "mac": "ca:fe:c0:ff:ee:00"}]"#),
    ]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    // A fast path: most pods have no address of a pool.
    if subject.pooled().next().is_none() {
        return;
    }
    let interfaces = interfaces(subject);
    // If Multus cannot decode one of the annotations, it attaches no network of either.
    let undecoded = subject.requests.iter().find_map(first_fault);
    let undecoded = undecoded.or_else(|| {
        let other = subject.attachments().find(|one| !is_decodable(*one))?;
        let index = other.selection.index;
        let key = other.request.origin.key;
        Some(format!("an address in [{index}] of the annotation {key}"))
    });
    for pooled in subject.pooled() {
        if report.is_full() {
            return;
        }
        let attachment = pooled.attachment;
        check_faults(pooled, report);
        check_values(pooled, report);
        if !is_recordable(attachment) {
            continue;
        }
        let field_ref = || attachment.field_ref("", attachment.selection.span);
        let interface = attachment.interface();
        let named = named_text(attachment);
        if let Some(undecoded) = &undecoded {
            // An attachment that names no address takes none.
            if let Some(named) = named {
                report.add(
                    field_ref(),
                    format!(
                        "pool {:?} cannot record {named}, because Multus cannot decode {undecoded}",
                        pooled.pool
                    ),
                    "correct the annotation",
                );
            }
        } else if interfaces.get(&*interface).is_some_and(|count| *count > 1) {
            report.add(
                field_ref(),
                format!(
                    "pool {:?} cannot record {}, because another network entry has the interface \
                     {interface:?} too",
                    pooled.pool,
                    named.as_deref().unwrap_or("an address")
                ),
                "give each network entry an interface of its own",
            );
        }
    }
}

/// Returns the first part of an annotation that Multus's decoder rejects.
fn first_fault(request: &NetworkRequest<'_>) -> Option<String> {
    let fault = request.annotation.decode_errors.first()?;
    Some(match fault.path.as_str() {
        "" => format!("the annotation {}", request.origin.key),
        path => format!("{path} of the annotation {}", request.origin.key),
    })
}

/// Reports members of the attachment with a wrong type.
fn check_faults(pooled: PooledAttachment<'_, '_>, report: &mut Report<'_>) {
    let attachment = pooled.attachment;
    let own = format!("[{}].", attachment.selection.index);
    let faults = attachment
        .request
        .faults_in(attachment.selection.index)
        .iter();
    for fault in faults.filter(|fault| fault.path.starts_with(&own)) {
        if report.is_full() {
            return;
        }
        let member = &fault.path[own.len()..];
        let guarded = ["ips", "mac", "cni-args"];
        if guarded.iter().any(|key| member.starts_with(key)) {
            let text = attachment.request.annotation.text;
            let written = text.get(fault.span.start as usize..fault.span.end as usize);
            report.add(
                attachment.request.field_ref_at(&fault.path, fault.span),
                format!(
                    "pool {:?} cannot record {member}, because nadmit cannot read {}",
                    pooled.pool,
                    written.unwrap_or_default()
                ),
                "write \"ips\" as a list of strings, \"mac\" as a string, \"cni-args\" as an object",
            );
        }
    }
}

/// Reports invalid addresses of the attachment.
fn check_values(pooled: PooledAttachment<'_, '_>, report: &mut Report<'_>) {
    let attachment = pooled.attachment;
    let ips = attachment.selection.ips.iter().flat_map(|ips| &ips.value);
    for (index, ip) in ips.enumerate() {
        if report.is_full() {
            return;
        }
        if address::canonical(&ip.text).is_none() {
            report.add(
                attachment.field_ref(&format!("ips[{index}]"), ip.span),
                format!(
                    "{:?} is not an IP address, so pool {:?} cannot record it",
                    ip.text, pooled.pool
                ),
                "write an address such as 192.0.2.205/24, or remove \"ips\" to get one assigned",
            );
        }
    }
    let Some(mac) = &attachment.selection.mac else {
        return;
    };
    let fault = match mac.ok() {
        Some(HardwareAddress::Ethernet(_)) => return,
        Some(long) => format!(
            "has {} bytes, of which Linux uses the first six",
            long.as_bytes().len()
        ),
        None => "is not a MAC".to_owned(),
    };
    report.add(
        attachment.field_ref(attachment.member("mac"), mac.span),
        format!(
            "{:?} {fault}, so pool {:?} cannot record it",
            mac.text, pooled.pool
        ),
        "write six bytes, such as \"02:5e:00:00:00:01\", or remove \"mac\" to get one assigned",
    );
}

/// Returns the addresses that the attachment names, joined for a message.
fn named_text(attachment: Attachment<'_, '_>) -> Option<String> {
    let selection = attachment.selection;
    let ips = selection.ips.iter().flat_map(|ips| &ips.value);
    let ips = ips.map(|ip| &*ip.text);
    let mac = selection.mac.iter().map(|mac| &*mac.text);
    let named: Vec<&str> = ips.chain(mac).collect();
    (!named.is_empty()).then(|| named.join(", "))
}
