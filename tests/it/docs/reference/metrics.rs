//! docs/reference/metrics.md: the metrics of servers, from what they export.

use std::collections::{BTreeMap, BTreeSet};

use libtest_mimic::{Failed, Trial};

use super::{
    agree, code, is_current,
    metric_list::{LABEL_VALUES, METRICS, Metric, Servers},
    sources, table,
};
use crate::{operate, support::TestResult};

const HEAD: &str = "# Metrics

Each metric of a server, in the OpenMetrics format, at `/metrics` of the address `--admin-listen`. This page is made from what
servers export; a test compares labels and names with them and with the sources.

- Each replica has its own values. Add up counters over the replicas.
- A histogram has the series `…_bucket`, `…_sum` and `…_count`.
- Counters with labels appear when they first count.
- Times are in seconds since 1970; 0 means that it has not happened.

[deploy/monitoring](../../deploy/monitoring) has a dashboard and [alerts](alerts.md) for them.
";

/// The end of the names of samples, by the type of their metric.
const ENDS: &[(&str, &[&str])] = &[
    ("counter", &["_total"]),
    ("histogram", &["_bucket", "_sum", "_count"]),
    ("info", &["_info"]),
    ("gauge", &[""]),
];

pub(super) fn tests() -> Vec<Trial> {
    let no_curl = !operate::server::has_curl();
    let served = tests!["docs::reference"; metrics_page_is_current, all_metrics_are_documented];
    let served = served.into_iter();
    served.map(|test| test.with_ignored_flag(no_curl)).collect()
}

/// A metric as a server exports it.
#[derive(Debug, Default)]
struct Exported {
    help: String,
    kind: String,
    /// The labels of its samples, without that of buckets.
    labels: BTreeSet<String>,
}

/// The metrics of a server, by the name by which they are queried.
type ExportedMetrics = BTreeMap<String, Exported>;

/// Returns the metrics of a page of OpenMetrics.
fn parse(page: &str) -> ExportedMetrics {
    let (mut found, mut helps) = (ExportedMetrics::new(), BTreeMap::new());
    let mut current = (String::new(), String::new());
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            helps.insert(name, help);
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' '))
        {
            let end = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            current = (name.to_owned(), format!("{name}{end}"));
            let metric = Exported {
                help: helps.get(name).map_or("", |help| help).to_owned(),
                kind: kind.to_owned(),
                ..Exported::default()
            };
            found.insert(current.1.clone(), metric);
        } else if !line.starts_with('#') {
            let Some(metric) = found.get_mut(&current.1) else {
                continue;
            };
            let of_kind = ENDS.iter().find(|(kind, _)| *kind == metric.kind);
            let ends = of_kind.map_or(&[][..], |(_, ends)| ends);
            let is_own = |end: &&str| line.starts_with(&format!("{}{end}", current.0));
            let labels = line
                .split_once('{')
                .and_then(|(_, rest)| rest.split_once('}'));
            if let Some((labels, _)) = labels.filter(|_| ends.iter().any(is_own)) {
                // No value of a label has a comma here.
                let names = labels.split(',').filter_map(|label| label.split_once('='));
                let names = names.map(|(name, _)| name.to_owned());
                metric.labels.extend(names.filter(|name| name != "le"));
            }
        }
    }
    found
}

/// Returns the metrics of a server of a folder, and those of a replica.
fn exported() -> Result<[ExportedMetrics; 2], Failed> {
    let folder = operate::monitoring::metrics_of_a_folder_server()?;
    let replica = operate::monitoring::metrics_of_a_replica()?;
    Ok([parse(&folder), parse(&replica)])
}

fn page(folder: &ExportedMetrics, replica: &ExportedMetrics) -> Result<String, Failed> {
    let mut page = HEAD.to_owned();
    for (title, metrics) in METRICS {
        let rows = metrics.iter().map(|metric| row(metric, folder, replica));
        let rows: Vec<[String; 4]> = rows.collect::<Result<_, Failed>>()?;
        let rows = table(["metric", "type", "labels", "meaning"], rows);
        page.push_str(&format!("\n## {title}\n{rows}"));
    }
    for (title, values) in LABEL_VALUES {
        let rows = values
            .iter()
            .map(|(value, meaning)| [code(value), (*meaning).to_owned()]);
        let rows = table(["value", "meaning"], rows);
        page.push_str(&format!("\n## {title}\n{rows}"));
    }
    Ok(page)
}

fn row(
    metric: &Metric,
    folder: &ExportedMetrics,
    replica: &ExportedMetrics,
) -> Result<[String; 4], Failed> {
    let found = folder.get(metric.name).or_else(|| replica.get(metric.name));
    let found = found.ok_or_else(|| format!("no server exports {}", metric.name))?;
    let labels: Vec<String> = metric.labels.iter().map(|label| code(label)).collect();
    let meaning = format!("{} {}", found.help, metric.more);
    let meaning = meaning.trim_end().to_owned();
    Ok([
        code(metric.name),
        found.kind.clone(),
        labels.join(", "),
        meaning,
    ])
}

fn metrics_page_is_current() -> TestResult {
    let [folder, replica] = exported()?;
    is_current("metrics", &page(&folder, &replica)?)
}

/// The metrics that servers export, or that the sources register, are those of the page, with these labels.
fn all_metrics_are_documented() -> TestResult {
    let [folder, replica] = exported()?;
    let mut found: BTreeSet<&str> = BTreeSet::new();
    found.extend(folder.keys().chain(replica.keys()).map(String::as_str));
    let metrics = || METRICS.iter().flat_map(|(_, metrics)| *metrics);
    agree(&found, &metrics().map(|metric| metric.name).collect())?;
    for metric in metrics() {
        let (here, there) = (folder.get(metric.name), replica.get(metric.name));
        let is_right = match metric.servers {
            Servers::All => here.is_some(),
            Servers::Cluster => here.is_none() && there.is_some(),
            Servers::Folder => here.is_some() && there.is_none(),
        };
        if !is_right {
            return Err(format!("{} is not of {:?}", metric.name, metric.servers).into());
        }
        let labels: BTreeSet<String> = metric.labels.iter().map(ToString::to_string).collect();
        for exported in [here, there].into_iter().flatten() {
            if exported.labels != labels {
                return Err(format!("{} has {:?}", metric.name, exported.labels).into());
            }
        }
    }
    let is_exported = |name: &str| {
        let name = format!("nadmit_{name}");
        let ends = ["", "_total", "_info", "_seconds"];
        ends.iter()
            .any(|end| found.contains(&*format!("{name}{end}")))
    };
    let mut count = 0;
    for folder in ["crates", "src"] {
        for (file, text) in sources::texts(folder)? {
            for start in ["register(", "register_with_unit(", "encode_descriptor("] {
                for name in sources::first_arguments(&text, start) {
                    count += 1;
                    if !is_exported(name) {
                        return Err(
                            format!("{file} registers {name}, which no server exports").into()
                        );
                    }
                }
            }
        }
    }
    match count {
        30.. => Ok(()),
        _ => Err(format!("{count} registrations: this test looks wrongly").into()),
    }
}

/// The values of labels are those that the sources set.
pub(super) fn all_labels_are_documented() -> TestResult {
    let of =
        |file: &str| Ok::<_, Failed>(std::fs::read_to_string(format!("{}/{file}", super::ROOT))?);
    let rejections = names(&of("crates/server/src/reject.rs")?, "impl RejectReason");
    let mut reasons = names(
        &of("crates/allocation/src/reconcile.rs")?,
        "impl ActionReason",
    );
    for (_, text) in sources::texts("crates/controllers")? {
        reasons.extend(sources::first_arguments(&text, "metrics.add(").map(str::to_owned));
    }
    let warnings = of("crates/controllers/src/reconciler/warnings.rs")?;
    reasons.extend(names(&warnings, "metrics.add("));
    for (found, (title, values)) in [rejections, reasons].into_iter().zip(LABEL_VALUES) {
        let documented = values.iter().map(|(value, _)| (*value).to_owned());
        agree(&found, &documented.collect())
            .map_err(|error| format!("{title}: {}", error.message().unwrap_or_default()))?;
    }
    Ok(())
}

/// Returns the literals of the arms of the first `match` after `start`.
fn names(text: &str, start: &str) -> BTreeSet<String> {
    let after = text.split_once(start).map_or("", |(_, after)| after);
    let lines = after.lines().skip_while(|line| !line.contains("=> \""));
    let lines = lines.map_while(|line| line.split_once("=> \"")?.1.split_once('"'));
    lines.map(|(name, _)| name.to_owned()).collect()
}
