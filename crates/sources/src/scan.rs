//! The scanner of a folder, which keeps the last good state of its files.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use nadmit_allocation::{PoolConfig, Reservation};
use nadmit_catalog::{Catalog, PoolDerivation, WhereaboutsSlicing};
use nadmit_cni::operator::Daemons;

use super::{
    FileReport, FolderStatus, SourceError,
    file::FileState,
    generated::LabelledNamespaces,
    listing::{FolderListing, ListedFile},
    objects::FileObjects,
};

/// The maximum number of times a scan is repeated because a mounted `ConfigMap` was swapped during
/// it.
const MAX_RESCANS: usize = 3;

/// A folder's files with their last good states.
pub(super) struct FolderScanner {
    root: PathBuf,
    clock: fn() -> SystemTime,
    files: BTreeMap<String, FileState>,
    duplicates: Vec<SourceError>,
    /// The pool configuration of the last catalog, which the next one shares if it is the same.
    pool_config: Arc<PoolConfig>,
    /// The settings by which networks define pools.
    derivation: PoolDerivation,
    /// True if the files differ from the last catalog. It persists if a scan fails midway.
    changed: bool,
}

#[derive(Debug, Default)]
pub(super) struct ScanResult {
    /// The number of files that were read; the others are unchanged.
    pub read: usize,
    /// The catalog, if it has changed.
    pub catalog: Option<Catalog>,
    /// The errors of folders that could not be read.
    pub errors: Vec<SourceError>,
}

impl FolderScanner {
    /// Creates a scanner without reading the folder.
    pub(super) fn new(root: PathBuf, clock: fn() -> SystemTime) -> Self {
        Self {
            root,
            clock,
            files: BTreeMap::new(),
            duplicates: Vec::new(),
            pool_config: Arc::default(),
            derivation: PoolDerivation::default(),
            changed: false,
        }
    }

    /// Sets by which settings networks define pools.
    pub(super) fn set_pool_derivation(&mut self, derivation: PoolDerivation) {
        self.changed |= self.derivation != derivation;
        self.derivation = derivation;
    }

    /// Returns the folder.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Reads what changed since the last scan.
    ///
    /// # Errors
    /// Returns an error if the folder itself cannot be read; then the state is unchanged.
    pub(super) fn scan(&mut self) -> Result<ScanResult, SourceError> {
        let mut read = 0;
        let mut errors = Vec::new();
        for _ in 0..=MAX_RESCANS {
            let generation = self.generation();
            let listing = FolderListing::of(&self.root)?;
            errors = listing.errors;
            self.forget_deleted(&listing.files, &listing.unreadable);
            for (name, listed) in listing.files {
                read += usize::from(self.file(name, listed));
            }
            if self.generation() == generation {
                break;
            }
        }
        if self.changed || read > 0 {
            self.duplicates = self.find_duplicates();
        }
        let changed = std::mem::take(&mut self.changed);
        let catalog = changed.then(|| self.catalog());
        if let Some(catalog) = &catalog {
            self.pool_config = Arc::clone(catalog.pool_config());
        }
        Ok(ScanResult {
            read,
            catalog,
            errors,
        })
    }

    /// Returns the target of the kubelet's link to the current files of a mounted `ConfigMap`, if
    /// the folder is one. If it changes during a scan, the scan has read both old and new files.
    fn generation(&self) -> Option<PathBuf> {
        fs::read_link(self.root.join("..data")).ok()
    }

    /// Reads a file again if it may have changed; returns true if it was read.
    fn file(&mut self, name: String, listed: ListedFile) -> bool {
        if self
            .files
            .get(&name)
            .is_some_and(|state| state.is_current(&listed))
        {
            return false;
        }
        let before = self.files.remove(&name);
        let (state, differs) = FileState::read(before, &name, listed.path, self.clock);
        self.changed |= differs;
        self.files.insert(name, state);
        true
    }

    /// Removes deleted files.
    fn forget_deleted(&mut self, listed: &BTreeMap<String, ListedFile>, unreadable: &[PathBuf]) {
        self.files.retain(|name, state| {
            let stays = listed.contains_key(name)
                || unreadable
                    .iter()
                    .any(|folder| state.path.starts_with(folder));
            self.changed |= !stays && state.objects.len() > 0;
            stays
        });
    }

    /// Builds the catalog of all files. Of two definitions of an object the one in the later file
    /// is in effect, and an explicit network takes precedence over a generated one.
    pub(super) fn catalog(&self) -> Catalog {
        catalog(
            self.files.values().map(|state| &state.objects),
            &self.pool_config,
            self.derivation,
        )
    }

    fn find_duplicates(&self) -> Vec<SourceError> {
        let mut seen = HashMap::new();
        let mut found = Vec::new();
        for (file, state) in &self.files {
            let objects = &state.objects;
            let networks = objects.networks.iter();
            let networks = networks.map(|(n, line)| ("network", &*n.namespace, &n.name, *line));
            let namespaces = objects.namespaces.iter();
            let namespaces = namespaces.map(|(n, line)| ("namespace", "", &n.name, *line));
            let pods = objects.pods.iter();
            let pods = pods.map(|(p, line)| ("pod", &*p.namespace, &p.name, *line));
            let pools = objects.pools.iter();
            let pools = pools.map(|(p, line)| ("pool", "", &p.name, *line));
            let reservation = objects.reservations.iter();
            let reservation =
                reservation.map(|(r, line)| ("reservation", &*r.namespace, &r.name, *line));
            let all = networks.chain(namespaces).chain(pods).chain(pools);
            for (kind, namespace, name, line) in all.chain(reservation) {
                let before = seen.insert((kind, namespace, name), (file, line));
                if let Some((first_file, first_line)) = before {
                    let slash = if namespace.is_empty() { "" } else { "/" };
                    found.push(SourceError::Duplicate {
                        object: format!("{kind} {namespace}{slash}{name}"),
                        first: format!("{first_file}:{first_line}"),
                        second: format!("{file}:{line}"),
                    });
                }
            }
        }
        found
    }

    /// Returns the status of the folder after a scan.
    pub(super) fn status(&self, mut folders: Vec<SourceError>) -> FolderStatus {
        folders.extend(self.duplicates.iter().cloned());
        let faulty = self
            .files
            .iter()
            .filter(|(_, state)| !state.errors.is_empty());
        let report = |(name, state): (&String, &FileState)| FileReport {
            file: name.clone(),
            objects: state.objects.len(),
            last_good: state.error_free,
            errors: state.errors.clone(),
        };
        FolderStatus {
            files: self.files.len(),
            objects: self.files.values().map(|state| state.objects.len()).sum(),
            faulty: faulty.map(report).collect(),
            errors: folders,
        }
    }
}

/// Builds a catalog of objects; the later of two definitions is in effect. The pool configuration
/// is `before` if it is equal.
pub(super) fn catalog<'o>(
    objects: impl Iterator<Item = &'o FileObjects> + Clone,
    before: &Arc<PoolConfig>,
    derivation: PoolDerivation,
) -> Catalog {
    let objects = || objects.clone();
    let operators = || {
        objects()
            .flat_map(|o| &o.operators)
            .map(|(networks, _)| networks)
    };
    let additional = || operators().flatten();
    let daemons = Daemons::of(additional().map(|network| &**network));
    let namespaces = || objects().flat_map(|o| &o.namespaces).map(|(one, _)| one);
    let mut generators = objects().flat_map(|o| &o.generated).peekable();
    let generated: Vec<_> = match generators.peek() {
        None => Vec::new(),
        Some(_) => {
            let namespaces = LabelledNamespaces::of(namespaces());
            let networks = generators.map(|(generator, _)| namespaces.networks(generator));
            networks.flatten().collect()
        }
    };
    let daemons = operators().next().is_some().then_some(daemons);
    Catalog::new(
        objects()
            .flat_map(|o| &o.namespaces)
            .map(|(namespace, _)| (namespace.name.clone(), namespace.labels)),
        // An explicit network takes precedence over a generated one of the same name.
        generated.into_iter().chain(additional().cloned()).chain(
            objects()
                .flat_map(|o| &o.networks)
                .map(|(network, _)| Arc::clone(network)),
        ),
        objects()
            .flat_map(|o| &o.pods)
            .map(|(pod, _)| Arc::clone(pod)),
    )
    .deriving_pools(derivation)
    .with_operator(daemons)
    .with_namespace_labels(objects().flat_map(|o| &o.namespaces).map(|(namespace, _)| {
        let labels = Arc::clone(&namespace.all_labels);
        (namespace.name.clone(), labels)
    }))
    .with_pools(
        objects()
            .flat_map(|o| &o.pools)
            .map(|(pool, _)| (pool.name.clone(), pool.pool.clone())),
        reservations(objects()),
        before,
    )
    .with_slicing(slicing(objects()))
}

/// Returns the reservations in effect. A later invalid definition hides an earlier one, because the
/// last definition in the folder is the intended one.
fn reservations<'o>(objects: impl Iterator<Item = &'o FileObjects>) -> Vec<Arc<Reservation>> {
    let mut found = BTreeMap::new();
    for (reservation, _) in objects.flat_map(|o| &o.reservations) {
        found.insert(
            (&reservation.namespace, &reservation.name),
            reservation.reservation.as_ref(),
        );
    }
    found.into_values().flatten().cloned().collect()
}

fn slicing<'o>(objects: impl Iterator<Item = &'o FileObjects>) -> WhereaboutsSlicing {
    let mut slicing = WhereaboutsSlicing::default();
    for objects in objects {
        for ((namespace, runs), _) in &objects.controllers {
            slicing.add_controller(namespace.clone(), *runs);
        }
        for ((namespace, name), _) in &objects.slice_pools {
            slicing.add_pool(namespace.clone(), name.clone());
        }
    }
    slicing
}
