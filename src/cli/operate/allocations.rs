//! `nadmit allocations`: lists allocations and Whereabouts's entries, one per line.

use clap::Args;

use super::{OperatorCommand, Output, SourceArgs, backend::Backend, show};
use crate::{
    cli::{
        clock,
        kube_args::KubeArgs,
        kubectl::Namespaced,
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
    /// Show only allocations of pods with these labels, such as app=db; with --cluster
    #[arg(long, short = 'l', value_name = "LABELS", requires = "cluster")]
    selector: Option<String>,
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
        let mut rows = backend.allocations(&filter).await?;
        if let Some(selector) = &self.selector {
            let pods = backend.selected_pods(&filter, selector).await?;
            rows.retain(|row| pod(row).is_some_and(|pod| pods.contains(&pod)));
        }
        let is_limited = filter != Filter::default() || self.selector.is_some();
        let text = self.output.serialized(&rows)?;
        output::print(text.unwrap_or_else(|| match (rows.is_empty(), is_limited) {
            (true, false) => "no allocations\n".to_owned(),
            (true, true) => "no allocations match\n".to_owned(),
            (false, _) => table(&rows, self.output),
        }));
        Ok(())
    }
}

impl Namespaced for AllocationsArgs {
    fn namespace(&mut self) -> Option<&mut Option<String>> {
        // A pod or network may name its namespace.
        let names = [&self.pod, &self.network];
        let named = names.into_iter().flatten().any(|name| name.contains('/'));
        (!named).then_some(&mut self.namespace)
    }

    fn kube(&self) -> &KubeArgs {
        &self.from.cluster.kube
    }
}

/// Returns the pod of a row, as `namespace/name`.
fn pod(row: &AddressRow) -> Option<String> {
    match row {
        AddressRow::Allocation(row) => {
            let pod = row.allocation.pod.as_ref()?;
            Some(format!(
                "{}/{}",
                row.allocation.holder.namespace(),
                pod.name
            ))
        }
        AddressRow::Recorded(row) => Some(row.pod.as_ref()?.to_string()),
    }
}

fn table(rows: &[AddressRow], output: Output) -> String {
    let head = [
        ("ADDRESS", Align::Left),
        ("MAC", Align::Left),
        ("POOL", Align::Left),
        ("NETWORK", Align::Left),
        ("INTERFACE", Align::Left),
        ("AGE", Align::Right),
        ("HOLDER", Align::Left),
    ];
    let cells = rows.iter().map(|row| match row {
        AddressRow::Allocation(row) => line(row),
        AddressRow::Recorded(row) => recorded_line(row),
    });
    if output != Output::Wide {
        let lines: Vec<Vec<String>> = cells.collect();
        return output::table(&head, &lines);
    }
    let more = ["POD", "NODE", "RECORD"].map(|title| (title, Align::Left));
    let lines = cells
        .zip(rows)
        .map(|(cells, row)| cells.into_iter().chain(more_cells(row)).collect());
    let lines: Vec<Vec<String>> = lines.collect();
    output::table(&[&head[..], &more].concat(), &lines)
}

/// Returns the cells of the columns that only the wide table has.
fn more_cells(row: &AddressRow) -> [String; 3] {
    let (node, record) = match row {
        AddressRow::Allocation(row) => {
            let pod = row.allocation.pod.as_ref();
            (pod.and_then(|pod| pod.node.as_deref()), &*row.record)
        }
        AddressRow::Recorded(_) => (None, ""),
    };
    [
        &*pod(row).unwrap_or_default(),
        node.unwrap_or_default(),
        record,
    ]
    .map(or_dash)
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
