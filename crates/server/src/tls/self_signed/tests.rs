//! Certificates that are created, kept and left untouched.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use jiff::SignedDuration;
use tempfile::TempDir;

use super::*;

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A certificate directory with the requested names.
struct CertDirectory(TempDir, Vec<String>);

impl CertDirectory {
    fn new() -> Self {
        let names = names(&["localhost", "127.0.0.1", "::1", "nadmit.kube-system.svc"]);
        Self(tempfile::tempdir().unwrap(), names)
    }

    fn ensure(&self, now: Timestamp) -> Result<Issuance, CertificateError> {
        ensure(self.0.path(), &self.1, now)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Returns every file with its contents.
    fn contents(&self) -> Vec<(String, String)> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
            .into_iter()
            .map(|name| (name.clone(), self.read(&name)))
            .collect()
    }
}

#[test]
fn a_created_certificate_is_valid_and_reused() {
    let directory = CertDirectory::new();
    assert_eq!(directory.ensure(now()).unwrap(), Issuance::Authority);
    let made = directory.contents();
    let names: Vec<&str> = made.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["ca.crt", "ca.key", "tls.crt", "tls.key"]);
    for (name, mode) in [("ca.key", 0o600), ("tls.key", 0o600), ("ca.crt", 0o644)] {
        let permissions = fs::metadata(directory.path(name)).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, mode, "{name}");
    }
    for later in [DAY, DAY * 300] {
        assert_eq!(directory.ensure(now() + later).unwrap(), Issuance::Nothing);
    }
    assert_eq!(directory.contents(), made);
}

#[test]
fn a_certificate_is_remade_in_its_last_month_and_its_ca_in_its_last_year() {
    let directory = CertDirectory::new();
    directory.ensure(now()).unwrap();
    let authority = directory.read("ca.crt");
    for years in 1..9 {
        let made = directory.ensure(now() + DAY * (345 * years)).unwrap();
        assert_eq!(made, Issuance::Certificate, "after {years} years");
        assert_eq!(directory.read("ca.crt"), authority);
    }
    let made = directory.ensure(now() + DAY * (365 * 9 + 30)).unwrap();
    assert_eq!(made, Issuance::Authority);
    assert_ne!(directory.read("ca.crt"), authority);
}

#[test]
fn other_names_or_damage_make_a_new_certificate_under_the_same_ca() {
    let mut directory = CertDirectory::new();
    directory.ensure(now()).unwrap();
    let authority = directory.read("ca.crt");
    directory.1.push("nadmit.other.svc".to_owned());
    assert_eq!(directory.ensure(now()).unwrap(), Issuance::Certificate);
    let cut = directory.read("tls.crt")[..200].to_owned();
    fs::write(directory.path("tls.crt"), cut).unwrap();
    assert_eq!(directory.ensure(now()).unwrap(), Issuance::Certificate);
    fs::remove_file(directory.path("tls.key")).unwrap();
    assert_eq!(directory.ensure(now()).unwrap(), Issuance::Certificate);
    assert_eq!(directory.read("ca.crt"), authority);
    fs::remove_file(directory.path("ca.key")).unwrap();
    assert_eq!(
        directory.ensure(now()).unwrap(),
        Issuance::Nothing,
        "it is not needed yet"
    );
    fs::remove_file(directory.path("ca.crt")).unwrap();
    assert_eq!(directory.ensure(now()).unwrap(), Issuance::Authority);
}

/// Removes nadmit's mark from files, as if another tool had created them.
fn foreign(directory: &CertDirectory, files: &[&str]) {
    for name in files {
        let text = directory.read(name);
        let pem = &text[text.find("-----BEGIN").unwrap()..];
        fs::write(directory.path(name), pem).unwrap();
    }
}

#[test]
fn a_foreign_certificate_is_used_unchanged() {
    let mut directory = CertDirectory::new();
    directory.ensure(now()).unwrap();
    foreign(&directory, &["tls.crt", "tls.key"]);
    fs::remove_file(directory.path("ca.crt")).unwrap();
    directory.1 = names(&["elsewhere.example"]);
    let before = directory.contents();
    assert_eq!(
        directory.ensure(now() + DAY * 900).unwrap(),
        Issuance::Nothing
    );
    assert_eq!(directory.contents(), before);
}

#[test]
fn unusable_foreign_files_are_reported_and_left_alone() {
    let cases: [(&[(&str, &str)], &str); 4] = [
        (
            &[("tls.crt", "x"), ("tls.key", "x")],
            "tls.crt contains no PEM certificate",
        ),
        (&[("tls.crt", "x")], "tls.crt exists without"),
        (&[("tls.key", "x")], "tls.key exists without"),
        (
            &[("ca.crt", "x"), ("ca.key", "x")],
            "ca.crt contains no PEM certificate",
        ),
    ];
    for (files, expected) in cases {
        let directory = CertDirectory::new();
        for (name, text) in files {
            fs::write(directory.path(name), text).unwrap();
        }
        let before = directory.contents();
        let error = directory.ensure(now()).unwrap_err().to_string();
        assert!(
            error.starts_with("--cert-dir: ") && error.contains(expected),
            "{error}"
        );
        assert_eq!(directory.contents(), before);
    }
}

#[test]
fn a_foreign_ca_signs_if_it_can() {
    let directory = CertDirectory::new();
    directory.ensure(now()).unwrap();
    foreign(&directory, &["ca.crt", "ca.key"]);
    fs::remove_file(directory.path("tls.crt")).unwrap();
    let authority = directory.read("ca.crt");
    assert_eq!(directory.ensure(now()).unwrap(), Issuance::Certificate);
    assert_eq!(directory.ensure(now()).unwrap(), Issuance::Nothing);
    fs::remove_file(directory.path("tls.crt")).unwrap();
    let error = directory
        .ensure(now() + DAY * 4000)
        .unwrap_err()
        .to_string();
    assert!(error.contains("it has expired"), "{error}");
    fs::copy(directory.path("tls.key"), directory.path("ca.key")).unwrap();
    let error = directory.ensure(now()).unwrap_err().to_string();
    assert!(error.contains("does not match the key"), "{error}");
    assert_eq!(directory.read("ca.crt"), authority);
}

#[test]
fn a_name_that_no_certificate_can_have_is_named() {
    let mut directory = CertDirectory::new();
    directory.1 = names(&["not a name"]);
    let error = directory.ensure(now()).unwrap_err().to_string();
    assert!(error.contains("\"not a name\""), "{error}");
}
