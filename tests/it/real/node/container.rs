//! A container of nadmit's image: the binary of this build in the pod's network namespace, in a
//! root of its own and as the pod's user.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use k8s_openapi::api::core::v1::{Container, Pod};

/// The script that mounts the host's libraries and the binary into the root, in a mount namespace
/// that ends with the process, and then becomes nadmit: a test's binary is linked to libraries of
/// the host.
const MOUNT_SCRIPT: &str = r#"
set -e
root=$1; user=$2; shift 2
for folder in usr proc dev; do mkdir -p "$root/$folder"; mount --bind "/$folder" "$root/$folder"; done
mount -o remount,bind,ro "$root/usr"
mount --bind "$NADMIT_REAL_BINARY" "$root/nadmit"
unset NADMIT_REAL_BINARY
exec chroot --userspec="$user" "$root" /nadmit "$@"
"#;

/// Folders of the host that are links into /usr on a merged-usr system.
const MERGED_USR_LINKS: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// The parameters for running a container.
pub(super) struct ContainerPlan<'p> {
    pub(super) pod: &'p Pod,
    pub(super) container: &'p Container,
    /// The name of the pod's network namespace.
    pub(super) namespace: &'p str,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) root: &'p Path,
    pub(super) log: &'p Path,
}

/// A process that ends when this is dropped.
pub(super) struct ContainerProcess {
    child: Child,
}

/// Creates a container's root, without its volumes.
pub(super) fn make_root(root: &Path, host_name: &str, addresses: &[String]) -> io::Result<()> {
    for folder in ["etc", "tmp", "var/lib/nadmit"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
    for open in ["tmp", "var/lib/nadmit"] {
        fs::set_permissions(root.join(open), fs::Permissions::from_mode(0o777))?;
    }
    for name in MERGED_USR_LINKS {
        let on_host = Path::new("/").join(name);
        match fs::read_link(&on_host) {
            Ok(target) => std::os::unix::fs::symlink(target, root.join(name))?,
            Err(_) if on_host.is_dir() => {
                return Err(io::Error::other(format!("/{name} is no link into /usr")));
            }
            Err(_) => {}
        }
    }
    File::create(root.join("nadmit"))?;
    let own = addresses.first().map_or("127.0.0.1", String::as_str);
    fs::write(
        root.join("etc/hosts"),
        format!("127.0.0.1 localhost\n{own} {host_name}\n"),
    )
}

impl ContainerProcess {
    /// Starts it.
    pub(super) fn start(plan: &ContainerPlan<'_>) -> io::Result<Self> {
        if plan.container.command.is_some() {
            return Err(io::Error::other("a command is not known here"));
        }
        let log = File::options().create(true).append(true).open(plan.log)?;
        let user = user(plan.pod, plan.container);
        // The environment is cleared, because the child would inherit the host's.
        let child = Command::new("ip")
            .args([
                "netns",
                "exec",
                plan.namespace,
                "sh",
                "-c",
                MOUNT_SCRIPT,
                "sh",
            ])
            .arg(plan.root)
            .arg(user)
            .args(plan.container.args.iter().flatten())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("NADMIT_REAL_BINARY", env!("CARGO_BIN_EXE_nadmit"))
            .envs(&plan.variables)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { child })
    }

    /// Returns the exit status if the process has ended.
    pub(super) fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait();
        status.ok().flatten().map(|status| status.to_string())
    }

    /// Sends SIGTERM.
    pub(super) fn terminate(&self) {
        let number = self.child.id().to_string();
        // It may have ended already.
        let _ = Command::new("kill").args(["-TERM", &number]).status();
    }
}

impl Drop for ContainerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the user and the group that the pod names, or root.
fn user(pod: &Pod, container: &Container) -> String {
    let of_pod = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.security_context.as_ref());
    let own = container.security_context.as_ref();
    let user = own
        .and_then(|own| own.run_as_user)
        .or(of_pod.and_then(|of_pod| of_pod.run_as_user));
    let group = own
        .and_then(|own| own.run_as_group)
        .or(of_pod.and_then(|of_pod| of_pod.run_as_group));
    format!("{}:{}", user.unwrap_or(0), group.unwrap_or(0))
}

/// Returns the file of a container's log.
pub(super) fn log(folder: &Path, pod: &str, container: &str) -> PathBuf {
    folder.join(format!("{pod}.{container}.log"))
}
