//! Names of interfaces inside a pod.

use std::fmt::Write as _;

use thiserror::Error;

/// The longest interface name in bytes: Linux's `IFNAMSIZ` less the closing zero.
pub const MAX_LENGTH: usize = 15;

/// The interface of the cluster network, or of the default network that a pod names instead.
pub const CLUSTER: &str = "eth0";

/// Interfaces that every pod has before its first additional network.
pub const RESERVED: [&str; 2] = [CLUSTER, "lo"];

/// Why a text is not a valid interface name (Linux, `dev_valid_name`; Multus asks for less).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InterfaceError {
    /// More bytes than [`MAX_LENGTH`].
    #[error("has {0} bytes; Linux allows {MAX_LENGTH}")]
    TooLong(usize),
    /// `.` and `..` are directories in `/sys/class/net`.
    #[error("is a name that Linux refuses")]
    Dots,
    /// White space, `/`, `:`, or a control character.
    #[error("contains {0:?}, which Linux refuses")]
    Character(char),
}

/// Checks an interface name. The empty text is "not requested" to Multus and passes.
///
/// # Errors
/// Says what the first thing wrong is.
pub fn check(text: &str) -> Result<(), InterfaceError> {
    if let Some(odd) = text
        .chars()
        .find(|&c| c.is_whitespace() || c.is_control() || "/:".contains(c))
    {
        return Err(InterfaceError::Character(odd));
    }
    if text.len() > MAX_LENGTH {
        return Err(InterfaceError::TooLong(text.len()));
    }
    if text == "." || text == ".." {
        return Err(InterfaceError::Dots);
    }
    Ok(())
}

/// The name that Multus gives the element at `index` (from 0) that asks for none: `net1` for the
/// first. It does not step aside for an explicit name of another element.
pub fn automatic(index: usize) -> String {
    let mut name = String::with_capacity(8);
    let _ = write!(name, "net{}", index + 1);
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
        assert_eq!(automatic(0), "net1");
    }
}
