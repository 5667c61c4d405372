//! `nadmit whois`: shows the holder of an address or MAC.

use std::fmt::Write as _;

use clap::Args;

use super::{OperatorCommand, Output, SourceArgs, backend::Backend, show};
use crate::{
    allocation::{Address, Space},
    cli::{
        clock,
        output::{self, BOLD, DIM},
    },
    inspect::{AllocationRow, RecordedRow, UnheldState, Whois},
};

/// Arguments of `nadmit whois`.
#[derive(Debug, Args)]
pub(in crate::cli) struct WhoisArgs {
    /// IP or MAC address
    address: Address,
    /// Output format
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    from: SourceArgs,
}

impl OperatorCommand for WhoisArgs {
    async fn run(self) -> anyhow::Result<()> {
        let backend = Backend::open(&self.from).await?;
        let found = backend.whois(self.address).await?;
        let text = self.output.serialized(&found)?;
        output::print(text.unwrap_or_else(|| render(&found)));
        Ok(())
    }
}

fn render(found: &Whois) -> String {
    let held = found.held.iter().map(|row| holder(found.address, row));
    let recorded = found.whereabouts.iter().map(recorded);
    let mut page = held.chain(recorded).collect::<Vec<_>>().join("\n");
    for membership in &found.pools {
        let state = match &membership.state {
            UnheldState::Free => "free".to_owned(),
            UnheldState::Never(why) => format!("never assigned: {why}"),
            UnheldState::Reserved(name) => format!("reserved by reservation {name}"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "{BOLD}{}{BOLD:#} is not held in pool {} ({}): {state}",
            found.address, membership.pool, membership.range
        );
    }
    if page.is_empty() {
        let _ = writeln!(
            page,
            "{BOLD}{}{BOLD:#} is not held and not in a known pool",
            found.address
        );
    }
    page
}

/// Renders a record of Whereabouts.
fn recorded(row: &RecordedRow) -> String {
    let address = row.address;
    let by = match &row.pod {
        Some(pod) => format!("assigned to {BOLD}pod {pod}{BOLD:#}"),
        None => "kept from all pods".to_owned(),
    };
    let mut page = format!("{BOLD}{address}{BOLD:#} is {by} by Whereabouts\n");
    let mut line = |title: &str, text: &str| {
        if !text.is_empty() {
            let _ = writeln!(page, "  {DIM}{title:<12}{DIM:#}{text}");
        }
    };
    let space = Space::new(&row.network_name);
    match &row.ip_pool {
        Some(pool) => line("pool", &format!("{pool} ({space})")),
        None => line("pool", &format!("none has an entry ({space})")),
    }
    line("network", &row.networks.join(" or "));
    line("interface", &row.interface);
    line(
        "reservation",
        row.reservation.as_deref().unwrap_or_default(),
    );
    line("container", &row.container_id);
    page
}

fn holder(address: Address, row: &AllocationRow) -> String {
    let one = &row.allocation;
    let mut page = format!(
        "{BOLD}{address}{BOLD:#} is held by {BOLD}{}{BOLD:#}\n",
        one.holder
    );
    let mut line = |title: &str, text: String| {
        let _ = writeln!(page, "  {DIM}{title:<12}{DIM:#}{text}");
    };
    if one.address != address {
        line("address", one.address.to_string());
    }
    if let Some(mac) = one.mac.filter(|mac| Address::Mac(*mac) != address) {
        line("mac", mac.to_string());
    }
    line("pool", format!("{} ({})", one.pool, one.space));
    let network = format!("{}/{}", one.network.namespace, one.network.name);
    let interface = match &*one.interface {
        "" => String::new(),
        interface => format!(", interface {interface}"),
    };
    line("network", network + &interface);
    if let Some(pod) = &one.pod {
        let uid = pod.uid.as_ref().map(|uid| format!(" (UID {uid})"));
        line("pod", format!("{}{}", pod.name, uid.unwrap_or_default()));
    }
    if let Some(from) = &one.reservation {
        line("reservation", format!("{}/{}", from.namespace, from.name));
    }
    let age = show::age(one.since, clock().seconds());
    line("since", format!("{} ({age} ago)", show::moment(one.since)));
    let version = match row.version {
        Some(version) => format!(", version {version}"),
        None => ", being written".to_owned(),
    };
    line("record", row.record.clone() + &version);
    line(
        "release",
        match &row.release_blocked {
            Some(kept) => format!("only with --force: {kept}"),
            None => format!("nadmit release {}", one.address),
        },
    );
    page
}
