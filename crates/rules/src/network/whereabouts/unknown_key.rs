//! `unknown-ipam-key`: a key that Whereabouts ignores.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, network},
};

use super::{
    super::fields::{Fields, quoted},
    ipams,
};

pub(crate) const RULE: Rule = Rule {
    code: "unknown-ipam-key",
    levels: Levels::ADVICE,
    summary: "The IPAM of Whereabouts has an unknown key",
    docs: RuleDocs {
        checks: "Keys of \"ipam\" and of the entries of ipRanges that Whereabouts does not know. \
            Its keys are written with underscores, except ipRanges. Keys of older versions are \
            not reported.",
        consequence: "Whereabouts ignores the key, so a misspelled one is silently lost.",
        fix: "Fix the spelling of the key, or remove it.",
        source: "Whereabouts v0.9.4, IPAMConfig.",
    },
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "whereabouts", "range": "192.0.2.192/27", "rangeStart": "192.0.2.200"}}"#
    )]),
    right: Example(&[MACVLAN_CONF]),
    check: Check::Network(check),
};

const KEYS: &[&str] = &[
    "type",
    "range",
    "range_start",
    "range_end",
    "exclude",
    "ipRanges",
    "network_name",
    "gateway",
    "routes",
    "dns",
    "addresses",
    "enable_overlapping_ranges",
    "node_slice_size",
    "sleep_for_race",
    "leader_lease_duration",
    "leader_renew_deadline",
    "leader_retry_period",
    "log_file",
    "log_level",
    "kubernetes",
    "configuration_path",
    "reconciler_cron_expression",
];

/// Keys that are not reported: keys of older versions, and those that other rules report.
const ALLOWED_KEYS: &[&str] = &[
    "name",
    "capabilities",
    "datastore",
    "etcd_host",
    "etcd_username",
    "etcd_password",
    "etcd_key_file",
    "etcd_cert_file",
    "etcd_ca_cert_file",
];

const RANGE_KEYS: &[&str] = &["range", "range_start", "range_end", "exclude"];

/// The maximum length of a key for which a similar one is searched.
const MAX_KEY_LENGTH: usize = 40;

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    for ipam in ipams(subject) {
        check_keys(&ipam, KEYS, report);
        for entry in ipam.objects("ipRanges") {
            check_keys(&entry, RANGE_KEYS, report);
        }
    }
}

fn check_keys(fields: &Fields<'_, '_>, keys: &[&'static str], report: &mut Report<'_>) {
    for member in fields.members() {
        if report.is_full() {
            return;
        }
        let key = &*member.name.value;
        let is = |known: &&&str| nadmit_cni::json::folds_to(key, known);
        if keys.iter().chain(ALLOWED_KEYS).any(|known| is(&known)) {
            continue;
        }
        report.add(
            fields.name_ref(member),
            format!(
                "Whereabouts does not know the key {} and ignores it",
                quoted(key)
            ),
            help(key, keys),
        );
    }
}

/// The keys of host-local, with the equivalent keys of Whereabouts.
const HOST_LOCAL_KEYS: [(&str, &str); 2] = [("subnet", "range"), ("ranges", "ipRanges")];

fn help(key: &str, keys: &[&'static str]) -> String {
    let of_host_local = HOST_LOCAL_KEYS.iter().find(|(name, _)| *name == key);
    if let Some((_, meant)) = of_host_local.filter(|(_, meant)| keys.contains(meant)) {
        return format!("write \"{meant}\", the key of Whereabouts");
    }
    let similar = (key.len() <= MAX_KEY_LENGTH)
        .then(|| nadmit_catalog::most_similar(key, keys.iter().copied()))
        .flatten();
    match similar {
        Some(similar) => format!("did you mean \"{similar}\"?"),
        None => "remove it".to_owned(),
    }
}
