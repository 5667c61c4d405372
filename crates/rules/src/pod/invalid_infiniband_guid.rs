//! `invalid-infiniband-guid`: a malformed InfiniBand GUID.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{IB_NET, pod},
};
use nadmit_cni::{HardwareAddress, cni::Capability};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-infiniband-guid",
    levels: Levels::FAILS,
    summary: "The InfiniBand GUID does not have eight bytes, or is all zeros",
    docs: RuleDocs {
        checks: "A GUID has eight bytes in hexadecimal, such as 24:8a:07:03:00:8d:ae:2e. Another \
            number of bytes, another notation and a GUID of zeros are reported. Where no plugin \
            of the network has the capability \"infinibandGUID\", a GUID in a valid notation is \
            lost, and the profile multus only warns.",
        consequence: "Multus also accepts 6 and 20 bytes, and then the plugin fails. Multus \
            itself refuses a GUID that it cannot parse. The pod stays in ContainerCreating.",
        fix: "Write eight bytes, such as \"24:8a:07:03:00:8d:ae:2e\".",
        source: "The spec, section 4.1.2.1.10; ib-sriov-cni.",
    },
    wrong: Example(&[
        IB_NET,
        pod!(r#"[{"name": "ib-net", "infiniband-guid": "24:8a:07:03:00:8d"}]"#),
    ]),
    right: Example(&[
        IB_NET,
        pod!(r#"[{"name": "ib-net", "infiniband-guid": "24:8a:07:03:00:8d:ae:2e"}]"#),
    ]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_complete() {
            return;
        }
        let Some(written) = &attachment.selection.infiniband_guid else {
            continue;
        };
        // Multus itself rejects a GUID that does not parse.
        let class = match written.value {
            Ok(_) => attachment.rejection_class(Capability::InfinibandGuid),
            Err(_) => Levels::FAILS,
        };
        let fault = match &written.value {
            Ok(HardwareAddress::Eui64(bytes)) if bytes.iter().any(|byte| *byte != 0) => continue,
            Ok(HardwareAddress::Eui64(_)) => "is all zeros".to_owned(),
            Ok(other) => format!("has {} bytes, expected 8", other.as_bytes().len()),
            Err(error) => error.to_string(),
        };
        report.add_capped(
            class,
            attachment.field_ref("infiniband-guid", written.span),
            format!(
                "{:?} is not a valid InfiniBand GUID: it {fault}",
                written.text
            ),
            "write eight bytes, such as \"24:8a:07:03:00:8d:ae:2e\"",
        );
    }
}
