//! Names of networks and namespaces.

use thiserror::Error;

/// The maximum length of a DNS-1123 label, in bytes.
pub const LABEL_MAX: usize = 63;
/// The maximum length of a DNS-1123 subdomain, in bytes.
pub const SUBDOMAIN_MAX: usize = 253;

/// The reason why a text is not a valid name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// The text has more bytes than the name may have.
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// The text contains a character other than `a-z`, `0-9`, `-` (and `.` where allowed).
    #[error("contains {0:?}, which no name may have")]
    Character(char),
    /// The text, or a part of it between dots, does not begin and end with a letter or digit.
    #[error("must begin and end with a letter or a digit, and so must each part between dots")]
    Edge,
}

/// Checks a DNS-1123 label: the name of a namespace, and the only form of a network's name that the
/// short format allows.
///
/// # Errors
/// Returns the first mistake.
pub fn label(text: &str) -> Result<(), NameError> {
    check(text, LABEL_MAX, false)
}

/// Checks a DNS-1123 subdomain, the name of an object: labels joined by dots.
///
/// # Errors
/// Returns the first mistake.
pub fn subdomain(text: &str) -> Result<(), NameError> {
    check(text, SUBDOMAIN_MAX, true)
}

fn check(text: &str, longest: usize, dots: bool) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    let allowed =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || (dots && c == '.');
    if let Some(invalid) = text.chars().find(|&c| !allowed(c)) {
        return Err(NameError::Character(invalid));
    }
    if text.len() > longest {
        return Err(NameError::TooLong(longest));
    }
    let edge = |byte: Option<&u8>| byte.is_none_or(|b| !b.is_ascii_alphanumeric());
    let whole = text
        .split('.')
        .all(|l| !edge(l.as_bytes().first()) && !edge(l.as_bytes().last()));
    if whole { Ok(()) } else { Err(NameError::Edge) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        for good in ["a", "net-1", "0net", &"a".repeat(63)] {
            assert_eq!(label(good), Ok(()), "{good}");
        }
        assert_eq!(label(""), Err(NameError::Empty));
        assert_eq!(label("Net"), Err(NameError::Character('N')));
        assert_eq!(label("net.1"), Err(NameError::Character('.')));
        assert_eq!(label("-a"), Err(NameError::Edge));
        assert_eq!(label("a-"), Err(NameError::Edge));
        assert_eq!(label(&"a".repeat(64)), Err(NameError::TooLong(63)));
    }

    #[test]
    fn subdomains() {
        assert_eq!(subdomain("net.1"), Ok(()));
        assert_eq!(subdomain(&"a".repeat(253)), Ok(()));
        assert_eq!(subdomain("a..b"), Err(NameError::Edge));
        assert_eq!(subdomain("a.-b"), Err(NameError::Edge));
        assert_eq!(subdomain("ns/net"), Err(NameError::Character('/')));
    }
}
