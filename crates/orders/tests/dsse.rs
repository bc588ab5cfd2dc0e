//! The envelope, and that no bit of it can be changed.

use base64::{Engine, engine::general_purpose::STANDARD};
use events::message::Signed;
use orders::{EnvelopeError, Grant, Keyring, Order, Verified, VerifyError};

use crate::given::{ann, bo, grant, keyring, now, orchestrator, order, stranger};

fn verify(signed: &Signed) -> Result<Verified<Grant>, VerifyError> {
    keyring().verify(signed, now())
}

#[test]
fn the_encoding_is_the_one_of_the_dsse_specification() {
    // The example of https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
    let bytes =
        orders::pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
    assert_eq!(
        bytes,
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
}

#[test]
fn lengths_are_counted_in_bytes() {
    let bytes = orders::pre_authentication_encoding("ä", "öö".as_bytes());
    assert_eq!(bytes, "DSSEv1 2 ä 4 öö".as_bytes());
}

#[test]
fn what_is_signed_comes_back_with_its_signer() {
    let signed = orders::sign(&grant(), &ann()).expect("signed");
    let verified = verify(&signed).expect("verified");
    assert_eq!(verified.document, grant());
    assert_eq!(verified.signers, ["ann@example.org"]);
    assert_eq!(
        verified.digest,
        orders::payload_digest::<Grant>(&signed).expect("a digest")
    );
}

#[test]
fn the_payload_is_kept_byte_for_byte() {
    // The same grant, written by somebody with other blanks and another order of keys.
    let json = serde_json::to_string_pretty(&serde_json::to_value(grant()).expect("JSON"))
        .expect("a text");
    let mut signed = orders::unsigned(&grant()).expect("an envelope");
    signed.payload = STANDARD.encode(&json);
    orders::add_signature::<Grant>(&mut signed, &ann()).expect("signed");
    let verified = verify(&signed).expect("verified");
    assert_eq!(verified.document, grant());
    assert_ne!(
        verified.digest,
        orders::payload_digest::<Grant>(&orders::unsigned(&grant()).expect("an envelope"))
            .expect("a digest"),
        "another text has another digest"
    );
}

#[test]
fn a_changed_bit_in_any_byte_is_refused() {
    let signed = orders::sign(&grant(), &ann()).expect("signed");
    verify(&signed).expect("it is good before it is changed");
    let mut tried = 0;
    let mut refused = |changed: Signed, what: &str| {
        tried += 1;
        assert!(verify(&changed).is_err(), "{what} is still believed");
    };

    let flips = |bytes: &[u8]| -> Vec<(usize, Vec<u8>)> {
        let flip = |at: usize| {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1 << (at % 8);
            (at, changed)
        };
        (0..bytes.len()).map(flip).collect()
    };
    let raw = |text: &str| STANDARD.decode(text).expect("base64");

    for (at, payload) in flips(&raw(&signed.payload)) {
        let payload = STANDARD.encode(payload);
        refused(
            Signed {
                payload,
                ..signed.clone()
            },
            &format!("payload byte {at}"),
        );
    }
    for (at, kind) in flips(signed.payload_type.as_bytes()) {
        if let Ok(payload_type) = String::from_utf8(kind) {
            refused(
                Signed {
                    payload_type,
                    ..signed.clone()
                },
                &format!("type byte {at}"),
            );
        }
    }
    for (at, blob) in flips(&raw(&signed.signatures[0].sig)) {
        let mut changed = signed.clone();
        changed.signatures[0].sig = STANDARD.encode(blob);
        refused(changed, &format!("signature byte {at}"));
    }
    assert!(tried > 400, "only {tried} bytes were tried");
}

#[test]
fn any_changed_character_of_the_base64_is_refused() {
    let signed = orders::sign(&grant(), &ann()).expect("signed");
    let change = |text: &str, at: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).expect("still ASCII")
    };
    // The last characters hold bits that stand for nothing; they too have one right value.
    for from_the_end in 1..=4 {
        let at = signed.payload.len() - from_the_end;
        let payload = change(&signed.payload, at);
        assert!(
            verify(&Signed {
                payload,
                ..signed.clone()
            })
            .is_err(),
            "payload, {at}"
        );

        let at = signed.signatures[0].sig.len() - from_the_end;
        let mut changed = signed.clone();
        changed.signatures[0].sig = change(&signed.signatures[0].sig, at);
        assert!(verify(&changed).is_err(), "signature, {at}");
    }
}

#[test]
fn bytes_after_the_signature_are_refused() {
    let mut signed = orders::sign(&grant(), &ann()).expect("signed");
    let mut blob = STANDARD.decode(&signed.signatures[0].sig).expect("base64");
    blob.push(0);
    signed.signatures[0].sig = STANDARD.encode(blob);
    assert!(matches!(
        verify(&signed),
        Err(VerifyError::NotASignature { number: 1, .. })
    ));
}

#[test]
fn a_signature_of_a_version_that_never_was_is_refused() {
    // SSHSIG counts versions from 1; the version is not among the bytes that are signed.
    let mut signed = orders::sign(&grant(), &ann()).expect("signed");
    let mut blob = STANDARD.decode(&signed.signatures[0].sig).expect("base64");
    assert_eq!(blob[..10], *b"SSHSIG\0\0\0\x01");
    blob[9] = 0;
    signed.signatures[0].sig = STANDARD.encode(blob);
    assert!(matches!(
        verify(&signed),
        Err(VerifyError::NotASignature { number: 1, .. })
    ));
}

#[test]
fn a_signature_for_an_order_is_none_for_a_grant() {
    // The same bytes, signed in the other namespace by a key that may sign grants.
    let mut signed = orders::unsigned(&grant()).expect("an envelope");
    let order = Signed {
        payload_type: "application/vnd.deploykit.order.v1+json".to_owned(),
        ..signed.clone()
    };
    let mut other = order;
    orders::add_signature::<Order>(&mut other, &ann()).expect("signed");
    signed.signatures = other.signatures;
    assert!(matches!(
        verify(&signed),
        Err(VerifyError::Namespace { found, .. }) if found == "order@deploykit"
    ));
}

#[test]
fn an_order_is_not_read_as_a_grant() {
    let signed_grant = orders::sign(&grant(), &ann()).expect("signed");
    let signed = orders::sign(&order(&signed_grant), &orchestrator()).expect("signed");
    assert!(matches!(
        verify(&signed),
        Err(VerifyError::Envelope(EnvelopeError::PayloadType { .. }))
    ));
}

#[test]
fn a_field_that_nobody_knows_is_refused() {
    // It could be a restriction that a newer version has and this one would pass over.
    let mut value = serde_json::to_value(grant()).expect("JSON");
    value["only_on_sundays"] = true.into();
    let mut signed = orders::unsigned(&grant()).expect("an envelope");
    signed.payload = STANDARD.encode(value.to_string());
    orders::add_signature::<Grant>(&mut signed, &ann()).expect("signed");
    assert!(matches!(verify(&signed), Err(VerifyError::Content(..))));
}

#[test]
fn a_grant_that_makes_no_sense_is_neither_signed_nor_read() {
    let nonsense = Grant {
        commit: None,
        ..grant()
    };
    assert!(orders::sign(&nonsense, &ann()).is_err());
    let mut signed = orders::unsigned(&grant()).expect("an envelope");
    signed.payload = STANDARD.encode(serde_json::to_vec(&nonsense).expect("JSON"));
    orders::add_signature::<Grant>(&mut signed, &ann()).expect("signed");
    assert!(matches!(verify(&signed), Err(VerifyError::Nonsense(_))));
}

#[test]
fn without_a_signature_nothing_is_believed() {
    let signed = orders::unsigned(&grant()).expect("an envelope");
    assert!(matches!(verify(&signed), Err(VerifyError::Unsigned)));
}

#[test]
fn too_many_signatures_are_not_even_read() {
    let mut signed = orders::sign(&grant(), &ann()).expect("signed");
    signed.signatures = vec![signed.signatures[0].clone(); 17];
    assert!(matches!(verify(&signed), Err(VerifyError::TooMany(17))));
}

#[test]
fn a_stranger_is_named_and_does_not_count() {
    let signed = orders::sign(&grant(), &stranger()).expect("signed");
    let error = verify(&signed).expect_err("nobody knows the stranger");
    let expected = format!(
        "none of its signatures counts: {} is not among the allowed signers",
        stranger().fingerprint()
    );
    assert_eq!(error.to_string(), expected);

    let empty = Keyring::default();
    let signed = orders::sign(&grant(), &ann()).expect("signed");
    assert!(empty.verify::<Grant>(&signed, now()).is_err());
}

#[test]
fn several_sign_the_same_bytes_and_a_stranger_beside_them_does_no_harm() {
    let mut signed = orders::sign(&grant(), &ann()).expect("signed");
    orders::add_signature::<Grant>(&mut signed, &bo()).expect("signed");
    orders::add_signature::<Grant>(&mut signed, &stranger()).expect("signed");
    orders::add_signature::<Grant>(&mut signed, &ann()).expect("signed");
    let mut verified = verify(&signed).expect("verified");
    verified.signers.sort();
    assert_eq!(
        verified.signers,
        ["ann@example.org", "bo@example.org"],
        "each key counts once"
    );
    assert_eq!(verified.ignored.len(), 1);
}

#[test]
fn the_key_id_is_a_hint_only() {
    let mut signed = orders::sign(&grant(), &ann()).expect("signed");
    signed.signatures[0].keyid = bo().fingerprint();
    assert_eq!(
        verify(&signed).expect("verified").signers,
        ["ann@example.org"]
    );
}
