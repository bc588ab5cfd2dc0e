//! Who may depend on whom: the drawing in ARCHITECTURE.md, compared with what cargo says.
//!
//! The drawing is a fenced block marked `layers`, from the bottom up:
//!
//! ```layers
//! events →
//! chassis → events
//! chassis (tests) → events
//! services → crates
//! ```
//!
//! A line says what a package, or each package of a folder, may use; `(tests)` adds what its tests and build scripts
//! may use. A package's own line counts instead of its folder's. A normal line names only lines above it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A package of the workspace and which others of the workspace it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// The folder it is sorted under: `crates`, `services`, `tests`; empty at the root.
    pub folder: String,
    /// What its code uses.
    pub uses: Vec<String>,
    /// What only its tests, examples and build script use.
    pub uses_in_tests: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    workspace_root: String,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

/// `name` is the package's own, also when the dependency is renamed.
#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

/// Reads the answer of `cargo metadata --no-deps --format-version 1`.
///
/// # Errors
/// What is wrong with the answer.
pub fn packages(metadata: &str) -> Result<Vec<Package>, String> {
    let metadata: Metadata = serde_json::from_str(metadata).map_err(|error| error.to_string())?;
    let package = |it: &MetadataPackage| {
        let ours = |in_tests: bool| {
            let ours = it.dependencies.iter().filter(|dependency| {
                dependency.path.is_some() && dependency.kind.is_some() == in_tests
            });
            ours.map(|dependency| dependency.name.clone()).collect()
        };
        let place = it.manifest_path.strip_prefix(&metadata.workspace_root);
        let place = place.unwrap_or(&it.manifest_path).trim_start_matches('/');
        let (folder, rest) = place.split_once('/').unwrap_or_default();
        Package {
            name: it.name.clone(),
            folder: if rest.contains('/') { folder } else { "" }.to_owned(),
            uses: ours(false),
            uses_in_tests: ours(true),
        }
    };
    Ok(metadata.packages.iter().map(package).collect())
}

/// The drawing: for each subject what it may use, and what its tests may use besides.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Drawing {
    lines: Vec<String>,
    normal: BTreeMap<String, Vec<String>>,
    tests: BTreeMap<String, Vec<String>>,
}

/// Finds and reads the drawing.
///
/// # Errors
/// One complaint: there is no block, or a line of it is wrong.
pub fn drawing(architecture: &str) -> Result<Drawing, String> {
    let mut lines = architecture.lines().map(str::trim);
    lines
        .find(|line| *line == "```layers")
        .ok_or("ARCHITECTURE.md has no fenced block marked `layers`")?;
    let mut drawing = Drawing::default();
    for line in lines.take_while(|line| *line != "```") {
        let (subject, uses) = line
            .split_once('→')
            .ok_or_else(|| format!("layers: `{line}` is not `name → name, name`"))?;
        let names = uses.split(',').map(str::trim);
        let uses: Vec<String> = names
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        let subject = subject.trim();
        let twice = match subject.strip_suffix(" (tests)") {
            Some(subject) => drawing.tests.insert(subject.to_owned(), uses),
            None => {
                drawing.lines.push(subject.to_owned());
                drawing.normal.insert(subject.to_owned(), uses)
            }
        };
        if twice.is_some() {
            return Err(format!("layers: {subject} has two lines"));
        }
    }
    Ok(drawing)
}

/// What in the workspace is not as drawn, and what in the drawing is not in the workspace.
#[must_use]
pub fn complaints(drawing: &Drawing, packages: &[Package]) -> Vec<String> {
    let mut complaints = not_there(drawing, packages);
    complaints.extend(not_upwards(drawing, packages));
    for package in packages {
        let Some(allowed) = allowed(&drawing.normal, package) else {
            complaints.push(format!("layers: {} is not in the drawing", package.name));
            continue;
        };
        let for_tests = drawing.tests.get(&package.name);
        let for_tests = for_tests.or_else(|| drawing.tests.get(&package.folder));
        let may = |target: &String, list: &[String]| {
            list.contains(target)
                || packages
                    .iter()
                    .any(|it| it.name == *target && list.contains(&it.folder))
        };
        let normal = package.uses.iter().filter(|it| !may(it, allowed));
        complaints.extend(normal.map(|it| {
            format!(
                "layers: {} uses {it}; the drawing has no such arrow",
                package.name
            )
        }));
        let tests = package.uses_in_tests.iter();
        let tests = tests.filter(|it| {
            !may(it, allowed) && !for_tests.is_some_and(|for_tests| may(it, for_tests))
        });
        complaints.extend(tests.map(|it| {
            format!(
                "layers: {}'s tests use {it}; the drawing has no such arrow",
                package.name
            )
        }));
    }
    complaints
}

/// A package's own line, else its folder's.
fn allowed<'a>(
    lines: &'a BTreeMap<String, Vec<String>>,
    package: &Package,
) -> Option<&'a Vec<String>> {
    lines.get(&package.name).or_else(|| {
        let folder = lines.get(&package.folder);
        folder.filter(|_| !package.folder.is_empty())
    })
}

/// Names in the drawing that are neither a package nor a folder of packages.
fn not_there(drawing: &Drawing, packages: &[Package]) -> Vec<String> {
    let known = |name: &String| {
        packages
            .iter()
            .any(|package| package.name == *name || package.folder == *name)
    };
    let all = drawing.normal.iter().chain(&drawing.tests);
    let mut names: Vec<&String> = all
        .flat_map(|(subject, uses)| uses.iter().chain([subject]))
        .filter(|name| !known(name))
        .collect();
    names.sort();
    names.dedup();
    let complaint = |name| format!("layers: the drawing has {name}, the workspace has not");
    names.into_iter().map(complaint).collect()
}

/// Arrows that do not point to a line above: the drawing is a list from the bottom up, so it cannot have a circle.
fn not_upwards(drawing: &Drawing, packages: &[Package]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (n, subject) in drawing.lines.iter().enumerate() {
        let above = &drawing.lines[..n];
        let drawn_above = |name: &String| {
            above.contains(name)
                || above.iter().any(|line| {
                    packages
                        .iter()
                        .any(|it| it.name == *line && it.folder == *name)
                })
        };
        let wrong = drawing.normal[subject].iter().filter(|it| !drawn_above(it));
        complaints.extend(wrong.map(|it| {
            format!(
                "layers: {subject} → {it} does not point to a line above; draw from the bottom up"
            )
        }));
    }
    complaints
}
