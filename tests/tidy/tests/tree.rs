//! The work tree as values: its files, and what cargo says of its packages.
#![expect(
    clippy::disallowed_methods,
    reason = "these tests are about the files and packages of this very tree"
)]

use std::{fs, path::Path, process::Command};

use tidy::File;

/// Written by others, or data: not ours to keep tidy.
const FOREIGN: [&str; 3] = ["/vendor/", "/fixtures/", "/golden/"];

const TEXT: [&str; 9] = [
    ".rs", ".md", ".toml", ".sh", ".html", ".css", ".js", ".sql", ".pp",
];

fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    tests
        .and_then(Path::parent)
        .expect("tests/tidy is two deep")
}

/// What git tracks, and what it would: a new file counts before it is added. Files that are not text have none.
pub(crate) fn files() -> Vec<File> {
    let list = answer(
        "git",
        &[
            "-c",
            "safe.directory=*",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
    );
    let paths = list.split('\0').filter(|path| root().join(path).is_file());
    let read = |path: &str| match fs::read(root().join(path)).map(String::from_utf8) {
        Ok(Ok(text)) => File::new(path, &text),
        _ => File::new(path, ""),
    };
    paths.map(read).collect()
}

/// The text files that we write.
pub(crate) fn ours() -> Vec<File> {
    let mut files = files();
    files.retain(|file| {
        let foreign = FOREIGN.iter().any(|folder| file.path.contains(folder));
        let script = file.text.starts_with("#!/");
        !foreign && (script || TEXT.iter().any(|end| file.path.ends_with(end)))
    });
    files
}

/// One file's text.
pub(crate) fn file(path: &str) -> File {
    let text = fs::read_to_string(root().join(path));
    File::new(
        path,
        &text.unwrap_or_else(|error| panic!("{path}: {error}")),
    )
}

/// What cargo says of the packages.
pub(crate) fn metadata() -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    answer(
        &cargo,
        &[
            "metadata",
            "--no-deps",
            "--offline",
            "--locked",
            "--format-version",
            "1",
        ],
    )
}

fn answer(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .current_dir(root())
        .output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {complaint}");
    String::from_utf8(output.stdout).expect("names here are UTF-8")
}

#[test]
fn the_tree_is_seen_whole() {
    let files = files();
    for path in [
        "Cargo.toml",
        ".ci/run",
        "crates/events/src/lib.rs",
        "LICENSE-MIT",
    ] {
        let found = files.iter().find(|file| file.path == path);
        assert!(found.is_some_and(|file| !file.text.is_empty()), "{path}");
    }
}
