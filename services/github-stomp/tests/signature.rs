//! Who sent a body.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chassis::Secret;
use github_stomp::{
    forge::Kind,
    signature::{TIMESTAMP_TOLERANCE, Wrong, sign, verify},
};

use crate::forged::standard;

/// The vector that GitHub publishes.
const SECRET: &str = "It's a Secret to Everybody";
const BODY: &[u8] = b"Hello, World!";
const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

/// Standard Webhooks' own, of its specification.
const STANDARD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const STANDARD_BODY: &[u8] = br#"{"test": 2432232314}"#;
const STANDARD_ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const STANDARD_TIME: i64 = 1_614_265_330;
const STANDARD_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

const NOW: i64 = STANDARD_TIME;

fn check_at(
    now_s: i64,
    kind: Kind,
    secrets: &[&str],
    body: &[u8],
    headers: &[(&str, &str)],
) -> Result<(), Wrong> {
    let secrets: Vec<Secret> = secrets.iter().map(|text| Secret::new(*text)).collect();
    let headers = headers.iter().map(|(name, value)| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    });
    let headers: HeaderMap = headers.collect();
    verify(&secrets, body, &kind.claim(&headers)?, now_s)
}

fn check(kind: Kind, secrets: &[&str], headers: &[(&str, &str)]) -> Result<(), Wrong> {
    check_at(NOW, kind, secrets, BODY, headers)
}

#[test]
fn the_published_vector_is_good_and_is_what_we_sign() {
    let header = [("x-hub-signature-256", SIGNATURE)];
    assert_eq!(check(Kind::Github, &[SECRET], &header), Ok(()));
    assert_eq!(sign(&Secret::new(SECRET), BODY), SIGNATURE);
}

#[test]
fn each_forge_signs_in_its_own_way_and_no_other_way_is_taken() {
    let digits = &SIGNATURE["sha256=".len()..];
    let all = [
        Kind::Github,
        Kind::Gitlab,
        Kind::Gitea,
        Kind::Forgejo,
        Kind::Bitbucket,
        Kind::BitbucketServer,
    ];
    let table: [(&str, &str, &[Kind]); 8] = [
        ("x-hub-signature-256", SIGNATURE, &[Kind::Github]),
        ("x-gitlab-token", SECRET, &[Kind::Gitlab]),
        ("x-gitea-signature", digits, &[Kind::Gitea, Kind::Forgejo]),
        ("x-forgejo-signature", digits, &[Kind::Forgejo]),
        (
            "x-hub-signature",
            SIGNATURE,
            &[Kind::Bitbucket, Kind::BitbucketServer],
        ),
        ("x-gogs-signature", digits, &[]),
        ("authorization", SECRET, &[]),
        ("x-gitea-token", SECRET, &[]),
    ];
    for (header, value, good) in table {
        for kind in all {
            let outcome = check(kind, &[SECRET], &[(header, value)]);
            match good.contains(&kind) {
                true => assert_eq!(outcome, Ok(()), "{header} for {kind:?}"),
                false => assert!(
                    matches!(outcome, Err(Wrong::Missing(_))),
                    "{header} for {kind:?}: {outcome:?}"
                ),
            }
        }
    }
}

#[test]
fn while_a_secret_is_changed_both_are_good() {
    let header = [("x-hub-signature-256", SIGNATURE)];
    for secrets in [["new", SECRET], [SECRET, "new"]] {
        assert_eq!(check(Kind::Github, &secrets, &header), Ok(()));
        let token = [("x-gitlab-token", SECRET)];
        assert_eq!(check(Kind::Gitlab, &secrets, &token), Ok(()));
    }
    assert_eq!(check(Kind::Github, &["new"], &header), Err(Wrong::Mismatch));
}

#[test]
fn every_other_signature_is_refused_with_its_reason() {
    let digits = &SIGNATURE["sha256=".len()..];
    let short = &SIGNATURE[..SIGNATURE.len() - 2];
    let sha1 = format!("sha1={}", &digits[..40]);
    let other = SIGNATURE.replace("757107", "757108");
    let missing = |header| Err(Wrong::Missing(header));
    let malformed = |header, form| Err(Wrong::Malformed { header, form });
    let hub = malformed("x-hub-signature-256", "sha256= and 64 hex digits");
    let table = [
        ("", missing("x-hub-signature-256")),
        ("  ", missing("x-hub-signature-256")),
        ("sha256=", missing("x-hub-signature-256")),
        (digits, hub),
        (short, hub),
        (&sha1, hub),
        ("sha256=zz", hub),
        (&other, Err(Wrong::Mismatch)),
    ];
    for (value, wrong) in table {
        let header = [("x-hub-signature-256", value)];
        assert_eq!(check(Kind::Github, &[SECRET], &header), wrong, "{value:?}");
    }
    assert_eq!(
        check(Kind::Github, &[SECRET], &[]),
        missing("x-hub-signature-256")
    );
    let bare = malformed("x-gitea-signature", "64 hex digits");
    let table = [
        ("", missing("x-gitea-signature")),
        (SIGNATURE, bare),
        (&digits[2..], bare),
        (&other["sha256=".len()..], Err(Wrong::Mismatch)),
    ];
    for (value, wrong) in table {
        let header = [("x-gitea-signature", value)];
        assert_eq!(check(Kind::Gitea, &[SECRET], &header), wrong, "{value:?}");
    }
    let good = [("x-hub-signature-256", SIGNATURE)];
    let changed = check_at(NOW, Kind::Github, &[SECRET], b"Hello, World?", &good);
    assert_eq!(changed, Err(Wrong::Mismatch));
    assert_eq!(check(Kind::Github, &[], &good), Err(Wrong::Mismatch));
}

#[test]
fn a_token_is_the_whole_secret() {
    let table = [
        ("sesame", Ok(())),
        ("sesam", Err(Wrong::Mismatch)),
        ("sesame1", Err(Wrong::Mismatch)),
        ("Sesame", Err(Wrong::Mismatch)),
        ("", Err(Wrong::Missing("x-gitlab-token"))),
    ];
    for (token, outcome) in table {
        let header = [("x-gitlab-token", token)];
        assert_eq!(
            check(Kind::Gitlab, &["sesame"], &header),
            outcome,
            "{token:?}"
        );
    }
    // One that signs is never a token: it is not to be sent.
    let header = [("x-gitlab-token", STANDARD)];
    assert_eq!(
        check(Kind::Gitlab, &[STANDARD], &header),
        Err(Wrong::Mismatch)
    );
}

fn signed(signature: &str, time: &str) -> Vec<(&'static str, String)> {
    vec![
        ("webhook-id", STANDARD_ID.to_owned()),
        ("webhook-timestamp", time.to_owned()),
        ("webhook-signature", signature.to_owned()),
    ]
}

fn check_standard(now_s: i64, secrets: &[&str], headers: &[(&str, String)]) -> Result<(), Wrong> {
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    check_at(now_s, Kind::Gitlab, secrets, STANDARD_BODY, &headers)
}

#[test]
fn the_standard_vector_is_good_within_the_tolerance_and_a_replay_is_not() {
    let time = STANDARD_TIME.to_string();
    let headers = signed(STANDARD_SIGNATURE, &time);
    let tolerance = i64::try_from(TIMESTAMP_TOLERANCE.as_secs()).unwrap();
    for away in [0, tolerance, -tolerance] {
        assert_eq!(
            check_standard(STANDARD_TIME + away, &[STANDARD], &headers),
            Ok(())
        );
    }
    for away in [tolerance + 1, -tolerance - 1, 10_000_000] {
        let wrong = check_standard(STANDARD_TIME + away, &[STANDARD], &headers);
        let away_s = away.unsigned_abs();
        assert_eq!(wrong, Err(Wrong::Stale { away_s }));
    }
    assert_eq!(
        standard(STANDARD, STANDARD_ID, STANDARD_TIME, STANDARD_BODY),
        STANDARD_SIGNATURE
    );
}

#[test]
fn every_other_standard_signature_is_refused_with_its_reason() {
    let time = STANDARD_TIME.to_string();
    let good = STANDARD_SIGNATURE;
    let other = "v1,AAAASsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE0=";
    let many = format!("{} {good}", [other; 3].join(" "));
    let too_many = format!("{} {good}", [other; 8].join(" "));
    let malformed = Err(Wrong::Malformed {
        header: "webhook-signature",
        form: "v1, and the base64 of 32 bytes",
    });
    let table = [
        (many.as_str(), &*time, Ok(())),
        (
            "v1a,xx v2,yy v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE",
            &*time,
            Ok(()),
        ),
        (too_many.as_str(), &*time, Err(Wrong::Mismatch)),
        (other, &*time, Err(Wrong::Mismatch)),
        ("v1,", &*time, malformed),
        ("v1,AAAA", &*time, malformed),
        (
            "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            &*time,
            malformed,
        ),
        ("", &*time, Err(Wrong::Missing("x-gitlab-token"))),
        (good, "", Err(Wrong::Missing("webhook-timestamp"))),
        (
            good,
            "yesterday",
            Err(Wrong::Malformed {
                header: "webhook-timestamp",
                form: "seconds since 1970",
            }),
        ),
        // Another time than was signed, though it is now.
        (good, "1614265331", Err(Wrong::Mismatch)),
        (good, "+1614265330", Err(Wrong::Mismatch)),
    ];
    for (signature, time, outcome) in table {
        let headers = signed(signature, time);
        assert_eq!(
            check_standard(NOW, &[STANDARD], &headers),
            outcome,
            "{signature} {time}"
        );
    }
    let headers = signed(good, &time);
    for secret in [
        "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "sesame",
        &STANDARD[6..],
    ] {
        assert_eq!(
            check_standard(NOW, &[secret], &headers),
            Err(Wrong::Mismatch),
            "{secret}"
        );
    }
    assert_eq!(check_standard(NOW, &["sesame", STANDARD], &headers), Ok(()));
}

#[test]
fn with_a_signature_and_a_token_the_signature_counts_where_we_have_a_secret_for_it() {
    let time = STANDARD_TIME.to_string();
    let mut headers = signed(STANDARD_SIGNATURE, &time);
    headers.push(("x-gitlab-token", "sesame".to_owned()));
    let stale = Err(Wrong::Stale { away_s: 1000 });
    let table: [(&[&str], i64, Result<(), Wrong>); 6] = [
        (&[STANDARD], 0, Ok(())),
        (&["sesame"], 0, Ok(())),
        (&["sesame", STANDARD], 0, Ok(())),
        (&["other"], 0, Err(Wrong::Mismatch)),
        (&[STANDARD], 1000, stale),
        // A replay cannot fall back.
        (&["sesame", STANDARD], 1000, stale),
    ];
    for (secrets, late, outcome) in table {
        assert_eq!(
            check_standard(NOW + late, secrets, &headers),
            outcome,
            "{secrets:?}"
        );
    }
    let token = [("x-gitlab-token", "sesame")];
    assert_eq!(check(Kind::Gitlab, &["sesame", STANDARD], &token), Ok(()));
}

#[test]
fn only_the_connection_test_of_bitbucket_server_may_be_unsigned() {
    for kind in [Kind::Bitbucket, Kind::BitbucketServer, Kind::Github] {
        for event in ["diagnostics:ping", "repo:refs_changed", ""] {
            let outcome = check(kind, &[SECRET], &[("x-event-key", event)]);
            let may = kind == Kind::BitbucketServer && event == "diagnostics:ping";
            assert_eq!(outcome.is_ok(), may, "{kind:?} {event}");
        }
    }
    // Signed wrongly is not unsigned.
    let headers = [
        ("x-event-key", "diagnostics:ping"),
        ("x-hub-signature", SIGNATURE),
    ];
    assert_eq!(
        check(Kind::BitbucketServer, &["other"], &headers),
        Err(Wrong::Mismatch)
    );
}
