//! All that was read, judged as one world: files alone, files in a cluster, or a cluster.

use std::collections::HashMap;

use crate::{
    catalog::Catalog,
    manifests::{self, Located, Manifest, NetworkNamespaces},
    network::Span,
    rules::{Level, NamespaceIsolation, Policy},
    sources::{self, SourceError},
};

use super::{
    Examined, File, Outcome, Remark, duplicates,
    identity::{beside, namespace},
    judge::World,
    place::span_at,
    rehearsal::{Pods, Rehearsal},
    remark::INVALID_MANIFEST,
};

/// How a run differs from the server.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether a network may be unknown in a namespace of which no network was read at all.
    ///
    /// The networks of a repository of applications are often somewhere else; without this their
    /// absence is only warned of.
    pub strict_networks: bool,
}

/// The objects of each file.
type Objects = Vec<Vec<Located<Manifest>>>;

/// Judges what was read. Pure, but for what the files already are.
pub fn run(files: Vec<File>, policy: &Policy, options: Options) -> Outcome {
    run_in(files, &[], policy, options)
}

/// Judges files in a cluster of these objects. Of an object that stands in both, the files' counts.
pub fn run_in(files: Vec<File>, cluster: &[File], policy: &Policy, options: Options) -> Outcome {
    let policy = &suited(policy);
    let (read, mut remarks) = read(&files);
    remarks.extend(duplicates::find(&files, &read));
    // What is wrong with the cluster's own objects is not this run's.
    let known = beside(self::read(cluster).0, &read);
    let names = cluster.iter().chain(&files).map(|file| &*file.name);
    let objects = known.iter().chain(&read).cloned();
    let (catalog, labels) = sources::catalog_of(names.zip(objects));
    remarks.extend(labels.iter().filter_map(|label| of_label(label, &files)));
    let world = World {
        catalog: &catalog,
        policy,
        options,
        rehearsal: Rehearsal::of(&read, Pods::Written, &catalog, policy),
        somewhere: made_somewhere(&read),
    };
    let objects = judge_all(&world, &files, &read, |_| true, &mut remarks);
    remarks.sort_by_key(|remark| (remark.file, remark.span.start));
    Outcome {
        files,
        objects,
        remarks,
        cluster: None,
    }
}

/// The catalog of files in a cluster of these objects, and what is wrong with the files' texts. Of an
/// object that stands in both, the files' counts.
pub fn catalog_in(files: &[File], cluster: &[File]) -> (Catalog, Vec<Remark>) {
    let (read, remarks) = read(files);
    let known = beside(self::read(cluster).0, &read);
    let names = cluster.iter().chain(files).map(|file| &*file.name);
    let objects = known.into_iter().chain(read);
    (sources::catalog_of(names.zip(objects)).0, remarks)
}

/// Judges the objects of a living cluster, one a file.
pub fn examine(files: Vec<File>, examined: Examined, policy: &Policy) -> Outcome {
    let policy = &suited(policy);
    let wanted = |namespace: &str| {
        let only = examined.namespace.as_deref();
        only.is_none_or(|only| only == namespace)
    };
    let (read, mut remarks) = read(&files);
    let names = files.iter().map(|file| &*file.name);
    let (catalog, labels) = sources::catalog_of(names.zip(read.iter().cloned()));
    remarks.extend(labels.iter().filter_map(|label| of_label(label, &files)));
    let world = World {
        catalog: &catalog,
        policy,
        options: Options {
            strict_networks: true,
        },
        rehearsal: Rehearsal::of(&read, Pods::Running, &catalog, policy),
        somewhere: HashMap::new(),
    };
    let judged = |object: &Manifest| wanted(namespace(object));
    let objects = judge_all(&world, &files, &read, judged, &mut remarks);
    remarks.retain(|remark| wanted(&remark.namespace));
    remarks.sort_by(|a, b| {
        let key = |r: &Remark| (r.namespace.clone(), r.code, r.file, r.span.start);
        key(a).cmp(&key(b))
    });
    Outcome {
        objects: objects + examined.silent,
        files,
        remarks,
        cluster: Some(examined),
    }
}

/// Returns the settings with what suits a check where they say nothing: it cannot know how Multus is set.
fn suited(policy: &Policy) -> Policy {
    let mut policy = policy.clone();
    let isolation = &mut policy.namespace_isolation;
    isolation.get_or_insert(NamespaceIsolation::Unknown);
    policy
}

/// The names of networks that are made in namespaces with certain labels, each with the kind that makes
/// it: of a namespace that was not read nobody knows whether it has them.
fn made_somewhere(read: &[Vec<Located<Manifest>>]) -> HashMap<&str, &'static str> {
    let objects = read.iter().flatten();
    let makers = objects.filter_map(|object| match &object.value {
        Manifest::GeneratedNetwork(made) if matches!(made.namespaces, NetworkNamespaces::Selected(_)) => {
            Some((&*made.network, made.kind))
        }
        _ => None,
    });
    makers.collect()
}

/// Judges the objects that are `wanted`, and says how many those are.
fn judge_all(
    world: &World<'_>,
    files: &[File],
    read: &[Vec<Located<Manifest>>],
    wanted: impl Fn(&Manifest) -> bool,
    remarks: &mut Vec<Remark>,
) -> usize {
    let mut objects = 0;
    for (index, (file, found)) in files.iter().zip(read).enumerate() {
        let text = file.text.as_deref().unwrap_or_default();
        for (place, object) in found.iter().enumerate() {
            if wanted(&object.value) {
                objects += 1;
                world.judge((index, place), text, object, remarks);
            }
        }
    }
    objects
}

/// The objects in files, and what is wrong with their texts.
fn read(files: &[File]) -> (Objects, Vec<Remark>) {
    let mut remarks = Vec::new();
    let mut read = Vec::new();
    for (index, file) in files.iter().enumerate() {
        match &file.text {
            Ok(text) => {
                let found = manifests::read_all(text, &file.name);
                remarks.extend(found.errors.iter().map(|error| {
                    let span = span_at(error.position, text);
                    invalid(index, Level::Deny, span, error.fault.to_string())
                }));
                remarks.extend(found.warnings.iter().map(|warning| {
                    let span = span_at(warning.position, text);
                    invalid(index, Level::Warn, span, warning.fault.to_string())
                }));
                read.push(found.objects);
            }
            Err(error) => {
                remarks.push(unreadable(index, error));
                read.push(Vec::new());
            }
        }
    }
    (read, remarks)
}

fn invalid(file: usize, level: Level, span: Span, message: String) -> Remark {
    Remark {
        file,
        code: INVALID_MANIFEST,
        level,
        namespace: String::new(),
        object: String::new(),
        field: String::new(),
        span,
        message,
        help: String::new(),
    }
}

/// A file of which nothing could be read.
fn unreadable(file: usize, error: &SourceError) -> Remark {
    let message = match error {
        SourceError::NotUtf8 { position, .. } => format!(
            "the text is not UTF-8 from line {}, column {}: save it as UTF-8",
            position.line, position.column
        ),
        other => other.to_string(),
    };
    invalid(file, Level::Deny, Span::default(), message)
}

/// A namespace's label that says nothing.
fn of_label(error: &SourceError, files: &[File]) -> Option<Remark> {
    let SourceError::Label {
        label,
        expected,
        file,
        position,
        namespace,
        text,
    } = error
    else {
        return None;
    };
    let index = files.iter().position(|known| known.name == *file)?;
    let span = span_at(*position, files[index].text.as_deref().unwrap_or_default());
    let message =
        format!("the label {label} is {text:?}, which is taken for no label: write {expected}");
    Some(Remark {
        namespace: namespace.clone(),
        object: format!("namespace {namespace}"),
        field: format!("metadata.labels[{label}]"),
        ..invalid(index, Level::Warn, span, message)
    })
}
