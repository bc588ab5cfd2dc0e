//! Keys, their files and what is never shown of them.

use orders::{Key, KeyError};

use crate::given::ann;

#[test]
fn a_key_file_is_read_again_as_the_same_key() {
    let read = Key::parse(&ann().to_openssh()).expect("a key");
    assert_eq!(read.public_line(), ann().public_line());
    assert_eq!(read.fingerprint(), ann().fingerprint());
}

#[test]
fn debug_shows_the_fingerprint_only() {
    assert_eq!(
        format!("{:?}", ann()),
        format!("Key({})", ann().fingerprint())
    );
}

#[test]
fn a_comment_cannot_add_a_line() {
    let key = Key::generate(&[5; 32], "ann\n* ssh-ed25519 AAAA");
    assert!(!key.public_line().contains('\n'));
}

#[test]
fn other_files_are_refused_with_what_was_expected() {
    let public = ann().public_line();
    for text in [
        "",
        "not a key",
        &public,
        "-----BEGIN RSA PRIVATE KEY-----\n",
    ] {
        let error = Key::parse(text).expect_err("it is no private key");
        assert!(matches!(error, KeyError::Format(_)), "{text:?}: {error}");
    }
}
