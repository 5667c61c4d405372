//! The conformance suite: nadmit's responses over HTTPS, requested with curl.
//!
//! Each case is a file in `cases/GROUP/NAME.yaml` and runs as the test `GROUP::NAME`; README.md
//! says how to write one. `scenarios` has tests of several requests, each on a server of its own
//! (ignored when the server runs elsewhere). Three groups are generated: `captured` sends every
//! review in `tests/fixtures/reviews`, `examples` sends every pod in `deploy/examples`, and
//! `coverage` checks that each rule has a case and an example.
//!
//! ```sh
//! cargo test --test conformance                  # all of them
//! cargo test --test conformance update::         # one group
//! ```
//!
//! The binary of this crate is started once for each folder of manifests that a case names, on
//! ports of its own. To test a server that runs elsewhere:
//!
//! ```sh
//! NADMIT_URL=https://host:port NADMIT_CA=ca.crt cargo test --test conformance
//! ```
//!
//! - That server has to serve the contents of `tests/conformance/manifests`, and nothing else in
//!   the namespaces named there: `nadmit serve --manifests tests/conformance/manifests`, or
//!   `kubectl apply -f tests/conformance/manifests`. Its settings have to be the default ones.
//! - Cases with another folder are then ignored.
//! - `NADMIT_CURL_ARGS` has additional arguments of curl, separated by white space: where the
//!   certificate's name is not the URL's, `--connect-to nadmit.nadmit.svc:443:127.0.0.1:8443`.
//!
//! Without curl all tests are ignored.

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
    // The servers end with the suite, whatever the results.
    drop(suite);
    Ok(conclusion.exit_code())
}
