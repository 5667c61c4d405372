//! Names of networks and namespaces.

use thiserror::Error;

/// The longest DNS-1123 label, in bytes.
pub const LABEL_MAX: usize = 63;
/// The longest DNS-1123 subdomain, in bytes.
pub const SUBDOMAIN_MAX: usize = 253;

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    /// There is no text.
    #[error("is empty")]
    Empty,
    /// More bytes than an object's name may have.
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// A character outside of `a-z`, `0-9`, `-` (and `.` where allowed).
    #[error("contains {0:?}, which no name may have")]
    Character(char),
    /// A hyphen or dot where a letter or digit has to be.
    #[error("must begin and end with a letter or a digit, and so must each part between dots")]
    Edge,
}

/// Checks a DNS-1123 label: the name of a namespace, and the only form of a network's name that
/// the short format takes.
///
/// # Errors
/// Says what the first thing wrong is.
pub fn label(text: &str) -> Result<(), NameError> {
    check(text, LABEL_MAX, false)
}

/// Checks a DNS-1123 subdomain: the name of an object. Labels joined by dots.
///
/// # Errors
/// Says what the first thing wrong is.
pub fn subdomain(text: &str) -> Result<(), NameError> {
    check(text, SUBDOMAIN_MAX, true)
}

fn check(text: &str, longest: usize, dots: bool) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    let allowed =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || (dots && c == '.');
    if let Some(odd) = text.chars().find(|&c| !allowed(c)) {
        return Err(NameError::Character(odd));
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
