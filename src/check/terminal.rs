//! Control characters that affect a terminal: names of files and objects may contain them.

/// Returns true if a character moves the cursor, changes colours, rings the bell or reverses the
/// text direction, as ESC, CSI (U+009B) and bidirectional marks do.
fn is_terminal_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns the text with terminal control characters replaced, except for line feeds and tabs.
pub fn sanitize(text: &str) -> String {
    let shown = |c| match c {
        '\n' | '\t' => c,
        c if is_terminal_control(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(shown).collect()
}

/// Returns the text on one line, with terminal control characters replaced. A tab becomes one
/// space, as columns count it.
pub(crate) fn sanitize_line(text: &str) -> String {
    let shown = |c| match c {
        '\t' | '\n' => ' ',
        c if is_terminal_control(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(shown).collect()
}

/// Returns a JSON document with terminal control characters escaped, except for line feeds. They
/// occur only inside strings, so the document's content stays equal.
pub(crate) fn escape_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && is_terminal_control(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_control_characters_are_replaced() {
        let text = "a\u{1b}[31m\u{9b}b\u{7f}\u{7}\u{202e}\tc\r\né";
        assert_eq!(
            sanitize(text),
            "a\u{fffd}[31m\u{fffd}b\u{fffd}\u{fffd}\u{fffd}\tc\u{fffd}\né"
        );
        assert_eq!(sanitize_line("a\tb\n\r"), "a b \u{fffd}");
    }

    #[test]
    fn an_escaped_document_keeps_its_content() {
        let text = "a\u{1b}\u{9b}\u{7f}\u{202e}\n\"\\é";
        let document = format!("{:#}\n", serde_json::json!({ text: [text] }));
        let escaped = escape_json(&document);
        assert!(
            !escaped.contains(|c| c != '\n' && is_terminal_control(c)),
            "{escaped}"
        );
        let read: serde_json::Value = serde_json::from_str(&escaped).unwrap();
        assert_eq!(read[text][0], text);
    }
}
