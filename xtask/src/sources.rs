//! What is in the work tree that a stage has to be told: shell scripts, packages with doctests.

use std::{fs, io::Read, path::Path};

use crate::{
    root,
    stage::{Failed, output_of},
};

/// Every shell script, tracked or about to be, by what its first line says.
pub(crate) fn shell_scripts() -> Result<Vec<String>, Failed> {
    let mut scripts = files()?;
    scripts.retain(|file| first_bytes(&root().join(file)).is_some_and(|start| is_shell(&start)));
    Ok(scripts)
}

/// Packages whose library does not say `doctest = false`.
pub(crate) fn packages_with_doctests() -> Result<Vec<String>, Failed> {
    let mut packages = Vec::new();
    for manifest in files()? {
        let path = root().join(&manifest);
        let is_library = path.with_file_name("src").join("lib.rs").exists();
        if !manifest.ends_with("/Cargo.toml") || !is_library {
            continue;
        }
        let text = fs::read_to_string(&path)
            .map_err(|error| Failed(format!("cannot read {manifest}: {error}")))?;
        packages.extend(with_doctests(&text));
    }
    Ok(packages)
}

/// The package's name if its doctests are to run.
fn with_doctests(manifest: &str) -> Option<String> {
    let mut lines = manifest.lines().map(str::trim);
    if lines.clone().any(|line| line == "doctest = false") {
        return None;
    }
    let name = lines.find_map(|line| line.strip_prefix("name = "))?;
    Some(name.trim_matches('"').to_owned())
}

/// What git tracks, and what it would: a new file counts before it is added. The tree may belong to another user.
fn files() -> Result<Vec<String>, Failed> {
    let list = output_of(
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
    )?;
    let files = list.split('\0').filter(|file| root().join(file).is_file());
    Ok(files.map(str::to_owned).collect())
}

fn first_bytes(file: &Path) -> Option<Vec<u8>> {
    let mut start = Vec::new();
    let file = fs::File::open(file).ok()?;
    file.take(64).read_to_end(&mut start).ok()?;
    Some(start)
}

/// `#!/bin/sh`, `#!/usr/bin/env bash` and the like.
fn is_shell(start: &[u8]) -> bool {
    let start = String::from_utf8_lossy(start);
    let Some(interpreter) = start
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("#!"))
    else {
        return false;
    };
    interpreter
        .split([' ', '/'])
        .any(|word| ["sh", "bash", "dash"].contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_by_its_first_line() {
        for shell in [
            "#!/bin/sh\n",
            "#!/usr/bin/env bash\nset -e",
            "#! /bin/bash -e",
        ] {
            assert!(is_shell(shell.as_bytes()), "{shell}");
        }
        for other in [
            "",
            "//! #!/bin/sh",
            "#!/usr/bin/env python3\n# sh",
            "\u{7f}ELF",
        ] {
            assert!(!is_shell(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn the_ci_script_is_among_the_shell_scripts() {
        assert!(shell_scripts().unwrap().contains(&".ci/run".to_owned()));
    }

    #[test]
    fn a_library_has_doctests_unless_it_says_otherwise() {
        let package = "[package]\nname = \"events\"\n";
        assert_eq!(with_doctests(package), Some("events".to_owned()));
        assert_eq!(
            with_doctests(&format!("{package}[lib]\ndoctest = false\n")),
            None
        );
    }
}
