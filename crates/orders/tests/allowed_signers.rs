//! The `allowed_signers` file, line by line.

use events::message::Signed;
use jiff::Timestamp;
use orders::{Grant, Keyring, Verified, VerifyError};
use proptest::prelude::*;

use crate::given::{ann, bo, grant, now, time};

fn signed() -> Signed {
    orders::sign(&grant(), &ann()).expect("signed")
}

fn verify(file: &str, now: Timestamp) -> Result<Verified<Grant>, VerifyError> {
    Keyring::parse(file)
        .expect("a keyring")
        .verify(&signed(), now)
}

/// `{KEY}` stands for ann's key.
fn file(text: &str) -> String {
    let key = ann().public_line();
    let mut words = key.split(' ');
    let key = [words.next().expect("a type"), words.next().expect("a key")].join(" ");
    text.replace("{KEY}", &key)
}

#[test]
fn lines_that_count() {
    for line in [
        "ann {KEY}",
        "ann {KEY} with a comment of several words",
        "  ann\t{KEY}",
        "# a comment\n\n  # another\r\nann {KEY}\r\n",
        "ann,bo {KEY}",
        "\"ann\" {KEY}",
        "ann namespaces=\"grant@deploykit\" {KEY}",
        "ann namespaces=\"file,grant@deploykit\" {KEY}",
        "ann namespaces=\"grant@*\" {KEY}",
        "ann NAMESPACES=\"*\" {KEY}",
        "ann valid-after=\"20261121Z\" {KEY}",
        "ann valid-after=20261121Z,valid-before=20261122Z {KEY}",
        "ann valid-before=\"202611211201Z\",namespaces=\"grant@deploykit\" {KEY}",
        "ann valid-before=20261121120001Z {KEY}",
        // One line that does not count does no harm to another that does.
        "ann valid-before=20200101Z {KEY}\nann {KEY}",
    ] {
        let verified = verify(&file(line), now());
        assert!(verified.is_ok(), "{line:?}: {verified:?}");
    }
}

#[test]
fn lines_that_do_not_count_say_why() {
    for (line, why) in [
        ("", "is not among the allowed signers"),
        (
            "ann namespaces=\"file\" {KEY}",
            "ann (line 1) signs for file only",
        ),
        (
            "ann namespaces=\"*,!grant@deploykit\" {KEY}",
            "signs for *,!grant@deploykit only",
        ),
        (
            "\n\nann valid-after=20261122Z {KEY}",
            "ann (line 3) is valid from 2026-11-22T00:00:00Z on",
        ),
        (
            "ann valid-before=202611211159Z {KEY}",
            "ann (line 1) was valid until 2026-11-21T11:59:00Z",
        ),
    ] {
        let error = verify(&file(line), now()).expect_err(line).to_string();
        assert!(error.contains(why), "{line:?}: {error}");
    }
}

#[test]
fn times_are_exact_to_the_second() {
    let line = file("ann valid-after=20261121120000Z,valid-before=20261121120005Z {KEY}");
    let good = |text: &str| verify(&line, time(text)).is_ok();
    assert!(!good("2026-11-21T11:59:59Z"));
    assert!(good("2026-11-21T12:00:00Z"));
    assert!(good("2026-11-21T12:00:05Z"));
    assert!(!good("2026-11-21T12:00:06Z"));
}

#[test]
fn a_damaged_line_is_refused_with_its_number() {
    for (line, what) in [
        ("ann", "a key is missing"),
        ("ann ssh-ed25519", "a key is missing"),
        ("ann ssh-ed25519 AAAA", "the key of ann is damaged"),
        ("ann namespaces=\"file\"", "a key is missing"),
        ("ann namespaces=\"file {KEY}", "not closed"),
        (
            "ann namespaces=\"\" {KEY}",
            "not a comma-separated list of namespaces",
        ),
        ("ann namespaces=\"a\",namespaces=\"b\" {KEY}", "given twice"),
        ("ann,,bo {KEY}", "not a comma-separated list of principals"),
        (
            "ann cert-authority {KEY}",
            "cert-authority is not supported",
        ),
        (
            "ann CERT-AUTHORITY,namespaces=\"x\" {KEY}",
            "cert-authority is not supported",
        ),
        (
            "ann no-touch-required {KEY}",
            "neither a key type nor an option",
        ),
        ("ann valid-after=20261301Z {KEY}", "is not a time"),
        ("ann valid-after=2026112Z {KEY}", "is not a time"),
        ("ann valid-after=\"tomorrow\" {KEY}", "is not a time"),
        ("ann valid-after=2026+121Z {KEY}", "is not a time"),
        (
            "ann valid-after=20261122Z,valid-before=20261121Z {KEY}",
            "is not before valid-before",
        ),
    ] {
        let text = format!("# first\n{}", file(line));
        let error = Keyring::parse(&text).expect_err(line).to_string();
        assert!(error.starts_with("allowed_signers line 2: "), "{error}");
        assert!(error.contains(what), "{line:?}: {error}");
    }
}

#[test]
fn key_types_that_are_not_used_are_noted_and_skipped() {
    let text =
        file("eve ssh-rsa AAAAB3NzaC1yc2E=\nflo sk-ssh-ed25519@openssh.com AAAA flo\nann {KEY}");
    let keyring = Keyring::parse(&text).expect("a keyring");
    assert_eq!(
        keyring.notes(),
        [
            "allowed_signers line 1: skipped, since keys of type ssh-rsa are not used here (only ssh-ed25519 is)",
            "allowed_signers line 2: skipped, since keys of type sk-ssh-ed25519@openssh.com are not used here (only ssh-ed25519 is)",
        ]
    );
    let keys: Vec<String> = keyring
        .keys()
        .map(|(key, principals)| format!("{principals} {key}"))
        .collect();
    assert_eq!(keys, [format!("ann {}", ann().fingerprint())]);
}

#[test]
fn a_time_without_z_is_noted_since_openssh_reads_it_differently() {
    let keyring = Keyring::parse(&file("ann valid-after=20261121 {KEY}")).expect("a keyring");
    assert_eq!(
        keyring.notes(),
        ["allowed_signers line 1: valid-after=20261121 has no Z at its end; it is read as UTC"]
    );
}

/// True if the key of a line with these principals may sign as `name`.
fn fits_line(principals: &str, name: &str) -> bool {
    let text = file(&format!("{principals} {{KEY}}"));
    let keyring = Keyring::parse(&text).expect("a keyring");
    let (_key, list) = keyring.keys().next().expect("one key");
    list.matches(name)
}

#[test]
fn principals_are_patterns() {
    for (principals, name, fits) in [
        ("ann", "ann", true),
        ("ann", "anne", false),
        ("ann", "Ann", false),
        ("bo,ann", "ann", true),
        ("*", "anybody", true),
        ("*@example.org", "ann@example.org", true),
        ("*@example.org", "ann@example.org.evil", false),
        ("a?n", "ann", true),
        ("a?n", "an", false),
        ("*,!eve", "eve", false),
        ("*,!eve", "ann", true),
        ("!eve", "ann", false),
        ("a*b*c", "axxbyybzc", true),
        ("a*b*c", "axxbyybz", false),
    ] {
        assert_eq!(fits_line(principals, name), fits, "{principals} {name}");
    }
}

#[test]
fn a_key_with_two_lines_is_one_signer_with_both_names() {
    let text = file("ann {KEY}\nann@example.org {KEY}\nbo ") + &bo().public_line();
    let verified = verify(&text, now()).expect("verified");
    assert_eq!(verified.signers, ["ann,ann@example.org"]);
    assert!(verified.keys[0].is("ann") && verified.keys[0].is("ann@example.org"));
    assert!(!verified.keys[0].is("bo"));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(ann|[a,!*\" ]{0,5})[ \t](\\PC{0,30}|[-=a-z\",0-9Z]{0,40})[ ](ssh-ed25519 )?\\PC{0,40}") {
        let _either_way = Keyring::parse(&text);
    }

    #[test]
    fn a_pattern_fits_what_it_was_made_from(text in "[a-c]{0,8}", at in 0..8_usize, to in 0..8_usize) {
        let (at, to) = (at.min(text.len()), to.min(text.len()));
        let (at, to) = (at.min(to), at.max(to));
        let pattern = format!("x{}*{}", &text[..at], &text[to..]);
        prop_assert!(fits_line(&pattern, &["x", &text].concat()));
        prop_assert!(!fits_line(&pattern, &text), "the x is missing");
    }
}
