//! Who sent a body.

use axum::http::{HeaderMap, HeaderValue};
use chassis::Secret;
use github_stomp::{
    forge::Kind,
    signature::{Wrong, sign, verify},
};

/// The vector that GitHub publishes.
const SECRET: &str = "It's a Secret to Everybody";
const BODY: &[u8] = b"Hello, World!";
const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn check(secrets: &[&str], body: &[u8], header: Option<&str>) -> Result<(), Wrong> {
    let secrets: Vec<Secret> = secrets.iter().map(|text| Secret::new(*text)).collect();
    let mut headers = HeaderMap::new();
    if let Some(header) = header {
        headers.insert(
            "x-hub-signature-256",
            HeaderValue::from_str(header).unwrap(),
        );
    }
    verify(&secrets, body, &Kind::Github.claim(&headers)?)
}

#[test]
fn the_published_vector_is_good_and_is_what_we_sign() {
    assert_eq!(check(&[SECRET], BODY, Some(SIGNATURE)), Ok(()));
    assert_eq!(sign(&Secret::new(SECRET), BODY), SIGNATURE);
}

#[test]
fn while_a_secret_is_changed_both_are_good() {
    assert_eq!(check(&["new", SECRET], BODY, Some(SIGNATURE)), Ok(()));
    assert_eq!(check(&[SECRET, "new"], BODY, Some(SIGNATURE)), Ok(()));
}

#[test]
fn every_other_signature_is_refused_with_its_reason() {
    let digits = &SIGNATURE["sha256=".len()..];
    let short = &SIGNATURE[..SIGNATURE.len() - 2];
    let sha1 = format!("sha1={}", &digits[..40]);
    let other = SIGNATURE.replace("757107", "757108");
    let missing = Wrong::Missing("x-hub-signature-256");
    let malformed = Wrong::Malformed {
        header: "x-hub-signature-256",
        form: "sha256=",
    };
    let table = [
        (None, missing),
        (Some(""), missing),
        (Some("  "), missing),
        (Some("sha256="), missing),
        (Some(digits), malformed),
        (Some(short), malformed),
        (Some(&sha1), malformed),
        (Some("sha256=zz"), malformed),
        (Some(&other), Wrong::Mismatch),
    ];
    for (header, wrong) in table {
        assert_eq!(check(&[SECRET], BODY, header), Err(wrong), "{header:?}");
    }
    assert_eq!(
        check(&[SECRET], b"Hello, World?", Some(SIGNATURE)),
        Err(Wrong::Mismatch)
    );
    assert_eq!(
        check(&["other"], BODY, Some(SIGNATURE)),
        Err(Wrong::Mismatch)
    );
    assert_eq!(check(&[], BODY, Some(SIGNATURE)), Err(Wrong::Mismatch));
}
