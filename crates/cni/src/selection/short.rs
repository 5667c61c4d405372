//! The short format: `[namespace/]name[@interface]`, separated by commas.

use std::borrow::Cow;

use super::{Annotation, AnnotationFormat, DecodeError, DecodeErrorKind, Selection};
use crate::{
    interface,
    name::{self, NameError},
    text::{Parsed, Span, Spanned},
};

/// Parses each element as Multus's `parsePodNetworkObjectName` does.
pub(super) fn parse(text: &str) -> Annotation<'_> {
    let mut annotation = Annotation {
        text,
        format: AnnotationFormat::Short,
        selections: Vec::new(),
        decode_errors: Vec::new(),
    };
    for (index, element) in text.split(',').enumerate() {
        let element = piece(element, text);
        match selection(index, &element, text) {
            Ok(selection) => annotation.selections.push(selection),
            Err(kind) => annotation.decode_errors.push(DecodeError {
                path: format!("[{index}]"),
                span: element.span,
                kind,
            }),
        }
    }
    annotation
}

fn selection<'a>(
    index: usize,
    element: &Spanned<&'a str>,
    text: &'a str,
) -> Result<Selection<'a>, DecodeErrorKind> {
    let mut slashes = element.value.split('/');
    let (namespace, rest) = match (slashes.next(), slashes.next(), slashes.next()) {
        (Some(namespace), Some(rest), None) => (namespace, rest),
        (Some(rest), None, None) => ("", rest),
        _ => return Err(DecodeErrorKind::TooManySlashes),
    };
    let mut ats = rest.split('@');
    let (network, interface) = match (ats.next(), ats.next(), ats.next()) {
        (Some(network), interface, None) => (network, interface.unwrap_or("")),
        _ => return Err(DecodeErrorKind::TooManyAts),
    };
    let present = |part| {
        Some(piece(part, text))
            .filter(|part| !part.value.is_empty())
            .map(to_cow)
    };
    Ok(Selection {
        index,
        span: element.span,
        name: present(network).map(|name| Parsed::new(name, short_name)),
        namespace: present(namespace).map(|namespace| Parsed::new(namespace, short_name)),
        interface: present(interface).map(|name| Parsed::new(name, interface::check)),
        ..Selection::default()
    })
}

/// Checks a name as Multus does in this format: the characters of a DNS-1123 label, with the
/// maximum length of an object's name.
fn short_name(text: &str) -> Result<(), NameError> {
    match name::label(text) {
        Err(NameError::TooLong(_)) => name::subdomain(text),
        other => other,
    }
}

/// Returns a part of the text without surrounding white space, with its span.
fn piece<'a>(part: &'a str, text: &'a str) -> Spanned<&'a str> {
    let value = part.trim();
    Spanned {
        value,
        span: Span::of(value, text).unwrap_or_default(),
    }
}

fn to_cow<'a>(piece: Spanned<&'a str>) -> Spanned<Cow<'a, str>> {
    Spanned {
        value: Cow::Borrowed(piece.value),
        span: piece.span,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape<'a>(annotation: &'a Annotation<'_>) -> Vec<(Option<&'a str>, &'a str, String)> {
        annotation
            .selections
            .iter()
            .map(|s| {
                (
                    s.network_name(),
                    s.namespace_or("own"),
                    s.interface_name().into_owned(),
                )
            })
            .collect()
    }

    #[test]
    fn names_namespaces_and_interfaces() {
        let annotation = Annotation::parse(" net1 , default/net2@my_if,/net3, net4@");
        assert_eq!(annotation.format, AnnotationFormat::Short);
        assert_eq!(
            shape(&annotation),
            [
                (Some("net1"), "own", "net1".to_owned()),
                (Some("net2"), "default", "my_if".to_owned()),
                (Some("net3"), "own", "net3".to_owned()),
                (Some("net4"), "own", "net4".to_owned()),
            ]
        );
        assert!(annotation.decode_errors.is_empty());
    }

    #[test]
    fn spans_are_those_of_the_parts() {
        let text = "a, ns/net@eth1";
        let annotation = Annotation::parse(text);
        let part = |span: Span| &text[span.start as usize..span.end as usize];
        let second = &annotation.selections[1];
        assert_eq!(part(second.span), "ns/net@eth1");
        assert_eq!(second.name.as_ref().map(|n| part(n.span)), Some("net"));
        assert_eq!(
            second.interface.as_ref().map(|n| part(n.span)),
            Some("eth1")
        );
    }

    #[test]
    fn a_trailing_comma_is_a_selection_without_a_name() {
        assert_eq!(
            Annotation::parse("net1,").selections[1].network_name(),
            None
        );
    }

    #[test]
    fn too_many_separators_are_errors_of_their_element_only() {
        let annotation = Annotation::parse("a/b/c,net1,a@b@c");
        let kinds: Vec<_> = annotation
            .decode_errors
            .iter()
            .map(|f| (&*f.path, &f.kind))
            .collect();
        assert_eq!(
            kinds,
            [
                ("[0]", &DecodeErrorKind::TooManySlashes),
                ("[2]", &DecodeErrorKind::TooManyAts)
            ]
        );
        assert_eq!(annotation.selections[0].index, 1);
    }

    #[test]
    fn dots_are_not_allowed_in_this_format() {
        let annotation = Annotation::parse("net.1");
        let name = annotation.selections[0].name.as_ref();
        assert_eq!(name.map(|n| n.value), Some(Err(NameError::Character('.'))));
        let long = "a".repeat(64);
        assert!(
            Annotation::parse(&long).selections[0]
                .name
                .as_ref()
                .is_some_and(|n| n.value.is_ok())
        );
    }
}
