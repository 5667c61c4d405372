//! The levels of rules: preset by a profile, changed one by one.

use thiserror::Error;

use super::{
    level::{Level, Profile},
    policy::Policy,
    registry::RULES,
    rule::Rule,
};

/// A level that cannot be set for a rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LevelError {
    /// No rule has this code.
    #[error(transparent)]
    Unknown(#[from] UnknownRule),
    /// The rule is an authority rule, whose level cannot be lowered.
    #[error(
        "{code} always denies: it guards who may have which address, and no setting lowers that; \
         remove it here, and change the pool instead"
    )]
    Authority {
        /// The code of the rule.
        code: &'static str,
    },
}

/// A rule code that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no rule \"{code}\"{}", .similar.map_or(String::new(), |s| format!("; did you mean \"{s}\"?")))]
pub struct UnknownRule {
    /// The code as written.
    pub code: String,
    /// The most similar code, if there is a similar one.
    pub similar: Option<&'static str>,
}

impl Default for Policy {
    fn default() -> Self {
        Self::of(Profile::Default)
    }
}

impl Policy {
    /// Returns the default settings with the levels of `profile`.
    pub fn of(profile: Profile) -> Self {
        let levels = RULES.iter().map(|rule| rule.levels.of(profile));
        Self::with_levels(profile, levels.collect())
    }

    /// Sets the level of one rule.
    ///
    /// # Errors
    /// Returns [`LevelError::Unknown`] if no rule has the code, and [`LevelError::Authority`] if `level`
    /// would lower an authority rule.
    pub fn set_level(&mut self, code: &str, level: Level) -> Result<(), LevelError> {
        let Some(index) = RULES.iter().position(|rule| rule.code == code) else {
            return Err(LevelError::Unknown(UnknownRule {
                code: code.to_owned(),
                similar: similar_code(code),
            }));
        };
        let rule = RULES[index];
        if rule.levels.is_authority() && level < Level::Deny {
            return Err(LevelError::Authority { code: rule.code });
        }
        self.levels[index] = level;
        Ok(())
    }

    /// Returns the rules that are not off, with their levels.
    pub(crate) fn active_rules(&self) -> impl Iterator<Item = (&'static Rule, Level)> {
        let all = RULES.iter().copied().zip(self.levels.iter().copied());
        all.filter(|(_, level)| *level > Level::Off)
    }
}

/// Returns the code most similar to `code`, if there is a similar one.
pub fn similar_code(code: &str) -> Option<&'static str> {
    nadmit_catalog::most_similar(code, RULES.iter().map(|rule| rule.code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_code_gets_a_suggestion() {
        let error = Policy::default()
            .set_level("unknown-netwrok", Level::Warn)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no rule \"unknown-netwrok\"; did you mean \"unknown-network\"?"
        );
        let error = Policy::default().set_level("zzz", Level::Warn).unwrap_err();
        assert_eq!(error.to_string(), "there is no rule \"zzz\"");
    }

    #[test]
    fn authority_rules_cannot_be_lowered() {
        let guarded: Vec<&Rule> = RULES
            .iter()
            .copied()
            .filter(|rule| rule.levels.is_authority())
            .collect();
        assert!(!guarded.is_empty());
        for rule in guarded {
            for profile in Profile::ALL {
                let mut policy = Policy::of(profile);
                for level in [Level::Off, Level::Warn] {
                    let error = policy.set_level(rule.code, level).unwrap_err();
                    assert!(error.to_string().contains("always denies"), "{error}");
                }
                assert_eq!(policy.set_level(rule.code, Level::Deny), Ok(()));
                let active = policy.active_rules().find(|(r, _)| r.code == rule.code);
                assert_eq!(active.map(|(_, level)| level), Some(Level::Deny));
            }
        }
    }
}
