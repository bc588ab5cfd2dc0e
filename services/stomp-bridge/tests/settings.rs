//! The shipped file and what is refused.

use chassis::{
    Settings as _,
    settings::{parse, switched_on},
};
use stomp_bridge::Settings;

#[test]
fn the_shipped_file_is_the_defaults_and_every_key_can_be_switched_on() {
    let (common, own) = parse::<Settings>(Settings::SHIPPED, "shipped").unwrap();
    assert_eq!((common, own), Default::default());
    let (_, own) = parse::<Settings>(&switched_on(Settings::SHIPPED), "shipped").unwrap();
    assert_eq!(own.packages.unwrap().suite.as_str(), "bookworm");
    assert_eq!(
        (
            own.jobs.len(),
            own.old_names
                .theirs(&"group/shop".parse().unwrap())
                .as_str()
        ),
        (1, "shop")
    );
}

#[test]
fn what_does_not_fit_is_refused_by_its_key() {
    for (text, said) in [
        (
            "[topics]\ncommits = '/topic/x'",
            "x: topics.commits is \"/topic/x\"",
        ),
        (
            "[topics]\ncommits = 'a.b'\nfailed = 'a.b'",
            "x: topics.commits and topics.failed are both \"a.b\"",
        ),
        (
            "[carry]\nbuilds = 'both'",
            "x: carry.builds takes builds from older daemons: say in [jobs]",
        ),
        (
            "[carry]\npackages = 'from-old'",
            "x: carry.packages takes packages",
        ),
        (
            "[old_names]\na = 'x'\nb = 'x'",
            "x: old_names: a and b would both be x",
        ),
        (
            "[carry]\ncommits = 'maybe'",
            "x:2: key `carry.commits`: unknown variant",
        ),
    ] {
        let wrong = parse::<Settings>(text, "x").unwrap_err().to_string();
        assert!(wrong.starts_with(said), "{wrong}");
    }
}

#[test]
fn an_older_topic_is_none_of_ours() {
    let (common, own) = parse::<Settings>("[bus.topics]\nprefix = 'future'\n", "x").unwrap();
    let wrong = own.topics.check_beside(&common.bus.topics).unwrap_err();
    let said = "topics.commits is \"future.git.commits\", which is a topic of ours too: ";
    assert!(wrong.starts_with(said), "{wrong}");
    let (common, own) = parse::<Settings>("", "x").unwrap();
    assert_eq!(own.topics.check_beside(&common.bus.topics), Ok(()));
}
