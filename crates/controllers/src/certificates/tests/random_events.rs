//! A property test: after any sequence of events, one pass makes the Secret valid.

use proptest::{prelude::*, sample::Index};

use super::*;

/// An event between two passes.
#[derive(Debug, Clone)]
enum SecretEvent {
    /// The passing of days; negative if the API server's clock is set back.
    Days(i32),
    /// An entry is replaced: by nothing, by noise, or by that of another Secret.
    Broken(Index, Index),
    Deleted,
    Renamed(bool),
    Trusted(bool),
    /// The replica restarts.
    Forgets,
}

fn events() -> impl Strategy<Value = Vec<SecretEvent>> {
    let event = prop_oneof![
        4 => (0..70).prop_map(SecretEvent::Days),
        1 => (-400..800).prop_map(SecretEvent::Days),
        4 => any::<(Index, Index)>().prop_map(|(entry, with)| SecretEvent::Broken(entry, with)),
        1 => Just(SecretEvent::Deleted),
        1 => any::<bool>().prop_map(SecretEvent::Renamed),
        3 => any::<bool>().prop_map(SecretEvent::Trusted),
        1 => Just(SecretEvent::Forgets),
    ];
    proptest::collection::vec(event, 1..24)
}

/// Another Secret with valid keys of its own.
fn other() -> SecretContents {
    let mut fixture = SecretFixture::new();
    fixture.reconcile();
    fixture.contents
}

impl SecretFixture {
    fn apply(&mut self, event: &SecretEvent, other: &SecretContents) {
        match event {
            SecretEvent::Days(days) => self.now = saturating_add(self.now, DAY * *days),
            SecretEvent::Deleted => self.contents = SecretContents::default(),
            SecretEvent::Renamed(second) => {
                self.names = webhook_service(if *second { "nadmit-2" } else { "nadmit" }).names();
            }
            SecretEvent::Trusted(trusted) => self.trusted = *trusted,
            SecretEvent::Forgets => self.last_served = None,
            SecretEvent::Broken(entry, with) => {
                let own = self.contents.clone();
                let half =
                    |bytes: Option<&[u8]>| bytes.map(|bytes| bytes[..bytes.len() / 2].to_vec());
                let (contents, noise) = (&mut self.contents, b"noise".to_vec());
                let cert = |own: &Option<Vec<u8>>, other: &Option<Vec<u8>>| {
                    let all = [
                        None,
                        Some(noise.clone()),
                        half(own.as_deref()),
                        other.clone(),
                    ];
                    all[with.index(4)].clone()
                };
                let key = |own: &Option<PrivateKey>, other: &Option<PrivateKey>| {
                    let bytes =
                        |key: &Option<PrivateKey>| key.as_ref().map(|k| k.expose().to_vec());
                    cert(&bytes(own), &bytes(other)).map(PrivateKey::new)
                };
                match entry.index(4) {
                    0 => contents.cert = cert(&own.cert, &other.cert),
                    1 => contents.key = key(&own.key, &other.key),
                    2 => contents.authorities = cert(&own.authorities, &other.authorities),
                    _ => contents.authority_key = key(&own.authority_key, &other.authority_key),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn one_pass_makes_any_secret_valid(history in events()) {
        let (mut fixture, other) = (SecretFixture::new(), other());
        fixture.reconcile();
        for event in &history {
            fixture.apply(event, &other);
            let shown = fixture.last_served.clone();
            let good = shown.filter(|shown| {
                shown.served.is_trusted_by(&shown.authorities, &fixture.names, fixture.now)
            });
            let foreign = fixture.contents.is_foreign()
                || fixture.last_served.as_ref().is_some_and(|before| before.foreign);
            let broken = fixture.contents.clone();
            fixture.reconcile();
            if foreign {
                prop_assert_eq!(&fixture.contents, &broken, "nobody's business");
                // The foreign Secret is removed by its owner.
                fixture.contents = SecretContents::default();
                fixture.last_served = None;
                fixture.reconcile();
            }
            let parsed = fixture.parsed();
            prop_assert!(fixture.is_trusted_by(&parsed.authorities), "{:?}", parsed);
            prop_assert!(parsed.clean && parsed.authorities.len() <= 8);
            let signer = parsed.signer.as_ref().map(|signer| signer.certificate.clone());
            prop_assert!(signer.is_some_and(|signer| parsed.authorities.contains(&signer)));
            // Callers that trusted the served certificate before also trust the next one, unless they
            // all trust the new CA.
            if let Some(shown) = good.filter(|_| !foreign && !fixture.trusted) {
                prop_assert!(fixture.is_trusted_by(&shown.authorities), "{:?}", event);
            }
            // A CA created in that pass is trusted in the next one at the earliest.
            if fixture.trusted && fixture.reconcile().is_some_and(|why| why != RenewalReason::AuthorityTrusted) {
                return Err(TestCaseError::fail("it is written again"));
            }
            let settled = fixture.contents.clone();
            prop_assert_eq!(fixture.reconcile(), None);
            prop_assert_eq!(&fixture.contents, &settled);
        }
    }
}
