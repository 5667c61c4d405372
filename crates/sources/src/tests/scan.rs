//! Tests of successive scans: definitions in effect, last good states, reported errors.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

use super::nad;
use crate::{file_text::MAX_BYTES, scan::FolderScanner};
use nadmit_catalog::{Catalog, PoolValidity};

/// Returns a time at which the fingerprint of every file that was just written is stable.
fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(60)
}

/// A folder, its scanner and its catalog.
struct Fixture {
    folder: TempDir,
    scanner: FolderScanner,
    catalog: Catalog,
}

impl Fixture {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let scanner = FolderScanner::new(folder.path().to_owned(), later);
        let mut fixture = Self {
            folder,
            scanner,
            catalog: Catalog::default(),
        };
        for (name, text) in files {
            fixture.write(name, text);
        }
        fixture.scan();
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("writing");
    }

    /// Scans; returns the number of files that were read, and whether there is a new catalog.
    fn scan(&mut self) -> (usize, bool) {
        let scan = self.scanner.scan().expect("the folder");
        let new = scan.catalog.is_some();
        self.catalog = scan.catalog.unwrap_or(std::mem::take(&mut self.catalog));
        (scan.read, new)
    }

    fn names(&self) -> Vec<&str> {
        self.catalog.network_names("db")
    }

    /// Returns the errors, without the folder's path.
    fn errors(&mut self) -> Vec<String> {
        let scan = self.scanner.scan().expect("the folder");
        let status = self.scanner.status(scan.errors);
        let folder = format!("{}/", self.folder.path().display());
        let errors = status.all_errors();
        errors.map(|e| e.to_string().replace(&folder, "")).collect()
    }
}

#[test]
fn manifests_are_found_in_subfolders_and_hidden_ones_are_skipped() {
    let fixture = Fixture::new(&[
        ("a.yaml", &nad("a")),
        ("sub/deep/b.yml", &nad("b")),
        (
            "c.json",
            "{\"apiVersion\": \"k8s.cni.cncf.io/v1\", \"kind\": \"NetworkAttachmentDefinition\", \"metadata\": {\"name\": \"c\", \"namespace\": \"db\"}}",
        ),
        (".hidden.yaml", &nad("d")),
        (".git/e.yaml", &nad("e")),
        ("README.md", "# not a manifest: ["),
    ]);
    assert_eq!(fixture.names(), ["a", "b", "c"]);
}

#[test]
fn only_what_may_have_changed_is_read_again() {
    let mut fixture = Fixture::new(&[("a.yaml", &nad("a")), ("b.yaml", &nad("b"))]);
    assert_eq!(fixture.scan(), (0, false));
    fixture.write("b.yaml", nad("bb"));
    assert_eq!(fixture.scan(), (1, true));
    assert_eq!(fixture.names(), ["a", "bb"]);
}

#[test]
fn a_file_written_just_now_is_read_until_its_fingerprint_is_stable() {
    let mut fixture = Fixture::new(&[]);
    fixture.scanner = FolderScanner::new(fixture.folder.path().to_owned(), SystemTime::now);
    fixture.write("a.yaml", nad("a"));
    assert_eq!(fixture.scan(), (1, true));
    assert_eq!(fixture.scan(), (1, false), "the content is the same");
}

#[test]
fn an_irrelevant_change_makes_no_new_catalog() {
    let mut fixture = Fixture::new(&[("a.yaml", &nad("a"))]);
    fixture.write("a.yaml", format!("# a comment\n---\n{}", nad("a")));
    assert_eq!(fixture.scan(), (1, false));
    fixture.write("empty.yaml", "");
    assert_eq!(fixture.scan(), (1, false));
    fs::remove_file(fixture.path("empty.yaml")).expect("removing");
    assert_eq!(fixture.scan(), (0, false));
}

#[test]
fn a_file_with_errors_keeps_its_last_good_state_until_it_is_fixed() {
    let mut fixture = Fixture::new(&[("a.yaml", &nad("a"))]);
    fixture.write("a.yaml", format!("{}---\nkind: [\n", nad("b")));
    assert_eq!(fixture.scan(), (1, false));
    assert_eq!(fixture.errors(), ["a.yaml:5:7: unclosed bracket '['"]);
    let status = fixture.scanner.status(Vec::new());
    assert!(status.faulty[0].last_good && status.faulty[0].objects == 1);
    assert_eq!(fixture.names(), ["a"]);
    fixture.write("a.yaml", nad("b"));
    assert_eq!(fixture.scan(), (1, true));
    assert_eq!(fixture.names(), ["b"]);
    assert_eq!(fixture.errors(), [] as [&str; 0]);
}

#[test]
fn a_file_that_never_was_valid_provides_its_valid_objects() {
    let mut fixture = Fixture::new(&[("a.yaml", &format!("{}---\nkind: [\n", nad("a")))]);
    assert_eq!(fixture.names(), ["a"]);
    assert_eq!(fixture.errors().len(), 1);
    assert!(!fixture.scanner.status(Vec::new()).faulty[0].last_good);
}

#[test]
fn objects_of_a_deleted_file_are_removed() {
    let mut fixture = Fixture::new(&[("a.yaml", &nad("a")), ("sub/b.yaml", &nad("b"))]);
    fs::remove_dir_all(fixture.path("sub")).expect("removing");
    assert_eq!(fixture.scan(), (0, true));
    assert_eq!(fixture.names(), ["a"]);
    fs::remove_file(fixture.path("a.yaml")).expect("removing");
    assert_eq!(fixture.scan(), (0, true));
    assert_eq!(fixture.names(), [] as [&str; 0]);
}

#[test]
fn a_file_that_cannot_be_read_is_reported_and_keeps_its_state() {
    let mut fixture = Fixture::new(&[("a.yaml", &nad("a")), ("b.yaml", &nad("b"))]);
    fs::remove_file(fixture.path("a.yaml")).expect("removing");
    symlink("nowhere", fixture.path("a.yaml")).expect("linking");
    fixture.write("b.yaml", b"# \xc3\xbc\n \xff");
    fixture.scan();
    assert_eq!(fixture.names(), ["a", "b"]);
    let errors = fixture.errors();
    assert!(errors[0].starts_with("cannot read a.yaml: "), "{errors:?}");
    assert_eq!(
        errors[1],
        "b.yaml:2:2: the text is not UTF-8: save it as UTF-8"
    );
    fixture.write("c.yaml", vec![b' '; MAX_BYTES as usize + 1]);
    assert_eq!(
        fixture.errors()[2],
        "c.yaml is larger than 16 MiB: split it"
    );
}

#[test]
fn a_folder_that_vanishes_keeps_everything() {
    let mut fixture = Fixture::new(&[("a.yaml", &nad("a"))]);
    let elsewhere = fixture.folder.path().with_extension("moved");
    fs::rename(fixture.folder.path(), &elsewhere).expect("moving");
    let error = fixture.scanner.scan().expect_err("no folder").to_string();
    assert!(error.starts_with("cannot read the folder "), "{error}");
    assert_eq!(fixture.scanner.catalog().network_names("db"), ["a"]);
    fs::rename(&elsewhere, fixture.folder.path()).expect("moving");
    assert_eq!(fixture.scan(), (0, false));
}

#[test]
fn the_later_of_two_definitions_is_in_effect_and_both_are_named() {
    let with_pool = nad("a").replace("}", ", annotations: {nadmit.io/address-pool: blue}}");
    let mut fixture = Fixture::new(&[
        ("b.yaml", &with_pool),
        ("a.yaml", &nad("a")),
        (
            "c.yaml",
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: db}\n",
        ),
        (
            "d.yaml",
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: db}\n",
        ),
    ]);
    let network = fixture.catalog.network("db", "a").expect("it");
    assert_eq!(network.address_pool.as_deref(), Some("blue"));
    assert_eq!(
        fixture.errors(),
        [
            "a.yaml:1 and b.yaml:1 both define network db/a: nadmit uses the latter; remove one of them",
            "c.yaml:1 and d.yaml:1 both define namespace db: nadmit uses the latter; remove one of them",
        ]
    );
}

#[test]
fn namespaces_and_pods_are_in_the_catalog() {
    let mut fixture = Fixture::new(&[(
        "a.yaml",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: web, labels: {nadmit.io/mode: \"off\"}}\n\
         ---\napiVersion: v1\nkind: Namespace\nmetadata: {name: db, labels: {nadmit.io/mode: of, nadmit.io/attachments: no-way}}\n\
         ---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, annotations: {k8s.v1.cni.cncf.io/networks: x}}\n",
    )]);
    let mode = |name: &str| fixture.catalog.namespace(name).and_then(|n| n.labels.mode);
    assert_eq!(mode("web"), Some(nadmit_catalog::Mode::Off));
    assert_eq!(mode("db"), None);
    let pod = fixture.catalog.pod("default", "p").expect("the pod");
    assert_eq!(pod.networks.as_deref(), Some("x"));
    assert_eq!(
        fixture.errors(),
        [
            "a.yaml:7:47: the label nadmit.io/mode of namespace db is \"of\", which nadmit \
          ignores: write deny, warn or off",
            "a.yaml:7:74: the label nadmit.io/attachments of namespace db is \"no-way\", which \
             nadmit ignores: write mutable or immutable",
        ]
    );
}

/// Writes a mounted `ConfigMap` as the kubelet does.
fn mount(folder: &Path, generation: &str, text: &str) {
    fs::create_dir(folder.join(generation)).expect("a folder");
    fs::write(folder.join(generation).join("nets.yaml"), text).expect("writing");
    symlink(generation, folder.join("..data_tmp")).expect("linking");
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("swapping");
}

#[test]
fn a_mounted_config_map_is_read_once_and_followed_when_it_is_swapped() {
    let mut fixture = Fixture::new(&[]);
    mount(fixture.folder.path(), "..2024_1", &nad("a"));
    symlink("..data/nets.yaml", fixture.path("nets.yaml")).expect("linking");
    assert_eq!(fixture.scan(), (1, true));
    assert_eq!(fixture.names(), ["a"]);
    mount(fixture.folder.path(), "..2024_2", &nad("b"));
    fs::remove_dir_all(fixture.path("..2024_1")).expect("removing");
    assert_eq!(fixture.scan(), (1, true));
    assert_eq!(fixture.names(), ["b"]);
    assert_eq!(fixture.errors(), [] as [&str; 0]);
}

#[test]
fn loops_of_links_end_and_no_file_is_read_twice() {
    let mut fixture = Fixture::new(&[("sub/a.yaml", &nad("a"))]);
    symlink("..", fixture.path("sub/up")).expect("linking");
    symlink("sub", fixture.path("other")).expect("linking");
    symlink("sub/a.yaml", fixture.path("again.yaml")).expect("linking");
    symlink("self.yaml", fixture.path("self.yaml")).expect("linking");
    fixture.scan();
    assert_eq!(fixture.names(), ["a"]);
    let errors = fixture.errors();
    assert!(
        errors.len() == 1 && errors[0].starts_with("cannot read self.yaml: "),
        "{errors:?}"
    );
}

const POOL: &str = "apiVersion: nadmit.io/v1alpha1\nkind: AddressPool\nmetadata: {name: storage}\n\
                    spec:\n  ranges: [{range: 192.0.2.0/24}]\n  namespaceSelector: {}\n";
const RESERVATION: &str = "apiVersion: nadmit.io/v1alpha1\nkind: AddressReservation\n\
                           metadata: {name: db-0, namespace: db}\n\
                           spec: {network: a, holder: {pod: db-0}, ips: [192.0.2.9/24]}\n";

#[test]
fn the_pool_configuration_is_shared_while_pools_are_unchanged() {
    let with_pool = nad("a").replace("}", ", annotations: {nadmit.io/address-pool: storage}}");
    let mut fixture = Fixture::new(&[
        ("a.yaml", &with_pool),
        ("pool.yaml", POOL),
        ("reservation.yaml", RESERVATION),
    ]);
    assert_eq!(fixture.errors(), [""; 0]);
    let pool_config = Arc::clone(fixture.catalog.pool_config());
    assert!(pool_config.pool("storage").is_some());
    let [(reservation, Some(pool))] = &pool_config.reservations[..] else {
        panic!("{pool_config:?}")
    };
    assert_eq!((&*reservation.name, &**pool), ("db-0", "storage"));
    // Another change: the catalog is new, the pool configuration is not.
    fixture.write("b.yaml", nad("b"));
    assert_eq!(fixture.scan(), (1, true));
    assert!(Arc::ptr_eq(&pool_config, fixture.catalog.pool_config()));
    // The network no longer names a pool.
    fixture.write("a.yaml", nad("a"));
    fixture.scan();
    assert!(!Arc::ptr_eq(&pool_config, fixture.catalog.pool_config()));
    assert_eq!(fixture.catalog.pool_config().reservations[0].1, None);
}

#[test]
fn an_invalid_pool_is_reported_and_known_to_be_invalid() {
    let wrong = POOL.replace("/24", "/33");
    let mut fixture = Fixture::new(&[("pool.yaml", &wrong), ("again.yaml", POOL)]);
    assert!(matches!(
        fixture.catalog.pool("storage"),
        PoolValidity::Invalid([_])
    ));
    let errors = fixture.errors();
    assert!(errors[0].contains("both define pool storage"), "{errors:?}");
    let begin = "pool.yaml:5:20: pool storage is not valid and has no effect: ranges[0].range: \"192.0.2.0/33\"";
    assert!(errors[1].starts_with(begin), "{errors:?}");
}
