//! `cni-args`: what Multus adds to `args.cni` of every plugin of the network.

use crate::network::{
    json::{Member, Node, folds_to},
    text::Span,
};

/// The map into which Go decodes `cni-args`. Multus copies it, key by key in their exact case, over
/// `args.cni` of each plugin, and writes that out in the order of the keys' bytes. A plugin then reads
/// the members in this order, in any case.
#[derive(Debug, Clone, Default)]
pub struct CniArgs<'a> {
    /// Where they stood; of repeated ones the last.
    pub span: Span,
    /// The members, each key once, in the order of the keys' bytes.
    pub members: Vec<Member<'a>>,
}

impl<'a> CniArgs<'a> {
    /// Takes over the members of one more object.
    pub(super) fn merge(&mut self, members: Vec<Member<'a>>) {
        self.members.extend(members);
        // Stable: of equal keys the one that came last is behind the others, and counts.
        self.members.sort_by(|a, b| a.name.value.cmp(&b.name.value));
        self.members.reverse();
        self.members.dedup_by(|a, b| a.name.value == b.name.value);
        self.members.reverse();
    }

    /// Returns the members that a plugin takes for the field `name`, in the order in which it reads them.
    pub fn named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Member<'a>> {
        let members = self.members.iter();
        members.filter(move |member| folds_to(&member.name.value, name))
    }

    /// Returns the texts that a plugin gets for a field that is a text: the last that is not `null`.
    pub fn text(&self, name: &str) -> Option<Node<'a>> {
        let values = self.named(name).map(|member| member.value);
        values.filter(|value| !value.is_null()).last()
    }

    /// Returns the elements that a plugin gets for a field that is a list of texts. A `null` among them
    /// is what its place held before, or nothing.
    pub fn list(&self, name: &str) -> Vec<Option<Node<'a>>> {
        let mut slots: Vec<Option<Node<'a>>> = Vec::new();
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
    use crate::network::Annotation;

    fn list(args: &str) -> Vec<String> {
        let text = format!(r#"[{{"name":"n","cni-args":{args}}}]"#);
        let annotation = Annotation::parse(&text);
        let args = annotation.selections[0].cni_args.clone();
        let list = args.unwrap_or_default().list("ips").into_iter();
        list.map(|node| node.map_or("", Node::text).to_owned())
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
    fn of_equal_keys_the_last_counts() {
        assert_eq!(list(r#"{"ips":["a"],"x":1,"ips":["b"]}"#), [r#""b""#]);
    }
}
