//! Address pools and reservations in files.

use crate::{
    catalog::LiveRead,
    manifests::{FieldLocations, PoolManifest, ReservationManifest},
    network::Span,
    rules::{
        Finding, Level, PoolSubject, ReservationSubject,
        judge::{judge_pool, judge_reservation, max_level},
    },
};

use super::{judge::CheckContext, spans::first_line};

impl CheckContext<'_> {
    /// Returns the findings on a pool.
    pub(super) fn pool(
        &self,
        manifest: &PoolManifest,
        whole: Span,
        text: &str,
    ) -> Vec<(Finding, Span)> {
        let subject = PoolSubject::new(&manifest.name, &manifest.parsed, self.catalog);
        let findings = judge_pool(&subject, self.policy);
        at_spec_values(findings, &manifest.locations, whole, text)
    }

    /// Returns the findings on a reservation.
    pub(super) fn reservation(
        &self,
        manifest: &ReservationManifest,
        whole: Span,
        text: &str,
    ) -> Vec<(Finding, Span)> {
        let (namespace, name) = (&*manifest.namespace, &*manifest.name);
        let Some(max_level) = max_level(namespace, self.catalog, self.policy) else {
            return Vec::new();
        };
        let parsed = &manifest.parsed;
        let subject = ReservationSubject::new(namespace, name, parsed, self.catalog);
        let findings = judge_reservation(&subject, self.policy, max_level);
        at_spec_values(findings, &manifest.locations, whole, text)
    }

    /// Lowers a denial that rests on pools or a namespace's labels which were not among the input.
    pub(super) fn downgrade_pool(&self, finding: &mut Finding) {
        let Some(LiveRead::Pool { namespace, .. }) = &finding.requires_live_read else {
            return;
        };
        let soft = match namespace.as_deref() {
            Some(namespace) => {
                let known = self.catalog.namespace(namespace);
                (!known.is_some_and(|known| known.declared))
                    .then(|| format!("add the Namespace \"{namespace}\" to the input"))
            }
            None => {
                (!self.catalog.has_pools()).then(|| "add the AddressPools to the input".to_owned())
            }
        };
        if let Some(help) = soft {
            finding.level = finding.level.min(Level::Warn);
            finding.help = format!("{help}, or deny this with --strict-networks");
        }
    }
}

/// Returns the findings on a spec, each with the span of its value.
fn at_spec_values(
    findings: Vec<Finding>,
    locations: &FieldLocations,
    whole: Span,
    text: &str,
) -> Vec<(Finding, Span)> {
    let placed = findings.into_iter().map(|finding| {
        let place = locations.nearest(&finding.field);
        let span = place.map_or(whole, |place| first_line(place.span, text));
        (finding, span)
    });
    placed.collect()
}
