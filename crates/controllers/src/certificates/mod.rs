//! nadmit's own certificates, in a Secret shared by all replicas.
//!
//! Every few seconds each replica reads the two webhook configurations and then the Secret, and does
//! what is due: it writes the Secret, serves its certificate, and writes its CAs into the webhooks as
//! `caBundle`. No leader is needed:
//!
//! - **The Secret decides.** It is written as a whole, by a create or under the `resourceVersion` the
//!   decision was made on. If two replicas create a CA, one of them gets a conflict, reads the Secret
//!   again and uses what is there. [`renewal`] determines the state of a renewal from the Secret alone,
//!   so a replica may die at any step, and any other continues.
//! - **Every replica patches.** A `caBundle` follows from the Secret, so all replicas write the same;
//!   and certificates must be renewed even without a leader. A delayed replica cannot replace a newer
//!   bundle by an older one: it read the configuration *before* the Secret, and the patch names the
//!   version of that configuration. A newer bundle comes from a Secret that was written after this
//!   replica read it, hence by a patch after that, hence under another version.
//!
//! # A change of CAs
//! 1. The Secret gets a new CA in `ca.crt`, in addition to the old one, which has signed the served
//!    certificate.
//! 2. The webhooks get both.
//! 3. A replica observes the new CA in all of them, for as long as an API server may take to notice.
//! 4. The Secret gets a certificate signed by the new CA, and each replica serves it when it reads it.
//! 5. When the last certificate of the old CA has expired, the old CA is removed.
//!
//! A replica that dies between 1 and 4 leaves a Secret that says "wait", and webhooks that the next
//! pass completes; the wait then starts over. No other state is stored.
//!
//! # Time
//! API servers verify the certificates, so their clock counts: it is taken from the `Date` header of
//! every response, not from this machine. Certificates are backdated by a day, for API servers whose
//! clocks differ. Replicas with wrong clocks thus agree, except behind a proxy that drops the header;
//! there each uses its own clock.

mod ca_bundles;
mod contents;
mod error;
mod keeper;
mod make;
mod options;
mod renewal;
mod requests;
#[cfg(test)]
mod tests;
mod time;

pub use self::{
    ca_bundles::WebhookService, keeper::CertificateKeeper, options::CertificateOptions,
    renewal::CertificateLifetimes,
};
