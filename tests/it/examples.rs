//! The examples of every rule: the rule has a finding in the wrong one, and no rule has one in the
//! right one. docs/rules.md shows the findings, and is generated from the same code.

use std::{fs, path::Path, sync::Arc};

use libtest_mimic::{Failed, Trial};
use nadmit::{
    admission::{AdmissionResponse, MAX_LINE_BYTES, Review, one_line},
    allocation::{Address, Holder, ParsedSpec},
    catalog::{Catalog, Pod, RequestedAnnotations, WhereaboutsSlicing},
    manifests::{self, Manifest, NetworkManifest, PodManifest, PodName},
    network::{
        Network, annotations,
        operator::{self, AdditionalNetwork, Daemons},
    },
    rules::{
        Check, Example, HeldAddress, Injection, Level, Levels, Policy, PoolChangeSubject,
        PoolHoldings, Profile, RULE_GROUPS, RULES, Rule, RuleGroup, judge::judge_pool_change,
    },
    sources::catalog_of,
};
use serde_json::{Map, Value, json};

use crate::support;

mod allocation;

use self::allocation::ReviewPath;
use crate::support::TestResult;

pub(crate) fn tests() -> Vec<Trial> {
    let examples = RULES.iter().copied().flat_map(|rule| {
        [
            Trial::test(format!("examples::{}::wrong", rule.code), move || {
                wrong(rule)
            }),
            Trial::test(format!("examples::{}::right", rule.code), move || {
                right(rule)
            }),
        ]
    });
    let page = trial!["docs"; rules_page_is_current];
    let others = tests!["examples"; codes_are_unique, every_finding_fits_into_an_event];
    examples.chain([page]).chain(others).collect()
}

fn wrong(rule: &'static Rule) -> TestResult {
    let answer = judged_wrong(rule)?;
    let found = answer
        .findings()
        .iter()
        .any(|finding| finding.code == rule.code);
    if found {
        Ok(())
    } else {
        Err(format!("not found, but\n{}", support::lines(&answer)).into())
    }
}

fn right(rule: &'static Rule) -> TestResult {
    let answer = judged(rule, rule.right)?;
    if answer.findings().is_empty() {
        Ok(())
    } else {
        Err(support::lines(&answer).into())
    }
}

/// The longest text that a controller puts before a message, with the longest names that it can have: a
/// pod's name is a label of the pods of a StatefulSet.
fn longest_prefix() -> String {
    let (pod, set) = ("p".repeat(63), "s".repeat(61));
    format!(
        "create Pod {pod} in StatefulSet {set} failed error: admission webhook \
         \"workloads.nadmit.io\" denied the request: "
    )
}

/// Every finding of a wrong example is shown whole in the message of a denial, which fits into an event.
fn every_finding_fits_into_an_event() -> TestResult {
    const EVENT_BYTES: usize = 1024;
    assert!(longest_prefix().len() + MAX_LINE_BYTES <= EVENT_BYTES);
    let mut wrong = Vec::new();
    for rule in RULES {
        let answer = judged_wrong(rule)?;
        let lines = answer.findings().iter().map(one_line);
        for line in lines.chain([answer.message()]) {
            if line.contains('…') || line.len() > MAX_LINE_BYTES {
                wrong.push(format!("{}: {} bytes: {line}", rule.code, line.len()));
            }
        }
    }
    match wrong.as_slice() {
        [] => Ok(()),
        wrong => Err(format!("too long\n{}", wrong.join("\n")).into()),
    }
}

fn codes_are_unique() -> TestResult {
    let mut codes: Vec<&str> = RULES.iter().map(|rule| rule.code).collect();
    codes.sort_unstable();
    let count = codes.len();
    codes.dedup();
    if codes.len() == count {
        Ok(())
    } else {
        Err("a code stands twice".into())
    }
}

/// Returns the response to a wrong example. Two rules are about pods that bypass the mutating
/// webhook, and one is about a pool that is not adopted yet.
fn judged_wrong(rule: &Rule) -> Result<AdmissionResponse, Failed> {
    let way = match rule.code {
        "address-not-allocated" | "address-not-injected" => ReviewPath::ValidateOnly,
        "annotations-too-long" => ReviewPath::Long,
        _ => return judged(rule, rule.wrong),
    };
    allocation::judged(way, rule.wrong)
}

/// Returns true if a rule's examples are about allocation.
fn is_of_pools(rule: &Rule) -> bool {
    let around = [
        "address-by-cni-args",
        "address-of-pool",
        "pool-request-unreadable",
        "prefix-of-pool",
    ];
    matches!(rule.check, Check::Allocation(_)) || around.contains(&rule.code)
}

/// Returns the response to an example: its networks are the catalog, its pod is created, or, of two
/// pods, the first is updated to the second. For a rule on networks, the last network is created,
/// deleted, or updated from the previous one; its pods exist.
fn judged(rule: &Rule, example: Example) -> Result<AdmissionResponse, Failed> {
    match rule.check {
        Check::Template(_) | Check::Workload(_) => return judged_template(example),
        Check::PoolChange(_) => return judged_change(example),
        _ => {}
    }
    if is_of_pools(rule) {
        return allocation::judged(ReviewPath::Whole, example);
    }
    let read = manifests::read(&example.yaml(), "example.yaml");
    if let Some(error) = read.errors.first() {
        return Err(error.to_string().into());
    }
    let (mut networks, mut pods, mut operator) = (Vec::new(), Vec::new(), None);
    let mut slicing = WhereaboutsSlicing::default();
    let read_catalog = catalog_of([("example.yaml", read.objects.clone())]).0;
    for object in read.objects {
        match object.value {
            Manifest::Network(found) => networks.push(found),
            Manifest::Pod(pod) => pods.push(pod),
            Manifest::Operator(found) => operator = Some(found),
            // The catalog reads only one workload, Whereabouts's controller.
            Manifest::Workload(found) => slicing.add_controller(found.namespace, true),
            Manifest::SlicePool(found) => slicing.add_pool(found.namespace, found.name),
            _ => {}
        }
    }
    let config = |network: &NetworkManifest| network.config.as_ref().map(|text| text.value.clone());
    let objects: Vec<Value> = pods.iter().map(object_of).collect();
    let body = match (&rule.check, &*objects) {
        (Check::Operator(_), _) => {
            support::create_other(&last_document(example)?, operator::GROUP, "networks")
        }
        (Check::Pool(_) | Check::NetworkAndPool { .. }, _) => {
            support::create_other(&last_document(example)?, "nadmit.io", "addresspools")
        }
        (Check::Reservation(_), _) => {
            support::create_other(&last_document(example)?, "nadmit.io", "addressreservations")
        }
        (Check::ConfigMap(_), _) => {
            support::create_other(&last_document(example)?, "", "configmaps")
        }
        (Check::NetworkDelete(_), _) => {
            let network = networks.last().ok_or("no network")?;
            support::delete_network(&network.network, config(network).as_deref())
        }
        (Check::NetworkUpdate(_), _) => {
            let after = networks.pop().ok_or("no network")?;
            let before = networks.last().ok_or("one network")?;
            let [before, text] = [before, &after].map(config);
            support::update_network(&after.network, before.as_deref(), text.as_deref())
        }
        (Check::Network(_), []) => {
            let network = networks.pop().ok_or("no network")?;
            support::create_network(&network.network, config(&network).as_deref())
        }
        (Check::Update(_), [before, after]) => support::update(before, after),
        (Check::Binding(_), [pod, ..]) => support::bind(pod, objects.get(1)),
        (Check::Pod(_), [_, pod]) => support::create(pod),
        (_, [pod]) => support::create(pod),
        _ => return Err(format!("{} pods", objects.len()).into()),
    };
    let running = match rule.check {
        Check::NetworkDelete(_) | Check::NetworkUpdate(_) => pods.iter().map(running).collect(),
        Check::Binding(_) => pods.iter().take(1).map(running).collect(),
        Check::Pod(_) if pods.len() > 1 => pods.iter().take(1).map(running).collect(),
        _ => Vec::new(),
    };
    let additional = operator.iter().flat_map(|operator| &operator.entries);
    let additional: Vec<Network> = additional.filter_map(AdditionalNetwork::network).collect();
    let daemons = operator.is_some().then(|| Daemons::of(&additional));
    let networks = networks.into_iter().map(|found| found.network);
    let networks = additional.into_iter().chain(networks).map(Arc::new);
    let labels = read_catalog
        .namespace("db")
        .map(|namespace| namespace.labels);
    let labels = labels.map(|labels| ("db".into(), labels));
    let catalog = Catalog::new(labels, networks, running)
        .with_operator(daemons)
        .with_slicing(slicing)
        .with_pools_of(&read_catalog);
    let mut policy = Policy::default();
    if rule.code == "injection-not-enabled" {
        policy.injection = Some(Injection::Bind);
    }
    if rule.levels == Levels::OFF {
        policy.set_level(rule.code, Level::Warn)?;
    }
    Ok(support::answer(&body, &catalog, &policy)?)
}

/// Returns the response to a change of a pool from the first document to the second, while two
/// addresses are held, of which the first is outside of any narrower range.
fn judged_change(example: Example) -> Result<AdmissionResponse, Failed> {
    let [before, after] = example.0 else {
        return Err("not two documents".into());
    };
    let pool = |text: &str| -> Result<_, Failed> {
        let object: Value = serde_saphyr::from_str(text)?;
        let words = ParsedSpec::of_pool(&object["spec"]);
        words.pool("storage").map_err(|e| format!("{e:?}").into())
    };
    let (before, changed) = (pool(before)?, pool(after)?);
    let address: Address = "192.0.2.221".parse()?;
    let outside = address.ip().is_some_and(|ip| {
        let range = &changed.ranges[0];
        range.exclusion(ip).is_some()
    });
    let holder = Holder::Replica {
        namespace: "db".into(),
        stateful_set: "db".into(),
        ordinal: 0,
    };
    let holdings = PoolHoldings {
        count: 2,
        outside: outside.into(),
        some_outside: outside
            .then_some(HeldAddress { address, holder })
            .into_iter()
            .collect(),
    };
    let subject = PoolChangeSubject {
        name: "storage",
        before: Some(&before),
        after: Some(&changed),
        holdings: &holdings,
    };
    let findings = judge_pool_change(&subject, &Policy::default());
    let object: Value = serde_saphyr::from_str(after)?;
    let body = support::create_other(&object, "nadmit.io", "addresspools");
    let review = Review::parse(&body)?;
    Ok(AdmissionResponse::new(&review.request, findings))
}

/// Returns the response to a workload, which is the last of the documents.
fn judged_template(example: Example) -> Result<AdmissionResponse, Failed> {
    let Some((workload, networks)) = example.0.split_last() else {
        return Err("no document".into());
    };
    let read = manifests::read(&networks.join("---\n"), "example.yaml");
    let networks = read.objects.into_iter().filter_map(|o| match o.value {
        Manifest::Network(found) => Some(Arc::new(found.network)),
        _ => None,
    });
    let catalog = Catalog::new([], networks, []);
    let object: Value = serde_saphyr::from_str(workload)?;
    let body = support::create_deployment(&object);
    Ok(support::answer(&body, &catalog, &Policy::default())?)
}

fn last_document(example: Example) -> Result<Value, Failed> {
    let text = example.0.last().ok_or("no document")?;
    Ok(serde_saphyr::from_str(text)?)
}

fn running(pod: &PodManifest) -> Arc<Pod> {
    let text = |key| pod.annotation(key).map(|text| text.value.clone());
    let (PodName::Explicit(name) | PodName::Generated(name)) = &pod.name;
    Arc::new(Pod {
        requested: RequestedAnnotations::default(),
        node: None,
        terminating: false,
        mirror: false,
        migration: None,
        namespace: pod.namespace.clone(),
        name: name.clone(),
        uid: None,
        holder: Holder::Pod {
            namespace: Arc::from(&*pod.namespace),
            name: Arc::from(&**name),
        },
        host_network: pod.host_network,
        networks: text(annotations::NETWORKS),
        default_network: text(annotations::DEFAULT_NETWORK),
        network_status: None,
    })
}

fn object_of(pod: &PodManifest) -> Value {
    let annotations: Map<String, Value> = pod
        .annotations
        .iter()
        .map(|(key, text)| (key.to_string(), json!(text.value)))
        .collect();
    let (PodName::Explicit(name) | PodName::Generated(name)) = &pod.name;
    json!({
        "metadata": {"name": name, "namespace": pod.namespace, "annotations": annotations},
        "spec": {"hostNetwork": pod.host_network},
    })
}

fn rules_page_is_current() -> TestResult {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let page = page()?;
    if std::env::var_os("NADMIT_UPDATE").is_some() {
        fs::write(&path, &page)?;
    }
    if fs::read_to_string(&path).unwrap_or_default() == page {
        return Ok(());
    }
    Err(
        "docs/rules.md is not what the registry says; NADMIT_UPDATE=1 cargo test --test it docs \
         rewrites it"
            .into(),
    )
}

/// Returns levels and codes of a response's findings.
fn findings_of(answer: &AdmissionResponse) -> Vec<String> {
    let got = answer.findings().iter();
    got.map(|f| format!("{} {}", f.level, f.code)).collect()
}

/// Codes that files cannot trigger.
const SERVER_ONLY: [&str; 5] = [
    "injection-not-enabled",
    "pool-not-ready",
    "annotations-too-long",
    "address-not-allocated",
    "address-not-injected",
];
/// Codes that are only warnings offline.
const POOL_ELSEWHERE: [&str; 2] = ["unknown-pool", "pool-not-allowed"];

/// Returns the findings of `nadmit check` on an example as a comment for `tests/it/docs.rs`; empty
/// if there are none.
fn stated(rule: &Rule, got: &[String]) -> String {
    let mut got = got.to_vec();
    got.sort();
    got.dedup();
    let stated_findings = match rule.check {
        // Files have no edits and no deletions.
        Check::Update(_)
        | Check::Binding(_)
        | Check::NetworkDelete(_)
        | Check::NetworkUpdate(_) => "an edit or a deletion".to_owned(),
        Check::PoolChange(_) => "an edit or a deletion".to_owned(),
        _ if SERVER_ONLY.contains(&rule.code) && !got.is_empty() => {
            "what only a running server sees".to_owned()
        }
        // The pool may be elsewhere.
        _ if POOL_ELSEWHERE.contains(&rule.code) && !got.is_empty() => {
            got.join(", ").replace("deny", "warn")
        }
        _ if rule.levels == Levels::OFF && !got.is_empty() => "a rule that is off".to_owned(),
        _ if got.is_empty() => return String::new(),
        _ => got.join(", "),
    };
    format!("\n<!-- check: {stated_findings} -->")
}

fn page() -> Result<String, Failed> {
    let mut page = String::from(
        "# Rules\n\n<!-- check: each block alone -->\n\nThis page is made from the registry (`crates/rules/src/registry.rs`); \
         `nadmit explain CODE` shows the same. Each level is that of a profile. `default` denies \
         pods that would fail, and pods that would silently not get what they ask for. `multus` \
         denies only what Multus, the plugin or Linux would refuse. `strict` also denies what the \
         specification forbids. Some findings of a rule have a lower level; the text names them. A \
         rule that \"always\" denies guards who may have which address. No setting, profile or \
         namespace label lowers it for a pod.\n",
    );
    for RuleGroup { title, rules } in RULE_GROUPS {
        page += &format!("\n**{title}**\n\n{}", index_of(rules));
    }
    for rule in RULES {
        page += &section_of(rule)?;
    }
    Ok(page)
}

/// Returns the table of a group of rules.
fn index_of(rules: &[&Rule]) -> String {
    let mut table = String::from(
        "| code | default | multus | strict | what is wrong |\n|---|---|---|---|---|\n",
    );
    for rule in rules {
        let always = if rule.levels.is_authority() {
            " (always)"
        } else {
            ""
        };
        let [default, multus, strict] =
            Profile::ALL.map(|profile| format!("{}{always}", rule.levels.of(profile)));
        table += &format!(
            "| [`{0}`](#{0}) | {default} | {multus} | {strict} | {1} |\n",
            rule.code, rule.summary
        );
    }
    table
}

/// Returns the section of a rule.
fn section_of(rule: &Rule) -> Result<String, Failed> {
    let answer = judged_wrong(rule)?;
    let got: Vec<String> = answer
        .findings()
        .iter()
        .map(|f| format!("{} {} {}: {}", f.level, f.code, f.field, f.sentence()))
        .collect();
    Ok(format!(
        "\n## {}\n\n{}.\n\n**What it checks.** {}\n\n**Why it matters.** {}\n\n\
             **How to fix.** {}\n\nWrong:\n{}\n```yaml\n{}```\n\n```text\n{}\n```\n\n\
             From wrong to right:\n\n```diff\n{}```\n\n**When to lower it.** {}\n\n\
             **Source.** {}\n",
        rule.code,
        rule.summary,
        rule.docs.checks,
        rule.docs.consequence,
        rule.docs.fix,
        stated(rule, &findings_of(&answer)),
        rule.wrong.yaml(),
        got.join("\n"),
        rule.wrong.diff(rule.right),
        rule.levels.when_to_lower(),
        rule.docs.source,
    ))
}
