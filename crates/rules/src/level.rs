//! Levels of rules, and the profiles that preset them.

use std::{fmt, str::FromStr};

/// The effect of a finding on the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The rule is not run.
    Off,
    /// The finding is returned as a warning, and the request is allowed.
    Warn,
    /// The request is denied.
    Deny,
}

impl Level {
    /// Returns the name in configuration and output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Off, Self::Warn, Self::Deny]
            .into_iter()
            .find(|l| l.name() == text)
            .ok_or(())
    }
}

/// A named preset of the levels of all rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Denies what fails and what silently does something other than requested.
    #[default]
    Default,
    /// Denies only what fails in Multus, the plugin or the kernel.
    Multus,
    /// Denies every violation of the specification, too.
    Strict,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 3] = [Self::Default, Self::Multus, Self::Strict];

    /// Returns the name in configuration and output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Multus => "multus",
            Self::Strict => "strict",
        }
    }
}

impl FromStr for Profile {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.name() == text)
            .ok_or(())
    }
}

/// A rule's level in each profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// Set if nothing may lower the level.
    authority: bool,
    multus: Level,
    default: Level,
    strict: Level,
}

impl Levels {
    /// Denied in every profile: it fails in every cluster.
    pub(crate) const FAILS: Self = Self::new(Level::Deny, Level::Deny, Level::Deny);
    /// Only a warning in the profile `multus`: nothing fails, but the result is not what was requested.
    pub(crate) const MISLEADS: Self = Self::new(Level::Warn, Level::Deny, Level::Deny);
    /// Denied only in the profile `strict`: the specification forbids it, Multus does not.
    pub const SPEC: Self = Self::new(Level::Warn, Level::Warn, Level::Deny);
    /// A warning in every profile.
    pub(crate) const ADVICE: Self = Self::new(Level::Warn, Level::Warn, Level::Warn);

    /// Always denied: the rule guards who may have which address. For pods, no profile, setting or
    /// namespace label lowers it.
    pub(crate) const AUTHORITY: Self = Self {
        authority: true,
        ..Self::FAILS
    };

    /// Off unless the configuration turns it on: useful in some clusters only.
    pub const OFF: Self = Self::new(Level::Off, Level::Off, Level::Off);

    const fn new(multus: Level, default: Level, strict: Level) -> Self {
        Self {
            authority: false,
            multus,
            default,
            strict,
        }
    }

    /// Returns true if nothing may lower the level: see [`Self::AUTHORITY`].
    pub fn is_authority(self) -> bool {
        self.authority
    }

    /// Returns the cases in which a rule of these levels may be lowered, as sentences.
    pub fn when_to_lower(self) -> &'static str {
        match self {
            _ if self.authority => {
                "Never: the rule guards who may have which address, and no setting lowers it."
            }
            Self::FAILS => {
                "While existing manifests are fixed. The consequence above remains, whatever the level."
            }
            Self::MISLEADS => "If the consequence above is acceptable in this cluster.",
            Self::SPEC => "It denies only in the profile strict. Multus accepts it.",
            Self::OFF => "It is off by default. Turn it on in clusters where it is useful.",
            _ => "If the case is intended in this cluster: nothing fails by it.",
        }
    }

    /// Returns the level in `profile`.
    pub fn of(self, profile: Profile) -> Level {
        match profile {
            Profile::Multus => self.multus,
            Profile::Default => self.default,
            Profile::Strict => self.strict,
        }
    }
}
