//! Whatever happens to a Secret, one look makes it good.

use proptest::{prelude::*, sample::Index};

use super::*;

/// What happens to a Secret between two looks.
#[derive(Debug, Clone)]
enum Event {
    /// So many days pass; fewer than none if the API server's clock is set back.
    Days(i32),
    /// An entry becomes this: nothing, noise, or that of another Secret.
    Broken(Index, Index),
    Deleted,
    Renamed(bool),
    Trusted(bool),
    /// The replica has just begun.
    Forgets,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => (0..70).prop_map(Event::Days),
        1 => (-400..800).prop_map(Event::Days),
        4 => any::<(Index, Index)>().prop_map(|(entry, with)| Event::Broken(entry, with)),
        1 => Just(Event::Deleted),
        1 => any::<bool>().prop_map(Event::Renamed),
        3 => any::<bool>().prop_map(Event::Trusted),
        1 => Just(Event::Forgets),
    ];
    proptest::collection::vec(event, 1..24)
}

/// Another Secret with a life of its own: good keys that do not belong here.
fn other() -> Contents {
    let mut world = World::new();
    world.look();
    world.contents
}

impl World {
    fn suffer(&mut self, event: &Event, other: &Contents) {
        match event {
            Event::Days(days) => self.now = later(self.now, DAY * *days),
            Event::Deleted => self.contents = Contents::default(),
            Event::Renamed(second) => {
                self.names = called(if *second { "nadmit-2" } else { "nadmit" }).names();
            }
            Event::Trusted(trusted) => self.trusted = *trusted,
            Event::Forgets => self.remembered = None,
            Event::Broken(entry, with) => {
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
    fn whatever_happens_one_look_makes_it_good(history in events()) {
        let (mut world, other) = (World::new(), other());
        world.look();
        for event in &history {
            world.suffer(event, &other);
            let shown = world.remembered.clone();
            let good = shown.filter(|shown| {
                shown.served.is_believed(&shown.authorities, &world.names, world.now)
            });
            let foreign = world.contents.is_foreign()
                || world.remembered.as_ref().is_some_and(|before| before.foreign);
            let broken = world.contents.clone();
            world.look();
            if foreign {
                prop_assert_eq!(&world.contents, &broken, "nobody's business");
                // Somebody puts it right.
                world.contents = Contents::default();
                world.remembered = None;
                world.look();
            }
            let held = world.held();
            prop_assert!(world.is_believed(&held.authorities), "{:?}", held);
            prop_assert!(held.clean && held.authorities.len() <= 8);
            let signer = held.signer.as_ref().map(|signer| signer.certificate.clone());
            prop_assert!(signer.is_some_and(|signer| held.authorities.contains(&signer)));
            // Callers that trust what was in force with the certificate that was shown believe the
            // next one, too, unless they all trust the new CA.
            if let Some(shown) = good.filter(|_| !foreign && !world.trusted) {
                prop_assert!(world.is_believed(&shown.authorities), "{:?}", event);
            }
            // A CA that was made at that look is trusted at the next one at the earliest.
            if world.trusted && world.look().is_some_and(|why| why != Why::AuthorityTrusted) {
                return Err(TestCaseError::fail("it is written again"));
            }
            let settled = world.contents.clone();
            prop_assert_eq!(world.look(), None);
            prop_assert_eq!(&world.contents, &settled);
        }
    }
}
