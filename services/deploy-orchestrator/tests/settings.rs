//! What may be set, and what is refused.

use chassis::{
    Settings as _,
    settings::{parse, switched_on},
};
use deploy_orchestrator::{Settings, waves::Size};

fn wrong(text: &str) -> String {
    parse::<Settings>(text, "test.toml")
        .expect_err("this is wrong")
        .to_string()
}

#[test]
fn the_file_as_shipped_parses_and_says_nothing_but_the_defaults() {
    let (_, settings) = parse::<Settings>(Settings::SHIPPED, "shipped").expect("it parses");
    assert_eq!(settings, Settings::default());
}

#[test]
fn the_shipped_file_with_every_key_switched_on_parses() {
    let text = switched_on(Settings::SHIPPED);
    let (_, settings) = parse::<Settings>(&text, "shipped").expect("it parses");
    let shop = settings
        .projects
        .values()
        .next()
        .expect("the example project");
    assert_eq!(
        shop.waves,
        [Size::Count(1), Size::Percent(25), Size::Percent(100)]
    );
    assert_eq!(settings.groups.len(), 1);
}

#[test]
fn what_the_file_shows_as_defaults_are_the_defaults() {
    let text = switched_on(Settings::SHIPPED);
    let (_, shown) = parse::<Settings>(&text, "shipped").expect("it parses");
    let defaults = Settings::default();
    let numbers = |s: &Settings| {
        [
            s.presence_limit_s,
            s.resend_s,
            s.reach_limit_s,
            s.prepare_limit_s,
            s.activate_limit_s,
            s.grant_valid_s,
            s.keep_deploys as u64,
        ]
    };
    assert_eq!(numbers(&shown), numbers(&defaults));
    let files = |s: &Settings| {
        [
            s.data.clone(),
            s.socket.clone(),
            s.orchestrator_key_file.clone(),
            s.allowed_signers.clone(),
            s.policy.clone(),
        ]
    };
    assert_eq!(files(&shown), files(&defaults));
    assert_eq!(shown.listen, defaults.listen);
}

#[test]
fn the_page_stays_on_loopback_until_it_has_a_login() {
    for listen in [
        "0.0.0.0:7700",
        "[::]:7700",
        "192.168.1.1:7700",
        "example.org:80",
    ] {
        let error = wrong(&format!("listen = {listen:?}"));
        assert!(error.contains("the web page has no login yet"), "{error}");
    }
    for listen in ["127.0.0.1:0", "[::1]:7700", "localhost:7700", "127.8.8.8:1"] {
        parse::<Settings>(&format!("listen = {listen:?}"), "test.toml").expect(listen);
    }
}

#[test]
fn wrong_settings_name_the_key() {
    let project = "[projects.shop]\nrepository = \"shop\"\nenvironment = \"prod\"\n";
    let table = [
        ("resend_s = 0", "resend_s must be 1 to"),
        (
            "resend_s = 61",
            "reach_limit_s must not be less than resend_s",
        ),
        ("listen = \"7700\"", "is not ADDRESS:PORT"),
        (
            &format!("{project}waves = []"),
            "projects.shop.waves names no wave",
        ),
        (
            &format!("{project}waves = [\"half\"]"),
            "\"half\" is not a number of hosts",
        ),
        (
            &format!("{project}groups = [\"web\"]"),
            "projects.shop.groups has web, which [groups] does not",
        ),
        (
            &format!(
                "{project}[projects.cart]\nrepository = \"cart\"\naliases = [\"shop\"]\nenvironment = \"prod\""
            ),
            "both claim the repository name shop",
        ),
        ("colour = 1", "colour"),
    ];
    for (text, expected) in table {
        let error = wrong(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}
