//! `unreadable-record`: what could not be read is not compared.

use crate::{AuditCode, AuditFinding, UnreadableRecord, fix, view::View};

pub(crate) fn check(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    for UnreadableRecord {
        object,
        place,
        reason,
        help,
    } in &view.snapshot.unreadable
    {
        let code = AuditCode::UnreadableRecord;
        findings.push(match object {
            Some(object) => {
                let message = format!("{object} has a value that cannot be read: {reason}");
                let finding = AuditFinding::new(code, message).with(object.clone(), reason);
                match *help {
                    "" => finding.command(fix::edit(object)),
                    help => finding.help(help),
                }
            }
            None => {
                let message = format!("{place} cannot be read: {reason}");
                AuditFinding::new(code, message).help("write valid YAML or JSON")
            }
        });
    }
}
