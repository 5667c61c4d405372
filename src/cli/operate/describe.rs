//! `nadmit describe pod`: compares requested, allocated and reported addresses.

use anyhow::bail;
use clap::{Args, Subcommand};

use super::{OperatorCommand, Output, SourceArgs, backend::Backend};
use crate::{
    cli::output::{self, Align, BOLD, DIM, GREEN, YELLOW, table},
    inspect::{AddressLine, AttachmentView, PodView},
};

/// Arguments of `nadmit describe`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DescribeArgs {
    #[command(subcommand)]
    target: DescribeTarget,
}

#[derive(Debug, Subcommand)]
enum DescribeTarget {
    /// Show a pod's addresses: requested, allocated, reported in network-status
    Pod(PodArgs),
}

#[derive(Debug, Args)]
struct PodArgs {
    /// Pod to show
    #[arg(value_name = "[NAMESPACE/]NAME")]
    pod: String,
    /// Namespace of the pod [default with --cluster: the context's namespace]
    #[arg(long, short)]
    namespace: Option<String>,
    /// Output format
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    from: SourceArgs,
}

impl OperatorCommand for DescribeArgs {
    async fn run(self) -> anyhow::Result<()> {
        let DescribeTarget::Pod(args) = self.target;
        let (namespace, name) = args.named().await?;
        let (namespace, name) = (&*namespace, &*name);
        let backend = Backend::open(&args.from).await?;
        let view = backend.pod(namespace, name).await?;
        if view.present == Some(false) && view.attachments.is_empty() {
            bail!("pod {namespace}/{name} does not exist and holds no address");
        }
        let text = args.output.serialized(&view)?;
        output::print(text.unwrap_or_else(|| render(&view, args.from.cluster.cluster)));
        Ok(())
    }
}

impl PodArgs {
    /// Returns namespace and name of the pod.
    async fn named(&self) -> anyhow::Result<(String, String)> {
        let owned = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
        match (self.pod.split_once('/'), &self.namespace) {
            (Some((namespace, name)), None) => Ok(owned(namespace, name)),
            (Some((namespace, _)), Some(other)) => bail!(
                "pod {:?} is of namespace {namespace}, and --namespace is {other}; omit one of them",
                self.pod
            ),
            (None, Some(namespace)) => Ok(owned(namespace, &self.pod)),
            (None, None) if self.from.cluster.cluster => {
                let namespace = self.from.cluster.kube.default_namespace().await?;
                Ok((namespace, self.pod.clone()))
            }
            (None, None) => bail!(
                "pod {:?} has no namespace; write NAMESPACE/NAME, or add --namespace",
                self.pod
            ),
        }
    }
}

fn render(view: &PodView, in_cluster: bool) -> String {
    let mut page = format!("{BOLD}pod {}/{}{BOLD:#}", view.namespace, view.name);
    if let Some(holder) = &view.holder {
        let itself = format!("pod {}/{}", view.namespace, view.name);
        if *holder != itself {
            page += &format!(", holder: {holder}");
        }
    }
    page.push('\n');
    let notes = match view.present {
        None if in_cluster => Some("requested and reported addresses are unknown"),
        None => Some("requested and reported addresses are unknown without --manifests"),
        Some(false) => Some("the pod does not exist: requested and reported addresses are unknown"),
        Some(true) => None,
    };
    for note in notes.into_iter().chain(view.remarks.iter().map(|r| &**r)) {
        page += &format!("{DIM}{note}{DIM:#}\n");
    }
    if view.attachments.is_empty() {
        page += "no attachments\n";
    }
    for one in &view.attachments {
        page.push('\n');
        page += &attachment(one, view.present == Some(true));
    }
    page
}

fn attachment(one: &AttachmentView, seen: bool) -> String {
    let interface = match &*one.interface {
        "" => "any interface",
        interface => interface,
    };
    let pool = match &one.pool {
        Some(pool) => format!(", pool {pool}"),
        None => String::new(),
    };
    let title = format!(
        "{BOLD}{interface}{BOLD:#} on network {}{pool}\n",
        one.network
    );
    if one.addresses.is_empty() {
        return title + "  no addresses requested, allocated or reported\n";
    }
    let head = [
        ("  REQUESTED", Align::Left),
        ("ALLOCATED", Align::Left),
        ("NETWORK-STATUS", Align::Left),
        ("", Align::Left),
    ];
    let rows: Vec<Vec<String>> = one
        .addresses
        .iter()
        .map(|line| cells(line, one.pool.is_some(), seen))
        .collect();
    title + &table(&head, &rows)
}

fn cells(line: &AddressLine, served: bool, seen: bool) -> Vec<String> {
    let if_so = |so: bool| {
        if so {
            line.address.clone()
        } else {
            "-".to_owned()
        }
    };
    let requested = line.requested.as_deref().unwrap_or(match seen {
        true => "-",
        false => "?",
    });
    let reported = match line.reported {
        Some(reported) => if_so(reported),
        None => "?".to_owned(),
    };
    let note = match line.mismatch(served, seen) {
        Some(trouble) => format!("{YELLOW}! {trouble}{YELLOW:#}"),
        None if (line.allocated || line.ip_pool.is_some()) && line.reported == Some(true) => {
            format!("{GREEN}✓{GREEN:#}")
        }
        None => String::new(),
    };
    let note = match &line.ip_pool {
        Some(pool) => format!(
            "{note}{}{DIM}{pool}{DIM:#}",
            if note.is_empty() { "" } else { " " }
        ),
        None => note,
    };
    vec![
        format!("  {requested}"),
        if_so(line.allocated || line.ip_pool.is_some()),
        reported,
        note,
    ]
}
