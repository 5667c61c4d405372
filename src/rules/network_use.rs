//! What a rule on networks in use looks at: a network that goes or changes, and who uses it.

use std::sync::Arc;

use crate::catalog::Pod;

use super::finding::LiveRead;

/// The most pods that are named.
const MAX_NAMED: usize = 10;

/// A network that is deleted or changed while pods use it.
#[derive(Debug)]
pub struct NetworkUseSubject<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The field that goes or changes.
    pub field: String,
    /// Its configuration before.
    pub before: Option<&'a str>,
    /// Its configuration afterwards; `None` too when it is deleted.
    pub after: Option<&'a str>,
    /// The pods that use it, ordered by namespace and name.
    pub users: Vec<&'a Arc<Pod>>,
}

impl NetworkUseSubject<'_> {
    /// How many pods use it, and the first ten of them.
    pub fn describe_users(&self) -> String {
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

    /// The look-up without which nothing may be denied for these pods' sake.
    pub fn live_read(&self) -> LiveRead {
        LiveRead::NetworkUsers {
            namespace: self.namespace.into(),
            name: self.name.into(),
        }
    }
}
