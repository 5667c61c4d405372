//! `nadmit status`: shows the state of an installation.

use std::fmt::Write as _;

use anyhow::bail;
use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    kube_args::{KubeArgs, runtime},
    output::{self, BOLD, GREEN, RED, YELLOW},
};
use crate::catalog::WhereaboutsMode;
use crate::install::{self, InstallStatus, IsolationStatus, WhereaboutsStatus};

/// Remaining lifetime below which a certificate is highlighted.
const EXPIRY_WARNING: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Arguments of `nadmit status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Output format
    #[arg(long, short, value_enum, default_value_t = StatusOutput::Text)]
    output: StatusOutput,
    #[command(flatten)]
    kube: KubeArgs,
}

/// Output format; its first value is `text`, not `table` as elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StatusOutput {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Reads and prints the status.
///
/// # Errors
/// When the cluster cannot be read, nadmit is not installed, or no replica is ready.
pub(super) fn run(args: &StatusArgs) -> anyhow::Result<()> {
    let (status, server) = runtime()?.block_on(async {
        let cluster = args.kube.connect().await?;
        let status = install::status(&cluster.client()).await?;
        anyhow::Ok((status, cluster.server().to_owned()))
    })?;
    match args.output {
        StatusOutput::Json => output::print_line(serde_json::to_string_pretty(&status)?),
        StatusOutput::Text => output::print(render(&status, super::clock().now())),
    }
    if let Some(replicas) = &status.replicas
        && replicas.ready == 0
    {
        bail!(
            "no replica of nadmit is ready in {server}; see kubectl get pods -n nadmit, and kubectl logs -n \
             nadmit deploy/nadmit"
        );
    }
    if status.replicas.is_none() && status.unknown.is_empty() {
        bail!("nadmit is not installed in {server}; to install it, run nadmit install");
    }
    Ok(())
}

/// Renders the status.
fn render(status: &InstallStatus, now: Timestamp) -> String {
    let mut text = String::new();
    let mut line = |head: &str, what: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{BOLD}{head:<13}{BOLD:#}{what}");
    };
    if let Some(replicas) = &status.replicas {
        let colour = if replicas.ready >= replicas.wanted {
            GREEN
        } else {
            RED
        };
        line(
            "replicas",
            format!(
                "{colour}{} of {} ready{colour:#}, {}",
                replicas.ready, replicas.wanted, replicas.image
            ),
        );
    }
    if let Some(trouble) = status
        .replicas
        .as_ref()
        .and_then(|found| found.trouble.as_ref())
    {
        line("rollout", format!("{RED}fails: {trouble}{RED:#}"));
    }
    if let Some(mode) = &status.mode {
        line("mode", mode.clone());
    }
    if !status.behind.is_empty() {
        let behind = status.behind.join(", ");
        line(
            "",
            format!(
                "{YELLOW}not loaded yet by {behind}: Kubernetes may need two minutes{YELLOW:#}"
            ),
        );
    }
    if let Some(found) = &status.isolation {
        line("isolation", render_isolation(found));
    }
    if let Some(certificate) = &status.certificate {
        let left = certificate.expires.duration_since(now);
        let colour = if left > EXPIRY_WARNING { GREEN } else { RED };
        line(
            "certificate",
            format!(
                "{colour}expires {}, in {} days{colour:#}",
                certificate.expires,
                left.as_secs().div_euclid(24 * 3600)
            ),
        );
    }
    for hooks in &status.webhooks {
        let all: Vec<String> = hooks
            .hooks
            .iter()
            .map(|(name, policy)| format!("{name} ({policy})"))
            .collect();
        line("webhooks", format!("{}: {}", hooks.kind, all.join(", ")));
        if !hooks.without_ca.is_empty() {
            line(
                "",
                format!(
                    "{RED}without a caBundle: {}{RED:#}",
                    hooks.without_ca.join(", ")
                ),
            );
        }
    }
    if status.misses_new_pods {
        let problem = "injection: create is set, but the webhook for new pods leaves out those that name no \
                       address; run nadmit install again";
        line("", format!("{RED}{problem}{RED:#}"));
    }
    for other in &status.after {
        line(
            "after nadmit",
            format!(
                "{YELLOW}{} of {}{YELLOW:#} runs later and may change pods: an address that it adds is refused, \
                 unless nadmit was asked about the pod before",
                other.name, other.configuration
            ),
        );
    }
    if let Some(schedule) = &status.schedule {
        line("comparison", resync(schedule));
    }
    for pool in &status.pools {
        // A single range is not listed separately from its pool.
        let apart = |ranges: &&Value| ranges.as_str().is_some_and(|text| text.contains(','));
        let ranges = pool.ranges.as_ref().filter(apart);
        let counts = format!(
            "allocated {}, free {}{}",
            count(&pool.allocated),
            count(&pool.free),
            ranges
                .and_then(Value::as_str)
                .map_or_else(String::new, |text| format!(" (of {text})"))
        );
        let ready = match &pool.ready {
            Ok(()) => format!("{GREEN}ready{GREEN:#}"),
            Err(why) => format!("{RED}not ready{RED:#} ({why})"),
        };
        line("pool", format!("{}: {ready}, {counts}", pool.name));
    }
    if let Some(found) = &status.whereabouts {
        line("whereabouts", render_whereabouts(found));
    }
    match status.would_deny.is_empty() {
        true if status.mode.as_deref() == Some("warn") && status.unknown.is_empty() => {
            line(
                "would deny",
                "nothing since the replicas started".to_owned(),
            );
        }
        _ => {
            for (code, count) in &status.would_deny {
                line(
                    "would deny",
                    match count {
                        1 => format!("{code} once (nadmit explain {code})"),
                        _ => format!("{code} {count} times (nadmit explain {code})"),
                    },
                );
            }
        }
    }
    for unknown in &status.unknown {
        line("unknown", format!("{YELLOW}{unknown}{YELLOW:#}"));
    }
    text
}

/// Renders the mode, and what is observed of Whereabouts, in one line.
fn render_whereabouts(found: &WhereaboutsStatus) -> String {
    let number = |count: Option<u64>, one: &str, many: &str| match count {
        None => format!("unknown number of {many}"),
        Some(1) => format!("1 {one}"),
        Some(count) => format!("{count} {many}"),
    };
    let mode = match found.mode {
        Some(WhereaboutsMode::Serve) => "serve: ",
        Some(WhereaboutsMode::Observe) => "observe: ",
        None => "",
    };
    let mut text = format!(
        "{mode}{}, {}",
        number(found.ip_pools, "IPPool", "IPPools"),
        number(found.addresses, "address in use", "addresses in use")
    );
    if found.has_interfaces == Some(false) {
        text += ", observed only: its CRD has no ifname (Whereabouts before v0.8)";
    }
    for resource in &found.unwatched {
        let (kind, group) = resource.split_once('.').unwrap_or((resource, ""));
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "; {RED}{kind} are not watched{RED:#}: if the log of nadmit says that they may not be listed, add \
             to its ClusterRole {{apiGroups: [{group}], resources: [{kind}], verbs: [list, watch]}}"
        );
    }
    text
}

fn render_isolation(found: &IsolationStatus) -> String {
    let source = found.source.as_deref().unwrap_or_default();
    match (found.set, &found.multus) {
        (Some(set), Ok(multus)) if set == *multus => {
            format!("namespaceIsolation is {set}, as in {source}")
        }
        (Some(set), Ok(multus)) => format!(
            "{RED}namespaceIsolation is {set}, but {multus} in {source}{RED:#}: {}",
            if found.follows_multus {
                "to use that value, run nadmit install"
            } else {
                "in ConfigMap nadmit-config, set the value of Multus, or remove the key and run nadmit install"
            }
        ),
        (Some(set), Err(why)) => {
            format!("namespaceIsolation is {set}; the value of Multus is unknown: {why}")
        }
        (None, Ok(multus)) => format!(
            "{YELLOW}namespaceIsolation is not set{YELLOW:#}, but {multus} in {source}; to use that value, run \
             nadmit install; until then cross-namespace-network only warns"
        ),
        (None, Err(why)) => format!(
            "{YELLOW}namespaceIsolation is not set{YELLOW:#}, and the value of Multus is unknown ({why}): \
             cross-namespace-network only warns"
        ),
    }
}

fn resync(schedule: &install::ResyncStatus) -> String {
    let expression = schedule.expression.as_deref().unwrap_or("30 4 * * *");
    let last = match &schedule.last {
        None => "has not run yet".to_owned(),
        Some(last) => {
            let word = |key: &str| last[key].as_str().unwrap_or("not yet");
            let how = if last["succeeded"] == true {
                "succeeded"
            } else {
                "failed"
            };
            format!("last ended {}, {how}: {}", word("ended"), word("message"))
        }
    };
    format!("\"{expression}\" in UTC; {last}")
}

fn count(value: &Option<Value>) -> String {
    match value {
        None => "unknown".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whereabouts_is_one_line() {
        let line = |found: WhereaboutsStatus| {
            let text = render_whereabouts(&found);
            anstream::adapter::strip_str(&text).to_string()
        };
        let mut found = WhereaboutsStatus {
            ip_pools: Some(1),
            addresses: Some(120),
            has_interfaces: Some(true),
            mode: Some(WhereaboutsMode::Serve),
            unwatched: Vec::new(),
        };
        assert_eq!(line(found.clone()), "serve: 1 IPPool, 120 addresses in use");
        found.mode = None;
        found.has_interfaces = Some(false);
        found.unwatched = vec!["ippools.whereabouts.cni.cncf.io".to_owned()];
        assert_eq!(
            line(found),
            "1 IPPool, 120 addresses in use, observed only: its CRD has no ifname (Whereabouts before v0.8); \
             ippools are not watched: if the log of nadmit says that they may not be listed, add to its \
             ClusterRole {apiGroups: [whereabouts.cni.cncf.io], resources: [ippools], verbs: [list, watch]}"
        );
        assert_eq!(
            line(WhereaboutsStatus::default()),
            "unknown number of IPPools, unknown number of addresses in use"
        );
    }
}
