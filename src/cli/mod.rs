//! The command line. Thin: it builds sources, settings and server, and prints results.

mod adopt;
mod audit;
mod banner;
mod certs;
mod check;
mod cluster;
mod crds;
mod demo;
mod explain;
mod https;
mod install;
mod kube_args;
mod kubectl;
mod live_config;
mod logging;
mod open_files;
mod operate;
mod output;
mod replica;
mod reserve;
mod runtime;
mod serve;
mod serve_args;
mod signals;
mod standalone;
mod status;
mod whereabouts;

use std::{ffi::OsString, io::Write as _, path::Path, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

pub use self::replica::{Replica, ReplicaOptions, ReplicaTasks};
use crate::{
    check::sanitize,
    clock::{Clock, RandomSource},
};
use kubectl::PluginProgram;

/// Arguments of the program.
#[derive(Debug, Parser)]
#[command(
    name = "nadmit",
    version,
    about,
    max_term_width = 100,
    propagate_version = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the webhooks over HTTPS
    Serve(Box<serve_args::ServeArgs>),
    /// Install nadmit in a cluster, or print its manifests
    Install(install::InstallArgs),
    /// Remove nadmit from a cluster; pools, reservations and allocations stay
    Uninstall(install::UninstallArgs),
    /// Show the state of an installation: replicas, certificate, webhooks, pools
    Status(status::StatusArgs),
    /// Check manifests, or the objects of a cluster, without a server
    Check(check::CheckArgs),
    /// Compare records of addresses with the interfaces of pods: duplicates, leaks, drift
    Audit(audit::AuditArgs),
    /// Run a server on example networks, and send it real admission reviews
    Demo(demo::DemoArgs),
    /// Explain a rule by its code, or list all rules
    Explain(explain::ExplainArgs),
    /// Print nadmit's CustomResourceDefinitions (CRDs)
    Crds,
    /// Print the manifest of a reservation: addresses reserved for one holder
    Reserve(Box<reserve::ReserveArgs>),
    /// Show the usage of the address pools; with --map, draw the addresses of one
    Pools(operate::PoolsArgs),
    /// List allocations: addresses and their holders
    Allocations(operate::AllocationsArgs),
    /// Show who holds an IP or MAC address
    Whois(operate::WhoisArgs),
    /// Show the addresses of a pod: requested, allocated, reported
    Describe(operate::DescribeArgs),
    /// Preview which addresses in use the pools of a cluster would adopt
    Adopt(adopt::AdoptArgs),
    /// Release an address, so that another holder can get it
    Release(operate::ReleaseArgs),
    /// Give the records of Whereabouts back to its plugin
    Whereabouts(whereabouts::WhereaboutsArgs),
    /// Export all allocations to standard output, as JSON Lines
    Export(operate::ExportArgs),
    /// Import exported allocations
    Import(operate::ImportArgs),
    /// Create a CA and a server certificate
    Certs(certs::CertsArgs),
    /// Print completions for a shell
    Completions {
        /// Shell to complete for
        shell: Shell,
    },
}

/// Parses the arguments and runs the command. Under the name of the kubectl plugin, it is that plugin.
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let program = arguments.first().map(Path::new);
    if let Some(plugin) = program.and_then(PluginProgram::of) {
        return plugin.run(arguments);
    }
    let result = match Cli::parse().command {
        Command::Serve(args) => serve::run(*args),
        Command::Install(args) => install::run(&args),
        Command::Uninstall(args) => install::remove(&args),
        Command::Status(args) => status::run(&args),
        Command::Check(args) => return check::run(&args),
        Command::Audit(args) => return audit::run(&args),
        Command::Adopt(args) => return adopt::run(&args),
        Command::Whereabouts(args) => return whereabouts::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Crds => crds::run(),
        Command::Reserve(args) => reserve::run(*args),
        Command::Certs(args) => certs::run(&args),
        Command::Pools(args) => operate::run(args),
        Command::Allocations(args) => operate::run(args),
        Command::Whois(args) => operate::run(args),
        Command::Describe(args) => operate::run(args),
        Command::Release(args) => operate::run(args),
        Command::Export(args) => operate::run(args),
        Command::Import(args) => operate::run(args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "nadmit", &mut script);
            output::print(String::from_utf8_lossy(&script));
            Ok(())
        }
    };
    finish(result)
}

/// Returns the exit code of a command, after printing its error.
fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn print_error(error: &anyhow::Error) {
    let bold = output::RED.bold();
    let error = sanitize(&format!("{error:#}"));
    let _ = writeln!(anstream::stderr(), "{bold}error:{bold:#} {error}");
}

fn print_warning(text: impl std::fmt::Display) {
    let bold = output::YELLOW.bold();
    let text = sanitize(&text.to_string());
    let _ = writeln!(anstream::stderr(), "{bold}warning:{bold:#} {text}");
}

/// Returns the wall clock of the process.
fn clock() -> Clock {
    Clock::new(jiff::Timestamp::now)
}

/// Returns the source of randomness of the process.
fn random_source() -> RandomSource {
    RandomSource::new(|| {
        let mut bytes = [0; 16];
        // Without randomness tokens could be guessed, so the process ends.
        match getrandom::fill(&mut bytes) {
            Ok(()) => u128::from_ne_bytes(bytes),
            Err(error) => panic!("the system returned no random numbers: {error}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
