//! The shipped file, the limits, and secrets.

use std::{fs, os::unix::fs::PermissionsExt};

use chassis::{
    Settings as _,
    settings::{parse, switched_on},
};
use github_stomp::{
    Settings,
    settings::{Kind, Source},
};
use testkit::Folder;
use world::RealDisk;

#[test]
fn the_shipped_file_is_good() {
    let (common, own) = parse::<Settings>(Settings::SHIPPED, "shipped").unwrap();
    assert_eq!(common, Default::default());
    assert_eq!(own.listen, "127.0.0.1:8090");
    assert_eq!(own.sources["github"].kind, Kind::Github);
}

#[test]
fn every_commented_key_of_the_shipped_file_can_be_switched_on() {
    let on = switched_on(Settings::SHIPPED);
    let (plain, (common, own)) = (
        parse::<Settings>(Settings::SHIPPED, "shipped").unwrap().1,
        parse::<Settings>(&on, "shipped").unwrap(),
    );
    assert_eq!(own.sources["mirror"].secret_files.len(), 2);
    let shop = &own.repositories[&"shop".parse().unwrap()];
    assert_eq!(shop.aliases[0], "acme/shop");
    assert!(shop.force_pushes);
    // There is an example of each kind, named as it is.
    for (kind, name) in crate::sources::KINDS {
        assert_eq!(own.sources[name].kind, kind);
    }
    assert_eq!(common.bus.topics.rename["git.commits"], "site.pushes");
    // What is shown as a default is the default.
    assert_eq!(
        (own.listen, own.answer_within_s),
        (plain.listen, plain.answer_within_s)
    );
}

#[test]
fn wrong_settings_are_refused_by_their_key() {
    let source = "[sources.hub]\nkind = 'github'\nsecret_file = '/x'\n";
    let table = [
        (
            "[sources]\n".to_owned(),
            "x: sources is empty: name at least one, [sources.github]",
        ),
        (
            "[sources.hub]\nkind = 'github'\n".to_owned(),
            "x: sources.hub has no secret_file",
        ),
        (
            "[sources.hub]\nkind = 'sourceforge'\n".to_owned(),
            "x:2: key `sources.hub.kind`: unknown variant `sourceforge`, expected one of `github`, `gitlab`, `gitea`, `forgejo`, `bitbucket`, `bitbucket-server`",
        ),
        (
            "[sources.'a/b']\nkind = 'github'\nsecret_file = '/x'\n".to_owned(),
            "x: sources.a/b: use letters, digits, - and _",
        ),
        (
            format!("{source}[repositories.'../shop']\naliases = []\n"),
            "x:4: key `repositories.../shop`: \"../shop\" is not a repository name: no part may begin with . or -, nor end with . or .lock",
        ),
        (
            format!(
                "{source}[repositories.a]\naliases = ['x/y']\n[repositories.b]\naliases = ['x/y']\n"
            ),
            "x: repositories.b: alias \"x/y\" is there twice",
        ),
        (
            format!("answer_within_s = 0\n{source}"),
            "x: answer_within_s must be 1 to 60",
        ),
    ];
    for (text, said) in table {
        assert_eq!(parse::<Settings>(&text, "x").unwrap_err().to_string(), said);
    }
}

#[test]
fn secrets_are_read_whole_and_an_empty_or_missing_one_is_refused() {
    let folder = Folder::new();
    let first = folder.write("first", "open sesame\n");
    let second = folder.write("second", "sesame 2");
    fs::set_permissions(&second, fs::Permissions::from_mode(0o600)).unwrap();
    let mut source = Source {
        kind: Kind::Github,
        secret_file: Some(first.clone()),
        secret_files: vec![second],
    };
    let secrets = source.secrets("hub", &RealDisk).unwrap();
    let exposed: Vec<&str> = secrets.iter().map(chassis::Secret::expose).collect();
    assert_eq!(exposed, ["open sesame", "sesame 2"]);
    assert_eq!(format!("{secrets:?}"), "[[secret], [secret]]");

    for (name, text) in [("empty", ""), ("blank", " \n")] {
        source.secret_file = Some(folder.write(name, text));
        let wrong = source.secrets("hub", &RealDisk).unwrap_err().to_string();
        let expected = format!(
            "sources.hub: secret file {}: it is empty",
            folder.join(name).display()
        );
        assert_eq!(wrong, expected);
    }
    // A token that signs is looked at at once.
    source.kind = Kind::Gitlab;
    for (text, good) in [
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true),
        ("a token", true),
        ("whsec_", false),
        ("whsec_AAAA", false),
        ("whsec_not base64!", false),
    ] {
        source.secret_file = Some(folder.write("token", text));
        let read = source.secrets("hub", &RealDisk);
        assert_eq!(read.is_ok(), good, "{text}");
        if let Err(wrong) = read {
            let wrong = wrong.to_string();
            assert!(
                wrong.contains("it begins with whsec_, and no base64"),
                "{wrong}"
            );
            assert!(!wrong.contains("AAAA"), "{wrong}");
        }
    }
    source.secret_file = Some(folder.join("missing"));
    let wrong = source.secrets("hub", &RealDisk).unwrap_err();
    assert!(matches!(wrong, chassis::Failure::Settings(_)));
    assert!(
        wrong.to_string().contains("missing: No such file"),
        "{wrong}"
    );
}
