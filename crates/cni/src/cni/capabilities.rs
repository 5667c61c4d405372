//! The capabilities that a plugin's configuration declares.

use std::fmt;

use super::error::NetworkConfigError;
use crate::json::{JsonMember, find};

/// A parameter that a plugin can accept from the pod at run time (CNI conventions, "Dynamic plugin
/// specific fields").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Capability {
    Ips,
    Mac,
    PortMappings,
    Bandwidth,
    InfinibandGuid,
}

impl Capability {
    /// All capabilities.
    pub const ALL: [Self; 5] = [
        Self::Ips,
        Self::Mac,
        Self::PortMappings,
        Self::Bandwidth,
        Self::InfinibandGuid,
    ];

    /// Returns the key in a plugin's `capabilities`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ips => "ips",
            Self::Mac => "mac",
            Self::PortMappings => "portMappings",
            Self::Bandwidth => "bandwidth",
            Self::InfinibandGuid => "infinibandGUID",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities(u8);

impl Capabilities {
    /// Returns true if the set contains `capability`.
    pub fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u8) != 0
    }

    fn with(self, capability: Capability) -> Self {
        Self(self.0 | (1 << capability as u8))
    }
}

pub(super) fn capabilities(members: &[JsonMember<'_>]) -> Result<Capabilities, NetworkConfigError> {
    let Some(member) = find(members, "capabilities") else {
        return Ok(Capabilities::default());
    };
    let expected = "an object of booleans";
    let entries = member
        .value
        .members()
        .ok_or_else(|| NetworkConfigError::kind("\"capabilities\"", expected, member.value))?;
    let mut set = Capabilities::default();
    for entry in &entries {
        let what = || format!("the capability \"{}\"", entry.name.value);
        let enabled = match entry.value.boolean() {
            Some(enabled) => enabled,
            None if entry.value.is_null() => false,
            None => {
                return Err(NetworkConfigError::kind(
                    what(),
                    "true or false",
                    entry.value,
                ));
            }
        };
        // Unlike the fields of a struct, Go compares the keys of a map exactly.
        let known = Capability::ALL
            .into_iter()
            .find(|c| c.name() == entry.name.value);
        if let (true, Some(capability)) = (enabled, known) {
            set = set.with(capability);
        }
    }
    Ok(set)
}
