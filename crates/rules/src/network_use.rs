//! The input of the rules on networks in use: a network that is deleted or changed, and the pods that use
//! it.

use std::sync::Arc;

use nadmit_catalog::{LiveRead, Pod};

/// The maximum number of pods that a message names.
const MAX_NAMED: usize = 10;

/// A network that is deleted or changed while pods use it.
#[derive(Debug)]
pub struct NetworkUseSubject<'a> {
    /// The network's namespace.
    pub namespace: &'a str,
    /// The network's name.
    pub name: &'a str,
    /// The path of the field that is removed or changed.
    pub field: String,
    /// The configuration before.
    pub before: Option<&'a str>,
    /// The configuration afterwards; also `None` if the network is deleted.
    pub after: Option<&'a str>,
    /// The pods that use the network, ordered by namespace and name.
    pub users: Vec<&'a Arc<Pod>>,
}

impl NetworkUseSubject<'_> {
    /// Returns the number of pods that use the network and the names of the first ten.
    pub(crate) fn describe_users(&self) -> String {
        let count = self.users.len();
        let named = self.users.iter().take(MAX_NAMED);
        let names: Vec<String> = named
            .map(|pod| format!("{}/{}", pod.namespace, pod.name))
            .collect();
        let pods = if count == 1 { "pod" } else { "pods" };
        let more = match count.saturating_sub(MAX_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{count} {pods}: {}{more}", names.join(", "))
    }

    /// Returns the live read that is required before these pods may cause a denial.
    pub fn live_read(&self) -> LiveRead {
        LiveRead::NetworkUsers {
            namespace: self.namespace.into(),
            name: self.name.into(),
        }
    }
}
