//! Outages: the API server restarts; etcd is paused.

use std::{thread, time::Duration};

use super::{
    NamedTest,
    cluster::pod,
    pod_stream::{PodStream, settled},
    shared::Installed,
};
use crate::support::TestResult;

pub(super) const TESTS: &[NamedTest] =
    named![the_api_server_restarts, etcd_is_paused_for_ten_seconds];

fn the_api_server_restarts() -> TestResult {
    let mut installed = Installed::new()?;
    let cluster = &installed.cluster;
    cluster.create_namespace_with_pool("db", "10.3.0.0/18", &[])?;
    cluster.until_ready("db")?;
    let stream = PodStream::start(cluster, "db");
    stream.more(10)?;
    stream.end()?;
    installed.cluster.restart()?;
    recovers(&installed)
}

fn etcd_is_paused_for_ten_seconds() -> TestResult {
    let installed = Installed::new()?;
    let cluster = &installed.cluster;
    cluster.create_namespace_with_pool("db", "10.4.0.0/18", &[])?;
    cluster.until_ready("db")?;
    let stream = PodStream::start(cluster, "db");
    stream.more(10)?;
    cluster.server.pause_etcd()?;
    thread::sleep(Duration::from_secs(10));
    if !installed.nadmit.is_ready()? {
        return Err("nadmit is unready because etcd stands still".into());
    }
    cluster.server.resume_etcd()?;
    stream.more(5)?;
    // Requests may have failed meanwhile, with unknown outcomes.
    stream.end()?;
    recovers(&installed)
}

/// Checks that pods get addresses again, each only once, and that all are free when the pods are
/// gone.
fn recovers(installed: &Installed) -> TestResult {
    let cluster = &installed.cluster;
    cluster.done(&["create", "-f", "-"], &pod("after", "db", "storage"))?;
    cluster.bind("db", "after")?;
    settled(cluster, "db")?;
    cluster.done(&["delete", "pods", "--all", "-n", "db", "--wait=false"], "")?;
    cluster.until_free("db")
}
