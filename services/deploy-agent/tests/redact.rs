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
