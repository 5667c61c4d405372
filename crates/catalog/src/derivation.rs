//! The settings of the pools that networks define by themselves.

use std::str::FromStr;

/// The settings of the pools that networks define by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolDerivation {
    pub inline: InlinePools,
    pub whereabouts: WhereaboutsMode,
}

/// The treatment of ranges in a static IPAM (setting `inlinePools`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InlinePools {
    /// They are ignored, as static does.
    #[default]
    Disabled,
    /// They are, in namespaces with the label `nadmit.io/injection: enabled`.
    Enabled,
}

/// The treatment of networks with IPAM Whereabouts (setting `whereabouts`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhereaboutsMode {
    /// Records are read and shown, and never written.
    #[default]
    Observe,
    /// nadmit chooses the addresses, and writes Whereabouts's records before the plugin reads them.
    Serve,
}

impl InlinePools {
    /// All variants.
    pub const ALL: [Self; 2] = [Self::Disabled, Self::Enabled];

    /// Returns the name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
        }
    }
}

impl FromStr for InlinePools {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.name() == text).ok_or(())
    }
}

impl WhereaboutsMode {
    /// All variants.
    pub const ALL: [Self; 2] = [Self::Observe, Self::Serve];

    /// Returns the name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Serve => "serve",
        }
    }
}

impl FromStr for WhereaboutsMode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.name() == text).ok_or(())
    }
}
