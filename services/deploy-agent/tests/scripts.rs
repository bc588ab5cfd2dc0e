//! Which scripts a release has, and what is wrong with them, found before one of them runs.

use std::{fs, os::unix::fs::PermissionsExt};

use deploy_agent::{
    layout::Layout,
    scripts::{Argument, Plan, Script, Scripts},
    settings::Project,
};
use tempfile::TempDir;
use world::RealDisk;

/// A release in a folder, beside the folder of the host's own scripts.
struct Case {
    folder: TempDir,
    project: Project,
    scripts: Scripts,
}

impl Case {
    /// With these settings of the project, and this script there.
    fn new(settings: &str) -> Self {
        let text = format!("repository = 'shop'\nenvironment = 'prod'\n{settings}");
        let project: Project = toml::from_str(&text).expect("settings");
        let folder = tempfile::tempdir().expect("a folder");
        let scripts = Scripts::of(&project, folder.path().join("host"));
        for folder in ["base/shop/releases/one", "host"].map(|name| folder.path().join(name)) {
            fs::create_dir_all(folder).expect("made");
        }
        Self {
            folder,
            project,
            scripts,
        }
    }

    fn layout(&self) -> Layout {
        let base = self.folder.path().join("base");
        Layout::new(&base, &"shop".parse().expect("a project"))
    }

    fn write(&self, path: &str, mode: u32) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("made");
        fs::write(&path, "#!/bin/sh\n").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
    }

    fn release(&self, file: &str, mode: u32) {
        self.write(&format!("base/shop/releases/one/{file}"), mode);
    }

    fn find(&self, built: bool) -> Result<String, String> {
        let tree = self.layout().release("one");
        let found = self.scripts.find(&RealDisk, &tree, built);
        found
            .map(|plan| {
                let files = plan.into_values().filter_map(|planned| planned.file);
                files.collect::<Vec<_>>().join(" ")
            })
            .map_err(|error| error.replace(&self.folder.path().display().to_string(), "HERE"))
    }

    fn missing(&self, plan: Option<Plan>) -> Option<String> {
        let plans = plan.into_iter().map(|plan| ("one".to_owned(), plan));
        let ground = self
            .scripts
            .ground(&RealDisk, &self.layout(), &self.project, &plans.collect())
            .expect("read");
        let missing = ground["one"].missing.clone();
        missing.map(|text| text.replace(&self.folder.path().display().to_string(), "HERE"))
    }
}

#[test]
fn a_release_may_have_any_of_them_and_each_can_be_run() {
    let case = Case::new("");
    assert_eq!(case.find(false).as_deref(), Ok(""), "none at all");
    case.release(".deploy/start", 0o755);
    case.release(".deploy/other", 0o644);
    assert_eq!(case.find(false).as_deref(), Ok(".deploy/start"));
    case.release(".deploy/start", 0o644);
    assert_eq!(
        case.find(false).expect_err("refused"),
        ".deploy/start is not executable: git update-index --chmod=+x .deploy/start"
    );
    case.release(".deploy/start", 0o755);
    case.release(".deploy/check/x", 0o755);
    assert_eq!(
        case.find(false).expect_err("refused"),
        ".deploy/check is no regular file"
    );
    let case = Case::new("");
    case.release(".deploy", 0o755);
    assert_eq!(
        case.find(false).expect_err("refused"),
        ".deploy is no folder"
    );
}

#[test]
fn what_is_required_is_there_once_the_build_is_done() {
    let case = Case::new("script.start.required = true");
    let missing = ".deploy/start is required, and not in the revision";
    assert_eq!(case.find(false).expect_err("refused"), missing);
    case.release(".deploy/build", 0o755);
    assert!(case.find(false).is_ok(), "the build may make it");
    assert_eq!(case.find(true).expect_err("refused"), missing);
}

#[test]
fn names_and_the_folder_are_settings() {
    let case = Case::new("scripts = 'future-control'\nscript.pre-deploy.file = 'pre-deploy.sh'");
    case.release("future-control/pre-deploy.sh", 0o755);
    case.release("future-control/pre-deploy", 0o644);
    assert_eq!(
        case.find(true).as_deref(),
        Ok("future-control/pre-deploy.sh")
    );
}

#[test]
fn a_script_of_the_host_is_there_and_nobody_elses() {
    let case = Case::new("script.start.from = 'host'");
    let missing = case.find(true).expect_err("refused");
    assert!(
        missing.starts_with("cannot read HERE/host/start: "),
        "{missing}"
    );
    case.write("host/start", 0o644);
    assert_eq!(
        case.find(true).expect_err("refused"),
        "HERE/host/start is not executable: chmod +x HERE/host/start"
    );
    case.write("host/start", 0o775);
    assert_eq!(
        case.find(true).expect_err("refused"),
        "HERE/host/start must be root's, and writable by nobody else (as HERE/host/start)"
    );
    case.write("host/start", 0o755);
    assert!(case.find(true).is_ok());
    assert_eq!(case.missing(None), None);
    case.release(".deploy/start", 0o644);
    assert!(case.find(true).is_ok(), "the revision's is not used");
    let folder = case.folder.path().join("host");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("set");
    let error = case.find(true).expect_err("refused");
    assert!(error.starts_with("HERE/host must be root's"), "{error}");
    assert!(
        case.missing(None).is_some(),
        "seen before an activation too"
    );
}

#[test]
fn what_went_since_it_was_prepared_is_missing_and_what_never_was_is_not() {
    let case = Case::new("");
    case.release(".deploy/start", 0o755);
    let tree = case.layout().release("one");
    let plan = case.scripts.find(&RealDisk, &tree, true).expect("found");
    assert_eq!(case.missing(Some(plan.clone())), None);
    fs::remove_file(tree.join(".deploy/start")).expect("removed");
    assert_eq!(
        case.missing(Some(plan.clone())).as_deref(),
        Some(
            "HERE/base/shop/releases/one/.deploy/start was there when it was prepared, and is gone"
        )
    );
    let file = |plan| {
        let found = case.scripts.in_tree(&RealDisk, &tree, Script::Start, plan);
        found.expect("read")
    };
    assert_eq!(file(Some(&plan)).as_deref(), Some(".deploy/start"));
    assert_eq!(case.missing(None), None, "prepared by an older agent");
    assert_eq!(file(None), None);
}

#[test]
fn a_release_of_which_nothing_can_be_read_is_missing_alone() {
    let case = Case::new("");
    case.release(".deploy/start", 0o755);
    let two = case.layout().release("two");
    fs::create_dir_all(&two).expect("made");
    // A folder cannot be read as a file, whoever asks.
    fs::create_dir_all(case.layout().manifest("two")).expect("made");
    assert_eq!(case.missing(None), None);
    let ground = case
        .scripts
        .ground(&RealDisk, &case.layout(), &case.project, &[].into());
    let missing = ground.expect("read")["two"].missing.clone().expect("it is");
    assert!(missing.contains("laid-out/two.toml: "), "{missing}");
}

#[test]
fn arguments_have_places_for_what_is_known_when_they_run() {
    let fill = |text: &str, tag: &str| {
        let argument = Argument::try_from(text.to_owned()).map_err(|error| error.to_string())?;
        Ok::<_, String>(argument.fill(|place| match place {
            "tag" => tag.to_owned(),
            place => format!("<{place}>"),
        }))
    };
    for (text, filled) in [
        ("-t", "-t"),
        ("{tag}", "v1"),
        ("--release={release}", "--release=<release>"),
        ("{revision}-{wave}", "<revision>-<wave>"),
        ("{{tag}}", "{tag}"),
        ("", ""),
    ] {
        assert_eq!(fill(text, "v1").as_deref(), Ok(filled), "{text}");
    }
    assert_eq!(
        fill("{tag}", "").as_deref(),
        Ok("<revision>"),
        "asked for by its commit"
    );
    for text in ["{", "}", "{tag", "tag}", "{secret}", "{ tag }", "{{tag}"] {
        let error = fill(text, "v1").expect_err(text);
        assert!(
            error.starts_with(&format!(
                "{text:?}: between {{ and }} stands one of project, "
            )),
            "{error}"
        );
    }
}
