//! How loudly a rule speaks.

use std::{fmt, str::FromStr};

/// What a finding does to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nothing: the rule is not run.
    Off,
    /// It is said, and the request passes.
    Warn,
    /// The request is refused.
    Deny,
}

impl Level {
    /// The word in configuration and output.
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

/// A named set of levels for all rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Denies what fails, and what silently does something else than was asked.
    #[default]
    Default,
    /// Denies only what Multus, the plugin or the kernel would fail.
    Multus,
    /// The spec to the letter.
    Strict,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 3] = [Self::Default, Self::Multus, Self::Strict];

    /// The word in configuration and output.
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
    /// Whether nothing may lower it.
    authority: bool,
    multus: Level,
    default: Level,
    strict: Level,
}

impl Levels {
    /// Denied everywhere: it fails in every cluster.
    pub const FAILS: Self = Self::new(Level::Deny, Level::Deny, Level::Deny);
    /// Nothing fails, but something else happens than was asked: only warned of in `multus`.
    pub const MISLEADS: Self = Self::new(Level::Warn, Level::Deny, Level::Deny);
    /// The spec objects, Multus does not: denied in `strict` only.
    pub const SPEC: Self = Self::new(Level::Warn, Level::Warn, Level::Deny);
    /// Worth a word, never a denial.
    pub const ADVICE: Self = Self::new(Level::Warn, Level::Warn, Level::Warn);

    /// Denied always: who may have which address is no matter of taste. No profile, no setting and
    /// no namespace's label lowers it where a pod is concerned.
    pub const AUTHORITY: Self = Self {
        authority: true,
        ..Self::FAILS
    };

    /// Silent unless the configuration asks for it: right in some clusters only.
    pub const OFF: Self = Self::new(Level::Off, Level::Off, Level::Off);

    const fn new(multus: Level, default: Level, strict: Level) -> Self {
        Self {
            authority: false,
            multus,
            default,
            strict,
        }
    }

    /// Whether nothing may lower it: see [`Self::AUTHORITY`].
    pub fn is_authority(self) -> bool {
        self.authority
    }

    /// The level in `profile`.
    pub fn of(self, profile: Profile) -> Level {
        match profile {
            Profile::Multus => self.multus,
            Profile::Default => self.default,
            Profile::Strict => self.strict,
        }
    }
}
