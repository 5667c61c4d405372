//! Tests that a written Secret is valid, that it is stable afterwards, and that a served certificate
//! stays trusted.

mod random_events;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    ca_bundles::{TrustedBundles, WebhookService},
    contents::{ParsedSecret, SecretContents},
    make::renew,
    renewal::{
        CertificateLifetimes, LastServed, RenewalContext, RenewalDecision, RenewalReason, decide,
    },
};
use nadmit_pki::{self as pki, Certificate, PrivateKey, saturating_add};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn webhook_service(service: &str) -> WebhookService {
    WebhookService {
        namespace: "nadmit".to_owned(),
        service: service.to_owned(),
    }
}

/// A Secret over time, and a replica that serves its certificate.
struct SecretFixture {
    contents: SecretContents,
    last_served: Option<LastServed>,
    trusted_cas: Vec<Certificate>,
    names: Vec<String>,
    now: Timestamp,
    trusted: bool,
    lifetimes: CertificateLifetimes,
}

impl SecretFixture {
    fn new() -> Self {
        Self {
            contents: SecretContents::default(),
            last_served: None,
            trusted_cas: Vec::new(),
            names: webhook_service("nadmit").names(),
            now: start(),
            trusted: false,
            lifetimes: CertificateLifetimes::default(),
        }
    }

    fn context<T>(&self, with: impl FnOnce(&RenewalContext<'_>) -> T) -> T {
        with(&RenewalContext {
            last_served: self.last_served.as_ref(),
            names: &self.names,
            now: self.now,
            trusted_cas: &self.trusted_cas,
            is_propagated: &|_| self.trusted,
            lifetimes: self.lifetimes,
        })
    }

    fn parsed(&self) -> ParsedSecret {
        ParsedSecret::of(&self.contents)
    }

    /// Reconciles the Secret; the replica then serves its certificate, if it is trusted.
    fn reconcile(&mut self) -> Option<RenewalReason> {
        let mut parsed = self.parsed();
        let made = self.context(|context| renew(&self.contents, &mut parsed, context));
        let made = made.unwrap();
        let why = made.as_ref().map(|(_, why)| *why);
        if let Some((contents, _)) = made {
            self.contents = contents;
        }
        let parsed = self.parsed();
        if let Some(served) = parsed
            .served
            .filter(|_| self.is_trusted_by(&parsed.authorities))
        {
            self.last_served = Some(LastServed {
                served,
                authorities: parsed.authorities.clone(),
                foreign: self.contents.is_foreign(),
            });
        }
        self.trusted_cas = parsed.authorities;
        why
    }

    /// Returns true if callers that trust these CAs accept the certificate of the Secret.
    fn is_trusted_by(&self, authorities: &[Certificate]) -> bool {
        let served = self.parsed().served;
        served.is_some_and(|served| served.is_trusted_by(authorities, &self.names, self.now))
    }

    fn after(&mut self, days: i32) -> Option<RenewalReason> {
        self.now = saturating_add(self.now, DAY * days);
        self.reconcile()
    }
}

#[test]
fn a_change_of_cas_goes_step_by_step() {
    let mut fixture = SecretFixture::new();
    assert_eq!(fixture.reconcile(), Some(RenewalReason::Absent));
    assert_eq!(fixture.reconcile(), None);
    let old = fixture.parsed().signer.unwrap().certificate;
    assert_eq!(fixture.after(58), None);
    assert_eq!(fixture.after(3), Some(RenewalReason::CertificateDue));
    for _ in 0..6 {
        assert_eq!(fixture.after(61), Some(RenewalReason::CertificateDue));
    }
    // At two thirds of two years: a new CA, and a fresh certificate signed by the old one.
    assert_eq!(fixture.after(60), Some(RenewalReason::AuthorityDue));
    assert_eq!(fixture.reconcile(), None);
    let parsed = fixture.parsed();
    let new = parsed.signer.unwrap().certificate;
    assert_eq!(parsed.authorities, [new.clone(), old.clone()]);
    let served = parsed.served.unwrap();
    assert!(served.is_signed_by(&old, fixture.now) && !served.is_signed_by(&new, fixture.now));
    assert!(served.certificate.not_after >= saturating_add(fixture.now, DAY * 89));
    // It may take as long as that certificate is valid.
    assert_eq!(fixture.after(80), None);
    fixture.trusted = true;
    assert_eq!(fixture.reconcile(), Some(RenewalReason::AuthorityTrusted));
    assert_eq!(fixture.reconcile(), None);
    let parsed = fixture.parsed();
    assert!(parsed.served.unwrap().is_signed_by(&new, fixture.now));
    assert_eq!(
        parsed.authorities,
        [new.clone(), old],
        "for who shows the old one still"
    );
    assert_eq!(fixture.after(11), Some(RenewalReason::Bundle));
    assert_eq!(fixture.parsed().authorities, [new]);
    assert_eq!(fixture.reconcile(), None);
}

#[test]
fn without_trust_the_new_ca_is_used_only_when_nothing_else_is_left() {
    let mut fixture = SecretFixture::new();
    fixture.reconcile();
    fixture.contents.authority_key = Some(PrivateKey::new("broken"));
    assert_eq!(fixture.reconcile(), Some(RenewalReason::NoAuthority));
    let old = fixture.parsed().served.unwrap().pair;
    assert_eq!(fixture.after(89), None);
    assert_eq!(fixture.parsed().served.unwrap().pair, old);
    assert_eq!(fixture.after(2), Some(RenewalReason::NoCertificate));
    assert_ne!(fixture.parsed().served.unwrap().pair, old);
}

#[test]
fn a_deleted_secret_gets_new_keys_and_keeps_the_served_certificate() {
    let mut fixture = SecretFixture::new();
    fixture.reconcile();
    let before = fixture.contents.clone();
    fixture.contents = SecretContents::default();
    assert_eq!(fixture.reconcile(), Some(RenewalReason::Absent));
    assert_eq!(fixture.contents.cert, before.cert);
    assert_ne!(fixture.contents.authority_key, before.authority_key);
    assert_eq!(fixture.parsed().authorities.len(), 2);
    fixture.trusted = true;
    assert_eq!(fixture.reconcile(), Some(RenewalReason::AuthorityTrusted));
    assert_ne!(fixture.contents.key, before.key);
    // A replica without a certificate keeps the CAs that callers trust now, for other replicas.
    let mut fresh = SecretFixture::new();
    fresh.trusted_cas = fixture.parsed().authorities;
    assert_eq!(fresh.reconcile(), Some(RenewalReason::Absent));
    assert_eq!(fresh.parsed().authorities.len(), 3);
    // The bundle stays limited, however often this happens.
    for _ in 0..20 {
        fixture.contents = SecretContents::default();
        fixture.trusted = false;
        assert_eq!(fixture.reconcile(), Some(RenewalReason::Absent));
        assert_eq!(fixture.reconcile(), None);
        fixture.trusted = true;
        fixture.reconcile();
        assert_eq!(fixture.reconcile(), None);
    }
    assert_eq!(fixture.parsed().authorities.len(), 8);
}

#[test]
fn a_foreign_secret_is_left_alone() {
    let mut fixture = SecretFixture::new();
    fixture.reconcile();
    fixture.contents.authority_key = None;
    for days in [0, 60, 60, 900] {
        assert_eq!(fixture.after(days), None, "not even when it has expired");
    }
    assert!(fixture.last_served.as_ref().unwrap().foreign);
    // The component that manages it may be about to write it again.
    fixture.contents = SecretContents::default();
    assert_eq!(fixture.reconcile(), None);
    let parsed = fixture.parsed();
    let verdict = fixture.context(|context| decide(&fixture.contents, &parsed, context));
    assert!(matches!(verdict, RenewalDecision::Foreign));
    // A certificate or a key makes the Secret foreign; an empty Secret is filled.
    for cert in [Some(b"broken".to_vec()), None] {
        let contents = SecretContents {
            key: cert.is_none().then(|| PrivateKey::new("broken")),
            cert,
            authorities: Some(b"x".to_vec()),
            authority_key: None,
        };
        assert!(contents.is_foreign());
    }
    let empty = json!({"data": {"tls.crt": "", "tls.key": "", "other": "eA=="}});
    assert_eq!(SecretContents::of(&empty), SecretContents::default());
}

#[test]
fn replicas_that_disagree_on_the_service_do_not_alternate() {
    let mut fixture = SecretFixture::new();
    fixture.reconcile();
    fixture.names = webhook_service("nadmit-2").names();
    assert_eq!(fixture.reconcile(), Some(RenewalReason::NoCertificate));
    for service in ["nadmit", "nadmit-2", "nadmit"] {
        fixture.names = webhook_service(service).names();
        assert_eq!(fixture.reconcile(), None);
    }
    assert_eq!(fixture.after(61), Some(RenewalReason::CertificateDue));
    fixture.names = webhook_service("nadmit-2").names();
    assert_eq!(
        fixture.reconcile(),
        Some(RenewalReason::NoCertificate),
        "one of them stays behind"
    );
    fixture.names = webhook_service("nadmit").names();
    assert_eq!(fixture.reconcile(), None);
}

#[test]
fn a_ca_whose_certificates_are_not_trusted_is_replaced() {
    let mut fixture = SecretFixture::new();
    fixture.reconcile();
    // A CA with a name constraint, which excludes nadmit's names.
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.name_constraints = Some(rcgen::NameConstraints {
        permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("example.org".to_owned())],
        excluded_subtrees: Vec::new(),
    });
    let key = rcgen::KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    fixture.contents.authorities = Some(cert.pem().into_bytes());
    fixture.contents.authority_key = Some(PrivateKey::new(key.serialize_pem()));
    fixture.contents.cert = Some(b"broken".to_vec());
    fixture.last_served = None;
    assert!(fixture.reconcile().is_some());
    assert!(fixture.is_trusted_by(&fixture.parsed().authorities));
    assert_eq!(fixture.reconcile(), None);
}

#[test]
fn only_webhooks_of_nadmit_are_patched_and_only_if_they_differ() {
    let mut fixture = SecretFixture::new();
    fixture.reconcile();
    let authorities = fixture.parsed().authorities;
    let webhook_service = webhook_service("nadmit");
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
    let patch = webhook_service.patch(&configuration, &authorities).unwrap();
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
    assert!(
        webhook_service
            .patch(&configuration, &authorities)
            .is_none()
    );
    assert!(webhook_service.patch(&json!({}), &authorities).is_none());
    let mut trusted_cas = TrustedBundles::default();
    trusted_cas.add(&configuration, &webhook_service);
    assert_eq!(trusted_cas.any(), authorities);
}

#[test]
fn keys_are_never_printed() {
    let mut fixture = SecretFixture::new();
    fixture.reconcile();
    let parsed = fixture.parsed();
    let context = format!(
        "{:?} {:?} {:?}",
        fixture.contents, parsed, fixture.last_served
    );
    let mut secret = json!({"data": {"other": "eA=="}});
    fixture.contents.write(&mut secret);
    assert_eq!(SecretContents::of(&secret), fixture.contents);
    assert_eq!(secret["data"]["other"], "eA==");
    for key in [&fixture.contents.key, &fixture.contents.authority_key] {
        let text = String::from_utf8(key.as_ref().unwrap().expose().to_vec()).unwrap();
        assert!(
            pki::TlsPair {
                cert: Vec::new(),
                key: PrivateKey::new(text.clone())
            }
            .identity()
            .is_err()
        );
        let line = text.lines().nth(1).unwrap();
        assert!(!context.contains(&line[..16]), "{context}");
    }
}
