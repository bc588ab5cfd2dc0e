//! What a hook's input becomes.

use deploykit::announce::{LineError, moved_refs};

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const ZERO: &str = "0000000000000000000000000000000000000000";

fn told(input: &str) -> Result<Vec<String>, LineError> {
    let pushes = moved_refs(&"group/shop".parse().unwrap(), Some("ann"), input)?;
    let id = |commit: Option<events::CommitId>| {
        commit.map_or("none".to_owned(), |commit| commit.short().to_owned())
    };
    Ok(pushes
        .into_iter()
        .map(|push| format!("{} {} -> {}", push.name, id(push.before), id(push.after)))
        .collect())
}

#[test]
fn each_ref_of_a_push_is_one_message() {
    let input =
        format!("{A} {B} refs/heads/main\n{ZERO} {A} refs/tags/v1\n{B} {ZERO} refs/heads/gone\n");
    assert_eq!(
        told(&input).unwrap(),
        [
            "refs/heads/main aaaaaaaaaa -> bbbbbbbbbb",
            "refs/tags/v1 none -> aaaaaaaaaa",
            "refs/heads/gone bbbbbbbbbb -> none"
        ]
    );
}

#[test]
fn no_refs_are_no_messages() {
    assert_eq!(told("").unwrap(), [""; 0]);
}

#[test]
fn hostile_refs_are_refused() {
    for name in [
        "refs/tags/; rm -rf",
        "refs/tags/$(id)",
        "refs/heads/../x",
        "refs/heads/-x",
        "HEAD",
        "refs/tags/`id`",
    ] {
        let error = told(&format!("{A} {B} {name}")).unwrap_err();
        assert!(!error.to_string().is_empty(), "{name}");
    }
    assert!(matches!(told("one two"), Err(LineError::Shape(_))));
    assert!(matches!(
        told(&format!("x {B} refs/heads/main")),
        Err(LineError::Name(_))
    ));
}
