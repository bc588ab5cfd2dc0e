//! What a message of one side is on the other.

use chassis::settings::parse;
use events::{
    Envelope, Payload,
    message::{
        BuildResult, Built, CiFailed, CiSucceeded, PackageUpdate, PackagesUpdated, Pushed,
        SvnCommitted,
    },
};
use stomp_bridge::{
    Settings,
    plan::{FromOld, Kind, for_old, from_old},
};

const COMMIT: &str = "aa794ab6cc1a4a504fd908efc938c0f241557ad4";

fn settings() -> Settings {
    let text = "[carry]\nbuilds = 'both'\npackages = 'both'\n[old_names]\n'group/shop' = 'shop'\n[jobs]\nj = 'group/shop'\n\
                [packages]\nrepository = 'acme'\nsuite = 'bookworm'\ncomponent = 'main'\n";
    parse::<Settings>(text, "x").unwrap().1
}

fn envelope<P: Payload>(payload: &P) -> Envelope {
    let (id, time) = (Default::default(), Default::default());
    Envelope::seal(id, "/deploykit/x/hub1", time, payload).unwrap()
}

fn package(name: &str, version: &str) -> PackageUpdate {
    PackageUpdate {
        name: name.parse().unwrap(),
        version: version.parse().unwrap(),
        before: None,
        architectures: vec!["amd64".parse().unwrap()],
        source: None,
    }
}

/// Each kind of ours, with the older topic and kind that it belongs to.
fn kinds() -> Vec<(Envelope, &'static str, Kind)> {
    let repository = || "group/shop".parse().unwrap();
    let build = Built {
        repository: repository(),
        name: None,
        commit: COMMIT.parse().unwrap(),
        project: None,
        job: "j".parse().unwrap(),
        number: 7,
        url: None,
    };
    let name = "refs/heads/main".parse().unwrap();
    let push = Pushed::of(repository(), name, None, Some(COMMIT.parse().unwrap()));
    let revision = SvnCommitted {
        repository: repository(),
        revision: 7,
        author: None,
        title: String::new(),
        branches: Vec::new(),
        paths: Vec::new(),
        paths_total: 0,
    };
    let packages = PackagesUpdated {
        repository: "acme".parse().unwrap(),
        suite: "bookworm".parse().unwrap(),
        component: "main".parse().unwrap(),
        packages: vec![package("shop", "1:1.2")],
        packages_total: 1,
    };
    let good = CiSucceeded {
        build: build.clone(),
    };
    let bad = CiFailed {
        build,
        result: BuildResult::Failure,
    };
    vec![
        (envelope(&push), "future.git.commits", Kind::Commits),
        (envelope(&revision), "future.git.commits", Kind::Commits),
        (envelope(&good), "future.jenkins.success", Kind::Builds),
        (envelope(&bad), "future.jenkins.cake", Kind::Builds),
        (
            envelope(&packages),
            "future.package.updates",
            Kind::Packages,
        ),
    ]
}

#[test]
fn each_kind_goes_to_its_topic_and_is_known_again_when_it_comes_back() {
    let settings = settings();
    for (ours, topic, kind) in kinds() {
        let said = for_old(&ours, &settings).unwrap();
        let [said] = &said[..] else {
            panic!("{said:?}")
        };
        assert_eq!(said.topic, topic);
        let body = said.text.body.as_bytes();
        let back = from_old(kind, &said.text.subject, body, &settings).unwrap();
        assert_eq!(back.unwrap().told(), said.told, "{}", ours.kind);
    }
}

#[test]
fn each_package_is_a_text_and_the_same_one_of_another_suite_is_another() {
    let settings = settings();
    let mut updated = PackagesUpdated {
        repository: "acme".parse().unwrap(),
        suite: "bookworm".parse().unwrap(),
        component: "main".parse().unwrap(),
        packages: vec![package("shop", "1.2"), package("shop-api", "1.2")],
        packages_total: 2,
    };
    let told = |updated: &PackagesUpdated| -> Vec<_> {
        let said = for_old(&envelope(updated), &settings).unwrap();
        said.into_iter().map(|it| (it.told, it.text.body)).collect()
    };
    let first = told(&updated);
    updated.suite = "trixie".parse().unwrap();
    let second = told(&updated);
    assert_eq!(first.len(), 2);
    for (one, other) in first.iter().zip(&second) {
        assert!(one.0 != other.0 && one.1 == other.1, "{one:?} {other:?}");
    }
}

#[test]
fn line_ends_are_nothing_and_what_is_not_ours_is_refused() {
    let settings = settings();
    for body in ["\n", "\r\n", ""] {
        let read = from_old(Kind::Commits, "", body.as_bytes(), &settings);
        assert_eq!(read.unwrap(), None, "{body:?}");
    }
    let no_place = Settings::default();
    let package = b"package: shop_1_all.deb\n";
    let wrong = from_old(Kind::Packages, "", package, &no_place).unwrap_err();
    assert!(wrong.to_string().starts_with("[packages]"), "{wrong}");
    let good = from_old(Kind::Packages, "", package, &settings).unwrap();
    assert!(matches!(good, Some(FromOld::Package(_))), "{good:?}");
    let mut other = kinds().remove(0).0;
    other.kind = "deploykit.git.pushed.v2".to_owned();
    assert!(for_old(&other, &settings).is_err());
}
