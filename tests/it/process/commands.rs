//! Commands that end by themselves: mistakes, explain, certs, the demo.

use super::*;

pub(super) fn mistakes_name_the_flag() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::create_dir(folder.path().join("m"))?;
    fs::write(
        folder.path().join("bad.yaml"),
        "profle: strict\nrules: {unknown-netwrok: deny}\n",
    )?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let taken = taken.local_addr()?.to_string();
    let (missing, m, bad, certs) = (path("missing"), path("m"), path("bad.yaml"), path("c"));
    let cases: &[(&[&str], &[&str])] = &[
        (&["serve"], &["--manifests"]),
        (
            &["serve", "--manifests", &missing],
            &["--manifests", &missing],
        ),
        (
            &["serve", "--manifests", &m, "--listen", "nowhere"],
            &["--listen"],
        ),
        (
            &[
                "serve",
                "--manifests",
                &m,
                "--listen",
                &taken,
                "--cert-dir",
                &certs,
            ],
            &["--listen", &taken],
        ),
        (
            &["serve", "--manifests", &m, "--config", &missing],
            &["--config", &missing],
        ),
        (
            &["serve", "--manifests", &m, "--config", &bad],
            &[
                "bad.yaml:1:1",
                "profile",
                "bad.yaml:2",
                "did you mean \"unknown-network\"?",
            ],
        ),
        (
            &["serve", "--manifests", &m, "--tls-cert", &missing],
            &["--tls-key"],
        ),
        (
            &[
                "serve",
                "--manifests",
                &m,
                "--tls-cert",
                &missing,
                "--tls-key",
                &missing,
            ],
            &["--tls-cert", &missing],
        ),
        (
            &["serve", "--manifests", &m, "--data-dir", "/dev/null/x"],
            &["--data-dir"],
        ),
        (&["serve", "--manifests", &m, "--log", "a=b=c"], &["--log"]),
        (
            &["serve", "--manifests", &m, "--config", "/dev/zero"],
            &["--config", "it is a device, and not a regular file"],
        ),
        (
            &["serve", "--cluster", "--kubeconfig", "/dev/zero"],
            &["/dev/zero", "it is a device, and not a regular file"],
        ),
        (
            &["serve", "--manifests", &m, "--client-ca", "/dev/zero"],
            &["--client-ca", "it is a device, and not a regular file"],
        ),
        (
            &["serve", "--manifests", &m, "--tls-min-version", "1.2"],
            &["--tls-min-version", "VersionTLS12"],
        ),
        (
            &[
                "serve",
                "--manifests",
                &m,
                "--tls-cipher-suites",
                "DES-CBC3-SHA",
            ],
            &["--tls-cipher-suites DES-CBC3-SHA", "TLS_AES_128_GCM_SHA256"],
        ),
        (
            &["explain", "unknown-netwrok"],
            &["did you mean \"unknown-network\"?"],
        ),
    ];
    for (arguments, says) in cases {
        let output = nadmit()
            .args(*arguments)
            .current_dir(folder.path())
            .output()?;
        let shown = both(&output);
        if output.status.success() {
            return Err(format!("{arguments:?} went well:\n{shown}").into());
        }
        for expected in *says {
            contains(&shown, expected)
                .map_err(|_| format!("{arguments:?}: no {expected} in\n{shown}"))?;
        }
    }
    Ok(())
}

pub(super) fn explain_and_certs_work() -> TestResult {
    let folder = tempfile::tempdir()?;
    let certs = folder.path().join("certs").display().to_string();
    let run = |arguments: &[&str]| -> Result<String, Failed> {
        let output = nadmit().args(arguments).output()?;
        if output.status.success() {
            Ok(both(&output))
        } else {
            Err(both(&output).into())
        }
    };
    contains(&run(&["explain", "--list"])?, "attachments-changed")?;
    contains(&run(&["explain", "unknown-network"])?, "macvlan-cnf")?;
    contains(
        &run(&["certs", "--cert-dir", &certs, "--name", "nadmit.example"])?,
        "created ca.crt",
    )?;
    contains(
        &run(&["certs", "--cert-dir", &certs, "--name", "nadmit.example"])?,
        "already",
    )?;
    for shell in ["bash", "zsh", "fish"] {
        contains(&run(&["completions", shell])?, "nadmit")?;
    }
    Ok(())
}

pub(super) fn the_demo_shows_every_kind_of_answer() -> TestResult {
    let output = nadmit()
        .args(["demo", "--once", "--listen", "127.0.0.1:0"])
        .output()?;
    let shown = both(&output);
    for expected in [
        "  allowed\n",
        "  denied\n",
        "with a warning",
        "did you mean \"macvlan-conf\"?",
    ] {
        contains(&shown, expected)?;
    }
    if output.status.success() {
        Ok(())
    } else {
        Err(shown.into())
    }
}

fn both(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
