//! `cni-args`: the arguments that Multus adds to `args.cni` of every plugin of the network.

use crate::{
    json::{JsonMember, JsonNode, folds_to},
    text::Span,
};

/// The map into which Go decodes `cni-args`. Multus copies it, by exact keys, over `args.cni` of
/// each plugin, and writes the result in the byte order of the keys. A plugin then reads the
/// members in this order, in any case.
#[derive(Debug, Clone, Default)]
pub struct CniArgs<'a> {
    /// The span of the value; of the last one if it is repeated.
    pub span: Span,
    /// The members, each key once, in the byte order of the keys.
    pub members: Vec<JsonMember<'a>>,
}

impl<'a> CniArgs<'a> {
    /// Merges the members of one more object.
    pub(super) fn merge(&mut self, members: Vec<JsonMember<'a>>) {
        self.members.extend(members);
        // The sort is stable: the last of equal keys stays behind the others, and wins.
        self.members.sort_by(|a, b| a.name.value.cmp(&b.name.value));
        self.members.reverse();
        self.members.dedup_by(|a, b| a.name.value == b.name.value);
        self.members.reverse();
    }

    /// Returns the members that a plugin matches with the field `name`, in the order in which it
    /// reads them.
    pub fn named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s JsonMember<'a>> {
        let members = self.members.iter();
        members.filter(move |member| folds_to(&member.name.value, name))
    }

    /// Returns the value that a plugin decodes into a string field: the last that is not `null`.
    pub fn text(&self, name: &str) -> Option<JsonNode<'a>> {
        let values = self.named(name).map(|member| member.value);
        values.filter(|value| !value.is_null()).last()
    }

    /// Returns the elements that a plugin decodes into a field that is a list of strings. A `null`
    /// element is the previous value at its index, or `None`.
    pub fn list(&self, name: &str) -> Vec<Option<JsonNode<'a>>> {
        let mut slots: Vec<Option<JsonNode<'a>>> = Vec::new();
        let mut length = 0;
        for member in self.named(name) {
            let elements = member.value.elements().unwrap_or_default();
            length = elements.len();
            if elements.is_empty() {
                slots.clear();
            }
            for (index, element) in elements.into_iter().enumerate() {
                let element = Some(element).filter(|element| !element.is_null());
                match slots.get_mut(index) {
                    Some(slot) => *slot = element.or(*slot),
                    None => slots.push(element),
                }
            }
        }
        slots.truncate(length);
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Annotation;

    fn list(args: &str) -> Vec<String> {
        let text = format!(r#"[{{"name":"n","cni-args":{args}}}]"#);
        let annotation = Annotation::parse(&text);
        let args = annotation.selections[0].cni_args.clone();
        let list = args.unwrap_or_default().list("ips").into_iter();
        list.map(|node| node.map_or("", JsonNode::text).to_owned())
            .collect()
    }

    #[test]
    fn keys_of_another_case_are_read_one_after_the_other() {
        assert_eq!(list(r#"{"ips":["a"],"IPS":["b"]}"#), [r#""a""#]);
        assert_eq!(
            list(r#"{"ips":["a"],"IPS":["b"],"ip\u017f":[null,"c"]}"#),
            [r#""a""#, r#""c""#]
        );
        assert_eq!(list(r#"{"IPS":["a","b"],"ips":[null]}"#), [r#""a""#]);
        assert_eq!(list(r#"{"IPS":["a"],"ips":null}"#), [""; 0]);
        assert_eq!(list(r#"{"ips":[null]}"#), [""]);
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        assert_eq!(list(r#"{"ips":["a"],"x":1,"ips":["b"]}"#), [r#""b""#]);
    }
}
