//! nadmit's permissions in a cluster are exactly what it uses: a fake API server
//! refuses what the roles of deploy/ do not grant, while `lifecycle` exercises all of nadmit.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use super::{
    lifecycle::{run_lifecycle, run_serving},
    objects::{ROOT, of_file, one},
    registered::list,
};
use crate::api_server::{FaultAction, InjectedFailure, ResourceRequest};
use crate::support::TestResult;

/// Permissions that are granted, but not used in `lifecycle`.
const UNUSED_IN_LIFECYCLE: &[(&str, &str)] = &[
    (
        "nadmit-certificates",
        "certificates are kept by a controller with tests of its own",
    ),
    (
        "nadmit-whereabouts",
        "records of Whereabouts are written only if its networks are served",
    ),
];

pub(super) fn tests() -> Vec<Trial> {
    tests!["deploy::access";
        is_what_nadmit_uses,
        is_what_serving_whereabouts_uses,
        is_granted_exactly,
        is_what_the_page_documents,
        of_users_is_limited_to_reservations,
        of_certificates_is_limited_to_named_objects,
    ]
}

/// One verb on one resource, optionally of one name, in one namespace or all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Grant {
    role: String,
    namespace: Option<String>,
    group: String,
    /// `pods` or `addresspools/status`.
    resource: String,
    verb: String,
    name: Option<String>,
}

/// Returns the permissions that the roles of a file grant nadmit's ServiceAccount.
fn grants(file: &str) -> Result<Vec<Grant>, Failed> {
    let kinds = [
        ("ClusterRoleBinding", "ClusterRole"),
        ("RoleBinding", "Role"),
    ];
    bound_grants(file, &kinds)
}

/// Returns the permissions in Whereabouts's namespace.
fn whereabouts_grants() -> Result<Vec<Grant>, Failed> {
    bound_grants(
        "components/whereabouts/access.yaml",
        &[("RoleBinding", "Role")],
    )
}

fn bound_grants(file: &str, kinds: &[(&str, &str)]) -> Result<Vec<Grant>, Failed> {
    let objects = of_file(file)?;
    let mut grants = Vec::new();
    for (binding, role) in kinds {
        let (binding, role) = (one(&objects, binding)?, one(&objects, role)?);
        assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
        assert_eq!(binding["roleRef"]["kind"], role["kind"]);
        let subjects = list(&binding["subjects"]);
        assert_eq!(subjects.len(), 1);
        assert_eq!(subjects[0]["name"], "nadmit");
        assert_eq!(subjects[0]["namespace"], "nadmit");
        for rule in list(&role["rules"]) {
            grants.extend(of_rule(role, rule));
        }
    }
    Ok(grants)
}

fn of_rule(role: &Value, rule: &Value) -> Vec<Grant> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |key: &str| list(&rule[key]).iter().map(text).collect::<Vec<_>>();
    let names = texts("resourceNames").into_iter().map(Some);
    let names: Vec<Option<String>> = names.collect();
    let names = if names.is_empty() { vec![None] } else { names };
    let mut grants = Vec::new();
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            for verb in texts("verbs") {
                grants.extend(names.iter().map(|name| Grant {
                    role: text(&role["metadata"]["name"]),
                    namespace: role["metadata"]["namespace"].as_str().map(str::to_owned),
                    group: group.clone(),
                    resource: resource.clone(),
                    verb: verb.clone(),
                    name: name.clone(),
                }));
            }
        }
    }
    grants
}

impl Grant {
    /// Formats the permission without its role.
    fn shown(&self) -> String {
        format!("{} {}.{}", self.verb, self.resource, self.group)
    }

    /// Returns true if RBAC allows the request; the name of a list or watch is the one in its field
    /// selector.
    fn allows(&self, asked: &ResourceRequest) -> bool {
        let resource = match asked.subresource.as_str() {
            "" => asked.resource.clone(),
            subresource => format!("{}/{subresource}", asked.resource),
        };
        let selected = asked.query.get("fieldSelector");
        let selected = selected.and_then(|text| text.strip_prefix("metadata.name="));
        let name = asked.name.as_deref().or(selected);
        self.verb == asked.verb
            && self.group == asked.group
            && self.resource == resource
            && (self.namespace.is_none() || self.namespace == asked.namespace)
            && (self.name.is_none() || self.name.as_deref() == name)
    }
}

/// The granted permissions that were used, and the requests that were refused.
#[derive(Default)]
pub(super) struct GrantUsage {
    granted: BTreeSet<Grant>,
    forbidden: BTreeSet<String>,
}

/// Refuses requests that are not granted to nadmit's ServiceAccount.
pub(super) fn guard(
    grants: Vec<Grant>,
    user: &'static str,
    used: Arc<Mutex<GrantUsage>>,
) -> impl Fn(&ResourceRequest) -> Option<FaultAction> + Send + Sync + 'static {
    move |asked| {
        if asked.client != user {
            return None;
        }
        let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
        match grants.iter().find(|grant| grant.allows(asked)) {
            Some(grant) => {
                used.granted.insert(grant.clone());
                None
            }
            None => {
                let place = asked.namespace.as_deref().unwrap_or("the cluster");
                let sub = &asked.subresource;
                let what = asked.qualified();
                used.forbidden
                    .insert(format!("{} {what} {sub} in {place}", asked.verb));
                Some(InjectedFailure::Forbidden.into())
            }
        }
    }
}

fn is_what_nadmit_uses() -> TestResult {
    let grants = grants("base/access.yaml")?;
    let used = Arc::new(Mutex::new(GrantUsage::default()));
    run_lifecycle(|user| guard(grants.clone(), user, Arc::clone(&used)))?;
    let used = used.lock().unwrap_or_else(PoisonError::into_inner);
    if !used.forbidden.is_empty() {
        return Err(format!("not granted: {:#?}", used.forbidden).into());
    }
    let spare: Vec<&Grant> = grants
        .iter()
        .filter(|g| !used.granted.contains(g))
        .collect();
    if !spare.is_empty() {
        return Err(format!("granted, and never used: {spare:#?}").into());
    }
    Ok(())
}

fn is_what_serving_whereabouts_uses() -> TestResult {
    let of_role = whereabouts_grants()?;
    assert!(
        of_role.iter().all(|grant| {
            let mut roles = UNUSED_IN_LIFECYCLE.iter();
            roles.any(|(role, _)| *role == grant.role)
        }),
        "{of_role:?}"
    );
    let mut all = grants("base/access.yaml")?;
    all.extend(of_role.iter().cloned());
    let used = Arc::new(Mutex::new(GrantUsage::default()));
    run_serving(|user| guard(all, user, Arc::clone(&used)))?;
    let used = used.lock().unwrap_or_else(PoisonError::into_inner);
    if !used.forbidden.is_empty() {
        return Err(format!("not granted: {:#?}", used.forbidden).into());
    }
    let spare: Vec<&Grant> = of_role
        .iter()
        .filter(|grant| !used.granted.contains(grant))
        .collect();
    if !spare.is_empty() {
        return Err(format!("granted, and never used: {spare:#?}").into());
    }
    Ok(())
}

/// No wildcard, no privilege escalation, and no access to other Secrets.
fn is_granted_exactly() -> TestResult {
    let mut all = grants("base/access.yaml")?;
    all.extend(grants("overlays/self-managed/access.yaml")?);
    all.extend(whereabouts_grants()?);
    for grant in all {
        let words = [&grant.group, &grant.resource, &grant.verb];
        let wild = words.iter().any(|word| word.contains('*'));
        let powers = [
            "escalate",
            "bind",
            "impersonate",
            "deletecollection",
            "approve",
        ];
        let rises = powers.contains(&&*grant.verb) || grant.group == "rbac.authorization.k8s.io";
        let secret = grant.resource == "secrets"
            && (grant.namespace.is_none() || (grant.name.is_none() && grant.verb != "create"));
        if wild || rises || secret {
            return Err(format!("{grant:?}").into());
        }
    }
    Ok(())
}

/// The table in docs/operating-in-a-cluster.md is made from the roles.
fn is_what_the_page_documents() -> TestResult {
    let file = Path::new(ROOT).join("docs/operating-in-a-cluster.md");
    let page = fs::read_to_string(&file)?;
    let (start, end) = ("## What it may do\n", "\nThese are the roles");
    let (before, rest) = page.split_once(start).ok_or("no section")?;
    let (_, after) = rest.split_once(end).ok_or("no end of the table")?;
    let table = permissions("base/access.yaml")?;
    let wanted = format!("{before}{start}{table}{end}{after}");
    if std::env::var_os("NADMIT_UPDATE").is_some() {
        fs::write(&file, &wanted)?;
    }
    if fs::read_to_string(&file)? != wanted {
        return Err("NADMIT_UPDATE=1 cargo test --test it deploy::access rewrites the page".into());
    }
    Ok(())
}

/// Returns a table of the permissions that the roles of a file grant.
fn permissions(file: &str) -> Result<String, Failed> {
    let objects = of_file(file)?;
    let mut table = "| API group | resources | verbs |\n|---|---|---|\n".to_owned();
    for role in ["ClusterRole", "Role"] {
        for rule in list(&one(&objects, role)?["rules"]) {
            let texts = |key: &str| {
                let texts = list(&rule[key]).iter().filter_map(Value::as_str);
                texts.collect::<Vec<_>>().join(", ")
            };
            let group = match texts("apiGroups").as_str() {
                "" => String::new(),
                group => format!(" `{group}`"),
            };
            let names = match texts("resourceNames").as_str() {
                "" => String::new(),
                names => format!(" named {names}"),
            };
            let place = match role {
                "Role" => ", in nadmit's namespace",
                _ => "",
            };
            let (resources, verbs) = (texts("resources"), texts("verbs"));
            let row = format!("|{group} | {resources}{names}{place} | {verbs} |\n");
            table.push_str(&row);
        }
    }
    Ok(table)
}

/// Users who may view or edit a namespace may do so with its reservations, and with no other kind
/// of nadmit's.
fn of_users_is_limited_to_reservations() -> TestResult {
    let roles = of_file("base/user-roles.yaml")?;
    let mut found = BTreeSet::new();
    for role in &roles {
        assert_eq!(role["kind"], "ClusterRole");
        let labels = role["metadata"]["labels"].as_object();
        let into = labels.into_iter().flatten().filter_map(|(label, value)| {
            let into = label.strip_prefix("rbac.authorization.k8s.io/aggregate-to-");
            into.filter(|_| value == "true")
        });
        let into: Vec<&str> = into.collect();
        for grant in list(&role["rules"])
            .iter()
            .flat_map(|rule| of_rule(role, rule))
        {
            found.extend(into.iter().map(|into| format!("{into}: {}", grant.shown())));
        }
    }
    let mut expected = BTreeSet::new();
    for (into, verbs) in [
        ("view", &["get", "list", "watch"][..]),
        (
            "edit",
            &["create", "update", "patch", "delete", "deletecollection"][..],
        ),
        (
            "admin",
            &["create", "update", "patch", "delete", "deletecollection"][..],
        ),
    ] {
        let lines = verbs
            .iter()
            .map(|verb| format!("{into}: {verb} addressreservations.nadmit.io"));
        expected.extend(lines);
    }
    assert_eq!(found, expected);
    Ok(())
}

fn of_certificates_is_limited_to_named_objects() -> TestResult {
    let lines = grants("overlays/self-managed/access.yaml")?
        .into_iter()
        .map(|grant| {
            assert!(
                UNUSED_IN_LIFECYCLE
                    .iter()
                    .any(|(role, _)| *role == grant.role),
                "{grant:?}"
            );
            let name = grant.name.unwrap_or_default();
            format!("{} {} {name}", grant.verb, grant.resource)
        });
    let lines: BTreeSet<String> = lines.collect();
    let expected = [
        "create secrets ",
        "get secrets nadmit-tls",
        "update secrets nadmit-tls",
        "get validatingwebhookconfigurations nadmit",
        "patch validatingwebhookconfigurations nadmit",
        "get mutatingwebhookconfigurations nadmit",
        "patch mutatingwebhookconfigurations nadmit",
    ];
    let expected: BTreeSet<String> = expected.map(str::to_owned).into();
    assert_eq!(lines, expected);
    Ok(())
}
