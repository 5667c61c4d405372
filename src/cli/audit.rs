//! `nadmit audit`: compares the records of addresses with what is on interfaces.

use std::{io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use nadmit_audit::{AuditFinding, Snapshot, in_both};

use super::{
    cluster,
    kube_args::{self, KubeArgs},
    kubectl::Namespaced,
    output::ProgressLine,
};
use crate::{
    allocation::Timestamp,
    audit::{self, AuditFormat, AuditOutcome},
    check::{self, ClusterScope},
    sources::{Cluster, ClusterQuery, ClusterSnapshot},
};

/// Exit code if something is denied.
const EXIT_DENIED: u8 = 1;
/// Exit code if the command cannot run.
pub(super) const EXIT_FAILED: u8 = 2;

/// Arguments of `nadmit audit`.
#[derive(Debug, Args)]
#[command(
    mut_args(kube_args::with_cluster),
    after_help = "\
Exit codes: 0 if nothing is denied (there may be warnings), 1 if something is denied, 2 if the audit \
cannot run: a wrong flag, a path that cannot be read, a cluster that does not respond or denies access.

Examples:
  nadmit audit --cluster                    compare the records of the cluster
  nadmit audit --cluster --namespace db     show what concerns one namespace
  kubectl get -A -o json pods,net-attach-def,ippools.whereabouts.cni.cncf.io | nadmit audit -"
)]
pub(super) struct AuditArgs {
    /// Files, folders (all *.yaml, *.yml and *.json below), or - for standard input
    ///
    /// Not with --cluster. All inputs form one set. An object that is absent may exist elsewhere, so fewer findings are
    /// possible than with --cluster.
    #[arg(required_unless_present = "cluster", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Compare the records of the cluster; nothing is written to it
    #[arg(long)]
    cluster: bool,
    /// Show only findings about objects of this namespace; everything is compared
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "human")]
    format: AuditFormat,
    /// Seconds until the cluster is read again, to confirm findings; 0 reads once
    ///
    /// Kinds are listed one after the other, while pods come and go. Only what both readings show is
    /// reported. Without findings, the cluster is read once.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 5,
        requires = "cluster"
    )]
    confirm_after: u32,
    #[command(flatten)]
    kube: KubeArgs,
}

/// Compares, prints the result, and returns the exit code.
pub(super) fn run(args: &AuditArgs) -> ExitCode {
    match outcome(args) {
        Ok(outcome) => {
            let output = args.format.render(&outcome);
            // The reader may have closed the output.
            let _ = match args.format {
                AuditFormat::Human => anstream::stdout().write_all(output.as_bytes()),
                AuditFormat::Json | AuditFormat::Yaml => {
                    std::io::stdout().write_all(output.as_bytes())
                }
            };
            ExitCode::from(if outcome.is_denied() { EXIT_DENIED } else { 0 })
        }
        Err(error) => {
            super::print_error(&error);
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn outcome(args: &AuditArgs) -> anyhow::Result<AuditOutcome> {
    if args.cluster && !args.paths.is_empty() {
        anyhow::bail!("an audit is of files or of a cluster: omit --cluster, or the paths");
    }
    let mut outcome = if args.cluster {
        let runtime = kube_args::runtime()?;
        runtime.block_on(args.of_cluster())?
    } else {
        let mut progress = ProgressLine::new();
        let files = check::gather(&args.paths, |done, count| {
            progress.show(|| format!("reading file {done} of {count}"));
        });
        progress.clear();
        let snapshot = audit::of_files(&files?, now());
        AuditOutcome::new(&snapshot, nadmit_audit::audit(&snapshot))
    };
    if let Some(namespace) = &args.namespace {
        outcome.limit_to(namespace);
    }
    Ok(outcome)
}

/// Returns the time of reading.
fn now() -> Timestamp {
    super::clock().seconds()
}

/// A reading of a cluster.
struct Reading {
    snapshot: Snapshot,
    findings: Vec<AuditFinding>,
    notes: Vec<String>,
}

impl Namespaced for AuditArgs {
    fn namespace(&mut self) -> Option<&mut Option<String>> {
        Some(&mut self.namespace)
    }

    fn kube(&self) -> &KubeArgs {
        &self.kube
    }
}

impl AuditArgs {
    async fn of_cluster(&self) -> anyhow::Result<AuditOutcome> {
        let cluster = self.kube.connect().await?;
        let mut reading = read(&cluster).await?;
        if !reading.findings.is_empty() && self.confirm_after > 0 {
            tokio::time::sleep(Duration::from_secs(self.confirm_after.into())).await;
            let first = reading.findings;
            reading = read(&cluster).await?;
            reading.findings = in_both(&first, reading.findings);
        }
        let mut outcome = AuditOutcome::new(&reading.snapshot, reading.findings);
        outcome.notes = reading.notes;
        outcome.cluster = Some(ClusterScope {
            server: cluster.server().to_owned(),
            context: cluster.context().map(str::to_owned),
            namespace: self.namespace.clone(),
            unrelated: 0,
        });
        Ok(outcome)
    }
}

/// Reads a cluster once.
///
/// # Errors
/// When no kind can be listed, or the cluster does not respond.
async fn read(cluster: &Cluster) -> anyhow::Result<Reading> {
    let ClusterSnapshot {
        objects,
        unreadable,
        missing,
        ..
    } = cluster::read(cluster, &ClusterQuery::Records).await?;
    if let (true, Some(first)) = (objects.is_empty(), unreadable.first()) {
        anyhow::bail!("nothing can be compared: {first}");
    }
    let snapshot = audit::of_cluster(&objects, &unreadable, now());
    let absent =
        (!missing.is_empty()).then(|| format!("the cluster does not have {}", missing.join(", ")));
    let unread = unreadable.iter().map(ToString::to_string);
    Ok(Reading {
        findings: nadmit_audit::audit(&snapshot),
        snapshot,
        notes: unread.chain(absent).collect(),
    })
}
