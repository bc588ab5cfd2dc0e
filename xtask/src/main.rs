//! `cargo xtask`: the project's own chores, with nothing but std.
//!
//! Read: [`stage`] (a command with a name, run and timed), [`packages`] (what Debian must give), [`summary`] (how many
//! tests ran), [`sources`] (which shell scripts and doctests there are).
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a build tool at a person's terminal: it runs programs, reads the tree and the clock directly"
)]

mod packages;
mod sources;
mod stage;
mod summary;

use std::{path::Path, process::ExitCode, time::Instant};

use stage::{Failed, Stage};

const HELP: &str = "\
cargo xtask <command>

  test   everything that must hold before a change counts: packages, formatting, shell scripts, lints (the fuzz target's too),
         tests, docs;
         the closing line says how many tests ran
  lint   formatting, shell scripts, lints
  docs   the code's documentation, warnings refused
  deps   installs the Debian packages the tests need (as root), or says which are missing
  deny   licences, banned and doubled crates, sources (needs cargo-deny)

A stage that fails ends the run and prints the command that repeats it alone.
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    if words
        .iter()
        .any(|word| ["-h", "--help", "help"].contains(word))
    {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let outcome = match words[..] {
        ["test"] => test(),
        ["lint"] => packages::ensure()
            .and_then(|()| lint())
            .map(|()| "lint: clean".to_owned()),
        ["docs"] => docs().map(|()| "docs: clean".to_owned()),
        ["deps"] => packages::ensure().map(|()| format!("installed: {}", packages::names())),
        ["deny"] => deny().map(|()| "deny: clean".to_owned()),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(closing) => {
            println!("{closing}");
            ExitCode::SUCCESS
        }
        Err(failed) => {
            eprintln!("\n{failed}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the work tree.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the work tree")
}

/// All stages; the closing line is the number of tests.
fn test() -> Result<String, Failed> {
    let start = Instant::now();
    packages::ensure()?;
    lint()?;
    let passed = tests()?;
    docs()?;
    println!("\neverything holds ({} s)", start.elapsed().as_secs());
    Ok(summary::closing_line(passed))
}

fn lint() -> Result<(), Failed> {
    Stage::cargo("format", &["fmt", "--all", "--check"]).run()?;
    let scripts = sources::shell_scripts()?;
    Stage::new("shell scripts", "shellcheck", &["--"])
        .args(&scripts)
        .run()?;
    Stage::cargo(
        "lints",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
    )
    .run()?;
    fuzz_target()
}

/// The fuzz target is a workspace of its own. To run it needs a nightly compiler and a C++ one; that it fits the code
/// does not.
fn fuzz_target() -> Result<(), Failed> {
    let manifest = ["--manifest-path", "crates/stomp/fuzz/Cargo.toml"];
    let format = ["fmt", manifest[0], manifest[1], "--check"];
    Stage::cargo("format of the fuzz target", &format).run()?;
    let check = [
        "check",
        manifest[0],
        manifest[1],
        "--no-default-features",
        "--target-dir",
        "target/fuzz",
        "--locked",
    ];
    Stage::cargo("fuzz target", &check)
        .env("RUSTFLAGS", "-D warnings")
        .run()
}

/// Runs every test and says how many passed: never none.
fn tests() -> Result<u64, Failed> {
    let mut passed = if stage::answers("cargo", &["nextest", "--version"]) {
        Stage::cargo(
            "tests",
            &[
                "nextest",
                "run",
                "--workspace",
                "--locked",
                "--no-fail-fast",
            ],
        )
        .run_tests(summary::nextest)?
    } else {
        // `--tests` leaves out doctests, as nextest does; they have their own stage.
        Stage::cargo(
            "tests",
            &[
                "test",
                "--workspace",
                "--tests",
                "--locked",
                "--no-fail-fast",
            ],
        )
        .run_tests(summary::cargo_test)?
    };
    let documented = sources::packages_with_doctests()?;
    if !documented.is_empty() {
        let mut stage = Stage::cargo("doctests", &["test", "--doc", "--locked"]);
        for package in &documented {
            stage = stage.args(&["-p".to_owned(), package.clone()]);
        }
        passed += stage.run_tests(summary::cargo_test)?;
    }
    Ok(passed)
}

fn docs() -> Result<(), Failed> {
    Stage::cargo(
        "docs",
        &[
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
            "--locked",
        ],
    )
    .env("RUSTDOCFLAGS", "-D warnings")
    .run()
}

fn deny() -> Result<(), Failed> {
    if !stage::answers("cargo", &["deny", "--version"]) {
        return Err(Failed(
            "cargo-deny is not installed; this installs it:\n  cargo install --locked cargo-deny"
                .to_owned(),
        ));
    }
    Stage::cargo("deny", &["deny", "check", "licenses", "bans", "sources"]).run()
}
