//! The shipped file and the limits.

use chassis::{
    Settings as _,
    settings::{parse, switched_on},
};
use stomp_jenkins::Settings;

#[test]
fn the_shipped_file_is_read_as_shipped_and_with_every_key_on() {
    let (_, shipped) = parse::<Settings>(Settings::SHIPPED, "shipped").unwrap();
    assert!(shipped.rules[0].refs[0].matches("refs/heads/main"));
    assert!(!shipped.rules[0].refs[0].matches("refs/tags/v1"));
    let (common, on) = parse::<Settings>(&switched_on(Settings::SHIPPED), "shipped").unwrap();
    let same = |of: fn(&Settings) -> u64| assert_eq!(of(&shipped), of(&on));
    same(|it| it.at_once as u64);
    same(|it| it.waiting as u64);
    same(|it| it.requests_at_once as u64);
    same(|it| it.poll_first_ms);
    same(|it| it.poll_longest_ms);
    same(|it| it.trigger_limit_s);
    same(|it| it.queue_limit_s);
    same(|it| it.build_limit_s);
    same(|it| u64::from(it.again));
    same(|it| u64::from(it.remember_days));
    same(|it| it.jenkins.connect_limit_s);
    same(|it| it.jenkins.request_limit_s);
    assert_eq!(on.rules[0].parameters["DEPTH"], "full");
    assert_eq!(common.bus.topics.rename["ci.succeeded"], "site.green");
}

#[test]
fn what_is_wrong_is_said_by_its_key() {
    let with = |head: &str, rule: &str| {
        format!(
            "state = '/var/lib/x'\n{head}\n[jenkins]\nurl = 'http://ci/'\nuser = 'a'\ntoken_file = '/t'\n\
             [[rules]]\nrepository = 'shop'\n{rule}\n"
        )
    };
    let table = [
        (
            "at_once = 0",
            "job = 'a'",
            "x: at_once is 0: it must be 1 to 1000",
        ),
        (
            "again = 11",
            "job = 'a'",
            "x: again is 11: it must be 0 to 10",
        ),
        ("poll_first_ms = 0", "job = 'a'", "x: poll_first_ms is 0"),
        (
            "",
            "job = 'a/'",
            "x: rules, number 1: job: \"a/\" is not a job name",
        ),
        (
            "",
            "job = '{repository}/{nonsense}'",
            "x: rules, number 1: job: ",
        ),
        (
            "",
            "job = 'a'\nrefs = []",
            "x: rules, number 1: refs is empty",
        ),
        (
            "",
            "job = 'a'\nparameters = { 'x y' = '' }",
            "x: rules, number 1: parameters.x y: use",
        ),
        (
            "",
            "job = 'a'\nparameters = { DEPLOYKIT_ID = '' }",
            "x: rules, number 1: parameters.DEPLOYKIT_ID: names with",
        ),
        ("[outbox]\nmib = 0", "job = 'a'", "x: outbox.mib must be"),
    ];
    for (head, rule, said) in table {
        let text = with(head, rule);
        let wrong = parse::<Settings>(&text, "x").unwrap_err().to_string();
        assert!(wrong.starts_with(said), "{head} {rule}: {wrong}");
    }
    let relative = with("", "job = 'a'").replace("/var/lib/x", "var");
    let wrong = parse::<Settings>(&relative, "x").unwrap_err().to_string();
    assert_eq!(wrong, "x: state: var is no absolute path");
}
