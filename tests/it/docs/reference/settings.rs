//! docs/reference/settings.md: the keys of `nadmit.yaml`, from the example file of the crate.

use std::fmt::Write as _;

use libtest_mimic::Failed;
use nadmit::config::Config;
use serde_json::Value;

use super::{code, table};
use crate::support::TestResult;

const HEAD: &str = "# Settings

Each key of `nadmit.yaml`. In a cluster the file is in the ConfigMap `nadmit-config` of namespace `nadmit`. A server without a
cluster reads the file of `nadmit serve --config`. How to change them: [Change settings](../how-to/change-settings.md).

This page is made from the example file of the program (`crates/rules/src/config/example.yaml`).

- All keys are optional. An unknown key is an error.
- The defaults are those of the program. The manifests in `deploy/` set `mode: warn`.
- nadmit reads the file again when it changes. While it has an error, the previous settings stay in effect, and the log names
  line and column.
- A list that you write replaces the default list: repeat the entries that you want to keep.

";

const TAIL: &str = "
## reconciler_cron_expression
Type: string, five fields as in cron, in UTC. Default: `30 4 * * *`.

This key is not in `nadmit.yaml`. It is a key of its own in the ConfigMap `nadmit-config`, with the schedule of the full
comparison: [Change the schedule](../how-to/change-settings.md#change-the-schedule-of-the-full-comparison).
";

/// A key of the example with its value and comment.
struct Setting {
    key: String,
    /// The lines of YAML.
    value: String,
    /// The comment, without its marks.
    comment: Vec<String>,
}

/// Returns the keys of the example, in order.
fn settings() -> Vec<Setting> {
    let (mut found, mut comment): (Vec<Setting>, _) = (Vec::new(), Vec::new());
    for line in Config::example().lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push(text.strip_prefix(' ').unwrap_or(text).to_owned());
        } else if line.is_empty() {
            comment.clear();
        } else if let Some((key, _)) = line.split_once(':').filter(|_| !line.starts_with(' ')) {
            found.push(Setting {
                key: key.to_owned(),
                value: line.to_owned(),
                comment: std::mem::take(&mut comment),
            });
        } else if let Some(setting) = found.last_mut() {
            let _ = write!(setting.value, "\n{line}");
        }
    }
    found
}

pub(super) fn page() -> Result<String, Failed> {
    let settings = settings();
    let rows = settings.iter().map(|setting| {
        let default = match setting.default() {
            Some(default) => code(default),
            None => "[two users](#kubevirtusers)".to_owned(),
        };
        let link = format!("[`{0}`](#{1})", setting.key, setting.key.to_lowercase());
        Ok([link, setting.sort()?, default])
    });
    let rows: Vec<[String; 3]> = rows.collect::<Result<_, Failed>>()?;
    let mut page = HEAD.to_owned() + &table(["key", "type", "default"], rows);
    for setting in &settings {
        let default = match setting.default() {
            Some(default) => code(default) + ".",
            None => format!("\n\n```yaml\n{}\n```", setting.value),
        };
        let (key, sort) = (&setting.key, setting.sort()?);
        let start = format!("Type: {sort}. Default: {default}").replace(": \n", ":\n");
        write!(page, "\n## {key}\n{start}\n\n{}", setting.description())?;
    }
    Ok(page + TAIL)
}

impl Setting {
    /// Returns the default, if it is on the line of the key.
    fn default(&self) -> Option<&str> {
        let (_, value) = self.value.split_once(": ")?;
        (!self.value.contains('\n')).then_some(value)
    }

    /// Returns true if the parser of the program accepts this value.
    fn accepts(&self, value: &str) -> bool {
        let text = format!("{}: {value}\n", self.key);
        Config::parse(&text, "nadmit.yaml").is_ok()
    }

    /// Returns the type, as the parser of the program has it.
    fn sort(&self) -> Result<String, Failed> {
        let value: Value = serde_saphyr::from_str(&self.value)?;
        Ok(match &value[&self.key] {
            Value::Bool(_) => "`true` or `false`".to_owned(),
            Value::Array(_) => "list of strings".to_owned(),
            Value::Object(_) => "map".to_owned(),
            _ if self.accepts("any-text") => "string".to_owned(),
            _ => self.choices(),
        })
    }

    /// Returns the words of the example that are values of this key; those of its comment first.
    fn choices(&self) -> String {
        let comment = self.comment.join(" ");
        let text = format!("{comment} {}", Config::example());
        let words = text.split(|c: char| !c.is_ascii_alphanumeric());
        let mut choices: Vec<String> = Vec::new();
        for word in words.filter(|word| !word.is_empty() && self.accepts(word)) {
            let word = code(word);
            if !choices.contains(&word) {
                choices.push(word);
            }
        }
        match choices.split_last() {
            Some((last, others)) if !others.is_empty() => {
                format!("{} or {last}", others.join(", "))
            }
            _ => choices.concat(),
        }
    }

    /// Returns the comment as Markdown: an indented line with a value and its meaning is an item of a
    /// list, and other indented lines are YAML.
    fn description(&self) -> String {
        let mut text = String::new();
        let mut part = Part::Text;
        for line in &self.comment {
            let indented = line.strip_prefix("  ");
            let item = indented
                .filter(|line| !line.starts_with(' '))
                .and_then(|line| line.split_once("  "));
            let next = match (indented, item, part) {
                (None, ..) => Part::Text,
                (_, Some(_), _) | (Some(_), None, Part::List) => Part::List,
                _ => Part::Yaml,
            };
            if part == Part::Yaml && next != part {
                text.push_str("```\n");
            }
            if part != next && !text.is_empty() {
                text.push('\n');
            }
            if next == Part::Yaml && part != next {
                text.push_str("```yaml\n");
            }
            part = next;
            text.push_str(&match (item, indented) {
                (Some((value, meaning)), _) => format!("- `{value}`: {}\n", meaning.trim()),
                (None, Some(more)) if part == Part::List => format!("  {}\n", more.trim()),
                (None, Some(yaml)) => format!("{yaml}\n"),
                (None, None) => format!("{line}\n"),
            });
        }
        if part == Part::Yaml {
            text.push_str("```\n");
        }
        text
    }
}

/// The form of a part of a comment.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Text,
    List,
    Yaml,
}

/// The parser accepts each key with its default. A unit test of the parser holds that the example has
/// every key.
pub(super) fn all_headings_are_keys() -> TestResult {
    let settings = settings();
    for setting in &settings {
        if setting.comment.is_empty() {
            return Err(format!("{} has no comment", setting.key).into());
        }
        Config::parse(&setting.value, "nadmit.yaml")?;
    }
    let text: Vec<&str> = settings.iter().map(|setting| &*setting.value).collect();
    match Config::parse(&text.join("\n"), "nadmit.yaml")? == Config::parse(Config::example(), "")? {
        true => Ok(()),
        false => Err("the page has not all of the example".into()),
    }
}
