//! `nadmit reserve`: writes the manifest of an `AddressReservation`, after validating it.

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::output;
use crate::{
    allocation::{
        Reservation, SpecError,
        spec::{ReservationHolderSpec, ReservationSpec},
    },
    network::name,
};

/// Arguments of `nadmit reserve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nadmit reserve storage-net --namespace db --stateful-set db --ordinal 0 --ip 192.0.2.205
  nadmit reserve storage-net --namespace db --pod reports --ip 192.0.2.206 --ip 2001:db8::6 \\
    --mac 02:5e:00:00:00:06 | kubectl apply -f -")]
pub(super) struct ReserveArgs {
    /// Network: NAME in the reservation's namespace, or NAMESPACE/NAME
    network: String,
    /// Namespace of the reservation and its holder
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// Name of the reservation [default: derived from the holder]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    holder: HolderArgs,
    /// Ordinal of the replica in the StatefulSet
    #[arg(long, requires = "stateful_set")]
    ordinal: Option<u32>,
    /// Interface in the pod [default: any]
    #[arg(long)]
    interface: Option<String>,
    /// IP address; repeat the option for more than one
    #[arg(long = "ip", value_name = "ADDRESS", required_unless_present = "mac")]
    ips: Vec<String>,
    /// MAC address
    #[arg(long)]
    mac: Option<String>,
}

/// Holder of the reservation.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct HolderArgs {
    /// Reserve for the pod with this name
    #[arg(long, value_name = "NAME")]
    pod: Option<String>,
    /// Reserve for a replica of this StatefulSet
    #[arg(long, value_name = "NAME", requires = "ordinal")]
    stateful_set: Option<String>,
    /// Reserve for this KubeVirt VM
    #[arg(long, value_name = "NAME")]
    virtual_machine: Option<String>,
}

/// Writes the manifest to standard output.
///
/// # Errors
/// All problems of the reservation, named by flag.
pub(super) fn run(args: ReserveArgs) -> anyhow::Result<()> {
    output::print(manifest(args)?);
    Ok(())
}

fn manifest(args: ReserveArgs) -> anyhow::Result<String> {
    let holder_name = match (&args.holder, args.ordinal) {
        (
            HolderArgs {
                stateful_set: Some(set),
                ..
            },
            Some(ordinal),
        ) => format!("{set}-{ordinal}"),
        (
            HolderArgs {
                pod,
                virtual_machine,
                ..
            },
            _,
        ) => {
            let name = pod.as_ref().or(virtual_machine.as_ref());
            name.cloned().unwrap_or_default()
        }
    };
    let name = args.name.unwrap_or(holder_name);
    if let Err(error) = name::label(&args.namespace) {
        bail!("--namespace {:?} {error}", args.namespace);
    }
    if let Err(error) = name::subdomain(&name) {
        bail!("reservation name {name:?} {error}; write another name with --name");
    }
    let spec = ReservationSpec {
        network: args.network,
        holder: ReservationHolderSpec {
            pod: args.holder.pod,
            stateful_set: args.holder.stateful_set,
            ordinal: args.ordinal.map(i64::from),
            virtual_machine: args.holder.virtual_machine,
        },
        interface: args.interface,
        ips: args.ips,
        mac: args.mac,
    };
    if let Err(faults) = Reservation::new(&args.namespace, &name, &spec) {
        let faults: Vec<String> = faults.iter().map(with_flag_name).collect();
        bail!("{}", faults.join("\n"));
    }
    let object = json!({
        "apiVersion": "nadmit.io/v1alpha1",
        "kind": "AddressReservation",
        "metadata": {"name": name, "namespace": args.namespace},
        "spec": spec,
    });
    let mut text = serde_saphyr::to_string(&object)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// Renders a problem with the flag that it came from.
fn with_flag_name(fault: &SpecError) -> String {
    let flag = match fault.path.split(['.', '[']).next() {
        Some("network") => "NETWORK",
        Some("ips") => "--ip",
        Some("mac") => "--mac",
        _ => return fault.to_string(),
    };
    format!("{flag}: {}", fault.reason)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::manifests::{self, Manifest};

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        args: ReserveArgs,
    }

    fn written(arguments: &[&str]) -> Result<String, String> {
        let arguments = [&["reserve"], arguments].concat();
        let only = Only::try_parse_from(arguments).map_err(|error| error.to_string())?;
        manifest(only.args).map_err(|error| error.to_string())
    }

    #[test]
    fn a_written_manifest_is_read_back() {
        let text = written(&[
            "storage-net",
            "-n",
            "db",
            "--stateful-set",
            "db",
            "--ordinal",
            "0",
            "--ip",
            "192.0.2.205/27",
            "--ip",
            "2001:db8::5",
            "--mac",
            "02:5e:00:00:00:05",
            "--interface",
            "net1",
        ])
        .unwrap_or_else(|error| panic!("{error}"));
        let read = manifests::read(&text, "a.yaml");
        let [found] = &read.objects[..] else {
            panic!("{text}\n{read:?}")
        };
        let Manifest::Reservation(found) = &found.value else {
            panic!("{found:?}")
        };
        assert_eq!((&*found.namespace, &*found.name), ("db", "db-0"));
        let made = found.parsed.reservation("db", "db-0");
        let made = made.unwrap_or_else(|faults| panic!("{faults:?}"));
        assert_eq!(made.holder.to_string(), "replica 0 of StatefulSet db");
        assert_eq!(
            (made.ips.len(), made.interface.as_deref()),
            (2, Some("net1"))
        );
        assert_eq!(found.parsed.unknown_keys, []);
    }

    #[test]
    fn an_invalid_value_is_reported_by_its_flag() {
        for (arguments, part) in [
            (&["a", "--pod", "p", "--ip", "x"][..], "--ip: \"x\""),
            (
                &["a", "--pod", "p", "--mac", "01:00:5e:00:00:01"],
                "--mac: ",
            ),
            (&["a/b/c", "--pod", "p", "--ip", "192.0.2.5"], "NETWORK: "),
            (&["a", "--pod", "P", "--ip", "192.0.2.5"], "--name"),
            (
                &["a", "--pod", "p", "-n", "D", "--ip", "192.0.2.5"],
                "--namespace \"D\"",
            ),
            (&["a", "--ip", "192.0.2.5"], "--pod"),
            (&["a", "--pod", "p"], "--ip"),
            (
                &["a", "--stateful-set", "s", "--ip", "192.0.2.5"],
                "--ordinal",
            ),
            (
                &["a", "--pod", "p", "--stateful-set", "s", "--ordinal", "1"],
                "cannot be used",
            ),
        ] {
            let error = written(arguments).expect_err("nonsense");
            assert!(error.contains(part), "{arguments:?}: {error}");
        }
    }
}
