//! The conformance cases: what nadmit answers, asked over HTTPS with curl.
//!
//! Each case is a file in `cases/GROUP/NAME.yaml` and runs as the trial `GROUP::NAME`; README.md
//! says how to write one. `stories` tells what needs several requests, each on a server of its own
//! (ignored when the server runs elsewhere). Three groups are made, not written: `captured` asks with every review in
//! `tests/fixtures/reviews`, `examples` with every pod in `deploy/examples`, and `coverage` holds
//! that each rule has a case and an example.
//!
//! ```sh
//! cargo test --test conformance                  # all of them
//! cargo test --test conformance update::         # one group
//! ```
//!
//! The binary of this crate is started once for each folder of manifests that a case wants, on
//! ports of its own. To ask a server that runs elsewhere:
//!
//! ```sh
//! NADMIT_URL=https://host:port NADMIT_CA=ca.crt cargo test --test conformance
//! ```
//!
//! - That server has to know what stands in `tests/conformance/manifests`, and nothing else of the
//!   namespaces named there: `nadmit serve --manifests tests/conformance/manifests`, or
//!   `kubectl apply -f tests/conformance/manifests`. Its settings have to be the default ones.
//! - Cases that want another folder are then shown as ignored.
//! - `NADMIT_CURL_ARGS` holds further arguments of curl, parted by white space: where the
//!   certificate's name is not the URL's, `--connect-to nadmit.nadmit.svc:443:127.0.0.1:8443`.
//!
//! Without curl all of them are shown as ignored.

mod captured;
mod case;
mod coverage;
mod curl;
mod examples;
mod expect;
mod request;
mod response;
mod review;
mod scenarios;
mod suite;
mod target;

use std::process::ExitCode;

use libtest_mimic::Arguments;

use crate::suite::Suite;

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::from_args();
    let suite = Suite::new()?;
    let conclusion = libtest_mimic::run(&arguments, suite.tests()?);
    // The servers end with the suite, whatever becomes of the trials.
    drop(suite);
    Ok(conclusion.exit_code())
}
