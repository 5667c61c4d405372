//! The mistakes for which Multus or libcni rejects a configuration.

use thiserror::Error;

use crate::{
    json::{JsonNode, JsonSyntaxError, ValueKind},
    text::Span,
};

/// The reason why Multus or libcni rejects a configuration, with its span.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{fault}")]
pub struct NetworkConfigError {
    /// The mistake.
    pub fault: NetworkConfigFault,
    /// The span in the configuration's text.
    pub span: Span,
}

/// A mistake for which Multus or libcni rejects a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetworkConfigFault {
    /// The text is not JSON.
    #[error("the configuration is not JSON: {0}")]
    Syntax(String),
    /// A value has the wrong type.
    #[error("{what} is {}, but has to be {expected}", found.described())]
    Kind {
        /// The value's path.
        what: Box<str>,
        /// The expected type, for messages.
        expected: &'static str,
        /// The actual type.
        found: ValueKind,
    },
    /// The configuration has neither `type` nor `plugins`.
    #[error("the configuration has neither \"type\" nor \"plugins\"")]
    NoPlugin,
    /// The list of plugins is empty.
    #[error("\"plugins\" is an empty list")]
    EmptyPlugins,
    /// The plugin with this index has no type.
    #[error("\"plugins[{0}]\" has no \"type\"")]
    NoType(usize),
    /// libcni rejects the network's name.
    #[error(
        "the name {0:?} is not a CNI name: letters, digits, \"_\", \".\" and \"-\", beginning with a \
         letter or digit"
    )]
    Name(Box<str>),
}

impl NetworkConfigError {
    pub(super) fn at(node: JsonNode<'_>, fault: NetworkConfigFault) -> Self {
        Self {
            fault,
            span: node.span(),
        }
    }

    pub(super) fn syntax(error: JsonSyntaxError) -> Self {
        let span = Span {
            start: error.offset,
            end: error.offset,
        };
        Self {
            fault: NetworkConfigFault::Syntax(error.reason),
            span,
        }
    }

    pub(super) fn kind(
        what: impl Into<Box<str>>,
        expected: &'static str,
        node: JsonNode<'_>,
    ) -> Self {
        Self::at(
            node,
            NetworkConfigFault::Kind {
                what: what.into(),
                expected,
                found: node.kind(),
            },
        )
    }
}
