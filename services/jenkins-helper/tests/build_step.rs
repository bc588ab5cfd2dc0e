//! A build step's environment as a message, as a table.

use std::collections::BTreeMap;

use chassis::settings::parse;
use events::message::BuildResult;
use jenkins_helper::{
    Settings,
    build_step::{Typed, Word, told},
    told::Told,
};

const COMMIT: &str = "1f0c1e9d5b7a4f3e2d1c0b9a8f7e6d5c4b3a2910";
const OTHER: &str = "2f0c1e9d5b7a4f3e2d1c0b9a8f7e6d5c4b3a2910";

/// A build's environment with some variables changed; an empty value takes one away.
fn environment(changes: &[(&str, &str)]) -> BTreeMap<String, String> {
    let base = [
        ("JOB_NAME", "backend/shop"),
        ("BUILD_NUMBER", "42"),
        (
            "BUILD_URL",
            "https://ci.example.org/job/backend/job/shop/42/",
        ),
        ("GIT_COMMIT", COMMIT),
        ("GIT_BRANCH", "origin/main"),
        ("GIT_URL", "git@git.example.org:acme/shop.git"),
    ];
    let all = base.iter().chain(changes);
    let pairs = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let map: BTreeMap<_, _> = pairs.collect();
    map.into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

fn settings() -> Settings {
    let text = "[repositories.shop]\naliases = ['git@git.example.org:acme/shop.git']\n\
                [repositories.mono]\njobs = ['mono/*']\n";
    parse(text, "x").unwrap().1
}

/// `repository ref commit project job number url`, or what is wrong.
fn read(changes: &[(&str, &str)]) -> String {
    let told = told(
        Word::Started,
        &Typed::default(),
        &environment(changes),
        &settings(),
    );
    match told {
        Ok(Told::Started(it)) => {
            let it = it.build;
            let or = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            format!(
                "{} {} {} {} {} {} {}",
                it.repository,
                or(it.name.map(|it| it.to_string())),
                &it.commit.as_str()[..1],
                or(it.project.map(|it| it.to_string())),
                it.job,
                it.number,
                or(it.url.map(|it| it.to_string())),
            )
        }
        Ok(other) => panic!("{other:?}"),
        Err(wrong) => wrong.to_string(),
    }
}

#[test]
fn the_environment_says_which_build_it_is() {
    let url = "https://ci.example.org/job/backend/job/shop/42/";
    let table: [(&[(&str, &str)], String); 14] = [
        (&[], format!("shop refs/heads/main 1 - backend/shop 42 {url}")),
        (&[("BUILD_URL", "")], "shop refs/heads/main 1 - backend/shop 42 -".to_owned()),
        (&[("BUILD_URL", "javascript:x")], "shop refs/heads/main 1 - backend/shop 42 -".to_owned()),
        (&[("GIT_BRANCH", "")], format!("shop - 1 - backend/shop 42 {url}")),
        (&[("GIT_BRANCH", "detached")], format!("shop - 1 - backend/shop 42 {url}")),
        (&[("GIT_BRANCH", "origin/HEAD")], format!("shop - 1 - backend/shop 42 {url}")),
        (&[("BRANCH_NAME", "feature/x")], format!("shop refs/heads/feature/x 1 - backend/shop 42 {url}")),
        (&[("TAG_NAME", "v1"), ("BRANCH_NAME", "v1")], format!("shop refs/tags/v1 1 - backend/shop 42 {url}")),
        (
            &[("DEPLOYKIT_REF", "refs/tags/v2"), ("DEPLOYKIT_PROJECT", "api"), ("DEPLOYKIT_REPOSITORY", "mono")],
            format!("mono refs/tags/v2 1 api backend/shop 42 {url}"),
        ),
        (&[("DEPLOYKIT_COMMIT", OTHER)], format!("shop refs/heads/main 1 - backend/shop 42 {url}")),
        (
            &[("DEPLOYKIT_COMMIT", OTHER), ("GIT_COMMIT", "")],
            format!("shop refs/heads/main 2 - backend/shop 42 {url}"),
        ),
        (&[("GIT_URL", ""), ("JOB_NAME", "mono/api")], format!("mono refs/heads/main 1 - mono/api 42 {url}")),
        (
            &[("GIT_URL", "")],
            "which repository backend/shop builds is not known: give it by --repository, or name the job or GIT_URL in [repositories]".to_owned(),
        ),
        (
            &[("GIT_COMMIT", "")],
            "which commit was built is not known: neither GIT_COMMIT nor DEPLOYKIT_COMMIT is set; give it by --commit".to_owned(),
        ),
    ];
    for (changes, expected) in table {
        assert_eq!(read(changes), expected, "{changes:?}");
    }
}

#[test]
fn hostile_values_are_refused_by_their_variable() {
    let table = [
        (
            ("JOB_NAME", ""),
            "JOB_NAME is not set: is this a build step of Jenkins? Elsewhere give it by --job",
        ),
        (
            ("JOB_NAME", "../x; rm"),
            "JOB_NAME: \"../x; rm\" is not a job name",
        ),
        (
            ("BUILD_NUMBER", "4\n2"),
            "BUILD_NUMBER: \"4\\n2\" is no number",
        ),
        (
            ("GIT_COMMIT", "HEAD"),
            "GIT_COMMIT: \"HEAD\" is not a commit id",
        ),
        (
            ("DEPLOYKIT_REPOSITORY", "-x"),
            "DEPLOYKIT_REPOSITORY: \"-x\" is not a repository name",
        ),
    ];
    for (change, said) in table {
        let wrong = read(&[change]);
        assert!(wrong.starts_with(said), "{change:?}: {wrong}");
    }
}

#[test]
fn what_is_typed_goes_before_and_each_word_is_its_message() {
    let typed = Typed {
        repository: Some("mono".to_owned()),
        commit: Some(OTHER.to_owned()),
        name: Some("refs/tags/v9".to_owned()),
        project: Some("web".to_owned()),
        number: Some("43".to_owned()),
        ..Typed::default()
    };
    let words = [
        Word::Started,
        Word::Succeeded,
        Word::Failed(BuildResult::Unstable),
    ];
    let lines = words.map(|word| {
        let told = told(word, &typed, &environment(&[]), &settings()).unwrap();
        if let Told::Failed(it) = &told {
            assert_eq!(it.result, BuildResult::Unstable);
        }
        told.line()
    });
    let expected = ["started", "succeeded", "failed"];
    assert_eq!(
        lines,
        expected.map(|word| format!("mono 2f0c1e9d5b: backend/shop 43 {word}"))
    );
}

#[test]
fn without_an_environment_what_is_typed_is_enough_and_what_is_wrong_is_named_as_typed() {
    let nothing = BTreeMap::new();
    let good = || Typed {
        repository: Some("shop".to_owned()),
        commit: Some(COMMIT.to_owned()),
        job: Some("shop".to_owned()),
        number: Some("7".to_owned()),
        url: Some(String::new()),
        ..Typed::default()
    };
    let said = |typed: &Typed| match told(Word::Succeeded, typed, &nothing, &settings()) {
        Ok(told) => told.line(),
        Err(wrong) => wrong.to_string(),
    };
    assert_eq!(said(&good()), "shop 1f0c1e9d5b: shop 7 succeeded");
    let text = |text: &str| Some(text.to_owned());
    let table = [
        (
            Typed {
                number: None,
                ..good()
            },
            "BUILD_NUMBER is not set: is this a build step of Jenkins? Elsewhere give it by --number",
        ),
        (
            Typed {
                number: text("-1"),
                ..good()
            },
            "--number: \"-1\" is no number",
        ),
        (
            Typed {
                commit: text("HEAD; id"),
                ..good()
            },
            "--commit: \"HEAD; id\" is not a commit id",
        ),
        (
            Typed {
                name: text("main"),
                ..good()
            },
            "--ref: \"main\" is not a git ref",
        ),
        (
            Typed {
                url: text("javascript:x"),
                ..good()
            },
            "--url: \"javascript:x\" is not a page address",
        ),
    ];
    for (typed, expected) in table {
        let wrong = said(&typed);
        assert!(wrong.starts_with(expected), "{wrong}");
    }
}
