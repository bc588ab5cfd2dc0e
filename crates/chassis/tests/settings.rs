//! Settings: layers, and what is said about wrong ones.

use std::{collections::BTreeMap, fs, path::Path};

use chassis::{
    Failure, Settings,
    settings::{Layer, SettingsError, load, parse, switched_on, together},
};
use serde::Deserialize;
use world::RealDisk;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shop {
    #[serde(default)]
    every_s: Option<u64>,
    folder: String,
    #[serde(default)]
    sources: BTreeMap<String, Source>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    kind: String,
    #[serde(default)]
    secrets: Vec<String>,
}

impl Settings for Shop {
    const SHIPPED: &'static str = "";
    fn check(&self) -> Result<(), String> {
        match self.every_s {
            Some(0) => Err("every_s must be at least 1".to_owned()),
            _ => Ok(()),
        }
    }
}

#[test]
fn a_wrong_key_is_refused_by_file_line_and_key() {
    let table = [
        (
            "folder = 'x'\ncolour = 1\n",
            "f.toml:2: key `colour`: unknown field `colour`, expected one of `every_s`, `folder`, `sources`",
        ),
        (
            "folder = 'x'\nevery_s = 'soon'\n",
            "f.toml:2: key `every_s`: invalid type: string \"soon\", expected u64",
        ),
        (
            "folder = 'x'\n\n[bus]\nbrokers = ['a:1']\nheart_beat = 5\n",
            "f.toml:5: key `bus.heart_beat`: unknown field `heart_beat`, expected one of",
        ),
        (
            "folder = 'x'\n[bus.topics]\nprefix = 7\n",
            "f.toml:3: key `bus.topics.prefix`: invalid type: integer `7`, expected a string",
        ),
        (
            "folder = 'x'\n[sources.Hub]\nkind = 'github'\nsecret = 'x'\n",
            "f.toml:4: key `sources.Hub.secret`: unknown field `secret`",
        ),
        (
            "folder = 'x'\nhost = 'web_1'\n",
            "f.toml:2: key `host`: \"web_1\" is not a host name: use a-z, 0-9 and -",
        ),
        ("folder = 'x'\nfolder = 'y'\n", "f.toml:2: duplicate key"),
        ("folder = 'x\n", "f.toml:1: "),
        ("every_s = 3\n", "f.toml: missing field `folder`"),
        (
            "folder = 'x'\nevery_s = 0\n",
            "f.toml: every_s must be at least 1",
        ),
    ];
    refused_with(&table);
}

#[test]
fn wrong_keys_of_the_bus_are_refused_with_the_next_step() {
    let table = [
        (
            "folder = 'x'\n[bus]\nbrokers = []\n",
            "f.toml: bus.brokers is empty: name at least one",
        ),
        (
            "folder = 'x'\n[bus]\nbrokers = ['nohost']\n",
            "f.toml: bus.brokers has \"nohost\", which is not host:port",
        ),
        (
            "folder = 'x'\n[bus]\nlogin = 'me'\n",
            "f.toml: bus.login and bus.passcode_file go together",
        ),
        (
            "folder = 'x'\n[bus]\nlogin = 'a:b'\npasscode_file = '/x'\n",
            "f.toml: bus.login holds a \\, a :",
        ),
        (
            "folder = 'x'\n[bus]\npublish_limit_s = 0\n",
            "f.toml: bus.publish_limit_s is 0: it must be 1 to 3600",
        ),
        (
            "folder = 'x'\n[bus]\nhandshake_limit_s = 3601\n",
            "f.toml: bus.handshake_limit_s is 3601: it must be 1 to 3600",
        ),
        (
            "folder = 'x'\n[bus]\nfail_back_s = 86401\n",
            "f.toml: bus.fail_back_s is 86401: it must be 1 to 86400, or 0 for never",
        ),
        (
            "folder = 'x'\n[bus]\ndialect = 'other'\n",
            "f.toml:3: key `bus.dialect`: \"other\" is no kind of broker that is known here; known are rabbitmq,",
        ),
        (
            "folder = 'x'\n[bus]\ntls_ca_file = '/ca'\n",
            "f.toml: bus.tls_ca_file is set, but TLS is off: set bus.tls = true, or remove it",
        ),
        (
            "folder = 'x'\n[bus]\ntls_server_name = 'b'\n",
            "f.toml: bus.tls_server_name is set, but TLS is off",
        ),
        (
            "folder = 'x'\n[bus]\ntls = true\ntls_key_file = '/key'\n",
            "f.toml: bus.tls_certificate_file and bus.tls_key_file go together: set both or none",
        ),
        (
            "folder = 'x'\n[bus]\ntls = true\ntls_server_name = 'b:61614'\n",
            "f.toml: bus.tls_server_name is \"b:61614\": it must be a DNS name or an IP address, without a port",
        ),
        (
            "folder = 'x'\n[bus]\ntls = true\nbrokers = ['my+broker:61614']\n",
            "f.toml: bus.brokers has \"my+broker:61614\", whose host is no name that a certificate can be for",
        ),
    ];
    refused_with(&table);
}

fn refused_with(table: &[(&str, &str)]) {
    for (text, expected) in table {
        let SettingsError(said) = parse::<Shop>(text, "f.toml").unwrap_err();
        assert!(
            said.starts_with(expected),
            "{text:?}\n says     {said}\n expected {expected}"
        );
        assert!(!said.contains('\n'), "{said:?} is one line");
    }
}

fn layer(file: &str, text: &str) -> Layer {
    Layer {
        file: file.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn later_layers_go_first_key_by_key() {
    let files = [
        layer(
            "a",
            "host = 'web1'\nevery_s = 1\nfolder = 'a'\n[bus]\nheart_beat_s = 2\nlogin = 'me'\npasscode_file = '/p'\n[sources.Hub]\nkind = 'github'\n[sources.'group/shop']\nkind = 'gitlab'",
        ),
        layer(
            "b",
            "folder = 'b'\n[sources.Hub]\nsecrets = ['s']\nkind = 'gitea'\n[bus]\nlogin = 'you'",
        ),
    ];
    let environment = BTreeMap::from([
        (
            "DEPLOYKIT_SHOP__BUS__HEART_BEAT_S".to_owned(),
            "9".to_owned(),
        ),
        ("DEPLOYKIT_SHOP__FOLDER".to_owned(), "7".to_owned()),
        (
            "DEPLOYKIT_SHOP__BUS__BROKERS".to_owned(),
            "['x:1', 'y:2']".to_owned(),
        ),
        ("DEPLOYKIT_OTHER__FOLDER".to_owned(), "no".to_owned()),
    ]);
    let (common, own) = together::<Shop>(&files, "DEPLOYKIT_SHOP__", &environment).unwrap();
    assert_eq!(common.host.unwrap().as_str(), "web1");
    assert_eq!(common.bus.heart_beat_s, 9);
    assert_eq!(common.bus.login.as_deref(), Some("you"));
    assert_eq!(common.bus.brokers, ["x:1", "y:2"]);
    assert_eq!(
        own.folder, "7",
        "a number is a text where a text is asked for"
    );
    assert_eq!(own.every_s, Some(1));
    assert_eq!(own.sources["Hub"].kind, "gitea");
    assert_eq!(own.sources["Hub"].secrets, ["s"]);
    assert_eq!(own.sources["group/shop"].kind, "gitlab");
}

#[test]
fn a_wrong_variable_is_refused_by_its_name() {
    let environment = |name: &str, text: &str| BTreeMap::from([(name.to_owned(), text.to_owned())]);
    let table = [
        (
            "DEPLOYKIT_SHOP__COLOUR",
            "red",
            "environment variable DEPLOYKIT_SHOP__COLOUR: unknown field `colour`",
        ),
        (
            "DEPLOYKIT_SHOP__EVERY_S",
            "soon",
            "environment variable DEPLOYKIT_SHOP__EVERY_S: invalid type: string \"soon\", expected u64",
        ),
        (
            "DEPLOYKIT_SHOP__BUS__PREFETCH",
            "-1",
            "environment variable DEPLOYKIT_SHOP__BUS__PREFETCH: invalid value: integer `-1`, expected u32",
        ),
    ];
    for (name, text, expected) in table {
        let files = [layer("a", "folder = 'a'")];
        let wrong = together::<Shop>(&files, "DEPLOYKIT_SHOP__", &environment(name, text));
        let SettingsError(said) = wrong.unwrap_err();
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn a_file_may_leave_a_key_to_another_one() {
    let files = [
        layer("a", "[sources.Hub]\nkind = 'github'"),
        layer("b", "folder = 'b'\n[sources.Hub]\nsecrets = ['x']"),
    ];
    let (_, own) = together::<Shop>(&files, "", &BTreeMap::new()).unwrap();
    assert_eq!(
        (own.folder.as_str(), own.sources["Hub"].kind.as_str()),
        ("b", "github")
    );
}

#[test]
fn a_named_file_must_exist_and_its_folder_of_drop_ins_is_read_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.toml");
    let load = |config: Option<&Path>| {
        load::<Shop>(&RealDisk, "no-such-service", config, &BTreeMap::new())
    };

    let SettingsError(said) = load(Some(&file)).unwrap_err();
    assert!(
        said.starts_with(&format!(
            "cannot read settings {}: No such file",
            file.display()
        )),
        "{said}"
    );
    let SettingsError(said) = load(None).unwrap_err();
    assert_eq!(said, "settings (no file was found): missing field `folder`");

    let drop_ins = folder.path().join("shop.d");
    fs::create_dir(&drop_ins).unwrap();
    fs::write(&file, "folder = 'main'").unwrap();
    fs::write(drop_ins.join("20-late.toml"), "folder = 'late'").unwrap();
    fs::write(
        drop_ins.join("10-early.toml"),
        "folder = 'early'\nevery_s = 4",
    )
    .unwrap();
    fs::write(drop_ins.join("30-old.toml.dpkg-old"), "wrong").unwrap();
    let (_, own) = load(Some(&file)).unwrap();
    assert_eq!((own.folder.as_str(), own.every_s), ("late", Some(4)));

    fs::write(drop_ins.join("20-late.toml"), "\n\nfolder = 3").unwrap();
    let SettingsError(said) = load(Some(&file)).unwrap_err();
    let expected = format!(
        "{}:3: key `folder`",
        drop_ins.join("20-late.toml").display()
    );
    assert!(said.starts_with(&expected), "{said}");
}

#[test]
fn commented_keys_are_switched_on_and_prose_is_not() {
    let shipped = "# Prose = stays.\n#every_s = 5\nfolder = 'x'\n#[sources.hub]\n#kind = 'github'\n#\"group/shop\" = 1\n#\n";
    let on = "# Prose = stays.\nevery_s = 5\nfolder = 'x'\n[sources.hub]\nkind = 'github'\n\"group/shop\" = 1\n#\n";
    assert_eq!(switched_on(shipped), on);
}

#[test]
fn wrong_settings_exit_with_78_and_all_else_with_1() {
    let code = |failure: Failure| format!("{:?}", failure.exit_code());
    let expected = |code| format!("{:?}", std::process::ExitCode::from(code));
    assert_eq!(code(Failure::Settings("x".to_owned())), expected(78));
    assert_eq!(code(Failure::Failed(anyhow::anyhow!("x"))), expected(1));
}
