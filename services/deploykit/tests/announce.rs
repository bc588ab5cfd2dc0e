//! What a hook's input becomes.

use chassis::{
    Settings as _,
    settings::{parse, switched_on},
};
use deploykit::announce::{Deliver, LineError, SPOOL, moved_refs};
use events::message::Pushed;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const ZERO: &str = "0000000000000000000000000000000000000000";

fn told(input: &str) -> Vec<Result<String, LineError>> {
    let pushes = moved_refs(&"group/shop".parse().unwrap(), Some("ann"), input);
    let id = |commit: Option<events::CommitId>| {
        commit.map_or("none".to_owned(), |commit| commit.short().to_owned())
    };
    let told = |push: Pushed| format!("{} {} -> {}", push.name, id(push.before), id(push.after));
    pushes.into_iter().map(|push| push.map(told)).collect()
}

fn good(input: &str) -> Vec<String> {
    told(input).into_iter().flatten().collect()
}

#[test]
fn each_ref_of_a_push_is_one_message() {
    let input =
        format!("{A} {B} refs/heads/main\n{ZERO} {A} refs/tags/v1\n{B} {ZERO} refs/heads/gone\n");
    assert_eq!(
        good(&input),
        [
            "refs/heads/main aaaaaaaaaa -> bbbbbbbbbb",
            "refs/tags/v1 none -> aaaaaaaaaa",
            "refs/heads/gone bbbbbbbbbb -> none"
        ]
    );
}

#[test]
fn no_refs_are_no_messages() {
    assert_eq!(good(""), [""; 0]);
}

#[test]
fn hostile_refs_are_refused_and_spoil_no_other() {
    for name in [
        "refs/tags/; rm -rf",
        "refs/tags/$(id)",
        "refs/heads/../x",
        "refs/heads/-x",
        "HEAD",
        "refs/tags/`id`",
    ] {
        let input = format!("{A} {B} {name}\n{A} {B} refs/heads/main\n");
        assert!(told(&input)[0].is_err(), "{name}");
        assert_eq!(
            good(&input),
            ["refs/heads/main aaaaaaaaaa -> bbbbbbbbbb"],
            "{name}"
        );
    }
    assert!(matches!(told("one two")[0], Err(LineError::Shape(_))));
    let line = format!("x {B} refs/heads/main");
    assert!(matches!(told(&line)[0], Err(LineError::Name(_))));
}

#[test]
fn the_shipped_file_of_what_delivers_shows_the_defaults() {
    let (common, own) = parse::<Deliver>(Deliver::SHIPPED, "shipped").unwrap();
    assert_eq!((common, &own), (Default::default(), &Deliver::default()));
    let (_, mut on) = parse::<Deliver>(&switched_on(Deliver::SHIPPED), "shipped").unwrap();
    assert_eq!(on.outbox.folder.take().as_deref(), Some(SPOOL.as_ref()));
    assert_eq!(on, own);
}

#[test]
fn wrong_settings_of_what_delivers_are_refused_by_their_key() {
    let table = [
        (
            "folder = 'spool'",
            "x: outbox.folder: spool is no absolute path",
        ),
        ("messages = 0", "x: outbox.messages must be 1 to 1000000"),
        ("mib = 0", "x: outbox.mib must be 1 to 65536"),
        (
            "warn_age_s = 0",
            "x: outbox.warn_age_s must be 1 to 604800, which is a week",
        ),
    ];
    for (key, said) in table {
        let wrong = parse::<Deliver>(&format!("[outbox]\n{key}\n"), "x").unwrap_err();
        assert_eq!(wrong.to_string(), said);
    }
}
