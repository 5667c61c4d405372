//! A network as Whereabouts's node slice controller sees it: the values that it compares, and the
//! `NodeSlicePool` that it creates.

use std::net::IpAddr;

use super::{
    cni::NetworkConfig,
    ipam::Ipam,
    range::{BoundedSubnet, Subnet},
};

/// A Whereabouts network with a range, as the node slice controller reads it. In a list of plugins
/// it reads the first one only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceView<'a> {
    /// The name by which the controller compares networks; an absent name is compared, too.
    pub network_name: Option<&'a str>,
    /// The name of the `NodeSlicePool`: `network_name`, else the `name` next to the plugin's type.
    pub pool: Option<&'a str>,
    /// The first range, the only one that the controller reads.
    pub range: Subnet,
    /// `node_slice_size`, as written.
    pub size: Option<&'a str>,
}

/// The slices that a network describes: those of a subnet, with the size as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SliceDescription<'a> {
    first: IpAddr,
    prefix: u8,
    size: Option<&'a str>,
}

impl<'a> SliceView<'a> {
    /// Reads a configuration; `None` if the controller ignores it.
    pub fn of(config: &'a NetworkConfig) -> Option<Self> {
        let plugin = config.main()?;
        let Some(Ipam::Whereabouts(ipam)) = &plugin.ipam else {
            return None;
        };
        let network_name = ipam.network_name.as_deref();
        let range = BoundedSubnet::parse(&ipam.ranges.first()?.range).ok()?;
        Some(Self {
            network_name,
            pool: network_name.or(plugin.name.as_deref()),
            range: range.subnet,
            size: ipam.node_slice_size.as_deref(),
        })
    }

    /// Returns the description of the slices, by which the controller compares networks.
    pub fn description(&self) -> SliceDescription<'a> {
        SliceDescription {
            first: self.range.range().first(),
            prefix: self.range.prefix,
            size: self.size,
        }
    }

    /// Returns true if both describe the same slices.
    pub fn describes_same_slices(&self, other: &Self) -> bool {
        self.description() == other.description()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_is_named_by_network_name_or_name() {
        let pool = |text: &str| {
            let config = NetworkConfig::parse(text).unwrap_or_else(|error| panic!("{error}"));
            SliceView::of(&config).map(|view| view.pool.map(str::to_owned))
        };
        let ipam = r#""ipam":{"type":"whereabouts","range":"10.0.0.0/8"}"#;
        let named = r#""ipam":{"type":"whereabouts","range":"10.0.0.0/8","network_name":"n"}"#;
        assert_eq!(
            pool(&format!(r#"{{"name":"a","type":"macvlan",{ipam}}}"#)),
            Some(Some("a".into()))
        );
        assert_eq!(
            pool(&format!(r#"{{"name":"a","type":"macvlan",{named}}}"#)),
            Some(Some("n".into()))
        );
        assert_eq!(
            pool(&format!(
                r#"{{"name":"a","plugins":[{{"type":"macvlan",{ipam}}}]}}"#
            )),
            Some(None)
        );
        assert_eq!(
            pool(r#"{"type":"macvlan","ipam":{"type":"whereabouts"}}"#),
            None
        );
        assert_eq!(pool(r#"{"type":"macvlan","ipam":{"type":"static"}}"#), None);
    }
}
