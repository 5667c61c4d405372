//! The files of `deploy/`, embedded at build time.

/// Builds a table of files below `deploy/`.
macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../deploy/", $path)))),*]
    };
}

/// Paths below `deploy/` with contents.
const FILES: &[(&str, &str)] = files![
    "base/access.yaml",
    "base/user-roles.yaml",
    "base/config.yaml",
    "base/deployment.yaml",
    "base/disruption-budget.yaml",
    "base/flow-control.yaml",
    "base/kustomization.yaml",
    "base/mutating-webhooks.yaml",
    "base/namespace.yaml",
    "base/network-policy.yaml",
    "base/priority.yaml",
    "base/protection.yaml",
    "base/service.yaml",
    "base/validating-webhooks.yaml",
    "components/fail-closed/kustomization.yaml",
    "components/fail-closed/webhooks.yaml",
    "components/injection-at-creation/kustomization.yaml",
    "components/injection-at-creation/webhooks.yaml",
    "components/monitoring/kustomization.yaml",
    "components/monitoring/service-monitor.yaml",
    "components/whereabouts/access.yaml",
    "components/whereabouts/kustomization.yaml",
    "crds/addressallocations.nadmit.io.yaml",
    "crds/addresspools.nadmit.io.yaml",
    "crds/addressreservations.nadmit.io.yaml",
    "crds/addressslices.nadmit.io.yaml",
    "crds/kustomization.yaml",
    "monitoring/alerts.yaml",
    "monitoring/dashboard.yaml",
    "monitoring/kustomization.yaml",
    "overlays/cert-manager/certificate.yaml",
    "overlays/cert-manager/deployment.yaml",
    "overlays/cert-manager/kustomization.yaml",
    "overlays/cert-manager/webhooks.yaml",
    "overlays/openshift/config.yaml",
    "overlays/openshift/deployment.yaml",
    "overlays/openshift/kustomization.yaml",
    "overlays/openshift/service.yaml",
    "overlays/openshift/webhooks.yaml",
    "overlays/self-managed/access.yaml",
    "overlays/self-managed/deployment.yaml",
    "overlays/self-managed/kustomization.yaml",
];

/// Returns the content of a file.
pub(super) fn embedded_file(path: &str) -> Option<&'static str> {
    let found = FILES.iter().find(|(name, _)| *name == path);
    found.map(|(_, content)| *content)
}
