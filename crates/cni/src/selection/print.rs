//! Printing annotations.

use std::fmt::{self, Write as _};

use super::{Annotation, AnnotationFormat, Selection};

/// Prints the annotation in its own format: the short one without white space; the JSON one with
/// every member, known or not, in its original order and text.
///
/// For an annotation without decode errors, parsing the result gives the same selections.
impl fmt::Display for Annotation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.format == AnnotationFormat::Json {
            f.write_char('[')?;
        }
        for (index, selection) in self.selections.iter().enumerate() {
            if index > 0 {
                f.write_char(',')?;
            }
            match self.format {
                AnnotationFormat::Short => short(selection, f)?,
                AnnotationFormat::Json => json(selection, f)?,
            }
        }
        if self.format == AnnotationFormat::Json {
            f.write_char(']')?;
        }
        Ok(())
    }
}

fn short(selection: &Selection<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some(namespace) = &selection.namespace {
        write!(f, "{}/", namespace.text)?;
    }
    if let Some(name) = &selection.name {
        f.write_str(&name.text)?;
    }
    if let Some(interface) = &selection.interface {
        write!(f, "@{}", interface.text)?;
    }
    Ok(())
}

fn json(selection: &Selection<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('{')?;
    for (index, member) in selection.members.iter().enumerate() {
        let member = &member.member;
        if index > 0 {
            f.write_char(',')?;
        }
        let name = serde_json::to_string(&member.name.value).map_err(|_| fmt::Error)?;
        write!(f, "{name}:{}", member.value.text())?;
    }
    f.write_char('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_annotations_parse_to_the_same() {
        for (text, printed) in [
            (" net1 , ns/net2@eth1", "net1,ns/net2@eth1"),
            (
                r#"[ {"name" : "a", "x.y/z": [1, 2]} ]"#,
                r#"[{"name":"a","x.y/z":[1, 2]}]"#,
            ),
            ("[]", "[]"),
        ] {
            assert_eq!(Annotation::parse(text).to_string(), printed);
            assert_eq!(Annotation::parse(printed).to_string(), printed);
        }
    }
}
