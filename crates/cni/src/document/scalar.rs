//! Resolves the type of an unquoted YAML scalar.
//!
//! `name: 1.10` is a number and `enabled: yes` may be a boolean, which surprises many users;
//! Kubernetes then rejects the object. The recognized words and numbers are those of kubectl's YAML
//! library.

use std::borrow::Cow;

use super::{Booleans, NodeValue};

/// Returns the value of a scalar. `tag` is the name of its core tag (`!!str`), or `Some(None)` for
/// a custom tag (`!Ref`), whose scalars stay strings.
pub(super) fn value<'a>(
    text: Cow<'a, str>,
    plain: bool,
    tag: Option<Option<&str>>,
    booleans: Booleans,
) -> NodeValue<'a> {
    let null = || matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
    match tag {
        None if plain && null() => NodeValue::Null,
        None if plain => match boolean(&text, booleans) {
            Some(value) => NodeValue::Boolean(value),
            None if is_number(&text) => NodeValue::Number(text.parse().ok()),
            None => NodeValue::String(text),
        },
        Some(Some("null")) => NodeValue::Null,
        Some(Some("int" | "float")) => NodeValue::Number(text.parse().ok()),
        Some(Some("bool")) => NodeValue::Boolean(boolean(&text, booleans).unwrap_or_default()),
        _ => NodeValue::String(text),
    }
}

fn boolean(text: &str, booleans: Booleans) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ if booleans == Booleans::Yaml12 => None,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return false;
    }
    // Underscores may separate groups of digits.
    let bare = unsigned.replace('_', "");
    is_integer_with_base(&bare) || is_decimal(&bare)
}

fn is_integer_with_base(text: &str) -> bool {
    let of_base =
        |digits: &str, base| !digits.is_empty() && digits.chars().all(|c| c.is_digit(base));
    match text.get(..2) {
        Some("0x" | "0X") => of_base(&text[2..], 16),
        Some("0o" | "0O") => of_base(&text[2..], 8),
        Some("0b" | "0B") => of_base(&text[2..], 2),
        _ => false,
    }
}

/// Returns true for digits with at most one point and an optional exponent.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let counts = !(whole.is_empty() && fraction.is_empty()) && digits(whole) && digits(fraction);
    let raised = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['+', '-']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    counts && raised
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_kubectl() {
        for number in [
            "1", "-5", "+5", "1.10", ".5", "5.", "1e3", "12E-04", "0x1F", "0o17", "0b1",
        ] {
            assert!(is_number(number), "{number}");
        }
        for number in [
            "1_000",
            "0755",
            "-.inf",
            ".nan",
            "99999999999999999999999999999",
        ] {
            assert!(is_number(number), "{number}");
        }
        for text in [
            "", ".", "-", "1.2.3.4", "02:5e:00", "1e", "e3", "0x", "0xg", "_1", "1-2", "ü",
        ] {
            assert!(!is_number(text), "{text}");
        }
    }

    #[test]
    fn only_plain_untagged_scalars_are_resolved() {
        let read = |plain, tag| value(Cow::Borrowed("5"), plain, tag, Booleans::Yaml11);
        assert_eq!(read(true, None), NodeValue::Number(Some(5)));
        assert_eq!(read(false, None), NodeValue::String("5".into()));
        assert_eq!(read(true, Some(Some("str"))), NodeValue::String("5".into()));
        assert_eq!(read(true, Some(None)), NodeValue::String("5".into()));
        assert_eq!(read(false, Some(Some("int"))), NodeValue::Number(Some(5)));
    }
}
