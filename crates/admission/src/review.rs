//! The request: an `AdmissionReview` of `admission.k8s.io/v1`, borrowed from its bytes.
//!
//! These types replace kube's, which buffer the whole review and write a patch as a list of
//! numbers. They read only the relevant fields, in one pass, and skip the rest.
//!
//! `sonic-rs` 0.5.10 and `simd-json` 0.17.3 were considered in place of `serde_json`. Compiled for any
//! x86-64, neither was faster for a review of 5.3 KB. `sonic-rs` recurses into skipped
//! values without a limit, so a body of nested brackets overflows the stack. `simd-json` changes the
//! bytes in place, and has no values that stay unparsed.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::object::{self, ReviewObject};
use nadmit_cni::{annotations, operator};
use nadmit_rules::workload::WorkloadKind;

/// The only review version that nadmit supports.
pub(super) const API_VERSION: &str = "admission.k8s.io/v1";
/// The kind of the object that contains request and response.
pub(super) const KIND: &str = "AdmissionReview";
/// The API group of nadmit's own kinds.
const OWN_GROUP: &str = "nadmit.io";
/// The API group of `NetworkAttachmentDefinitions`.
const NAD_GROUP: &str = "k8s.cni.cncf.io";
/// KubeVirt's API group.
const KUBEVIRT_GROUP: &str = "kubevirt.io";

/// A parsed review.
#[derive(Debug)]
pub struct Review<'a> {
    pub request: AdmissionRequest<'a>,
}

/// A request of the API server (`AdmissionRequest`).
#[derive(Debug, Deserialize)]
pub struct AdmissionRequest<'a> {
    /// The request's UID, which the response repeats.
    #[serde(borrow)]
    pub uid: Cow<'a, str>,
    /// The kind of the object under review.
    #[serde(borrow, default)]
    pub kind: GroupVersionKind<'a>,
    /// The resource under review.
    #[serde(borrow)]
    pub resource: GroupVersionResource<'a>,
    /// The subresource: `status`, `binding`; empty or absent for the resource itself.
    #[serde(
        borrow,
        default,
        rename = "subResource",
        deserialize_with = "object::text"
    )]
    pub subresource: Option<Cow<'a, str>>,
    /// The object's name; absent until the API server has generated one, and for collections.
    #[serde(borrow, default, deserialize_with = "object::text")]
    pub name: Option<Cow<'a, str>>,
    /// The object's namespace.
    #[serde(borrow, default, deserialize_with = "object::text")]
    pub namespace: Option<Cow<'a, str>>,
    pub operation: Operation,
    /// The user who makes the request.
    #[serde(borrow, default, rename = "userInfo")]
    pub user_info: UserInfo<'a>,
    /// The new object; absent on DELETE. In a box, because the request is moved several times.
    #[serde(borrow, default)]
    pub object: Option<Box<ReviewObject<'a>>>,
    /// The old object; absent on CREATE.
    #[serde(borrow, default, rename = "oldObject")]
    pub old_object: Option<Box<ReviewObject<'a>>>,
    /// The specs of nadmit's own kinds; empty for all other kinds.
    #[serde(skip)]
    pub own: OwnSpecs<'a>,
    /// Set if nothing will be persisted.
    #[serde(default, rename = "dryRun")]
    pub dry_run: Option<bool>,
}

/// The specs of nadmit's own kinds, as they were written.
#[derive(Debug, Clone, Copy, Default)]
pub struct OwnSpecs<'a> {
    /// The new spec.
    pub after: Option<&'a RawValue>,
    /// The old spec.
    pub before: Option<&'a RawValue>,
}

/// The kind of an object; its group and version are not read.
#[derive(Debug, Default, Deserialize)]
pub struct GroupVersionKind<'a> {
    #[serde(borrow, default)]
    pub kind: Cow<'a, str>,
}

/// The group and plural name of a resource; its version is not read.
#[derive(Debug, Deserialize)]
pub struct GroupVersionResource<'a> {
    /// The API group; empty for the core group.
    #[serde(borrow, default)]
    pub group: Cow<'a, str>,
    /// The plural name.
    #[serde(borrow)]
    pub resource: Cow<'a, str>,
}

/// The user who made a request.
#[derive(Debug, Default, Deserialize)]
pub struct UserInfo<'a> {
    /// The user's name: `system:serviceaccount:NAMESPACE:NAME` for a ServiceAccount.
    #[serde(borrow, default)]
    pub username: Cow<'a, str>,
}

impl UserInfo<'_> {
    /// Returns true for a kubelet's user, by the prefix that the Node authorizer requires.
    fn is_node(&self) -> bool {
        self.username.starts_with("system:node:")
    }
}

/// The object that a request concerns, by resource and subresource.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    Pod,
    /// A pod's status.
    PodStatus,
    /// The binding of a pod to a node: `pods/binding`, or the older `bindings`.
    Binding,
    /// A `NetworkAttachmentDefinition`.
    Network,
    /// The object that configures OpenShift's network operator.
    NetworkOperator,
    ConfigMap,
    /// An `AddressPool`.
    Pool,
    /// An `AddressReservation`.
    Reservation,
    /// An object with a pod template.
    Workload(&'static WorkloadKind),
    /// KubeVirt's `VirtualMachine`.
    VirtualMachine,
    /// Any other resource or subresource.
    Other,
}

impl Target {
    /// Returns the target with this API group, plural name and subresource.
    fn of(group: &str, resource: &str, subresource: &str) -> Self {
        match (group, resource, subresource) {
            ("", "pods", "") => Self::Pod,
            ("", "pods", "status") => Self::PodStatus,
            ("", "pods", "binding") | ("", "bindings", "") => Self::Binding,
            ("", "configmaps", "") => Self::ConfigMap,
            (NAD_GROUP, "network-attachment-definitions", "") => Self::Network,
            (operator::GROUP, "networks", "") => Self::NetworkOperator,
            (OWN_GROUP, "addresspools", "") => Self::Pool,
            (OWN_GROUP, "addressreservations", "") => Self::Reservation,
            (KUBEVIRT_GROUP, "virtualmachines", "") => Self::VirtualMachine,
            (group, resource, "") => {
                WorkloadKind::of_resource(group, resource).map_or(Self::Other, Self::Workload)
            }
            _ => Self::Other,
        }
    }
}

/// An operation on an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// The object is created.
    Create,
    /// The object is changed.
    Update,
    /// The object is deleted.
    Delete,
    /// A connection is opened (`exec`, `port-forward`).
    Connect,
}

impl Operation {
    /// Returns the word used in reviews, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// A malformed review: the caller's mistake, answered with HTTP 400 and this message.
#[derive(Debug, Error)]
pub enum ReviewError {
    /// The body is not UTF-8.
    #[error("the body is not JSON: {0}; send an AdmissionReview of {API_VERSION}")]
    NotText(#[source] std::str::Utf8Error),
    /// The body is not JSON.
    #[error("the body is not JSON: {0}; send an AdmissionReview of {API_VERSION}")]
    NotJson(#[source] serde_json::Error),
    /// The body is JSON, but not an AdmissionReview.
    #[error("the body is {0}, not an AdmissionReview; send kind {KIND} of {API_VERSION}")]
    OtherKind(String),
    /// An AdmissionReview of another version.
    #[error(
        "AdmissionReview is of version {0:?}; nadmit speaks {API_VERSION} (set \
         admissionReviewVersions: [\"v1\"] in the webhook configuration)"
    )]
    OtherVersion(String),
    /// An AdmissionReview without a request.
    #[error("the AdmissionReview has no request; send the question under \"request\"")]
    NoRequest,
    /// A CREATE or UPDATE without a required object.
    #[error("the request is {0} but has no {1}; send the object under \"{1}\"")]
    NoObject(&'static str, &'static str),
    /// A request without a required field.
    #[error("the AdmissionReview's request cannot be read: {0}")]
    Request(#[source] serde_json::Error),
}

/// The outermost object.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(
        borrow,
        default,
        rename = "apiVersion",
        deserialize_with = "object::text"
    )]
    api_version: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "object::text")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    request: Option<AdmissionRequest<'a>>,
}

/// The outermost object with its fields unparsed: for an error message when [`Envelope`] does not
/// parse.
#[derive(Deserialize)]
struct LenientEnvelope<'a> {
    #[serde(borrow, default, rename = "apiVersion")]
    api_version: Option<&'a RawValue>,
    #[serde(borrow, default)]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    request: Option<&'a RawValue>,
}

impl<'a> AdmissionRequest<'a> {
    /// Returns the object that the request concerns.
    pub fn target(&self) -> Target {
        let subresource = self.subresource.as_deref().unwrap_or_default();
        Target::of(&self.resource.group, &self.resource.resource, subresource)
    }

    /// Returns true if the request binds a pod to a node.
    pub fn is_binding(&self) -> bool {
        matches!(
            (self.target(), self.operation),
            (Target::Binding, Operation::Create)
        )
    }

    /// Returns the namespace; empty for objects without one.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// Returns the name of the pod under review, or of the pod to bind; empty if it is not generated
    /// yet.
    pub(crate) fn pod_name(&self) -> &str {
        let name = self.name.as_deref().filter(|name| !name.is_empty());
        let object = self.object.as_deref();
        name.or_else(|| object?.metadata.name.as_deref())
            .unwrap_or_default()
    }

    /// Returns the object under review, unless it is exempt: being deleted, or a static pod's
    /// mirror, which the kubelet runs whatever the response is.
    pub(crate) fn reviewable_object(&self) -> Option<&ReviewObject<'a>> {
        self.non_static_object()
            .filter(|object| !object.is_terminating())
    }

    /// Returns the object under review, unless it is a static pod's mirror. A pod that is being
    /// deleted keeps running for its grace period, which the deleting user chooses, and could be
    /// hot-plugged an address.
    pub(crate) fn non_static_object(&self) -> Option<&ReviewObject<'a>> {
        // Anyone who creates a pod can set the mirror annotation; only nodes have static pods.
        let is_static =
            |pod: &&ReviewObject<'_>| pod.metadata.annotations.mirror && self.user_info.is_node();
        self.object.as_deref().filter(|pod| !is_static(pod))
    }

    /// Returns true for the dry run by which `nadmit install` checks that the webhook is called. No
    /// user creates such a pod.
    pub fn is_self_test(&self) -> bool {
        let object = self.object.as_deref();
        let networks = object.and_then(|object| object.metadata.annotations.networks.as_deref());
        self.dry_run == Some(true) && networks == Some(annotations::SELF_TEST_NETWORK)
    }
}

impl<'a> Review<'a> {
    /// Parses a review.
    ///
    /// # Errors
    /// If the bytes are not an `AdmissionReview` of v1 with a request; the error says which part is
    /// wrong.
    pub fn parse(body: &'a [u8]) -> Result<Self, ReviewError> {
        // Checking UTF-8 once for the whole body is cheaper than once for each string.
        let text = std::str::from_utf8(body).map_err(ReviewError::NotText)?;
        match serde_json::from_str::<Envelope<'a>>(text) {
            // serde accepts a list for a struct, too.
            Ok(_) if !text.trim_ascii_start().starts_with('{') => {
                Err(ReviewError::OtherKind("JSON of another shape".to_owned()))
            }
            Ok(envelope) => Self::of(envelope, text),
            Err(error) => Err(explain(text, error)),
        }
    }

    fn of(envelope: Envelope<'a>, text: &'a str) -> Result<Self, ReviewError> {
        check_type(envelope.kind.as_deref(), envelope.api_version.as_deref())?;
        let mut request = envelope.request.ok_or(ReviewError::NoRequest)?;
        check_objects(&request)?;
        if request.resource.group == OWN_GROUP {
            request.own = own_specs(text);
        }
        Ok(Self { request })
    }
}

/// Returns the specs in a review of nadmit's own kinds. Such reviews are rare, so parsing them
/// twice is cheaper than keeping the spec of every review.
fn own_specs(text: &str) -> OwnSpecs<'_> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct SpecEnvelope<'a> {
        #[serde(borrow)]
        request: SpecRequest<'a>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct SpecRequest<'a> {
        #[serde(borrow)]
        object: Option<SpecObject<'a>>,
        #[serde(borrow, rename = "oldObject")]
        old_object: Option<SpecObject<'a>>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct SpecObject<'a> {
        #[serde(borrow)]
        spec: Option<&'a RawValue>,
    }
    // The text was parsed before, so it is JSON of this shape.
    let envelope: SpecEnvelope<'_> = serde_json::from_str(text).unwrap_or_default();
    OwnSpecs {
        after: envelope.request.object.and_then(|object| object.spec),
        before: envelope.request.old_object.and_then(|object| object.spec),
    }
}

fn check_type(kind: Option<&str>, api_version: Option<&str>) -> Result<(), ReviewError> {
    if kind != Some(KIND) {
        let other = kind.map_or("an object without a kind".to_owned(), |k| {
            format!("kind {k:?}")
        });
        return Err(ReviewError::OtherKind(other));
    }
    match api_version {
        Some(API_VERSION) => Ok(()),
        other => Err(ReviewError::OtherVersion(
            other.unwrap_or_default().to_owned(),
        )),
    }
}

fn check_objects(request: &AdmissionRequest<'_>) -> Result<(), ReviewError> {
    let (object, old) = match request.operation {
        Operation::Create => (true, false),
        Operation::Update => (true, true),
        Operation::Delete | Operation::Connect => (false, false),
    };
    let name = request.operation.name();
    if object && request.object.is_none() {
        return Err(ReviewError::NoObject(name, "object"));
    }
    if old && request.old_object.is_none() {
        return Err(ReviewError::NoObject(name, "oldObject"));
    }
    Ok(())
}

/// Returns the most specific reason why `body` did not parse.
fn explain(body: &str, error: serde_json::Error) -> ReviewError {
    if !error.is_data() {
        return ReviewError::NotJson(error);
    }
    let Ok(envelope) = serde_json::from_str::<LenientEnvelope<'_>>(body) else {
        return ReviewError::OtherKind("JSON of another shape".to_owned());
    };
    let text = |raw: Option<&RawValue>| -> Option<String> {
        raw.map(|raw| serde_json::from_str(raw.get()).unwrap_or_else(|_| raw.get().to_owned()))
    };
    if let Err(other) = check_type(
        text(envelope.kind).as_deref(),
        text(envelope.api_version).as_deref(),
    ) {
        return other;
    }
    if envelope.request.is_none() {
        ReviewError::NoRequest
    } else {
        ReviewError::Request(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_message(body: &str) -> String {
        match Review::parse(body.as_bytes()) {
            Ok(_) => panic!("{body} is no review"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn only_the_dry_run_of_the_installer_is_a_self_test() {
        let body = |network: &str, dry: bool| {
            format!(
                r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"1",
                "resource":{{"group":"","version":"v1","resource":"pods"}},"operation":"CREATE",
                "object":{{"metadata":{{"annotations":{{"k8s.v1.cni.cncf.io/networks":"{network}"}}}}}},
                "dryRun":{dry}}}}}"#
            )
        };
        for (network, dry, expected) in [
            (annotations::SELF_TEST_NETWORK, true, true),
            (annotations::SELF_TEST_NETWORK, false, false),
            ("storage-nett", true, false),
        ] {
            let body = body(network, dry);
            let review = Review::parse(body.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(review.request.is_self_test(), expected, "{network} {dry}");
        }
    }

    #[test]
    fn reads_the_relevant_fields_and_skips_the_rest() {
        let body = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{
            "uid":"u-1","kind":{"group":"","version":"v1","kind":"Pod"},"extra":[1,{"a":2}],
            "resource":{"group":"","version":"v1","resource":"pods"},"subResource":"status",
            "name":"db-0","namespace":"db","operation":"UPDATE","userInfo":{"username":"me"},
            "object":{"metadata":{"annotations":{"a":"b","k8s.v1.cni.cncf.io/networks":"[\"x\"]"}},
                      "spec":{"hostNetwork":true}},
            "oldObject":{"metadata":{"annotations":null}},"dryRun":true}}"#;
        let review = Review::parse(body.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
        let request = review.request;
        assert_eq!(
            (&*request.uid, request.operation),
            ("u-1", Operation::Update)
        );
        assert_eq!(request.subresource.as_deref(), Some("status"));
        let object = request.object.unwrap_or_default();
        assert_eq!(
            object.metadata.annotations.networks.as_deref(),
            Some(r#"["x"]"#)
        );
        assert!(object.spec.host_network);
    }

    #[test]
    fn each_error_has_its_message() {
        assert!(error_message("").starts_with("the body is not JSON"));
        assert!(error_message("{").starts_with("the body is not JSON"));
        assert!(error_message("[]").starts_with("the body is JSON of another shape"));
        assert!(error_message("{}").contains("an object without a kind"));
        assert!(error_message(r#"{"kind":"Pod"}"#).contains("kind \"Pod\""));
        assert!(error_message(r#"{"kind":7}"#).contains("kind \"7\""));
        let v1beta1 =
            r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1","request":{}}"#;
        assert!(error_message(v1beta1).contains("admissionReviewVersions"));
        let v1 = |rest: &str| {
            error_message(&format!(
                r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"{rest}}}"#
            ))
        };
        assert!(v1("").contains("has no request"));
        assert!(v1(r#","request":{}"#).contains("missing field `uid`"));
        let create =
            r#","request":{"uid":"u","resource":{"resource":"pods"},"operation":"CREATE"}"#;
        assert!(v1(create).contains("CREATE but has no object"));
        assert!(v1(&create.replace("CREATE", "MOVE")).contains("unknown variant"));
    }
}
