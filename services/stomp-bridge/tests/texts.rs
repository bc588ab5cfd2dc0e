//! The older form, read and written: as its authors showed it.

use std::collections::BTreeMap;

use events::{
    JobName, Payload, RepoName,
    message::{Built, CiFailed, CiSucceeded, Pushed},
};
use stomp_bridge::{
    builds::{self, Ended},
    commits::{self, Commit},
    names::OldNames,
    packages::{self, Place},
};

/// The authors' own example.
const PUSH: &str = "\
repo: spog
oldrev: dc01649eee870d1a9f051f046165890c4c5e197d
newrev: aa794ab6cc1a4a504fd908efc938c0f241557ad4
refname: refs/heads/master
 commit aa794ab6cc1a4a504fd908efc938c0f241557ad4
Author: John Hawkes-Reed <john@example.com>
Date:   Wed Mar 14 11:55:15 2012 +0000

    bonkle
";

const REVISION: &str = "\
repo: legacy
revname: 4711
 Author: jhr
Date: 2013-03-08 15:26:38 +0000 (Fri, 08 Mar 2013)
Project: time-sink

Dirs:
time-sink/trunk/lib/

fixed the thing
";

const COMMIT: &str = "29daa2abb0000000000000000000000000000000";

/// The same as it is written: our messages do not say the date.
fn without_date(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("Date:"));
    lines.map(|line| format!("{line}\n")).collect()
}

fn read(text: &str) -> Commit {
    commits::read(text.as_bytes(), &OldNames::default()).unwrap()
}

fn wrong(text: &str) -> String {
    let read = commits::read(text.as_bytes(), &OldNames::default());
    read.unwrap_err().to_string()
}

fn push(text: &str) -> Pushed {
    match read(text) {
        Commit::Push(push) => push,
        other @ Commit::Revision(_) => panic!("{other:?}"),
    }
}

#[test]
fn a_push_is_read_and_written_as_older_daemons_have_it() {
    let read = push(PUSH);
    assert_eq!(
        read.dedupkey().unwrap(),
        "spog refs/heads/master dc01649eee870d1a9f051f046165890c4c5e197d aa794ab6cc1a4a504fd908efc938c0f241557ad4"
    );
    let mut ours = read.clone();
    ours.commits.push(events::message::Commit {
        id: read.after.clone().unwrap(),
        author: "John Hawkes-Reed <john@example.com>".to_owned(),
        title: "bonkle".to_owned(),
    });
    let written = commits::write_push(&ours, &OldNames::default());
    assert_eq!(
        written.subject,
        "[spog] refs/heads/master aa794ab6cc1a4a504fd908efc938c0f241557ad4"
    );
    assert_eq!(written.body, without_date(PUSH));
    assert_eq!(push(&written.body), read);
    let bare = commits::write_push(&read, &OldNames::default());
    assert_eq!(bare.body, PUSH[..PUSH.find(" commit").unwrap()]);
}

#[test]
fn what_people_wrote_has_one_line_and_no_colon() {
    let mut ours = push(PUSH);
    ours.commits.push(events::message::Commit {
        id: ours.after.clone().unwrap(),
        author: "Ann\nrepo: a".to_owned(),
        title: "fix: it\r\nrepo: b\u{2028}c\u{85}d".to_owned(),
    });
    let written = commits::write_push(&ours, &OldNames::default());
    let free = &written.body[written.body.find(" commit").unwrap()..];
    assert_eq!(
        free,
        " commit aa794ab6cc1a4a504fd908efc938c0f241557ad4\nAuthor: Ann repo; a\n\n    fix; it  repo; b c d\n"
    );
}

#[test]
fn refs_that_begin_or_end_have_zeros() {
    let zeros = "0".repeat(40);
    let new = PUSH.replace("dc01649eee870d1a9f051f046165890c4c5e197d", &zeros);
    assert_eq!(push(&new).before, None);
    let gone = PUSH.replace(
        "newrev: aa794ab6cc1a4a504fd908efc938c0f241557ad4",
        &format!("newrev: {zeros}"),
    );
    let read = push(&gone);
    assert_eq!(read.after, None);
    let written = commits::write_push(&read, &OldNames::default());
    assert!(
        written.body.contains(&format!("newrev: {zeros}\n")),
        "{}",
        written.body
    );
    assert!(
        wrong(&new.replace(
            "newrev: aa794ab6cc1a4a504fd908efc938c0f241557ad4",
            &format!("newrev: {zeros}")
        ))
        .starts_with("the ref neither was there")
    );
}

#[test]
fn a_revision_is_read_and_written() {
    let Commit::Revision(read) = read(REVISION) else {
        panic!()
    };
    assert_eq!(
        (
            read.repository.as_str(),
            read.revision,
            read.author.as_deref()
        ),
        ("legacy", 4711, Some("jhr"))
    );
    assert_eq!(
        (
            read.title.as_str(),
            read.paths[0].path.as_str(),
            read.paths_total
        ),
        ("fixed the thing", "time-sink/trunk/lib/", 1)
    );
    let mut ours = read.clone();
    ours.branches = vec!["time-sink/trunk".parse().unwrap()];
    let written = commits::write_revision(&ours, &OldNames::default());
    assert_eq!(written.subject, "[legacy] 4711 ");
    assert_eq!(written.body, without_date(REVISION));
    let Commit::Revision(again) =
        commits::read(written.body.as_bytes(), &OldNames::default()).unwrap()
    else {
        panic!()
    };
    assert_eq!(again, read);
}

#[test]
fn only_the_first_lines_are_read_each_in_its_place() {
    let injected = PUSH.replace(
        "    bonkle",
        "repo: other\noldrev: x\nnewrev: y\nrefname: refs/heads/evil\nProject: evil",
    );
    assert_eq!(push(&injected), push(PUSH));
    for (text, said) in [
        ("\nrepo: spog\n", "line 1 does not begin with \"repo:\""),
        (
            "Repo: origin\nURL: x\nStatus: Success\n",
            "line 1 does not begin with \"repo:\"",
        ),
        ("repo: spog\n", "line 2 does not begin with \"oldrev:\""),
        ("repo: ../etc\n", "\"../etc\" is not a repository"),
        (
            "repo: a b; rm\nrevname: 1\n",
            "\"a b; rm\" is not a repository",
        ),
        (
            "repo: spog\nrevname: x\n",
            "the revision \"x\" is no number",
        ),
        (
            &PUSH.replace("refs/heads/master", "refs/heads/$(id)"),
            "\"refs/heads/$(id)\" is not a git ref",
        ),
        (
            &PUSH.replace("newrev: aa79", "newrev: zz79"),
            "\"zz794ab6cc1a4a504fd908efc938c0f241557ad4\" is not a commit id",
        ),
        (
            &PUSH.replace("oldrev", " oldrev"),
            "line 2 does not begin with \"oldrev:\"",
        ),
    ] {
        let wrong = wrong(text);
        assert!(wrong.starts_with(said), "{wrong}");
    }
    let bytes = commits::read(b"\xff\xfe", &OldNames::default());
    assert_eq!(
        bytes.unwrap_err().to_string(),
        "its first lines are no text"
    );
    let mut long = PUSH.as_bytes().to_vec();
    long.extend(vec![0xff; 1 << 20]);
    assert!(commits::read(&long, &OldNames::default()).is_ok());
}

const BUILD: &str =
    "Repo: origin\nURL: http://jenkins/job/puppet-environments/340/\nStatus: Success\n";

fn build_subject() -> String {
    format!("Complete job 340 - [puppet-environments] origin/HEAD {COMMIT}")
}

fn jobs() -> BTreeMap<JobName, RepoName> {
    let (job, repository) = ("puppet-environments", "puppet");
    BTreeMap::from([(job.parse().unwrap(), repository.parse().unwrap())])
}

fn built() -> Built {
    Built {
        repository: "puppet".parse().unwrap(),
        name: None,
        commit: COMMIT.parse().unwrap(),
        project: None,
        job: "puppet-environments".parse().unwrap(),
        number: 340,
        url: Some(
            "http://jenkins/job/puppet-environments/340/"
                .parse()
                .unwrap(),
        ),
    }
}

#[test]
fn a_build_is_read_by_its_subject_and_the_job_says_the_repository() {
    let read = builds::read(&build_subject(), BUILD.as_bytes(), &jobs());
    assert_eq!(read, Ok(Ended::Good(CiSucceeded { build: built() })));
    let subject = build_subject();
    let no_end = "subject and Status: are not those of the end of a build";
    for (subject, body, said) in [
        (
            "Complete job x - [a] b c",
            BUILD,
            "its subject is not \"Complete job",
        ),
        ("", BUILD, "its subject is not"),
        (
            &subject.replace("puppet-env", "other-env"),
            BUILD,
            "[jobs] does not say which repository the job other-environments builds",
        ),
        (&subject.replace("Complete", "Fail"), BUILD, no_end),
        (
            &subject.replace("Complete", "Begin"),
            "Status: Start job\n",
            no_end,
        ),
        (
            &subject.replace(COMMIT, "HEAD"),
            BUILD,
            "\"HEAD\" is not a commit id",
        ),
    ] {
        let wrong = builds::read(subject, body.as_bytes(), &jobs()).unwrap_err();
        assert!(wrong.to_string().starts_with(said), "{wrong}");
    }
}

#[test]
fn a_build_is_written_with_the_line_that_older_fetchers_look_for() {
    let good = CiSucceeded { build: built() };
    let written = builds::write_good(&good, &OldNames::default());
    assert_eq!(written.subject, build_subject());
    assert_eq!(
        written.body,
        BUILD.replace("Repo: origin", "repo: puppet\nRepo: puppet")
    );
    let bad = CiFailed {
        build: built(),
        result: events::message::BuildResult::Failure,
    };
    let written = builds::write_bad(&bad, &OldNames::default());
    assert_eq!(written.subject, build_subject().replace("Complete", "Fail"));
    assert!(written.body.ends_with("Status: Cake\n"), "{}", written.body);
    let read = builds::read(&written.subject, written.body.as_bytes(), &jobs());
    assert_eq!(read, Ok(Ended::Bad(bad)));
}

#[test]
fn the_branch_of_a_build_is_as_jenkins_names_it() {
    let good = |name: Option<&str>| CiSucceeded {
        build: Built {
            repository: "shop".parse().unwrap(),
            name: name.map(|it| it.parse().unwrap()),
            commit: COMMIT.parse().unwrap(),
            project: None,
            job: "a/b".parse().unwrap(),
            number: 1,
            url: None,
        },
    };
    for (name, branch) in [
        (Some("refs/heads/x/y"), "origin/x/y"),
        (Some("refs/tags/v1"), "refs/tags/v1"),
        (None, "origin/HEAD"),
    ] {
        let text = builds::write_good(&good(name), &OldNames::default());
        assert_eq!(
            text.subject,
            format!("Complete job 1 - [a/b] {branch} {COMMIT}")
        );
        let jobs = BTreeMap::from([("a/b".parse().unwrap(), "shop".parse().unwrap())]);
        let read = builds::read(&text.subject, text.body.as_bytes(), &jobs).unwrap();
        assert_eq!(read, Ended::Good(good(name)));
    }
}

#[test]
fn packages_are_read_and_written_file_by_file() {
    let place = Place {
        repository: "acme".parse().unwrap(),
        suite: "bookworm".parse().unwrap(),
        component: "main".parse().unwrap(),
    };
    let body =
        "package: edge-app_1.2.3_all.deb\n#<Process::Status: pid 4242 exit 0>\\n\"repo: x\"\\n\n";
    let read = packages::read(body.as_bytes(), &place).unwrap();
    let package = &read.packages[0];
    assert_eq!(
        (
            package.name.as_str(),
            package.version.as_str(),
            package.architectures[0].as_str()
        ),
        ("edge-app", "1.2.3", "all")
    );
    let mut two = read.clone();
    two.packages.push(two.packages[0].clone());
    two.packages[1].version = "2:1~rc1-1".parse().unwrap();
    two.packages[1].architectures = vec!["amd64".parse().unwrap(), "arm64".parse().unwrap()];
    let written: Vec<_> = two.packages.iter().map(packages::write).collect();
    assert_eq!(
        written[0].subject,
        "Package update: [edge-app_1.2.3_all.deb]"
    );
    assert_eq!(written[0].body, "package: edge-app_1.2.3_all.deb\n");
    assert_eq!(written[1].body, "package: edge-app_1~rc1-1_all.deb\n");
    for (text, said) in [
        (
            "package: x.deb",
            "\"x.deb\" is not NAME_VERSION_ARCHITECTURE.deb",
        ),
        ("package: shop_1_all.tar", "\"shop_1_all.tar\" is not NAME_"),
        ("package: S;b_1_all.deb", "\"S;b\" is not a package name"),
        (
            "package: shop_$(id)_all.deb",
            "\"$(id)\" is not a package version",
        ),
        ("package: shop_1_a;b.deb", "\"a;b\" is not a"),
        (
            "deb: shop_1_all.deb",
            "line 1 does not begin with \"package:\"",
        ),
    ] {
        let wrong = packages::read(text.as_bytes(), &place).unwrap_err();
        assert!(wrong.to_string().starts_with(said), "{wrong}");
    }
}

#[test]
fn a_repository_that_was_called_otherwise_is_the_same() {
    let text = "[old_names]\n'group/shop' = 'shop'\n";
    let names = chassis::settings::parse::<stomp_bridge::Settings>(text, "x")
        .unwrap()
        .1
        .old_names;
    let read = commits::read(PUSH.replace("spog", "shop").as_bytes(), &names).unwrap();
    let Commit::Push(push) = read else { panic!() };
    assert_eq!(push.repository.as_str(), "group/shop");
    assert!(
        commits::write_push(&push, &names)
            .body
            .starts_with("repo: shop\n")
    );
}
