//! Types and parsers for what users write about secondary networks: annotations, NADs, CNI
//! configurations.
//!
//! There are two sources of truth: the *Kubernetes Network Custom Resource Definition De-facto
//! Standard* (version 1.3, "the spec" in this crate) and what Multus, its implementation, actually
//! reads. Where they differ, the types follow Multus, and the rules report what the spec
//! forbids.
//!
//! Two properties hold for everything here:
//!
//! - **All mistakes at once.** A value that does not parse is stored as its text together with its
//!   error ([`Parsed`]), and parsing continues, so that one pass finds every mistake.
//! - **Every value has its position** ([`Span`]). Computing an offset costs a subtraction; line and
//!   column ([`Position`]) are computed only when they are printed.

pub mod address;
pub mod annotations;
pub mod assignable;
pub mod cni;
pub mod configure;
pub mod definition;
pub mod document;
pub mod interface;
pub mod ipam;
pub mod json;
mod json_mistake;
mod line_index;
pub mod link;
pub mod mac;
pub mod name;
pub mod near_miss;
pub(crate) mod number_range;
pub mod operator;
pub mod ovn;
pub mod range;
pub mod routing;
pub mod selection;
pub mod slices;
pub mod status;
pub mod text;

pub use self::{
    address::{AddressError, AddressRequest},
    definition::{ConfigState, Network, Serving},
    interface::InterfaceError,
    line_index::LineIndex,
    mac::{HardwareAddress, Mac},
    name::NameError,
    number_range::NumberRange,
    range::{BoundedSubnet, IpRange, Subnet},
    selection::{Annotation, AnnotationFormat, Selection},
    text::{Parsed, Position, Span, Spanned},
};
