//! `nadmit adopt --dry-run`: shows the addresses that address pools would adopt in a cluster.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Args;

use super::{
    cluster::{self, NadmitNamespaceArgs},
    kube_args::{self, KubeArgs},
    output::{self, Align, BOLD, DIM, GREEN, Output, RED, YELLOW},
};
use crate::{
    allocation::Stored,
    check::{self, Adoption, AdoptionState, File, PoolAddress, PoolAdoption},
    config::Config,
    ledger::{Actor, ClusterLedger, ClusterLedgerOptions, Store as _},
    rules::Policy,
    sources::{self, Cluster, ClusterQuery, ClusterSnapshot},
};

/// Exit code if something prevents the adoption.
const EXIT_BLOCKED: u8 = 1;
const EXIT_FAILED: u8 = 2;

/// Arguments of `nadmit adopt`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 if nothing prevents the adoption, 1 if something does (an invalid pool, a network \
of Whereabouts with the same addresses), 2 if the cluster cannot be read.

Examples:
  nadmit adopt --dry-run                        preview the cluster as it is
  nadmit adopt --dry-run pool.yaml nads.yaml    preview it with these manifests applied")]
pub(super) struct AdoptArgs {
    /// Manifests that replace objects of the cluster: files, folders, - for stdin
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Required: this command only previews what the server will adopt
    #[arg(long)]
    dry_run: bool,
    /// Output format
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Settings file (nadmit.yaml) [default: the ConfigMap nadmit-config]
    #[arg(long, env = "NADMIT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    kube: KubeArgs,
    #[command(flatten)]
    nadmit: NadmitNamespaceArgs,
}

/// Prints the adoption, and returns the exit code.
pub(super) fn run(args: &AdoptArgs) -> ExitCode {
    match args.adoption() {
        Ok(adoption) => {
            // Strings and numbers can always be serialized.
            let text = args.output.serialized(&adoption).unwrap_or_default();
            output::print(text.unwrap_or_else(|| render(&adoption)));
            ExitCode::from(if adoption.is_blocked() {
                EXIT_BLOCKED
            } else {
                0
            })
        }
        Err(error) => {
            super::print_error(&error);
            ExitCode::from(EXIT_FAILED)
        }
    }
}

impl AdoptArgs {
    fn adoption(&self) -> anyhow::Result<Adoption> {
        anyhow::ensure!(
            self.dry_run,
            "--dry-run is missing: this command only previews an adoption. When an AddressPool is \
             created, the server adopts the addresses in use, and then starts to assign; to see \
             which, run nadmit adopt --dry-run"
        );
        let written = self.config_policy()?;
        let files = check::gather(&self.paths, |_, _| {})?;
        let runtime = kube_args::runtime()?;
        let (cluster, records, policy) = runtime.block_on(self.read(written))?;
        let (catalog, mistakes) = check::catalog_in(&files, &cluster);
        if let Some(mistake) = mistakes.first() {
            let file = files.get(mistake.file).map_or("", |file| &file.name);
            anyhow::bail!("{file}: {}", mistake.message);
        }
        let home = &policy.multus_namespace;
        Ok(Adoption::of(&catalog, &records, home))
    }

    /// Returns the settings given by `--config`, if any.
    fn config_policy(&self) -> anyhow::Result<Option<Policy>> {
        let Some(path) = &self.config else {
            return Ok(None);
        };
        let name = path.display().to_string();
        let text = sources::read_file(path, &name).context("--config")?;
        let config = Config::parse(&text, &name)
            .map_err(|errors| anyhow::anyhow!("--config {name} has errors:\n{errors}"))?;
        Ok(Some(config.policy))
    }

    /// Reads the cluster's objects, its allocations, and the effective settings.
    async fn read(
        &self,
        written: Option<Policy>,
    ) -> anyhow::Result<(Vec<File>, Vec<Stored>, Policy)> {
        let cluster = self.kube.connect().await?;
        let ClusterSnapshot {
            objects,
            unreadable: unknown,
            ..
        } = cluster::read(&cluster, &ClusterQuery::Environment).await?;
        // Without the pods nothing can be shown.
        if let Some(unknown) = unknown.iter().find(|unknown| unknown.resource == "pods") {
            anyhow::bail!("{unknown}");
        }
        let policy = match written {
            Some(policy) => policy,
            None => {
                let settings = self.nadmit.settings(&cluster).await?;
                settings.map(|found| found.policy).unwrap_or_default()
            }
        };
        let files = objects.into_iter().map(File::of_cluster).collect();
        Ok((files, records(&cluster).await?, policy))
    }
}

/// Lists the allocations of a cluster; none if nadmit is not installed.
async fn records(cluster: &Cluster) -> anyhow::Result<Vec<Stored>> {
    if !cluster.has_allocations().await? {
        return Ok(Vec::new());
    }
    let options = ClusterLedgerOptions {
        actor: Actor::Operator,
        ..ClusterLedgerOptions::new("nadmit-adopt")
    };
    let ledger = ClusterLedger::new(cluster.client(), options);
    Ok(ledger.list().await?.0)
}

fn render(adoption: &Adoption) -> String {
    let mut page = String::new();
    for pool in &adoption.pools {
        page += &render_pool(pool);
        page.push('\n');
    }
    let all = || adoption.pools.iter();
    let count = |state| {
        let addresses = all().flat_map(|pool| &pool.addresses);
        addresses.filter(|held| held.state == state).count()
    };
    let hindered = all().filter(|pool| !pool.blockers.is_empty()).count();
    // Writing to a String cannot fail.
    let _ = writeln!(
        page,
        "{} to adopt, {} to reserve, {} recorded; {} used by more than one; {hindered} of {} pools \
         would assign nothing",
        count(AdoptionState::Adopt),
        count(AdoptionState::Reserve),
        count(AdoptionState::Recorded),
        all().map(|pool| pool.duplicates.len()).sum::<usize>(),
        adoption.pools.len(),
    );
    page
}

fn render_pool(pool: &PoolAdoption) -> String {
    let space = match &*pool.network_name {
        "" => "the unnamed address space".to_owned(),
        name => format!("address space {name:?}"),
    };
    let mut page = format!("{BOLD}pool {}{BOLD:#} in {space}", pool.name);
    page += &match &*pool.networks {
        [] => ", used by no network\n".to_owned(),
        networks => format!(" for {}\n", networks.join(", ")),
    };
    for reason in &pool.blockers {
        page += &format!("  {RED}blocked{RED:#}: {reason}\n");
    }
    for duplicate in &pool.duplicates {
        let users = duplicate.users.join(" and by ");
        let address = duplicate.address;
        page += &format!("  {YELLOW}used twice{YELLOW:#}: {address} is used by {users}\n");
    }
    let cells = |held: &PoolAddress| {
        let state = match held.state {
            AdoptionState::Recorded => format!("{DIM}recorded{DIM:#}"),
            AdoptionState::Adopt => format!("{GREEN}adopt{GREEN:#}"),
            AdoptionState::Reserve => format!("{GREEN}reserve{GREEN:#}"),
        };
        let address = held.address.to_string();
        vec![address, held.holder.clone(), held.network.clone(), state]
    };
    let rows: Vec<Vec<String>> = pool.addresses.iter().map(cells).collect();
    for line in output::lines(&[Align::Left; 4], &rows) {
        page += &format!("  {line}\n");
    }
    page
}
