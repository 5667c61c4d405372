//! Issued certificates verify where they should and nowhere else, and keys stay hidden.

use jiff::SignedDuration;

use super::*;

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Returns a CA issued a day ago, valid for `days` days, with the PEM of its certificate and key.
fn ca(days: i32) -> (Signer, IssuedCertificate) {
    let made = issue_ca(
        "a CA",
        saturating_add(now(), -DAY),
        saturating_add(now(), DAY * days),
    )
    .unwrap();
    let (read, clean) = Certificate::parse_pem(made.cert.as_bytes());
    assert!(clean);
    (Signer::for_key(&read, &made.key).unwrap(), made)
}

fn of(signer: &Signer, days: i32) -> (TlsPair, Vec<rustls::pki_types::CertificateDer<'static>>) {
    let (begin, end) = (
        saturating_add(now(), -DAY),
        saturating_add(now(), DAY * days),
    );
    let made = issue_server(&names(&["nadmit.nadmit.svc", "nadmit"]), signer, begin, end).unwrap();
    let pair = TlsPair {
        cert: made.cert.into_bytes(),
        key: made.key,
    };
    let chain = pair.identity().unwrap().cert;
    (pair, chain)
}

#[test]
fn a_certificate_verifies_for_its_names_within_its_validity_and_that_of_its_ca() {
    let (signer, _) = ca(30);
    let (other, _) = ca(30);
    let (_, chain) = of(&signer, 10);
    let roots = [signer.certificate.clone()];
    let good = names(&["nadmit.nadmit.svc", "nadmit"]);
    assert!(verify(&chain, &roots, &good, now()));
    assert!(!verify(&chain, &roots, &names(&["elsewhere"]), now()));
    assert!(!verify(&chain, &roots, &[], now()), "without a name");
    assert!(!verify(&chain, [&other.certificate], &good, now()));
    assert!(verify(
        &chain,
        [&other.certificate, &signer.certificate],
        &good,
        now()
    ));
    for (day, is) in [(-2, false), (0, true), (9, true), (11, false)] {
        let then = saturating_add(now(), DAY * day);
        assert_eq!(verify(&chain, &roots, &good, then), is, "on day {day}");
    }
    // A certificate does not outlive its CA.
    let (_, chain) = of(&signer, 100);
    assert_eq!(
        Certificate::from_der(&chain[0]).unwrap().not_after,
        signer.certificate.not_after
    );
    // Like Go, and unlike rustls.
    let (short, _) = ca(1);
    let mut root = short.certificate.clone();
    root.not_after = saturating_add(now(), -DAY);
    let (_, chain) = of(&short, 10);
    assert!(!verify(&chain, [&root], &good, now()), "an expired CA");
}

#[test]
fn readable_parts_of_pem_are_read() {
    let (one, made) = ca(30);
    let (two, _) = ca(30);
    let good = one.certificate.pem() + &two.certificate.pem();
    assert_eq!(
        one.certificate.pem().trim(),
        made.cert.replace('\r', "").trim()
    );
    let read = |text: &str| {
        let (found, clean) = Certificate::parse_pem(text.as_bytes());
        (found.len(), clean)
    };
    assert_eq!(read(&good), (2, true));
    assert_eq!(read(&format!("# words\n{good}# and more")), (2, true));
    assert_eq!(
        read(&format!("{good}{}", one.certificate.pem())),
        (2, false)
    );
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(read(&format!("{broken}{good}")), (2, false));
    assert_eq!(read(""), (0, true));
    assert_eq!(read("\0\u{ff}"), (0, true));
}

#[test]
fn mismatches_are_reported_without_the_key() {
    let (signer, made) = ca(30);
    let (pair, _) = of(&signer, 10);
    let with = |cert: &[u8], key: &[u8]| TlsPair {
        cert: cert.to_vec(),
        key: PrivateKey::new(key),
    };
    let key = pair.key.expose();
    let cut = [&key[..key.len() / 2], b"\n-----END PRIVATE KEY-----\n"].concat();
    let cases = [
        (with(b"", key), "it holds no PEM certificate"),
        (with(&pair.cert, b""), "it holds no PEM private key"),
        (
            with(&pair.cert, made.key.expose()),
            "certificate and key do not fit",
        ),
        (with(&pair.cert, &cut), "key"),
    ];
    for (wrong, expected) in cases {
        let error = wrong.identity().map(|_| ()).unwrap_err();
        let text = format!("{error} {error:?} {wrong:?}");
        assert!(text.contains(expected), "{text}");
        let shown = std::str::from_utf8(key).unwrap().lines().nth(1).unwrap();
        assert!(!text.contains(&shown[..20]), "{text}");
    }
    for key in [pair.key.clone(), PrivateKey::new("no key")] {
        assert!(Signer::for_key(std::slice::from_ref(&signer.certificate), &key).is_none());
        assert!(Signer::new(&signer.certificate.der, &key).is_err());
    }
    let text = format!("{:?} {:?} {:?}", made, pair, signer);
    assert!(!text.contains("PRIVATE"), "{text}");
}
