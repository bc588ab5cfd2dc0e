//! What is cut out of what a script says.

use deploy_agent::redact::Redactor;

#[test]
fn secrets_are_cut_out_the_longest_first() {
    let redactor = Redactor::new([
        "DB_PASSWORD=\"correct-horse\"\nshort\ncorrect-horse-battery\n",
        "k=v\n",
    ]);
    let table = [
        ("correct-horse", "[secret]"),
        (
            "x correct-horse-battery y correct-horse",
            "x [secret] y [secret]",
        ),
        ("DB_PASSWORD=correct-horse", "DB_PASSWORD=[secret]"),
        ("a short v stays", "a short v stays"),
    ];
    for (said, told) in table {
        assert_eq!(redactor.clean(said), told);
    }
    assert_eq!(format!("{redactor:?}"), "Redactor of 2 secrets");
}

#[test]
fn a_cut_goes_around_a_secret() {
    let redactor = Redactor::new(["secret-one\none-two-three"]);
    let before = [
        ("a secret-one b", 5, 2),
        ("a secret-one b", 2, 2),
        ("a secret-one b", 12, 12),
        ("a secret-one b", 99, 14),
        ("it ends on a sec", 99, 13),
        ("it ends on a cat", 99, 16),
        ("a secret-one-two-three", 14, 2),
    ];
    for (text, at, cut) in before {
        assert_eq!(redactor.cut_before(text.as_bytes(), at), cut, "{text}");
    }
    let after = [
        ("a secret-one b", 5, 12),
        ("a secret-one b", 2, 2),
        ("a secret-one-two-three b", 5, 22),
    ];
    for (text, at, cut) in after {
        assert_eq!(redactor.cut_after(text.as_bytes(), at), cut, "{text}");
    }
    assert_eq!(Redactor::default().cut_before(b"none", 2), 2);
}
