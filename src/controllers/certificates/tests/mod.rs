//! What is written into a Secret is good, is left alone afterwards, and takes from nobody what
//! callers believe.

mod random_events;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    ca_bundles::{WebhookService, InForce},
    contents::{Contents, Held},
    make::renewed,
    renewal::{CertificateLifetimes, Remembered, Situation, Verdict, Why, judge},
};
use crate::pki::{self, Certificate, PrivateKey, later};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn called(service: &str) -> WebhookService {
    WebhookService {
        namespace: "nadmit".to_owned(),
        service: service.to_owned(),
    }
}

/// A Secret over time, and a replica that shows what it holds.
struct World {
    contents: Contents,
    remembered: Option<Remembered>,
    in_force: Vec<Certificate>,
    names: Vec<String>,
    now: Timestamp,
    trusted: bool,
    lives: CertificateLifetimes,
}

impl World {
    fn new() -> Self {
        Self {
            contents: Contents::default(),
            remembered: None,
            in_force: Vec::new(),
            names: called("nadmit").names(),
            now: start(),
            trusted: false,
            lives: CertificateLifetimes::default(),
        }
    }

    fn situation<T>(&self, with: impl FnOnce(&Situation<'_>) -> T) -> T {
        with(&Situation {
            remembered: self.remembered.as_ref(),
            names: &self.names,
            now: self.now,
            in_force: &self.in_force,
            is_trusted: &|_| self.trusted,
            lives: self.lives,
        })
    }

    fn held(&self) -> Held {
        Held::of(&self.contents)
    }

    /// What is done with the Secret now; the replica shows it then, if it may be shown.
    fn look(&mut self) -> Option<Why> {
        let mut held = self.held();
        let made = self.situation(|situation| renewed(&self.contents, &mut held, situation));
        let made = made.unwrap();
        let why = made.as_ref().map(|(_, why)| *why);
        if let Some((contents, _)) = made {
            self.contents = contents;
        }
        let held = self.held();
        if let Some(served) = held.served.filter(|_| self.is_believed(&held.authorities)) {
            self.remembered = Some(Remembered {
                served,
                authorities: held.authorities.clone(),
                foreign: self.contents.is_foreign(),
            });
        }
        self.in_force = held.authorities;
        why
    }

    /// Whether callers that trust these CAs believe what the Secret serves.
    fn is_believed(&self, authorities: &[Certificate]) -> bool {
        let served = self.held().served;
        served.is_some_and(|served| served.is_believed(authorities, &self.names, self.now))
    }

    fn after(&mut self, days: i32) -> Option<Why> {
        self.now = later(self.now, DAY * days);
        self.look()
    }
}

#[test]
fn a_change_of_cas_goes_step_by_step() {
    let mut world = World::new();
    assert_eq!(world.look(), Some(Why::Absent));
    assert_eq!(world.look(), None);
    let old = world.held().signer.unwrap().certificate;
    assert_eq!(world.after(58), None);
    assert_eq!(world.after(3), Some(Why::CertificateDue));
    for _ in 0..6 {
        assert_eq!(world.after(61), Some(Why::CertificateDue));
    }
    // At two thirds of two years: a new CA, and a fresh certificate of the old one.
    assert_eq!(world.after(60), Some(Why::AuthorityDue));
    assert_eq!(world.look(), None);
    let held = world.held();
    let new = held.signer.unwrap().certificate;
    assert_eq!(held.authorities, [new.clone(), old.clone()]);
    let served = held.served.unwrap();
    assert!(served.is_of(&old, world.now) && !served.is_of(&new, world.now));
    assert!(served.certificate.end >= later(world.now, DAY * 89));
    // However long it takes, for as long as that is good.
    assert_eq!(world.after(80), None);
    world.trusted = true;
    assert_eq!(world.look(), Some(Why::AuthorityTrusted));
    assert_eq!(world.look(), None);
    let held = world.held();
    assert!(held.served.unwrap().is_of(&new, world.now));
    assert_eq!(
        held.authorities,
        [new.clone(), old],
        "for who shows the old one still"
    );
    assert_eq!(world.after(11), Some(Why::Bundle));
    assert_eq!(world.held().authorities, [new]);
    assert_eq!(world.look(), None);
}

#[test]
fn without_trust_the_new_ca_is_used_only_when_nothing_else_is_left() {
    let mut world = World::new();
    world.look();
    world.contents.authority_key = Some(PrivateKey::new("broken"));
    assert_eq!(world.look(), Some(Why::NoAuthority));
    let old = world.held().served.unwrap().pair;
    assert_eq!(world.after(89), None);
    assert_eq!(world.held().served.unwrap().pair, old);
    assert_eq!(world.after(2), Some(Why::NoCertificate));
    assert_ne!(world.held().served.unwrap().pair, old);
}

#[test]
fn a_secret_that_is_deleted_comes_back_with_new_keys_around_what_is_shown() {
    let mut world = World::new();
    world.look();
    let before = world.contents.clone();
    world.contents = Contents::default();
    assert_eq!(world.look(), Some(Why::Absent));
    assert_eq!(world.contents.cert, before.cert);
    assert_ne!(world.contents.authority_key, before.authority_key);
    assert_eq!(world.held().authorities.len(), 2);
    world.trusted = true;
    assert_eq!(world.look(), Some(Why::AuthorityTrusted));
    assert_ne!(world.contents.key, before.key);
    // A replica that has shown nothing leaves to others what callers trust now.
    let mut fresh = World::new();
    fresh.in_force = world.held().authorities;
    assert_eq!(fresh.look(), Some(Why::Absent));
    assert_eq!(fresh.held().authorities.len(), 3);
    // However often: the bundle has an end.
    for _ in 0..20 {
        world.contents = Contents::default();
        world.trusted = false;
        assert_eq!(world.look(), Some(Why::Absent));
        assert_eq!(world.look(), None);
        world.trusted = true;
        world.look();
        assert_eq!(world.look(), None);
    }
    assert_eq!(world.held().authorities.len(), 8);
}

#[test]
fn what_somebody_else_keeps_is_left_alone() {
    let mut world = World::new();
    world.look();
    world.contents.authority_key = None;
    for days in [0, 60, 60, 900] {
        assert_eq!(world.after(days), None, "not even when it has expired");
    }
    assert!(world.remembered.as_ref().unwrap().foreign);
    // Who keeps it may be about to write it anew.
    world.contents = Contents::default();
    assert_eq!(world.look(), None);
    let held = world.held();
    let verdict = world.situation(|situation| judge(&world.contents, &held, situation));
    assert!(matches!(verdict, Verdict::Foreign));
    // Only a certificate or a key is something; an empty Secret is to be filled.
    for cert in [Some(b"broken".to_vec()), None] {
        let contents = Contents {
            key: cert.is_none().then(|| PrivateKey::new("broken")),
            cert,
            authorities: Some(b"x".to_vec()),
            authority_key: None,
        };
        assert!(contents.is_foreign());
    }
    let empty = json!({"data": {"tls.crt": "", "tls.key": "", "other": "eA=="}});
    assert_eq!(Contents::of(&empty), Contents::default());
}

#[test]
fn replicas_that_do_not_agree_on_the_service_do_not_take_turns() {
    let mut world = World::new();
    world.look();
    world.names = called("nadmit-2").names();
    assert_eq!(world.look(), Some(Why::NoCertificate));
    for service in ["nadmit", "nadmit-2", "nadmit"] {
        world.names = called(service).names();
        assert_eq!(world.look(), None);
    }
    assert_eq!(world.after(61), Some(Why::CertificateDue));
    world.names = called("nadmit-2").names();
    assert_eq!(
        world.look(),
        Some(Why::NoCertificate),
        "one of them stays behind"
    );
    world.names = called("nadmit").names();
    assert_eq!(world.look(), None);
}

#[test]
fn a_ca_whose_certificates_nobody_believes_is_replaced() {
    let mut world = World::new();
    world.look();
    // It may sign only for others.
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.name_constraints = Some(rcgen::NameConstraints {
        permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("example.org".to_owned())],
        excluded_subtrees: Vec::new(),
    });
    let key = rcgen::KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    world.contents.authorities = Some(cert.pem().into_bytes());
    world.contents.authority_key = Some(PrivateKey::new(key.serialize_pem()));
    world.contents.cert = Some(b"broken".to_vec());
    world.remembered = None;
    assert!(world.look().is_some());
    assert!(world.is_believed(&world.held().authorities));
    assert_eq!(world.look(), None);
}

#[test]
fn only_webhooks_that_lead_to_nadmit_are_touched_and_only_if_they_differ() {
    let mut world = World::new();
    world.look();
    let authorities = world.held().authorities;
    let called = called("nadmit");
    let service = |name: &str, namespace: &str| json!({"name": "x", "clientConfig": {"service": {"name": name, "namespace": namespace}}});
    let url = |url: &str| json!({"name": "x", "clientConfig": {"url": url, "caBundle": "eA=="}});
    let mut configuration = json!({
        "metadata": {"name": "nadmit", "resourceVersion": "7"},
        "webhooks": [
            service("nadmit", "nadmit"), service("other", "nadmit"), service("nadmit", "other"),
            url("https://nadmit.nadmit.svc:8443/x"), url("https://elsewhere.example/nadmit"),
            json!({"name": "broken"}), json!(3),
        ],
    });
    let patch = called.patch(&configuration, &authorities).unwrap();
    let paths: Vec<&str> = (0..3)
        .map(|at| patch[at]["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "/webhooks/0/clientConfig/caBundle",
            "/webhooks/3/clientConfig/caBundle",
            "/metadata/resourceVersion"
        ]
    );
    assert_eq!(patch[2]["value"], "7");
    let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
    json_patch::patch(&mut configuration, &patch).unwrap();
    assert!(called.patch(&configuration, &authorities).is_none());
    assert!(called.patch(&json!({}), &authorities).is_none());
    let mut in_force = InForce::default();
    in_force.add(&configuration, &called);
    assert_eq!(in_force.any(), authorities);
}

#[test]
fn keys_are_shown_to_nobody() {
    let mut world = World::new();
    world.look();
    let held = world.held();
    let situation = format!("{:?} {:?} {:?}", world.contents, held, world.remembered);
    let mut secret = json!({"data": {"other": "eA=="}});
    world.contents.write(&mut secret);
    assert_eq!(Contents::of(&secret), world.contents);
    assert_eq!(secret["data"]["other"], "eA==");
    for key in [&world.contents.key, &world.contents.authority_key] {
        let text = String::from_utf8(key.as_ref().unwrap().expose().to_vec()).unwrap();
        assert!(
            pki::Pair {
                cert: Vec::new(),
                key: PrivateKey::new(text.clone())
            }
            .identity()
            .is_err()
        );
        let line = text.lines().nth(1).unwrap();
        assert!(!situation.contains(&line[..16]), "{situation}");
    }
}
