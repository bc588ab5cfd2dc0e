//! Which names a pattern fits.

use events::Pattern;

#[test]
fn a_star_is_any_text_and_a_question_mark_one_byte() {
    let table = [
        ("refs/heads/*", "refs/heads/main", true),
        ("refs/heads/*", "refs/heads/feature/x", true),
        ("refs/heads/*", "refs/tags/v1", false),
        ("refs/heads/*", "x/refs/heads/main", false),
        ("*", "", true),
        ("v?", "v1", true),
        ("v?", "v12", false),
        ("*-rc*", "v1-rc2", true),
        ("a*b*c", "axxbxxbxc", true),
        ("a*b*c", "axxbxxbx", false),
        ("shop", "shop", true),
        ("shop", "shop2", false),
    ];
    for (pattern, text, fits) in table {
        let pattern: Pattern = pattern.parse().expect("a pattern");
        assert_eq!(pattern.matches(text), fits, "{pattern} {text}");
    }
}

#[test]
fn hostile_patterns_take_no_time() {
    let pattern: Pattern = "*a".repeat(150).parse().expect("a pattern");
    // Backtracking over every star would not end in a lifetime.
    let text = format!("{}b", "a".repeat(10_000));
    assert!(!pattern.matches(&text));
    for bad in ["", "a\nb", &"x".repeat(301)] {
        assert!(bad.parse::<Pattern>().is_err(), "{bad:?}");
    }
}
