//! The pipeline of an allocation: the eligible attachments of a pod, its access to the holder's
//! addresses, a plan or a preview, and then the annotations or the reasons for a rejection.

use std::net::IpAddr;

use crate::{
    annotations::{DesiredAnnotations, OriginalAnnotations},
    context::ReviewContext,
    decision::{Decision, PendingCommit},
    migration_guard::{LaunchAccess, check_access},
    object::ReviewAnnotations,
    rejection::{too_long, with_retained_addresses},
    response::AdmissionResponse,
    review::AdmissionRequest,
};
use nadmit_allocation::{
    Holder, Index, Write,
    index::{Assignment, AttachmentRequest, IndexGuard, PlanId, Rejection, Requester},
};
use nadmit_catalog::{LiveRead, MigrationRef};
use nadmit_rules::{
    Finding, Level, PodSubject,
    allocation::{AllocationSubject, PoolRequest, attachment_requests, can_be_served},
    judge::{judge_allocation, judge_corrected_prefixes, judge_pod},
};
use nadmit_whereabouts::{DesiredEntry, DesiredUse, PodName};

/// The reason why a pod's attachments get no addresses from pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ineligible {
    /// No attachment is to a network with a pool.
    NoPool,
    /// Addresses cannot be injected into the annotations. If an attachment names addresses, a rule
    /// denies the pod.
    Unreadable,
}

/// A request to allocate addresses for the attachments of one pod.
#[derive(Debug)]
pub(crate) struct AllocationRequest<'s, 'a> {
    /// The rules' view of the pod.
    subject: &'s PodSubject<'a>,
    /// The pod's attachments to networks with a pool; never empty.
    attachments: Vec<PoolRequest>,
    /// The requests of the attachments, in the same order.
    requests: Vec<AttachmentRequest>,
}

/// The pod that addresses are injected into.
pub(crate) struct InjectedPod<'s, 'a> {
    pub(crate) requester: Requester,
    /// The pod's claim to the addresses of its holder.
    pub(crate) launch: Launch<'s>,
    /// The annotations from before injection, if the pod was injected.
    pub(crate) original: OriginalAnnotations<'s>,
    /// The holder token to write, if the pod holds by one.
    pub(crate) token: Option<String>,
    /// The annotations of the object under review, which is the pod or its Binding.
    pub(crate) current: &'s ReviewAnnotations<'a>,
}

/// A pod's claim to the addresses of its holder.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Launch<'s> {
    /// The pod uses an address of its holder already.
    Admitted,
    /// The pod is new to its holder. It may claim to be the target of a migration.
    New(Option<&'s MigrationRef>),
}

/// The records of a plan, and the plan's id in the index.
struct PlannedRecords {
    writes: Vec<Write>,
    plan_id: PlanId,
    borrowed: usize,
}

impl<'s, 'a> AllocationRequest<'s, 'a> {
    /// Returns the request for all attachments of a pod to networks with a pool.
    ///
    /// # Errors
    /// If no addresses can be injected.
    pub(crate) fn eligible(subject: &'s PodSubject<'a>) -> Result<Self, Ineligible> {
        Self::eligible_where(subject, |_| true)
    }

    /// Returns the request for those attachments to networks with a pool that `keep` accepts.
    ///
    /// # Errors
    /// If there are none, or no addresses can be injected.
    pub(crate) fn eligible_where(
        subject: &'s PodSubject<'a>,
        keep: impl Fn(&AttachmentRequest) -> bool,
    ) -> Result<Self, Ineligible> {
        let mut attachments = attachment_requests(subject);
        attachments.retain(|one| keep(&one.request));
        let request = Self::new(subject, attachments).ok_or(Ineligible::NoPool)?;
        match can_be_served(subject) {
            true => Ok(request),
            false => Err(Ineligible::Unreadable),
        }
    }

    fn new(subject: &'s PodSubject<'a>, attachments: Vec<PoolRequest>) -> Option<Self> {
        let requests: Vec<AttachmentRequest> =
            attachments.iter().map(|one| one.request.clone()).collect();
        (!requests.is_empty()).then_some(Self {
            subject,
            attachments,
            requests,
        })
    }

    /// Returns the request for those of the attachments that `keep` accepts; `None` if there are
    /// none.
    pub(crate) fn only(&self, keep: impl Fn(&AttachmentRequest) -> bool) -> Option<Self> {
        let mut attachments = self.attachments.clone();
        attachments.retain(|one| keep(&one.request));
        Self::new(self.subject, attachments)
    }

    /// Returns this request with other IP addresses for the attachments that name none.
    pub(crate) fn with_ips(
        mut self,
        ips: impl Fn(&AttachmentRequest) -> Option<Vec<IpAddr>>,
    ) -> Self {
        for (one, requested) in self.attachments.iter_mut().zip(&mut self.requests) {
            if let Some(ips) = ips(requested).filter(|_| requested.ips.is_empty()) {
                one.request.ips.clone_from(&ips);
                requested.ips = ips;
            }
        }
        self
    }

    /// Returns the requests of the attachments.
    pub(crate) fn requests(&self) -> &[AttachmentRequest] {
        &self.requests
    }

    /// Returns the findings of the rules that guard address pools, which apply even where all other
    /// rules are off.
    pub(crate) fn authority_findings(&self) -> Vec<Finding> {
        judge_pod(self.subject, Level::Off)
    }

    /// Returns the pod's access to its holder's addresses.
    pub(crate) fn access(
        &self,
        requester: &Requester,
        launch: Launch<'_>,
        context: &ReviewContext<'_>,
    ) -> LaunchAccess {
        match launch {
            Launch::Admitted => LaunchAccess::Granted,
            Launch::New(migration) => check_access(requester, migration, &self.requests, context),
        }
    }

    /// Returns the decision about a pod without access to its holder's addresses; `None` if it has
    /// access.
    pub(crate) fn without_access(
        &self,
        request: &AdmissionRequest<'_>,
        requester: &Requester,
        launch: Launch<'_>,
        context: &ReviewContext<'_>,
    ) -> Option<Decision> {
        match self.access(requester, launch, context) {
            LaunchAccess::Granted => None,
            LaunchAccess::NeedsRead(live_reads) => Some(Decision::VerifyLive(live_reads)),
            LaunchAccess::Denied(rejection) => Some(self.reject(request, vec![rejection], context)),
        }
    }

    /// Returns the assignments that a plan would make now.
    pub(crate) fn preview(
        &self,
        requester: &Requester,
        context: &ReviewContext<'_>,
    ) -> Result<Vec<Assignment>, Vec<Rejection>> {
        let mut index = context.lock_synced();
        index.preview(requester, &self.requests, context.now)
    }

    /// Returns the annotations of the pod with these assignments.
    pub(crate) fn desired(
        &self,
        original: OriginalAnnotations<'_>,
        assignments: &[Assignment],
    ) -> DesiredAnnotations {
        DesiredAnnotations::new(self.subject, original, &self.attachments, assignments)
    }

    /// Returns findings for rejected attachments.
    pub(crate) fn to_findings(&self, rejections: Vec<Rejection>) -> Vec<Finding> {
        let rejections: Vec<_> = rejections
            .into_iter()
            .filter_map(|one| Some((self.attachments.get(one.request)?.attachment, one.error)))
            .collect();
        judge_allocation(&AllocationSubject {
            pod: self.subject,
            errors: &rejections,
        })
    }

    /// Turns rejections into a decision. Those that depend on other objects lead to live reads
    /// first.
    pub(crate) fn reject(
        &self,
        request: &AdmissionRequest<'_>,
        rejections: Vec<Rejection>,
        context: &ReviewContext<'_>,
    ) -> Decision {
        if let Some(slice) = rejections.iter().find_map(|one| one.error.required_slice()) {
            return Decision::ClaimSlice(slice.clone());
        }
        let busy = rejections.iter().any(|one| one.error.is_busy());
        let findings = self.to_findings(with_retained_addresses(rejections, context));
        if busy {
            return Decision::Retry(AdmissionResponse::new(request, findings));
        }
        Decision::from_findings(request, findings, context.freshness)
    }

    /// Plans in the index, and responds with the patch or with the reasons for a denial.
    pub(crate) fn inject(
        self,
        pod: InjectedPod<'_, '_>,
        request: &AdmissionRequest<'_>,
        context: &ReviewContext<'_>,
    ) -> Decision {
        let (requester, holder) = (&pod.requester, &pod.requester.holder);
        if let Some(decision) = self.without_access(request, requester, pod.launch, context) {
            return decision;
        }
        let mut index = context.lock_synced();
        if let Some(live_read) = self.unread_holdings(holder, &index, context) {
            return Decision::VerifyLive(vec![live_read]);
        }
        let partially_known = self.holds_any_of(holder, &index);
        let planned = plan_or_preview(request, requester, &self.requests, &mut index, context);
        let (assignments, records) = match planned {
            Ok(planned) => planned,
            Err(rejections) => {
                drop(index);
                return self.reject(request, rejections, context);
            }
        };
        let live_read = holdings_read(holder, true);
        let adds_retained = records
            .as_ref()
            .is_some_and(|records| records.add_retained(context));
        // Another replica may have written several records of which only some are visible here; if
        // this plan would create a retained record, the holder's records are listed live first.
        if partially_known && adds_retained && !context.freshness.covers(&live_read) {
            if let Some(records) = records {
                index.abort(records.plan_id);
            }
            return Decision::VerifyLive(vec![live_read]);
        }
        let served = self.served_entries(requester, &assignments, context);
        let mut desired = self.desired(pod.original, &assignments);
        desired.token = pod.token;
        if let Some(rejection) = too_long(&desired, pod.current) {
            if let Some(records) = records {
                index.abort(records.plan_id);
            }
            drop(index);
            return self.reject(request, vec![rejection], context);
        }
        let max_level = context.max_level(request.namespace());
        let corrected = judge_corrected_prefixes(self.subject, max_level.unwrap_or(Level::Off));
        let response = AdmissionResponse::new(request, corrected)
            .with_patch(desired.to_json_patch(pod.current));
        commit_then_respond(records, served, response, &mut index)
    }

    /// Returns the records of Whereabouts by which its plugin gives these addresses to the pod. A pod
    /// without a name gets them when it is bound.
    fn served_entries(
        &self,
        requester: &Requester,
        assignments: &[Assignment],
        context: &ReviewContext<'_>,
    ) -> Vec<DesiredEntry> {
        let Some(pod) = requester.pod.as_ref() else {
            return Vec::new();
        };
        let name = PodName {
            namespace: requester.holder.namespace().as_ref().into(),
            name: pod.name.as_ref().into(),
        };
        let candidates = context.policy.whereabouts_namespaces.iter();
        let candidates = candidates.map(|name| &**name);
        let Some(namespace) = context.catalog.whereabouts_namespace(candidates) else {
            return Vec::new();
        };
        let served = self.attachments.iter().zip(assignments);
        let entries = served.flat_map(|(one, assignment)| {
            let network = &one.request.network;
            let ips = assignment.ips.iter();
            let places =
                ips.filter_map(|(ip, _)| context.catalog.served_address(network, *ip, namespace));
            places.map(|at| DesiredEntry {
                at,
                desired: DesiredUse::Binding {
                    pod: name.clone(),
                    interface: one.request.interface.as_ref().into(),
                },
            })
        });
        entries.collect()
    }

    /// Returns the live read to make before a persistent holder gets something new: another replica
    /// may just have recorded an address for it, which the holder would lose.
    fn unread_holdings(
        &self,
        holder: &Holder,
        index: &Index,
        context: &ReviewContext<'_>,
    ) -> Option<LiveRead> {
        if !holder.is_persistent() {
            return None;
        }
        let live_read = holdings_read(holder, false);
        let known = self.holds_any_of(holder, index) || context.freshness.covers(&live_read);
        (!known).then_some(live_read)
    }

    /// Returns true if the holder has any address on the attachments.
    fn holds_any_of(&self, holder: &Holder, index: &Index) -> bool {
        self.requests.iter().any(|requested| {
            let held = index.held_by(holder, &requested.network, &requested.interface);
            !held.is_empty()
        })
    }
}

impl PlannedRecords {
    /// Returns true if one of the writes creates a record that its pool retains without a pod.
    fn add_retained(&self, context: &ReviewContext<'_>) -> bool {
        let pool_config = context.catalog.pool_config();
        self.writes.iter().any(|write| match write {
            Write::Create(record) => {
                let pool = pool_config.pool(&record.pool);
                let family = record.address.family();
                pool.is_some_and(|pool| pool.retains(&record.holder, family))
            }
            _ => false,
        })
    }
}

fn holdings_read(holder: &Holder, partially_known: bool) -> LiveRead {
    LiveRead::Holdings {
        holder: holder.clone(),
        partially_known,
    }
}

/// Plans the assignments and their records; for a dry run, previews them without records.
fn plan_or_preview(
    request: &AdmissionRequest<'_>,
    requester: &Requester,
    requests: &[AttachmentRequest],
    index: &mut IndexGuard<'_>,
    context: &ReviewContext<'_>,
) -> Result<(Vec<Assignment>, Option<PlannedRecords>), Vec<Rejection>> {
    if request.dry_run == Some(true) {
        let assignments = index.preview(requester, requests, context.now)?;
        return Ok((assignments, None));
    }
    let planned = index.plan(requester, requests, context.now)?;
    let records = PlannedRecords {
        writes: planned.writes,
        plan_id: planned.id,
        borrowed: planned.borrowed,
    };
    Ok((planned.assignments, Some(records)))
}

/// Returns the decision to commit the records and then respond; to respond at once if there are
/// none.
fn commit_then_respond(
    records: Option<PlannedRecords>,
    served: Vec<DesiredEntry>,
    response: AdmissionResponse,
    index: &mut IndexGuard<'_>,
) -> Decision {
    match records {
        None => Decision::Respond(response),
        Some(records) if records.writes.is_empty() && served.is_empty() => {
            index.commit(records.plan_id, &[]);
            Decision::Respond(response)
        }
        Some(records) => Decision::Commit(PendingCommit {
            writes: records.writes,
            served,
            plan_id: records.plan_id,
            borrowed: records.borrowed,
            response,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use nadmit_catalog::Catalog;
    use nadmit_cni::Network;
    use nadmit_rules::Policy;

    const STATIC: &str = r#"{"cniVersion": "0.3.1", "type": "macvlan",
        "capabilities": {"ips": true}, "ipam": {"type": "static"}}"#;

    /// Returns a catalog with two networks that name a pool, and one that names none.
    fn catalog() -> Catalog {
        let networks = [("a", true), ("b", true), ("plain", false)];
        let networks = networks.map(|(name, pooled)| {
            Arc::new(Network {
                address_pool: pooled.then(|| "storage".into()),
                ..Network::new("db", name, Some(STATIC))
            })
        });
        Catalog::new([], networks, [])
    }

    #[test]
    fn only_readable_attachments_to_pools_are_eligible() {
        use Ineligible::{NoPool, Unreadable};
        let cases = [
            ("", Err(NoPool)),
            ("plain", Err(NoPool)),
            ("missing", Err(NoPool)),
            ("a", Ok(1)),
            ("plain,a,b", Ok(2)),
            (r#"[{"name": "a", "ips": ["192.0.2.1"]}]"#, Ok(1)),
            (r#"[{"name": "a", "ips": ["192.0.2"]}]"#, Err(Unreadable)),
            (
                r#"[{"name": "a"}, {"name": "plain", "mac": "x"}]"#,
                Err(Unreadable),
            ),
            (r#"[{"name": "a"}, {"name": 7}]"#, Err(Unreadable)),
            // Two attachments share an interface.
            ("a@x,b@x", Err(Unreadable)),
            // An unreadable annotation without a pool's network needs nothing.
            (r#"[{"name": "plain", "mac": "x"}]"#, Err(NoPool)),
        ];
        let (catalog, policy) = (catalog(), Policy::default());
        for (networks, expected) in cases {
            let of = |host_network| {
                let text = Some(networks);
                let subject = PodSubject::new("db", host_network, text, None, &policy, &catalog);
                AllocationRequest::eligible(&subject).map(|request| request.requests().len())
            };
            assert_eq!(of(false), expected, "{networks}");
            assert_eq!(of(true), Err(NoPool), "{networks} on the host network");
        }
    }

    #[test]
    fn attachments_that_are_not_due_make_no_request() {
        let (catalog, policy) = (catalog(), Policy::default());
        let subject = PodSubject::new("db", false, Some("a,b"), None, &policy, &catalog);
        let due = |network: &'static str| {
            let due = move |one: &AttachmentRequest| &*one.network.name == network;
            AllocationRequest::eligible_where(&subject, due).map(|request| request.attachments)
        };
        let of_b = due("b").unwrap_or_default();
        let positions: Vec<usize> = of_b.iter().map(|one| one.attachment).collect();
        assert_eq!(positions, [1]);
        assert_eq!(due("c"), Err(Ineligible::NoPool));
    }
}
