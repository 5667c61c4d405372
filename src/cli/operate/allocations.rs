//! `nadmit allocations`: lists allocations and Whereabouts's entries, one per line.

use clap::Args;

use super::{OperatorCommand, Output, SourceArgs, backend::Backend, print_json, show};
use crate::{
    cli::{
        clock,
        output::{self, Align},
    },
    inspect::{AddressRow, AllocationRow, Filter, RecordedRow},
};

/// Arguments of `nadmit allocations`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nadmit allocations --namespace db
  nadmit allocations --network db/storage-net
  nadmit allocations --pool storage -o json | jq -r '.[].address'
  nadmit allocations --cluster --pool IPPool/10.0.0.0-24")]
pub(in crate::cli) struct AllocationsArgs {
    /// Show only allocations of this pool; IPPool/NAME for one of Whereabouts
    #[arg(long)]
    pool: Option<String>,
    /// Show only allocations on this network: NAMESPACE/NAME, or NAME in any namespace
    #[arg(long)]
    network: Option<String>,
    /// Show only allocations of holders in this namespace
    #[arg(long, short)]
    namespace: Option<String>,
    /// Show only allocations of this pod: NAMESPACE/NAME, or NAME in any namespace
    #[arg(long)]
    pod: Option<String>,
    /// Output format
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    from: SourceArgs,
}

impl OperatorCommand for AllocationsArgs {
    async fn run(self) -> anyhow::Result<()> {
        let backend = Backend::open(&self.from).await?;
        let filter = Filter {
            pool: self.pool,
            network: self.network,
            namespace: self.namespace,
            pod: self.pod,
        };
        let rows = backend.allocations(&filter).await?;
        if self.output == Output::Json {
            return print_json(&rows);
        }
        output::print(table(&rows, filter == Filter::default()));
        Ok(())
    }
}

fn table(rows: &[AddressRow], all: bool) -> String {
    if rows.is_empty() {
        let none = if all {
            "no allocations"
        } else {
            "no allocations match"
        };
        return format!("{none}\n");
    }
    let head = [
        ("ADDRESS", Align::Left),
        ("MAC", Align::Left),
        ("POOL", Align::Left),
        ("NETWORK", Align::Left),
        ("INTERFACE", Align::Left),
        ("AGE", Align::Right),
        ("HOLDER", Align::Left),
    ];
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| match row {
            AddressRow::Allocation(row) => line(row),
            AddressRow::Recorded(row) => recorded_line(row),
        })
        .collect();
    output::table(&head, &lines)
}

fn or_dash(text: &str) -> String {
    match text {
        "" => "-".to_owned(),
        text => text.to_owned(),
    }
}

/// Returns the line of an entry of Whereabouts, which has no MAC and no time.
fn recorded_line(row: &RecordedRow) -> Vec<String> {
    let networks = match &*row.networks {
        [] => "-".to_owned(),
        [one] => one.clone(),
        [first, others @ ..] => format!("{first} or {} more", others.len()),
    };
    vec![
        row.address.to_string(),
        "-".to_owned(),
        or_dash(row.ip_pool.as_deref().unwrap_or_default()),
        networks,
        or_dash(&row.interface),
        "-".to_owned(),
        match &row.pod {
            Some(pod) => format!("pod {pod}"),
            None => "no pod (kept from others)".to_owned(),
        },
    ]
}

fn line(row: &AllocationRow) -> Vec<String> {
    let one = &row.allocation;
    vec![
        one.address.to_string(),
        one.mac.map_or("-".to_owned(), |mac| mac.to_string()),
        one.pool.to_string(),
        format!("{}/{}", one.network.namespace, one.network.name),
        or_dash(&one.interface),
        show::age(one.held_since(), clock().seconds()),
        match row.retained {
            true => format!("{} (retained)", one.holder),
            false => one.holder.to_string(),
        },
    ]
}
