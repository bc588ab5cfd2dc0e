//! One name: folder = package = binary = settings file = README heading; and every service has all its parts.

use std::collections::BTreeMap;

use crate::File;

/// `main.rs` is a sentence and a few steps.
const MAIN_LINES: usize = 60;

/// Services that people start by hand: a command line, so no settings file of their own.
const WITHOUT_SETTINGS: [&str; 1] = ["deploykit"];

/// What is wrong with the folders under `services/` and `crates/`, given every file of the tree.
#[must_use]
pub fn complaints(tree: &[File]) -> Vec<String> {
    let files: BTreeMap<&str, &str> = tree
        .iter()
        .map(|file| (file.path.as_str(), file.text.as_str()))
        .collect();
    let mut complaints = Vec::new();
    for path in files.keys() {
        match path.split('/').collect::<Vec<_>>()[..] {
            ["services", name, "Cargo.toml"] => {
                complaints.extend(package(&files, "services", name));
                complaints.extend(service(&files, name));
            }
            ["crates", name, "Cargo.toml"] => complaints.extend(package(&files, "crates", name)),
            _ => {}
        }
    }
    complaints
}

/// What a library and a service have in common: a name, and a README that is the crate's doc.
fn package(files: &BTreeMap<&str, &str>, folder: &str, name: &str) -> Vec<String> {
    let at = format!("{folder}/{name}");
    let mut complaints = Vec::new();
    let manifest = files.get(format!("{at}/Cargo.toml").as_str()).copied();
    let manifest: toml::Table = manifest
        .and_then(|text| toml::from_str(text).ok())
        .unwrap_or_default();
    let of = |part: Option<&toml::Value>| {
        let name = part.and_then(|part| part.get("name")?.as_str());
        name.map(str::to_owned)
    };
    if of(manifest.get("package")).as_deref() != Some(name) {
        complaints.push(format!(
            "{at}: the package must be named {name}, as its folder"
        ));
    }
    let binaries = manifest.get("bin").and_then(|bins| bins.as_array());
    for binary in binaries.into_iter().flatten() {
        if of(Some(binary)).as_deref() != Some(name) {
            complaints.push(format!("{at}: its one binary must be named {name}"));
        }
    }
    match files.get(format!("{at}/README.md").as_str()) {
        None => complaints.push(format!("{at}: README.md is missing")),
        Some(readme) => {
            let heading = readme.lines().next().unwrap_or_default();
            let rest = heading.strip_prefix(&format!("# {name}"));
            if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(": ")) {
                complaints.push(format!(
                    "{at}/README.md: the first line must be `# {name}: what it is`"
                ));
            }
        }
    }
    match files.get(format!("{at}/src/lib.rs").as_str()) {
        None => complaints.push(format!("{at}: src/lib.rs is missing")),
        Some(lib) if !lib.contains("#![doc = include_str!(\"../README.md\")]") => {
            complaints.push(format!(
                "{at}/src/lib.rs: README.md must be the crate's doc"
            ));
        }
        Some(_) => {}
    }
    complaints
}

fn service(files: &BTreeMap<&str, &str>, name: &str) -> Vec<String> {
    let at = format!("services/{name}");
    let mut complaints = Vec::new();
    match files.get(format!("{at}/src/main.rs").as_str()) {
        None => complaints.push(format!("{at}: src/main.rs is missing")),
        Some(main) if main.lines().count() > MAIN_LINES => complaints.push(format!(
            "{at}/src/main.rs: {} lines, at most {MAIN_LINES}: what it does belongs into the library",
            main.lines().count()
        )),
        Some(_) => {}
    }
    let settings = format!("{at}/dist/{name}.toml");
    if !files.contains_key(settings.as_str()) && !WITHOUT_SETTINGS.contains(&name) {
        complaints.push(format!(
            "{at}: dist/{name}.toml, the settings we ship, is missing"
        ));
    }
    complaints
}
