//! Certificates of nadmit's own, kept in a Secret that all replicas share.
//!
//! Every few seconds each replica reads the two webhook configurations, then the Secret, and does
//! what is due: writes the Secret, shows its certificate, and gives the webhooks the CAs of it as
//! `caBundle`. There is no leader, for none is needed:
//!
//! - **The Secret decides.** It is written whole, by a create or under the `resourceVersion` that was
//!   judged. Of two replicas that both make a CA one is told that it came second, reads the Secret
//!   again and takes what is there. [`decide`] sees from the Secret alone where a renewal stands, so a
//!   replica may die at any step, and whoever looks next goes on.
//! - **Anybody patches.** A `caBundle` follows from the Secret, so all replicas write the same; and a
//!   certificate has to be renewed while nobody leads, too. A replica that was held up cannot put an
//!   old bundle in the place of a newer one: it read the configuration *before* the Secret, and the
//!   patch names the version of that configuration. A newer bundle comes from a Secret that was
//!   written after this replica had read it, hence by a patch after that, hence under another version.
//!
//! # A change of CAs
//! 1. The Secret gets a new CA, beside the old one in `ca.crt`; what is served is of the old one.
//! 2. The webhooks get both.
//! 3. A replica finds the new CA in all of them, for as long as an API server may need to notice.
//! 4. The Secret gets a certificate of the new CA, and each replica shows it when it reads it.
//! 5. When the last certificate of the old CA has expired, the old CA is taken out.
//!
//! Who dies between 1 and 4 leaves a Secret that says "wait", and webhooks that the next look
//! completes; the wait begins anew then. Nothing of it is written down anywhere else.
//!
//! # Time
//! A certificate is judged by API servers, so their clock counts: every answer says what time it is
//! there (`Date`), and this machine's clock is not asked. Certificates begin a day before they are
//! made, for API servers whose clocks differ. Replicas with wrong clocks thus agree; only
//! behind a proxy that drops the header each has its own.

mod ca_bundles;
mod contents;
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
