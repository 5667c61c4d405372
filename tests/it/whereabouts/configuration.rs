//! The meaning of a configuration: its ranges with their first and last addresses.

use libtest_mimic::Failed;
use nadmit::{
    allocation::{AddressRange, spec::RangeSpec},
    network::range::Subnet,
};
use serde_json::Value;

use super::{
    CaseResults, array,
    service::{outcome, pool},
    text,
};

pub(super) fn meaning(case: &Value) -> Result<CaseResults, Failed> {
    let ipam = &case["ipam"];
    // The range of the configuration itself precedes those of its list.
    let own = ipam.get("range").is_some().then_some(ipam);
    let ranges: Vec<RangeSpec> = own
        .into_iter()
        .chain(array(&ipam["ipRanges"]))
        .map(range)
        .collect();
    let nadmit = match pool(ranges) {
        Err(results) => results,
        Ok(pool) => pool.ranges.iter().map(range_of).collect(),
    };
    let whereabouts = match case["error_prefix"].as_str() {
        Some(_) => outcome(&case["error_prefix"]),
        None => {
            let ranges = array(&case["expected"]["ip_ranges"]).iter();
            ranges.map(expected).collect::<Result<String, Failed>>()?
        }
    };
    Ok(CaseResults {
        nadmit,
        whereabouts,
    })
}

fn range(words: &Value) -> RangeSpec {
    let word = |key: &str| words[key].as_str().map(str::to_owned);
    RangeSpec {
        range: word("range").unwrap_or_default(),
        range_start: word("range_start"),
        range_end: word("range_end"),
        exclude: array(&words["exclude"])
            .iter()
            .filter_map(|e| e.as_str().map(str::to_owned))
            .collect(),
        gateway: word("gateway"),
    }
}

fn range_of(range: &AddressRange) -> String {
    let excludes: Vec<String> = range
        .excludes
        .iter()
        .map(|e| e.first().to_string())
        .collect();
    let (first, last) = (range.window.first(), range.window.last());
    format!("{} {first}-{last} without {excludes:?};", range.subnet)
}

fn expected(range: &Value) -> Result<String, Failed> {
    let masked = text(&range["range"])?;
    let subnet = Subnet::parse(masked).map_err(|e| e.to_string())?;
    let hosts = subnet.hosts();
    // It writes the network's address where none is written, and never allocates it.
    let network = subnet.range().first().to_string();
    let first = text(&range["range_start"])?;
    let first = match hosts {
        Some(hosts) if first == network => hosts.first().to_string(),
        _ => first.to_owned(),
    };
    let last = range["range_end"].as_str().map(str::to_owned);
    let last = last.or_else(|| hosts.map(|hosts| hosts.last().to_string()));
    let excludes: Vec<&str> = array(&range["exclude"])
        .iter()
        .filter_map(Value::as_str)
        .filter_map(|e| e.split('/').next())
        .collect();
    Ok(format!(
        "{masked} {first}-{} without {excludes:?};",
        last.unwrap_or_default()
    ))
}
