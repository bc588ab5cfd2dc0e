//! The settings file that is shipped.

use std::collections::BTreeMap;

use chassis::{
    Settings as _,
    settings::{parse, switched_on},
};
use deploy_agent::{
    Settings,
    manifest::{Manifest, Terms},
};

#[test]
fn as_shipped_it_parses() {
    let (_, settings) = parse::<Settings>(Settings::SHIPPED, "shipped").expect("it parses");
    assert!(settings.projects.is_empty());
    settings.check().expect("it makes sense");
}

#[test]
fn with_every_commented_key_switched_on_it_parses() {
    let text = switched_on(Settings::SHIPPED);
    let (common, settings) = parse::<Settings>(&text, "switched on").expect("it parses");
    settings.check().expect("it makes sense");
    assert!(common.host.is_some());
    let project = settings
        .projects
        .values()
        .next()
        .expect("the example project");
    assert!(project.origin.is_some());
    let bare: deploy_agent::settings::Project =
        toml::from_str("repository = 'shop'\nenvironment = 'prod'").expect("the rest has defaults");
    assert_eq!(
        (bare.keep, bare.check_tries, bare.spare_mb, bare.spare_files),
        (
            project.keep,
            project.check_tries,
            project.spare_mb,
            project.spare_files
        ),
        "defaults as shown"
    );
    let [bare, shown] = [&bare, project].map(|project| {
        let terms = Terms::of(project, &Manifest::default()).expect("terms");
        Terms {
            // Examples where there is no default.
            shared: Vec::new(),
            owner: None,
            script: BTreeMap::new(),
            check: Vec::new(),
            ..terms
        }
    });
    assert_eq!(bare, shown);
}

#[test]
fn paths_that_lead_out_are_refused() {
    for path in [
        "../x",
        "/etc",
        "a//b",
        "a/",
        "./a",
        ".deploy/x",
        "",
        "a/../../b",
    ] {
        let text = format!(
            "[projects.shop]\nrepository = 'shop'\nenvironment = 'prod'\nshared = ['{path}']\n"
        );
        let checked = parse::<Settings>(&text, "test")
            .map_err(|error| error.to_string())
            .and_then(|(_, settings)| settings.check());
        let error = checked.expect_err(path);
        assert!(error.contains("shared"), "{path}: {error}");
    }
}

#[test]
fn scripts_that_cannot_be_meant_are_refused() {
    for (line, said) in [
        ("script.start.file = '../start'", "script.start.file"),
        ("script.start.limit_s = 0", "script.start.limit_s"),
        ("script.start.args = ['{secret}']", "between { and }"),
        ("script.restart.file = 'restart'", "restart"),
        (
            "script.start.once = true",
            "only pre-deploy and post-deploy",
        ),
        (
            "script.start.root = true",
            "only a script with from = \"host\"",
        ),
        ("script.start.user = 'root'", "user"),
    ] {
        let text = format!("[projects.shop]\nrepository = 'shop'\nenvironment = 'prod'\n{line}\n");
        let checked = parse::<Settings>(&text, "test")
            .map_err(|error| error.to_string())
            .and_then(|(_, settings)| settings.check());
        let error = checked.expect_err(line);
        assert!(error.contains(said), "{line}: {error}");
    }
}
