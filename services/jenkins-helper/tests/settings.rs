//! The shipped file and the limits.

use chassis::{
    Settings as _,
    settings::{parse, switched_on},
};
use jenkins_helper::Settings;

#[test]
fn the_shipped_file_is_the_defaults() {
    let (_, own) = parse::<Settings>(Settings::SHIPPED, "shipped").unwrap();
    assert_eq!(own, Settings::default());
}

#[test]
fn every_commented_key_of_the_shipped_file_can_be_switched_on() {
    let (_, own) = parse::<Settings>(&switched_on(Settings::SHIPPED), "shipped").unwrap();
    assert_eq!(own.deliver_within_s, Settings::default().deliver_within_s);
    let receiver = own.receiver.unwrap();
    assert_eq!((receiver.ask_limit_s, receiver.poll_first_ms), (3600, 500));
    let job = "backend/shop-nightly".parse().unwrap();
    let shop = own.repositories.keys().next().cloned();
    let settings = Settings {
        repositories: own.repositories,
        ..Settings::default()
    };
    assert_eq!(settings.repository(&job, None), shop);
    let elsewhere = "x".parse().unwrap();
    let url = Some("git@git.example.org:acme/shop");
    assert_eq!(
        settings.repository(&elsewhere, url),
        shop,
        "with and without .git"
    );
    assert_eq!(settings.repository(&elsewhere, None), None);
}

#[test]
fn what_is_wrong_is_said_by_its_key() {
    let receiver = |more: &str| {
        format!(
            "[receiver]\nstate = '/s'\n{more}\n[receiver.jenkins]\nurl = 'http://ci/'\nuser = 'a'\ntoken_file = '/t'\n"
        )
    };
    let table = [
        (
            "deliver_within_s = 601\n".to_owned(),
            "x: deliver_within_s must be 0 to 600",
        ),
        (
            receiver("waiting = 0"),
            "x: receiver.waiting is 0: it must be 1 to 100000",
        ),
        (
            receiver("").replace("'/s'", "'s'"),
            "x: receiver.state: s is no absolute path",
        ),
        (
            receiver("").replace("http://ci/", "ci"),
            "x: receiver.jenkins.url must",
        ),
    ];
    for (text, said) in table {
        let wrong = parse::<Settings>(&text, "x").unwrap_err().to_string();
        assert!(wrong.starts_with(said), "{wrong}");
    }
}
