//! The files of `deploy/`, as they were when this was built.

/// A table of the files below `deploy/`.
macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../deploy/", $path)))),*]
    };
}

/// Path below `deploy/`, and content.
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
    "components/monitoring/kustomization.yaml",
    "components/monitoring/service-monitor.yaml",
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

/// A file's content.
pub(super) fn embedded_file(path: &str) -> Option<&'static str> {
    let found = FILES.iter().find(|(name, _)| *name == path);
    found.map(|(_, content)| *content)
}
