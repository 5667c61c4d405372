//! `nadmit install` and `nadmit uninstall`.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    time::Duration,
};

use anyhow::bail;
use clap::{Args, ValueEnum};

use super::{
    kube_args::{KubeArgs, runtime},
    output::{self, BOLD, DIM, GREEN, YELLOW},
    whereabouts::{self, RELEASE},
};
use crate::{
    catalog::{InlinePools, WhereaboutsMode},
    install::{
        self, Certificates, HelmPolicy, InstallProgress, InstallSettings, Installation,
        ProbeOutcome, UninstallOptions, Wait,
    },
    rules::{Injection, Mode},
    sources::Cluster,
};

/// Arguments of `nadmit install`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nadmit install --image REGISTRY/nadmit:0.1.0              install in mode warn
  nadmit install --mode deny                                change the mode later
  nadmit install --print --image REGISTRY/nadmit:0.1.0      print the manifests, for git

Options that you do not give keep their value in the cluster.")]
pub(super) struct InstallArgs {
    /// Set what to do with findings [default: current mode, else warn]
    #[arg(long, value_enum, value_name = "MODE")]
    mode: Option<ModeArg>,
    /// Issuer of the certificate [default: openshift on OpenShift, else self-managed]
    #[arg(long, value_enum, value_name = "SOURCE")]
    certificates: Option<CertificatesArg>,
    /// Container image [default: current image, else nadmit:VERSION]
    #[arg(long, env = "NADMIT_IMAGE", value_name = "IMAGE")]
    image: Option<String>,
    /// Number of replicas [default: current number, else 2]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=20))]
    replicas: Option<u32>,
    /// Add a ServiceMonitor, alerts and a Grafana dashboard; =false removes them
    ///
    /// ServiceMonitor and alerts need the CRDs of the Prometheus operator.
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true
    )]
    monitoring: Option<bool>,
    /// Reject pods with networks while nadmit is down; =false admits them unchecked
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true
    )]
    fail_closed: Option<bool>,
    /// Set what to do with networks of Whereabouts [default: current mode, else observe]
    #[arg(long, value_enum, value_name = "MODE")]
    whereabouts: Option<WhereaboutsArg>,
    /// Set whether ranges in a static IPAM are a pool [default: current setting, else disabled]
    #[arg(long, value_enum, value_name = "SETTING")]
    inline_pools: Option<InlinePoolsArg>,
    /// Set when pods get the addresses of pools [default: current setting, else bind]
    #[arg(long, value_enum, value_name = "TIME")]
    injection: Option<InjectionArg>,
    /// Take over the objects of a Helm release
    #[arg(long)]
    take_over: bool,
    /// Print the manifests; change nothing
    #[arg(long)]
    print: bool,
    /// Seconds to wait for each step
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u16,
    /// Do not wait or test: webhooks are registered before a replica is ready
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    kube: KubeArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModeArg {
    /// Deny objects with findings of level deny
    Deny,
    /// Warn instead, and count the denials; address-pool rules still deny
    Warn,
    /// Check nothing but the address-pool rules
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WhereaboutsArg {
    /// Read and show its records
    Observe,
    /// Choose the addresses, and write its records before its plugin reads them
    Serve,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InlinePoolsArg {
    /// They are ignored, as static does
    Disabled,
    /// They are, in namespaces with the label nadmit.io/injection: enabled
    Enabled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InjectionArg {
    /// When they are bound to a node, in namespaces with the label nadmit.io/injection: enabled
    Bind,
    /// When they are created: all new pods with networks are sent to nadmit twice
    Create,
    /// Never: addresses that users write are checked and recorded
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CertificatesArg {
    /// nadmit creates and renews it
    SelfManaged,
    /// cert-manager creates and renews it
    CertManager,
    /// OpenShift's service CA creates and renews it
    Openshift,
}

impl InstallArgs {
    fn settings(&self) -> InstallSettings {
        InstallSettings {
            certificates: self.certificates.map(|word| match word {
                CertificatesArg::CertManager => Certificates::CertManager,
                CertificatesArg::Openshift => Certificates::OpenShift,
                CertificatesArg::SelfManaged => Certificates::SelfManaged,
            }),
            mode: self.mode.map(|word| match word {
                ModeArg::Deny => Mode::Deny,
                ModeArg::Warn => Mode::Warn,
                ModeArg::Off => Mode::Off,
            }),
            image: self.image.clone(),
            replicas: self.replicas,
            isolation: None,
            tls: None,
            monitoring: self.monitoring,
            fail_closed: self.fail_closed,
            whereabouts: self.whereabouts.map(|word| match word {
                WhereaboutsArg::Observe => WhereaboutsMode::Observe,
                WhereaboutsArg::Serve => WhereaboutsMode::Serve,
            }),
            whereabouts_namespace: None,
            inline_pools: self.inline_pools.map(|word| match word {
                InlinePoolsArg::Disabled => InlinePools::Disabled,
                InlinePoolsArg::Enabled => InlinePools::Enabled,
            }),
            injection: self.injection.map(|word| match word {
                InjectionArg::Bind => Injection::Bind,
                InjectionArg::Create => Injection::Create,
                InjectionArg::Off => Injection::Off,
            }),
        }
    }
}

fn wait(seconds: u16, no_wait: bool) -> Wait {
    match no_wait {
        true => Wait::No,
        false => Wait::For(Duration::from_secs(seconds.into())),
    }
}

fn helm_policy(take_over: bool) -> HelmPolicy {
    match take_over {
        true => HelmPolicy::TakeOver,
        false => HelmPolicy::Leave,
    }
}

/// Installs nadmit, or prints the manifests.
///
/// # Errors
/// When the cluster refuses, or the installation does not work.
pub(super) fn run(args: &InstallArgs) -> anyhow::Result<()> {
    if args.print {
        output::print(install::yaml(&install::manifests(&args.settings())?)?);
        return Ok(());
    }
    runtime()?.block_on(install(args))
}

async fn install(args: &InstallArgs) -> anyhow::Result<()> {
    let cluster = args.kube.connect().await?;
    let client = cluster.client();
    output::print_line(format_args!(
        "{BOLD}nadmit {}{BOLD:#}: installing in {}",
        env!("CARGO_PKG_VERSION"),
        cluster.server(),
    ));
    let wait = wait(args.timeout, args.no_wait);
    let installation = Installation {
        settings: args.settings(),
        wait,
        release: helm_policy(args.take_over),
    };
    let plan = install::plan(&client, installation, &print_progress).await?;
    print_progress(InstallProgress::Note(summary(&plan.settings)));
    install::install(&client, &plan, &print_progress).await?;
    if wait != Wait::No {
        self_test(&client).await?;
    }
    let status = install::status(&client).await?;
    let mode = status.mode.as_deref().unwrap_or("unknown");
    output::print_line(format_args!(
        "\n{GREEN}nadmit is installed{GREEN:#}, mode {mode}"
    ));
    if mode == "warn" {
        output::print_line(
            "To see what it would deny: nadmit status. To deny it: nadmit install --mode deny",
        );
    }
    Ok(())
}

/// Summarizes the effective options.
fn summary(settings: &InstallSettings) -> String {
    let mut words = vec![format!("certificates {}", settings.certificates().name())];
    words.extend(settings.image.iter().map(|image| format!("image {image}")));
    words.extend(settings.replicas.map(|count| format!("{count} replicas")));
    if settings.fail_closed == Some(true) {
        words.push("fail-closed".to_owned());
    }
    if settings.monitoring == Some(true) {
        words.push("monitoring".to_owned());
    }
    if settings.serves_whereabouts() {
        words.push("networks of Whereabouts are served".to_owned());
    }
    if settings.inline_pools == Some(InlinePools::Enabled) {
        words.push("inline pools".to_owned());
    }
    if let Some(injection) = settings.injection {
        words.push(format!("injection: {}", injection.name()));
    }
    words.join(", ")
}

/// Tests that the API server calls nadmit. Retries, because a registration takes effect asynchronously.
async fn self_test(client: &kube::Client) -> anyhow::Result<()> {
    const TRIES: u32 = 20;
    for _ in 0..TRIES {
        match install::probe(client).await? {
            ProbeOutcome::Denied => {
                print_progress(InstallProgress::Note(
                    "tested: a pod with an unknown network is denied".to_owned(),
                ));
                return Ok(());
            }
            ProbeOutcome::Warned => {
                print_progress(InstallProgress::Note(
                    "tested: a pod with an unknown network gets a warning".to_owned(),
                ));
                return Ok(());
            }
            ProbeOutcome::Refused(reason) => {
                print_progress(InstallProgress::Note(format!(
                    "not tested: another admission check denied the test pod: {reason}"
                )));
                return Ok(());
            }
            ProbeOutcome::Unanswered => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
    bail!(
        "nadmit is installed, but a test pod with an unknown network got no finding: the API server does not \
         reach nadmit, or namespace \"default\" has the label nadmit.io/mode: off; see nadmit status, \
         NetworkPolicy nadmit, and the events of the API server"
    )
}

fn print_progress(told: InstallProgress) {
    match told {
        InstallProgress::Applied(what) => {
            output::print_line(format_args!("{GREEN}applied{GREEN:#}  {what}"))
        }
        InstallProgress::Deleted(what) => {
            output::print_line(format_args!("{YELLOW}deleted{YELLOW:#}  {what}"))
        }
        InstallProgress::Skipped(what, why) => {
            output::print_line(format_args!("{YELLOW}skipped{YELLOW:#}  {what}: {why}"))
        }
        InstallProgress::Waiting(what) => {
            output::print_line(format_args!("{DIM}waiting for {what}{DIM:#}"))
        }
        InstallProgress::Note(what) => output::print_line(format_args!("note     {what}")),
    }
}

/// Arguments of `nadmit uninstall`.
#[derive(Debug, Args)]
#[command(after_help = "\
Running pods keep their networks. Without --purge, the CRDs stay with all pools, reservations and \
allocations: a later installation continues with them.")]
pub(super) struct UninstallArgs {
    /// Also delete the CRDs with all pools, reservations and allocations, forever
    #[arg(long)]
    purge: bool,
    /// Do not ask to confirm --purge
    #[arg(long, requires = "purge")]
    yes: bool,
    /// Remove the objects of a Helm release that Helm does not know anymore
    #[arg(long)]
    take_over: bool,
    /// Seconds to wait for each deletion
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u16,
    /// Do not wait for deletions
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    kube: KubeArgs,
}

/// Removes nadmit from the cluster.
///
/// # Errors
/// When the cluster refuses, or --purge is not confirmed.
pub(super) fn remove(args: &UninstallArgs) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let cluster = args.kube.connect().await?;
        let client = cluster.client();
        let records = match args.purge {
            true => Some(install::count_records(&cluster).await?),
            false => None,
        };
        if let Some(records) = records.filter(|records| !records.is_empty())
            && !args.yes
        {
            confirm(&format!("{records} of {}", cluster.server()))?;
        }
        let removal = UninstallOptions {
            wait: wait(args.timeout, args.no_wait),
            release: helm_policy(args.take_over),
        };
        install::uninstall(&client, removal, &print_progress).await?;
        release_whereabouts(&cluster, removal.wait).await;
        if args.purge {
            install::purge(&client, removal.wait, &print_progress).await?;
        } else {
            output::print_line(
                "kept     CRDs, pools, reservations and allocations (--purge deletes them)",
            );
        }
        Ok(())
    })
}

/// Gives back what nadmit keeps in Whereabouts's records, after the replicas are gone. What is left is only
/// reported: nadmit is removed.
async fn release_whereabouts(cluster: &Cluster, wait: Wait) {
    let Wait::For(timeout) = wait else {
        output::print_line(format_args!(
            "note     if nadmit served networks of Whereabouts, run {RELEASE} when the replicas are gone"
        ));
        return;
    };
    match whereabouts::release(cluster, timeout).await {
        Ok(left) if left.is_empty() => {}
        Ok(left) => {
            whereabouts::print_left(&left);
            super::print_warning(format_args!("to release these addresses, run {RELEASE}"));
        }
        Err(error) => super::print_warning(format_args!(
            "{error:#}; if nadmit served networks of Whereabouts, run {RELEASE} with the permission to list \
             and write ippools and overlappingrangeipreservations"
        )),
    }
}

/// Asks for confirmation; anything but "yes" is an error.
fn confirm(what: &str) -> anyhow::Result<()> {
    if !io::stdin().is_terminal() {
        bail!("--purge deletes {what}; without a terminal, confirm with --yes");
    }
    anstream::print!("--purge permanently deletes {what}. Type yes to continue: ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() != "yes" {
        bail!("nothing was deleted: not confirmed");
    }
    Ok(())
}
