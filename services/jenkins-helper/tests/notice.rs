//! Notifications and builds, without HTTP.

use chassis::settings::parse;
use jenkins::{Build, Outcome};
use jenkins_helper::{
    Settings,
    judge::{Known, judge},
    notice::read,
};

/// As the plugin's own documentation shows one, cut.
fn body(phase: &str, url: &str) -> String {
    format!(
        r#"{{"name":"shop","display_name":"shop","url":"job/shop/","build":{{"full_url":"http://ci/{url}","number":999,
        "queue_id":1,"phase":"{phase}","status":"SUCCESS","url":"{url}","scm":{{"commit":"; rm"}},"log":"","artifacts":{{}}}}}}"#
    )
}

fn said(phase: &str, url: &str) -> String {
    match read(body(phase, url).as_bytes()) {
        Ok(Some(it)) => format!("{} {} {}", it.job, it.number, it.ended),
        Ok(None) => "nothing".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_notification_names_a_build_and_nothing_else_of_it_is_believed() {
    let none =
        "the notification names no build: build.url must be such as job/backend/job/shop/42/";
    let table = [
        ("STARTED", "job/shop/42/", "shop 42 false"),
        (
            "COMPLETED",
            "job/backend/job/shop/42/",
            "backend/shop 42 true",
        ),
        (
            "FINALIZED",
            "jenkins/job/a%20b/job/x%252Fy/1",
            "a b/x%2Fy 1 true",
        ),
        ("QUEUED", "job/shop/42/", "nothing"),
        ("NONE", "job/shop/42/", "nothing"),
        ("STARTED", "job/shop/", none),
        ("STARTED", "job/../42/", none),
        ("STARTED", "job/a%2Fb/42/", none),
        ("STARTED", "job/%ff/42/", none),
        ("STARTED", "job/%/42/", none),
        ("STARTED", "view/all/42/", none),
        ("STARTED", "", none),
    ];
    for (phase, url, expected) in table {
        assert_eq!(said(phase, url), expected, "{phase} {url}");
    }
    for text in [
        "",
        "[]",
        "{}",
        "<html>",
        r#"{"build":7}"#,
        r#"{"build":{"phase":7}}"#,
    ] {
        assert_eq!(
            read(text.as_bytes()).unwrap_err().to_string(),
            "the body is no notification"
        );
    }
}

fn with(parameters: &[(&str, &str)], commits: &[&str], outcome: Option<Outcome>) -> Build {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Build {
        number: 1,
        outcome,
        url: None,
        queue_item: None,
        scheduled_ms: 0,
        parameters: parameters.iter().map(owned).collect(),
        commits: commits.iter().map(|it| it.parse().unwrap()).collect(),
    }
}

fn line(known: Known) -> String {
    match known {
        Known::Runs(told) | Known::Ended(told) => told.line(),
        Known::Nothing(why) => why.to_owned(),
    }
}

#[test]
fn of_a_build_one_commit_is_told_or_none() {
    let (a, b) = ("a".repeat(40), "b".repeat(40));
    let text = "[repositories.shop]\njobs = ['shop']\nunstable_is_good = true\n";
    let settings: Settings = parse(text, "x").unwrap().1;
    let told = |job: &str, took: Option<&str>, commits: &[&str], outcome| {
        let parameters = took.map(|it| ("DEPLOYKIT_COMMIT", it));
        let build = with(parameters.as_slice(), commits, outcome);
        line(judge(&job.parse().unwrap(), &build, &settings))
    };
    let one = "it does not say which one commit it builds";
    let (good, bad) = (Some(Outcome::Success), Some(Outcome::Failure));
    let table = [
        (
            told("shop", None, &[&a], None),
            "shop aaaaaaaaaa: shop 1 started",
        ),
        (
            told("shop", None, &[&a], good),
            "shop aaaaaaaaaa: shop 1 succeeded",
        ),
        (
            told("shop", None, &[&a], bad),
            "shop aaaaaaaaaa: shop 1 failed",
        ),
        (
            told("shop", None, &[&a], Some(Outcome::Unstable)),
            "shop aaaaaaaaaa: shop 1 succeeded",
        ),
        (told("shop", Some(&b), &[], good), one),
        (
            told("shop", Some(&b), &[&a, &b], good),
            "shop bbbbbbbbbb: shop 1 succeeded",
        ),
        (
            told("shop", Some(&b), &[&a], good),
            "shop aaaaaaaaaa: shop 1 succeeded",
        ),
        (told("shop", None, &[&a, &b], good), one),
        (told("shop", None, &[], good), one),
        (told("shop", Some("HEAD"), &[], good), one),
        (told("other", None, &[&a], good), NO_REPOSITORY),
    ];
    for (line, expected) in table {
        assert_eq!(line, expected);
    }
}

const NO_REPOSITORY: &str = "no [repositories] has its job, and DEPLOYKIT_REPOSITORY is not set or not believed (receiver.believe_parameters)";

#[test]
fn what_a_build_was_told_counts_only_where_that_is_wanted_and_never_before_the_settings() {
    let a = "a".repeat(40);
    let told = |believe: bool, job: &str, commits: &[&str]| {
        let text = format!(
            "[repositories.shop]\njobs = ['shop']\n\
             [receiver]\nstate = '/s'\nbelieve_parameters = {believe}\n\
             [receiver.jenkins]\nurl = 'http://ci/'\nuser = 'a'\ntoken_file = '/t'\n"
        );
        let settings: Settings = parse(&text, "x").unwrap().1;
        let parameters = [("DEPLOYKIT_REPOSITORY", "victim"), ("DEPLOYKIT_COMMIT", &a)];
        let build = with(&parameters, commits, Some(Outcome::Success));
        line(judge(&job.parse().unwrap(), &build, &settings))
    };
    let one = "it does not say which one commit it builds";
    let table = [
        (told(false, "other", &[&a]), NO_REPOSITORY),
        (
            told(false, "shop", &[&a]),
            "shop aaaaaaaaaa: shop 1 succeeded",
        ),
        (told(false, "shop", &[]), one),
        (
            told(true, "shop", &[&a]),
            "shop aaaaaaaaaa: shop 1 succeeded",
        ),
        (told(true, "shop", &[]), "shop aaaaaaaaaa: shop 1 succeeded"),
        (
            told(true, "other", &[]),
            "victim aaaaaaaaaa: other 1 succeeded",
        ),
    ];
    for (line, expected) in table {
        assert_eq!(line, expected);
    }
}
