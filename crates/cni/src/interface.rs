//! Names of interfaces inside a pod.

use std::fmt::Write as _;

use thiserror::Error;

/// The maximum length of an interface name in bytes: Linux's `IFNAMSIZ` without the terminating
/// zero.
pub const MAX_LENGTH: usize = 15;

/// The interface of the cluster network, or of the default network that a pod requests instead.
pub const CLUSTER: &str = "eth0";

/// The interfaces that every pod has before its first additional network.
pub const RESERVED: [&str; 2] = [CLUSTER, "lo"];

/// The reason why a text is not a valid interface name (Linux, `dev_valid_name`; Multus requires
/// less).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InterfaceError {
    /// The name has more bytes than [`MAX_LENGTH`].
    #[error("has {0} bytes, but Linux allows {MAX_LENGTH}")]
    TooLong(usize),
    /// The name is `.` or `..`, which are directories in `/sys/class/net`.
    #[error("is a name that Linux refuses")]
    Dots,
    /// The name contains white space, `/`, `:`, or a control character.
    #[error("contains {0:?}, which Linux refuses")]
    Character(char),
}

/// Checks an interface name. The empty text, which means "not requested" to Multus, is valid.
///
/// # Errors
/// Returns the first mistake.
pub fn check(text: &str) -> Result<(), InterfaceError> {
    if let Some(invalid) = text
        .chars()
        .find(|&c| c.is_whitespace() || c.is_control() || "/:".contains(c))
    {
        return Err(InterfaceError::Character(invalid));
    }
    if text.len() > MAX_LENGTH {
        return Err(InterfaceError::TooLong(text.len()));
    }
    if text == "." || text == ".." {
        return Err(InterfaceError::Dots);
    }
    Ok(())
}

/// The beginning of automatic names of interfaces.
pub const AUTOMATIC_PREFIX: &str = "net";

/// Returns the name that Multus assigns to the element at `index` (from 0) if it requests none:
/// `net1` for the first. It does not avoid the explicit names of other elements.
pub(crate) fn default_name(index: usize) -> String {
    let mut name = String::with_capacity(8);
    let _ = write!(name, "{AUTOMATIC_PREFIX}{}", index + 1);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["", "net1", "my_interface", "a.b", "fifteen-letters"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!(check("sixteen--letters"), Err(InterfaceError::TooLong(16)));
        assert_eq!(check("a/b"), Err(InterfaceError::Character('/')));
        assert_eq!(check("a b"), Err(InterfaceError::Character(' ')));
        assert_eq!(check("a:1"), Err(InterfaceError::Character(':')));
        assert_eq!(check(".."), Err(InterfaceError::Dots));
        assert_eq!(default_name(0), "net1");
    }
}
