//! What people write about secondary networks, as types.
//!
//! The source of truth is twofold: the *Kubernetes Network Custom Resource Definition De-facto
//! Standard* (version 1.3, "the spec" in this crate) and what Multus, which carries it out, really
//! reads. Where they differ the types hold what Multus reads, and [`crate::rules`] say what the
//! spec objects to.
//!
//! Two properties hold for everything here:
//!
//! - **All faults at once.** A value that does not parse is kept as its text together with its
//!   error ([`Parsed`]); the parse goes on, so that one look shows every mistake.
//! - **Every value knows where it stood** ([`Span`]). Offsets cost a subtraction; line and column
//!   are computed only when somebody wants to read them ([`Position`]).

pub mod address;
pub mod annotations;
pub mod cni;
pub mod configure;
pub mod definition;
pub mod interface;
pub mod ipam;
pub mod json;
mod json_mistake;
pub mod mac;
pub mod name;
pub mod near_miss;
pub mod operator;
pub mod ovn;
pub mod range;
pub mod reach;
pub mod selection;
pub mod slices;
pub mod status;
pub mod supply;
pub mod text;
pub mod wire;

pub use self::{
    address::{AddressError, AddressRequest},
    definition::{ConfigState, Network},
    interface::InterfaceError,
    mac::{HardwareAddress, Mac},
    name::NameError,
    range::{Range, Subnet, Window},
    selection::{Annotation, Format, Selection},
    text::{Parsed, Position, Span, Spanned},
};
