//! `invalid-interface-name`: an interface name that Linux rejects.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, pod},
};
use nadmit_cni::{InterfaceError, interface};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-interface-name",
    levels: Levels::FAILS,
    summary: "Linux refuses the interface name",
    docs: RuleDocs {
        checks: "An interface name has at most 15 bytes, contains no white space, \"/\" or \
            \":\", and is not \".\" or \"..\". Any other name is reported.",
        consequence: "The plugin fails, and the pod stays in ContainerCreating.",
        fix: "Write a name of at most 15 bytes with letters, digits, \"-\", \"_\" and \".\", \
            such as \"net1\".",
        source: "Linux, dev_valid_name; libcni, ValidateInterfaceName; the spec, section \
            4.1.2.1.5.",
    },
    wrong: Example(&[MACVLAN_CONF, pod!("macvlan-conf@storage-network-0")]),
    right: Example(&[MACVLAN_CONF, pod!("macvlan-conf@storage0")]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let Some(written) = &attachment.selection.interface else {
            continue;
        };
        let Err(error) = written.value else { continue };
        let help = match error {
            InterfaceError::TooLong(_) => {
                format!(
                    "shorten it to {} bytes, such as \"net1\"",
                    interface::MAX_LENGTH
                )
            }
            _ => "use letters, digits, \"-\", \"_\" and \".\", such as \"net1\"".to_owned(),
        };
        report.add(
            attachment.field_ref(attachment.member("interface"), written.span),
            format!(
                "{:?} is not a valid interface name: it {error}",
                written.text
            ),
            help,
        );
    }
}
