//! The folder as it was last read, and how a scan brings it up to date.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use crate::{
    allocation::{PoolConfig, Reservation},
    catalog::{Catalog, WhereaboutsSlicing},
    network::operator::Daemons,
};

use super::{
    FileReport, FolderStatus, SourceError,
    file::FileState,
    listing::{Listed, Listing},
    objects::Objects,
};

/// How often a scan begins anew because a mounted `ConfigMap` was swapped under it.
const SWAPS: usize = 3;

/// The files of a folder, each with its last good state.
pub(super) struct Scanned {
    root: PathBuf,
    clock: fn() -> SystemTime,
    files: BTreeMap<String, FileState>,
    duplicates: Vec<SourceError>,
    /// The pools and reservations of the last catalog, which the next one keeps if they are the same.
    layout: Arc<PoolConfig>,
    /// Whether the files say something else than the last catalog. It outlives a scan that fails
    /// half way.
    changed: bool,
}

/// What a scan found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// How many files were read, the others being the same as before.
    pub read: usize,
    /// The catalog, if it is another one than before.
    pub catalog: Option<Catalog>,
    /// The folders that could not be read.
    pub errors: Vec<SourceError>,
}

impl Scanned {
    /// Nothing read yet.
    pub(super) fn new(root: PathBuf, clock: fn() -> SystemTime) -> Self {
        Self {
            root,
            clock,
            files: BTreeMap::new(),
            duplicates: Vec::new(),
            layout: Arc::default(),
            changed: false,
        }
    }

    /// The folder.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Reads what changed since the last scan.
    ///
    /// # Errors
    /// When the folder itself cannot be read; then everything stays as it was.
    pub(super) fn scan(&mut self) -> Result<Scan, SourceError> {
        let mut read = 0;
        let mut errors = Vec::new();
        for _ in 0..=SWAPS {
            let generation = self.generation();
            let listing = Listing::of(&self.root)?;
            errors = listing.errors;
            self.forget_deleted(&listing.files, &listing.unknown);
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
            self.layout = Arc::clone(catalog.pool_config());
        }
        Ok(Scan {
            read,
            catalog,
            errors,
        })
    }

    /// Where the kubelet's link to the present files of a mounted `ConfigMap` leads, if this is
    /// one. While it changes, some files are of the old state and some of the new.
    fn generation(&self) -> Option<PathBuf> {
        fs::read_link(self.root.join("..data")).ok()
    }

    /// Reads a file again if it may have changed; says whether it was read.
    fn file(&mut self, name: String, listed: Listed) -> bool {
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

    /// Drops files that are gone.
    fn forget_deleted(&mut self, listed: &BTreeMap<String, Listed>, unknown: &[PathBuf]) {
        self.files.retain(|name, state| {
            let stays = listed.contains_key(name)
                || unknown.iter().any(|folder| state.path.starts_with(folder));
            self.changed |= !stays && state.objects.len() > 0;
            stays
        });
    }

    /// A catalog of all files. Of two definitions of an object that in the later file counts, and a
    /// network of its own more than what an operator would make.
    pub(super) fn catalog(&self) -> Catalog {
        catalog(
            self.files.values().map(|state| &state.objects),
            &self.layout,
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
            let kept = objects.reservations.iter();
            let kept = kept.map(|(r, line)| ("reservation", &*r.namespace, &r.name, *line));
            let all = networks.chain(namespaces).chain(pods).chain(pools);
            for (kind, namespace, name, line) in all.chain(kept) {
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

    /// What there is to say of the folder after a scan.
    pub(super) fn status(&self, mut folders: Vec<SourceError>) -> FolderStatus {
        folders.extend(self.duplicates.iter().cloned());
        let faulty = self
            .files
            .iter()
            .filter(|(_, state)| !state.errors.is_empty());
        let report = |(name, state): (&String, &FileState)| FileReport {
            file: name.clone(),
            objects: state.objects.len(),
            last_good: state.good,
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

/// A catalog of objects; of two definitions the later counts. The layout of its pools is `before`
/// where that is the same.
pub(super) fn catalog<'o>(
    objects: impl Iterator<Item = &'o Objects> + Clone,
    before: &Arc<PoolConfig>,
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
    let makers = objects().flat_map(|o| &o.made);
    let made: Vec<_> = makers
        .flat_map(|(maker, _)| super::objects::made(maker, namespaces()))
        .collect();
    let daemons = operators().next().is_some().then_some(daemons);
    Catalog::new(
        objects()
            .flat_map(|o| &o.namespaces)
            .map(|(namespace, _)| (namespace.name.clone(), namespace.labels)),
        // A network that is written itself counts more than what something else would make.
        made.into_iter().chain(additional().cloned()).chain(
            objects()
                .flat_map(|o| &o.networks)
                .map(|(network, _)| Arc::clone(network)),
        ),
        objects()
            .flat_map(|o| &o.pods)
            .map(|(pod, _)| Arc::clone(pod)),
    )
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

/// The reservations that count. A later definition that makes no sense hides an earlier one: what
/// stands in the folder last is what is meant.
fn reservations<'o>(objects: impl Iterator<Item = &'o Objects>) -> Vec<Arc<Reservation>> {
    let mut found = BTreeMap::new();
    for (kept, _) in objects.flat_map(|o| &o.reservations) {
        found.insert((&kept.namespace, &kept.name), kept.reservation.as_ref());
    }
    found.into_values().flatten().cloned().collect()
}

fn slicing<'o>(objects: impl Iterator<Item = &'o Objects>) -> WhereaboutsSlicing {
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
