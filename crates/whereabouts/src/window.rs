//! The addresses of an `IPPool` that Whereabouts assigns.

use nadmit_cni::IpRange;

use super::{IpPool, names::WhereaboutsNetwork};

/// Returns the addresses of a pool that Whereabouts assigns for any of these networks, in ascending order
/// and without overlaps: their windows without exclusions. The first and the last address of a range are
/// never assigned. In a slice, and without a network, that is all (whereabouts#666).
pub fn assigned_ranges<'n, 's: 'n>(
    pool: &IpPool,
    networks: impl IntoIterator<Item = &'n WhereaboutsNetwork<'s>>,
) -> Vec<IpRange> {
    let range = pool.range.range();
    let mut networks = networks.into_iter().peekable();
    let mut windows: Vec<IpRange> = Vec::new();
    if networks.peek().is_none() {
        windows.extend(pool.range.hosts());
    }
    for network in networks {
        match network.is_sliced() {
            true => windows.extend(pool.range.hosts()),
            false => windows.extend(network.assigned_of(range)),
        }
    }
    // The gaps of the gaps are the windows, joined.
    let gaps: Vec<IpRange> = range.subtract(windows).collect();
    range.subtract(gaps).collect()
}

#[cfg(test)]
mod tests {
    use nadmit_cni::Network;

    use super::*;

    #[test]
    fn the_windows_of_all_networks_count_once() {
        // The range of the pool, the IPAM of each network, and what is assigned.
        let table: &[(&str, &[&str], &str)] = &[
            ("10.0.0.0/29", &[], "10.0.0.1-10.0.0.6"),
            (
                "10.0.0.0/29",
                &[r#""range":"10.0.0.0/29""#],
                "10.0.0.1-10.0.0.6",
            ),
            (
                "10.0.0.0/24",
                &[r#""range":"10.0.0.5-10.0.0.9/24""#],
                "10.0.0.5-10.0.0.9",
            ),
            (
                "10.0.0.0/24",
                &[
                    r#""range":"10.0.0.5-10.0.0.9/24""#,
                    r#""range":"10.0.0.8-10.0.0.12/24""#,
                    r#""range":"10.0.0.13-10.0.0.13/24""#,
                    r#""range":"10.0.0.100-10.0.0.102/24","exclude":["10.0.0.101"]"#,
                ],
                "10.0.0.5-10.0.0.13 10.0.0.100-10.0.0.100 10.0.0.102-10.0.0.102",
            ),
            // What one network excludes, another assigns.
            (
                "10.0.0.0/29",
                &[
                    r#""range":"10.0.0.0/29","exclude":["10.0.0.2/31"]"#,
                    r#""range":"10.0.0.2-10.0.0.2/29""#,
                ],
                "10.0.0.1-10.0.0.2 10.0.0.4-10.0.0.6",
            ),
            // Another range of the same network has a pool of its own.
            (
                "10.0.0.0/29",
                &[
                    r#""ipRanges":[{"range":"10.0.0.0/8"},{"range":"10.0.0.0/29","exclude":["10.0.0.4/30"]}]"#,
                ],
                "10.0.0.1-10.0.0.3",
            ),
            (
                "10.8.3.0/29",
                &[
                    r#""range":"10.8.0.9-10.8.0.20/16","exclude":["10.8.3.0/24"],"node_slice_size":"/29""#,
                ],
                "10.8.3.1-10.8.3.6",
            ),
            ("10.0.0.0/31", &[r#""range":"10.0.0.0/31""#], ""),
            (
                "fd00::/126",
                &[r#""range":"fd00::/126""#],
                "fd00::1-fd00::2",
            ),
        ];
        for (range, ipams, expected) in table {
            let object = serde_json::json!({"spec": {"range": range}});
            let pool = IpPool::read("kube-system", "pool", &object);
            let (pool, _) = pool.unwrap_or_else(|e| panic!("{range}: {e}"));
            let networks: Vec<Network> = ipams
                .iter()
                .map(|ipam| {
                    let config =
                        format!(r#"{{"type":"macvlan","ipam":{{"type":"whereabouts",{ipam}}}}}"#);
                    Network::new("db", "net", Some(&config))
                })
                .collect();
            let networks: Vec<_> = networks.iter().filter_map(WhereaboutsNetwork::of).collect();
            let found = assigned_ranges(&pool, &networks);
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), *expected, "{range} {ipams:?}");
        }
    }
}
