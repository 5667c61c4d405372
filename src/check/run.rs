//! Runs checks: of files alone, of files in a cluster, or of a cluster.

use std::collections::HashMap;

use crate::{
    catalog::Catalog,
    manifests::{self, Located, Manifest, TargetNamespaces},
    network::{LineIndex, Span},
    rules::{Level, NamespaceIsolation, Policy},
    sources::{self, SourceError},
};

use super::{
    CheckOutcome, ClusterScope, Diagnostic, File,
    allocation_dry_run::{AllocationDryRun, PodSource},
    diagnostic::INVALID_MANIFEST,
    duplicates,
    identity::{namespace, without_overridden},
    judge::CheckContext,
    spans::span_at,
};

#[derive(Debug, Clone, Copy, Default)]
pub struct CheckOptions {
    /// Deny unknown networks even in a namespace of which no network was read.
    ///
    /// The networks of a repository of applications are often in another repository; without this
    /// option their absence is only a warning.
    pub strict_networks: bool,
}

/// The objects of each file.
type ObjectsByFile = Vec<Vec<Located<Manifest>>>;

/// Checks files alone. Pure.
pub fn run(files: Vec<File>, policy: &Policy, options: CheckOptions) -> CheckOutcome {
    run_in_cluster(files, &[], policy, options)
}

/// Checks files together with a cluster's objects. Files override objects of the cluster.
pub fn run_in_cluster(
    files: Vec<File>,
    cluster: &[File],
    policy: &Policy,
    options: CheckOptions,
) -> CheckOutcome {
    let policy = &with_check_defaults(policy);
    let lines = line_indexes(&files);
    let (read, mut diagnostics) = read_objects(&files, &lines);
    diagnostics.extend(duplicates::find(&files, &lines, &read));
    // Errors in the cluster's own objects are not reported.
    let known = without_overridden(read_objects(cluster, &line_indexes(cluster)).0, &read);
    let names = cluster.iter().chain(&files).map(|file| &*file.name);
    let objects = known.iter().chain(&read).cloned();
    let (catalog, labels) = sources::catalog_of(names.zip(objects));
    let catalog = catalog.deriving_pools(policy.pool_derivation);
    diagnostics.extend(label_diagnostics(&labels, &files, &lines));
    let context = CheckContext {
        catalog: &catalog,
        policy,
        options,
        dry_run: AllocationDryRun::of(&read, PodSource::Manifests, &catalog, policy),
        conditional_networks: conditional_networks(&read),
    };
    let objects = judge_all(&context, &lines, &read, |_| true, &mut diagnostics);
    diagnostics.sort_by_key(|diagnostic| (diagnostic.file, diagnostic.span.start));
    CheckOutcome {
        files,
        objects,
        diagnostics,
        cluster: None,
    }
}

/// Returns the catalog of files together with a cluster's objects, and the diagnostics on the
/// files' text. Files override objects of the cluster.
pub fn catalog_in(files: &[File], cluster: &[File]) -> (Catalog, Vec<Diagnostic>) {
    let (read, diagnostics) = read_objects(files, &line_indexes(files));
    let known = without_overridden(read_objects(cluster, &line_indexes(cluster)).0, &read);
    let names = cluster.iter().chain(files).map(|file| &*file.name);
    let objects = known.into_iter().chain(read);
    (sources::catalog_of(names.zip(objects)).0, diagnostics)
}

/// Checks the objects of a cluster, one per file.
pub fn check_cluster(files: Vec<File>, scope: ClusterScope, policy: &Policy) -> CheckOutcome {
    let policy = &with_check_defaults(policy);
    let is_selected = |namespace: &str| {
        let only = scope.namespace.as_deref();
        only.is_none_or(|only| only == namespace)
    };
    let lines = line_indexes(&files);
    let (read, mut diagnostics) = read_objects(&files, &lines);
    let names = files.iter().map(|file| &*file.name);
    let (catalog, labels) = sources::catalog_of(names.zip(read.iter().cloned()));
    let catalog = catalog.deriving_pools(policy.pool_derivation);
    diagnostics.extend(label_diagnostics(&labels, &files, &lines));
    let context = CheckContext {
        catalog: &catalog,
        policy,
        options: CheckOptions {
            strict_networks: true,
        },
        dry_run: AllocationDryRun::of(&read, PodSource::Cluster, &catalog, policy),
        conditional_networks: HashMap::new(),
    };
    let judged = |object: &Manifest| is_selected(namespace(object));
    let objects = judge_all(&context, &lines, &read, judged, &mut diagnostics);
    diagnostics.retain(|diagnostic| is_selected(&diagnostic.namespace));
    diagnostics.sort_by(|a, b| {
        let place = |r: &Diagnostic| (r.code, r.file, r.span.start);
        a.namespace
            .cmp(&b.namespace)
            .then_with(|| place(a).cmp(&place(b)))
    });
    CheckOutcome {
        objects: objects + scope.unrelated,
        files,
        diagnostics,
        cluster: Some(scope),
    }
}

/// Returns the policy with defaults for a check: it cannot know how Multus is configured.
fn with_check_defaults(policy: &Policy) -> Policy {
    let mut policy = policy.clone();
    let isolation = &mut policy.namespace_isolation;
    isolation.get_or_insert(NamespaceIsolation::Unknown);
    policy
}

/// Returns the names of networks that are created in namespaces with certain labels, each with the
/// kind that creates it: whether a namespace that was not read has these labels is unknown.
fn conditional_networks(read: &[Vec<Located<Manifest>>]) -> HashMap<&str, &'static str> {
    let objects = read.iter().flatten();
    let conditional = objects.filter_map(|object| match &object.value {
        Manifest::GeneratedNetwork(made)
            if matches!(made.namespaces, TargetNamespaces::Selected(_)) =>
        {
            Some((&*made.network, made.kind))
        }
        _ => None,
    });
    conditional.collect()
}

/// Returns an index of the lines of each file; a file without text has none.
fn line_indexes(files: &[File]) -> Vec<LineIndex<'_>> {
    let texts = files.iter().map(|file| file.text.as_deref());
    texts
        .map(|text| LineIndex::new(text.unwrap_or_default()))
        .collect()
}

/// Judges the objects that `is_selected` accepts, and returns their number.
fn judge_all(
    context: &CheckContext<'_>,
    lines: &[LineIndex<'_>],
    read: &[Vec<Located<Manifest>>],
    is_selected: impl Fn(&Manifest) -> bool,
    diagnostics: &mut Vec<Diagnostic>,
) -> usize {
    let mut objects = 0;
    for (index, (lines, found)) in lines.iter().zip(read).enumerate() {
        for (place, object) in found.iter().enumerate() {
            if is_selected(&object.value) {
                objects += 1;
                context.judge((index, place), lines, object, diagnostics);
            }
        }
    }
    objects
}

/// Returns the objects in files, and the diagnostics on the files' text.
fn read_objects(files: &[File], lines: &[LineIndex<'_>]) -> (ObjectsByFile, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let mut read = Vec::new();
    for (index, (file, lines)) in files.iter().zip(lines).enumerate() {
        match &file.text {
            Ok(text) => {
                let found = manifests::read_all(text, &file.name);
                diagnostics.extend(found.errors.iter().map(|error| {
                    let span = span_at(error.position, lines);
                    invalid_manifest(index, Level::Deny, span, error.fault.to_string())
                }));
                diagnostics.extend(found.warnings.iter().map(|warning| {
                    let span = span_at(warning.position, lines);
                    invalid_manifest(index, Level::Warn, span, warning.fault.to_string())
                }));
                read.push(found.objects);
            }
            Err(error) => {
                diagnostics.push(unreadable_file(index, error));
                read.push(Vec::new());
            }
        }
    }
    (read, diagnostics)
}

fn invalid_manifest(file: usize, level: Level, span: Span, message: String) -> Diagnostic {
    Diagnostic {
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

/// Returns the diagnostic for an unreadable file.
fn unreadable_file(file: usize, error: &SourceError) -> Diagnostic {
    let message = match error {
        SourceError::NotUtf8 { position, .. } => format!(
            "the text is not UTF-8 from line {}, column {}; save it as UTF-8",
            position.line, position.column
        ),
        other => other.to_string(),
    };
    invalid_manifest(file, Level::Deny, Span::default(), message)
}

/// Returns the diagnostics for namespace labels with invalid values.
fn label_diagnostics(
    errors: &[SourceError],
    files: &[File],
    lines: &[LineIndex<'_>],
) -> Vec<Diagnostic> {
    let mut indexes: HashMap<&str, usize> = HashMap::new();
    for (index, file) in files.iter().enumerate() {
        indexes.entry(&file.name).or_insert(index);
    }
    let diagnostic = |error| label_diagnostic(error, &indexes, lines);
    errors.iter().filter_map(diagnostic).collect()
}

fn label_diagnostic(
    error: &SourceError,
    indexes: &HashMap<&str, usize>,
    lines: &[LineIndex<'_>],
) -> Option<Diagnostic> {
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
    let index = *indexes.get(&**file)?;
    let span = span_at(*position, lines.get(index)?);
    let message = format!("the label {label} is {text:?}, which nadmit ignores: write {expected}");
    Some(Diagnostic {
        namespace: namespace.clone(),
        object: format!("namespace {namespace}"),
        field: format!("metadata.labels[{label}]"),
        ..invalid_manifest(index, Level::Warn, span, message)
    })
}
