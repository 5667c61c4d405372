//! A cluster as nadmit sees it, and the reviews of a pod on its way: mutated, validated, stored,
//! bound.

use std::{cell::Cell, collections::HashSet, sync::Arc};

use libtest_mimic::Failed;
use nadmit::{
    admission::{
        Decision, LateInjection, Review, ReviewContext, Verdict, Webhook, decide, inject_late,
    },
    allocation::{
        Controller, Holder, Pool, RequesterIdentity, SharedIndex, Timestamp, Version, Write,
        index::PlanId,
    },
    catalog::{Catalog, NamespaceLabels, Pod, RequestedAnnotations},
    network::{Network, annotations},
    rules::Policy,
};
use serde_json::{Map, Value, json};

use super::{
    generate::SERVED,
    holders::{self, POOL},
    scenario::{AnnotationSource, PodKind, WireScenario},
};

/// The pod's namespace.
pub(super) const NAMESPACE: &str = "db";
const NODE: &str = "node-1";

/// Annotations by key.
pub(super) type AnnotationMap = Map<String, Value>;

/// A catalog and an index, and the webhooks that decide on them.
pub(super) struct Pipeline {
    pub(super) pool: Arc<Pool>,
    pub(super) index: SharedIndex,
    catalog: Catalog,
    policy: Policy,
    labelled: bool,
    last: Cell<u64>,
}

/// The API server's verdict on a request.
enum ReviewResult {
    /// Allowed, with these changes.
    Changed(Value),
    Refused,
}

impl Pipeline {
    pub(super) fn new(scenario: &WireScenario) -> Result<Self, Failed> {
        let settings = &scenario.settings;
        let pool = holders::pool(settings)?;
        let networks = scenario.nads.iter().map(|nad| {
            let mut network = Network::new(nad.namespace, nad.name, Some(&nad.config));
            network.address_pool = (nad.name == SERVED).then(|| POOL.into());
            Arc::new(network)
        });
        let labels = NamespaceLabels {
            mode: settings.label,
            mutable_attachments: matches!(
                scenario.way,
                AnnotationSource::Updated | AnnotationSource::UpdatedInStatus
            ),
            injection: settings.labelled,
            ..NamespaceLabels::default()
        };
        let reservation = settings
            .has_reservation
            .then(holders::reserved)
            .transpose()?;
        let catalog = Catalog::new([(NAMESPACE.into(), labels)], networks, []).with_pools(
            [(POOL.into(), Ok(Arc::clone(&pool)))],
            reservation,
            &Arc::default(),
        );
        let mut policy = Policy::of(settings.profile);
        policy.mode = settings.mode;
        policy.injection = Some(settings.injection);
        policy.namespace_isolation = Some(settings.isolation);
        if settings.excluded {
            policy.excluded_namespaces = HashSet::from([NAMESPACE.into()]);
        }
        let pipeline = Self {
            pool,
            index: SharedIndex::default(),
            catalog,
            policy,
            labelled: settings.labelled,
            last: Cell::new(0),
        };
        let mut index = pipeline.index.synced(pipeline.catalog.pool_config());
        pipeline
            .last
            .set(holders::by_others(&pipeline.pool, &mut index)?);
        drop(index);
        Ok(pipeline)
    }

    fn versions(&self, writes: &[Write]) -> Vec<Version> {
        let versions = writes.iter().map(|_| {
            self.last.set(self.last.get() + 1);
            Version(self.last.get())
        });
        versions.collect()
    }

    fn record(&self, writes: &[Write], ticket: PlanId) {
        let versions = self.versions(writes);
        self.index.lock().commit(ticket, &versions);
    }

    /// Runs a scenario; returns the pod as it finally runs, or `None` if it was refused.
    pub(super) fn run(&mut self, scenario: &WireScenario) -> Result<Option<Value>, Failed> {
        let asked = annotations_of(scenario);
        let plain =
            || AnnotationMap::from_iter([(annotations::NETWORKS.to_owned(), json!(SERVED))]);
        let first = match scenario.way {
            AnnotationSource::Created | AnnotationSource::CreatedOnNode => asked.clone(),
            AnnotationSource::Updated
            | AnnotationSource::UpdatedInStatus
            | AnnotationSource::Bound => plain(),
        };
        let node = (scenario.way == AnnotationSource::CreatedOnNode).then_some(NODE);
        let Some(pod) = self.create(scenario.who, first, node)? else {
            return Ok(None);
        };
        let brought =
            (scenario.way == AnnotationSource::Bound && self.labelled).then(|| asked.clone());
        let Some(pod) = self.bind(pod, brought)? else {
            return Ok(None);
        };
        match scenario.way {
            AnnotationSource::Updated => self.update(&pod, asked, ""),
            AnnotationSource::UpdatedInStatus => self.update(&pod, asked, "status"),
            _ => Ok(Some(pod)),
        }
    }

    fn create(
        &mut self,
        who: PodKind,
        asked: AnnotationMap,
        node: Option<&str>,
    ) -> Result<Option<Value>, Failed> {
        let (generate_name, name) = match who {
            PodKind::Named => (None, "app"),
            PodKind::Generated => (Some("app-"), "app-x7k2p"),
            PodKind::Replica => (None, "set-0"),
        };
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "spec": {"containers": []},
            "metadata": {"namespace": NAMESPACE, "annotations": asked},
        });
        match generate_name {
            Some(prefix) => pod["metadata"]["generateName"] = json!(prefix),
            None => pod["metadata"]["name"] = json!(name),
        }
        if who == PodKind::Replica {
            pod["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "set", "controller": true,
            }]);
        }
        if let Some(node) = node {
            pod["spec"]["nodeName"] = json!(node);
        }
        let request = json!({"operation": "CREATE", "object": pod});
        let ReviewResult::Changed(mut pod) = self.ask(Webhook::Mutate, request, "", "Pod")? else {
            return Ok(None);
        };
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["uid"] = json!("3239b2d2-cd73-479a-9620-6ac93fb25752");
        let request = json!({"operation": "CREATE", "object": pod});
        let ReviewResult::Changed(pod) = self.ask(Webhook::Validate, request, "", "Pod")? else {
            return Ok(None);
        };
        self.store(&pod);
        Ok(Some(pod))
    }

    /// Binds a pod, and backfills what was missed.
    fn bind(
        &mut self,
        mut pod: Value,
        brought: Option<AnnotationMap>,
    ) -> Result<Option<Value>, Failed> {
        if pod["spec"]["nodeName"].is_null() {
            if self.labelled {
                let metadata = &pod["metadata"];
                let mut binding = json!({
                    "apiVersion": "v1", "kind": "Binding",
                    "metadata": {
                        "name": metadata["name"], "namespace": NAMESPACE, "uid": metadata["uid"],
                    },
                    "target": {"kind": "Node", "name": NODE},
                });
                if let Some(brought) = brought {
                    binding["metadata"]["annotations"] = Value::Object(brought);
                }
                for webhook in [Webhook::Mutate, Webhook::Validate] {
                    let request = json!({"operation": "CREATE", "object": binding});
                    let answered = self.ask(webhook, request, "binding", "Binding")?;
                    let ReviewResult::Changed(changed) = answered else {
                        return Ok(None);
                    };
                    binding = changed;
                }
                let brought = binding["metadata"]["annotations"]
                    .as_object()
                    .into_iter()
                    .flatten();
                for (key, value) in brought {
                    pod["metadata"]["annotations"][key] = value.clone();
                }
            }
            pod["spec"]["nodeName"] = json!(NODE);
            self.store(&pod);
        }
        self.backfill(&mut pod);
        Ok(Some(pod))
    }

    fn backfill(&mut self, pod: &mut Value) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let Some(known) = self.catalog.pod(NAMESPACE, name).cloned() else {
            return;
        };
        let found = inject_late(&known, &self.context());
        let LateInjection::Commit {
            writes,
            plan_id,
            annotations,
        } = found
        else {
            return;
        };
        self.record(&writes, plan_id);
        for (key, text) in annotations {
            pod["metadata"]["annotations"][key] = json!(text);
        }
        self.store(pod);
    }

    fn update(
        &mut self,
        before: &Value,
        asked: AnnotationMap,
        subresource: &str,
    ) -> Result<Option<Value>, Failed> {
        let mut pod = before.clone();
        for key in [annotations::NETWORKS, annotations::DEFAULT_NETWORK] {
            match asked.get(key) {
                Some(text) => pod["metadata"]["annotations"][key] = text.clone(),
                None => {
                    let all = pod["metadata"]["annotations"].as_object_mut();
                    all.and_then(|all| all.remove(key));
                }
            }
        }
        // Only the pod resource itself is mutated.
        let webhooks: &[Webhook] = match subresource {
            "" => &[Webhook::Mutate, Webhook::Validate],
            _ => &[Webhook::Validate],
        };
        for webhook in webhooks {
            let request = json!({"operation": "UPDATE", "object": pod, "oldObject": before});
            let answered = self.ask(*webhook, request, subresource, "Pod")?;
            let ReviewResult::Changed(changed) = answered else {
                return Ok(None);
            };
            pod = changed;
        }
        self.store(&pod);
        Ok(Some(pod))
    }

    fn context(&self) -> ReviewContext<'_> {
        ReviewContext {
            now: Timestamp(1000),
            random: 7,
            ..ReviewContext::authoritative(&self.catalog, &self.policy, &self.index)
        }
    }

    fn ask(
        &self,
        webhook: Webhook,
        mut request: Value,
        subresource: &str,
        kind: &str,
    ) -> Result<ReviewResult, Failed> {
        request["uid"] = json!("test");
        request["kind"] = json!({"group": "", "version": "v1", "kind": kind});
        request["resource"] = json!({"group": "", "version": "v1", "resource": "pods"});
        request["subResource"] = json!(subresource);
        request["name"] = request["object"]["metadata"]["name"].clone();
        if request["name"].is_null() {
            request["name"] = json!("");
        }
        request["namespace"] = json!(NAMESPACE);
        request["userInfo"] = json!({"username": "dev"});
        request["dryRun"] = json!(false);
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request,
        });
        let body = review.to_string();
        let review = Review::parse(body.as_bytes())?;
        let answer = match decide(webhook, &review.request, &self.context()) {
            Decision::Respond(answer) => answer,
            Decision::Commit(plan) => {
                self.record(&plan.writes, plan.plan_id);
                plan.response
            }
            // No write is pending forever, so this is the final response.
            Decision::Retry(answer) => answer,
            other @ (Decision::VerifyLive(_) | Decision::Refresh(_) | Decision::ClaimSlice(_)) => {
                return Err(format!("{other:?}").into());
            }
        };
        if answer.verdict() == Verdict::Deny {
            return Ok(ReviewResult::Refused);
        }
        let mut object = request["object"].clone();
        if let Some(patch) = answer.patch() {
            json_patch::patch(&mut object, patch)?;
        }
        Ok(ReviewResult::Changed(object))
    }

    fn store(&mut self, pod: &Value) {
        let metadata = &pod["metadata"];
        let text = |value: &Value| value.as_str().map(Box::<str>::from);
        let annotation = |key: &str| text(&metadata["annotations"][key]);
        self.catalog.put_pod(Arc::new(Pod {
            namespace: NAMESPACE.into(),
            name: text(&metadata["name"]).unwrap_or_default(),
            uid: text(&metadata["uid"]),
            holder: holder(pod),
            host_network: false,
            networks: annotation(annotations::NETWORKS),
            default_network: annotation(annotations::DEFAULT_NETWORK),
            network_status: None,
            requested: RequestedAnnotations {
                networks: annotation(annotations::REQUESTED_NETWORKS),
                default_network: annotation(annotations::REQUESTED_DEFAULT_NETWORK),
            },
            node: text(&pod["spec"]["nodeName"]),
            terminating: false,
            mirror: false,
            migration: None,
        }));
    }
}

/// Returns the holder that a pod's addresses are recorded for.
pub(super) fn holder(pod: &Value) -> Holder {
    let metadata = &pod["metadata"];
    let owner = &metadata["ownerReferences"][0];
    let text = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
    let [api_version, kind, name] = ["apiVersion", "kind", "name"].map(|key| text(&owner[key]));
    let controller = (!owner.is_null()).then_some(Controller {
        api_version: &api_version,
        kind: &kind,
        name: &name,
    });
    let identity = RequesterIdentity {
        namespace: NAMESPACE,
        name: metadata["name"].as_str().unwrap_or_default(),
        generate_name: metadata["generateName"].as_str().unwrap_or_default(),
        uid: metadata["uid"].as_str(),
        controller,
        token: metadata["annotations"][annotations::HOLDER_TOKEN].as_str(),
    };
    identity.requester().map_or_else(
        || panic!("a pod without name and token"),
        |asker| asker.holder,
    )
}

fn annotations_of(scenario: &WireScenario) -> AnnotationMap {
    let pod = scenario.annotated();
    let pairs = [
        (annotations::NETWORKS, pod.networks),
        (annotations::DEFAULT_NETWORK, pod.default_network),
    ];
    let given = pairs
        .into_iter()
        .filter_map(|(key, text)| Some((key.to_owned(), json!(text?))));
    given.collect()
}
