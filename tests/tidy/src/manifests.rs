//! What holds for every `Cargo.toml` of a package: the workspace decides versions and lints; tests are one binary.

use serde::Deserialize;

use crate::File;

const OF_THE_WORKSPACE: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];

/// What is wrong with a package's manifest.
#[must_use]
pub fn complaints(file: &File) -> Vec<String> {
    let table: toml::Table = match toml::from_str(&file.text) {
        Ok(table) => table,
        Err(error) => return vec![format!("{}: {error}", file.path)],
    };
    let mut complaints = Vec::new();
    let of_workspace = |value: Option<&toml::Value>| {
        let answer = value.and_then(|value| value.get("workspace")?.as_bool());
        answer == Some(true)
    };
    if !of_workspace(table.get("lints")) {
        complaints.push(format!(
            "{}: `[lints] workspace = true` is missing, and with it the ban on unsafe code",
            file.path
        ));
    }
    let package = table.get("package");
    for key in OF_THE_WORKSPACE {
        if !of_workspace(package.and_then(|package| package.get(key))) {
            complaints.push(format!(
                "{}: `{key}.workspace = true` is missing",
                file.path
            ));
        }
    }
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let dependencies = table.get(section).and_then(|it| it.as_table());
        for (name, wanted) in dependencies.into_iter().flatten() {
            if !of_workspace(Some(wanted)) {
                complaints.push(format!(
                    "{}: {name}: its version belongs into [workspace.dependencies], once for all",
                    file.path
                ));
            }
        }
    }
    complaints
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Packages with more than one integration-test binary: each one links everything again.
///
/// # Errors
/// What is wrong with the answer of `cargo metadata --no-deps --format-version 1`.
pub fn test_binaries(metadata: &str) -> Result<Vec<String>, String> {
    let metadata: Metadata = serde_json::from_str(metadata).map_err(|error| error.to_string())?;
    let mut complaints = Vec::new();
    for package in &metadata.packages {
        let tests = package
            .targets
            .iter()
            .filter(|target| target.kind == ["test"]);
        let names: Vec<&str> = tests.map(|target| target.name.as_str()).collect();
        if names.len() > 1 {
            complaints.push(format!(
                "{}: {} are {} test binaries; make them modules of one: `autotests = false`, `[[test]] name = \"main\"`",
                package.name,
                names.join(", "),
                names.len()
            ));
        }
    }
    Ok(complaints)
}
