//! A stage: a command with a name, run in the root of the work tree, timed, and repeatable by hand.

use std::{
    fmt,
    io::{BufRead, BufReader, IsTerminal, Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use crate::{root, summary::Tally};

/// Why a run ended early, as the text a person reads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failed(pub(crate) String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is run, under which name.
#[derive(Debug)]
pub(crate) struct Stage {
    name: &'static str,
    program: String,
    args: Vec<String>,
    env: Vec<(&'static str, &'static str)>,
    /// What is put before each line that is copied; whoever reads our output must not take a copy for our own words.
    quote: &'static str,
}

impl Stage {
    pub(crate) fn new(name: &'static str, program: &str, args: &[&str]) -> Self {
        Self {
            name,
            program: program.to_owned(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: Vec::new(),
            quote: "",
        }
    }

    pub(crate) fn cargo(name: &'static str, args: &[&str]) -> Self {
        Self::new(name, "cargo", args)
    }

    pub(crate) fn args(mut self, args: &[String]) -> Self {
        self.args.extend_from_slice(args);
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.push((name, value));
        self
    }

    /// Runs it with this terminal's input and output.
    pub(crate) fn run(&self) -> Result<(), Failed> {
        let start = self.announce();
        let status = self.command().status();
        self.conclude(start, status.map_err(|error| error.to_string()))
    }

    /// Runs tests, shows what they print as it comes, and reads their number from it with `read`.
    pub(crate) fn run_tests(&self, read: fn(&mut Tally, &str)) -> Result<u64, Failed> {
        let start = self.announce();
        let mut tally = Tally::default();
        let status = self.run_read(|line| read(&mut tally, line));
        self.conclude(start, status)?;
        match tally {
            Tally { failed: 1.., .. } => Err(self.failed(&format!("{} failed", tally.failed))),
            Tally { passed: 0, .. } => {
                Err(self.failed("no test ran, or their number could not be read"))
            }
            Tally { passed, .. } => Ok(passed),
        }
    }

    /// Runs it; each line of its output is copied to the same stream of ours and handed to `read`.
    fn run_read(&self, mut read: impl FnMut(&str)) -> Result<ExitStatus, String> {
        let mut command = self.command();
        if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            command.env("CARGO_TERM_COLOR", "always");
        }
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let (lines, received) = mpsc::channel();
        let out = child.stdout.take().expect("it is piped");
        let err = child.stderr.take().expect("it is piped");
        forward(self.quote, out, std::io::stdout(), lines.clone());
        forward(self.quote, err, std::io::stderr(), lines);
        loop {
            // How long to listen on after the end: a process that a test left behind may hold the pipe open for ever.
            match received.recv_timeout(Duration::from_secs(2)) {
                Ok(line) => read(&line),
                Err(RecvTimeoutError::Timeout) if ended(&mut child) => break,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        child.wait().map_err(|error| error.to_string())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .envs(self.env.iter().copied())
            .current_dir(root());
        command
    }

    fn announce(&self) -> Instant {
        println!("\n── {}", self.name);
        let _ = std::io::stdout().flush();
        Instant::now()
    }

    fn conclude(&self, start: Instant, status: Result<ExitStatus, String>) -> Result<(), Failed> {
        let took = start.elapsed().as_secs_f32();
        match status {
            Ok(status) if status.success() => {
                println!("── {}: good ({took:.1} s)", self.name);
                Ok(())
            }
            Ok(status) => Err(self.failed(&format!("{status} after {took:.1} s"))),
            Err(error) => Err(self.failed(&format!("cannot run {}: {error}", self.program))),
        }
    }

    fn failed(&self, reason: &str) -> Failed {
        Failed(format!(
            "{} failed: {reason}\nto repeat it alone, in {}:\n  {self}",
            self.name,
            root().display()
        ))
    }
}

/// The line a person types to repeat it.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            write!(f, "{name}={} ", quoted(value))?;
        }
        f.write_str(&self.program)?;
        self.args
            .iter()
            .try_for_each(|arg| write!(f, " {}", quoted(arg)))
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+@,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn ended(child: &mut Child) -> bool {
    !matches!(child.try_wait(), Ok(None))
}

/// Copies a stream line by line on a thread of its own.
fn forward(
    quote: &'static str,
    from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    lines: Sender<String>,
) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while matches!(from.read_until(b'\n', &mut line), Ok(1..)) {
            let _ = to
                .write_all(quote.as_bytes())
                .and_then(|()| to.write_all(&line))
                .and_then(|()| to.flush());
            let _ = lines.send(String::from_utf8_lossy(&line).into_owned());
            line.clear();
        }
    });
}

/// True if the program is there and ends well; what it prints is not shown.
pub(crate) fn answers(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What a program prints; its own complaints go to our standard error.
pub(crate) fn output_of(program: &str, args: &[&str]) -> Result<String, Failed> {
    let stage = Stage::new("looking", program, args);
    let output = stage
        .command()
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| stage.failed(&format!("cannot run {program}: {error}")))?;
    if !output.status.success() {
        return Err(stage.failed(&output.status.to_string()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary;

    /// Its sample summaries are quoted: the run that this test is a part of counts summaries too.
    fn shell(script: &str) -> Stage {
        Stage {
            quote: "> ",
            ..Stage::new("tests", "sh", &["-c", script])
        }
    }

    #[test]
    fn the_command_to_repeat_can_be_pasted_into_a_shell() {
        let stage = Stage::cargo("docs", &["doc", "--workspace", "it's"])
            .env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(
            stage.to_string(),
            r"RUSTDOCFLAGS='-D warnings' cargo doc --workspace 'it'\''s'"
        );
    }

    #[test]
    fn a_failing_stage_says_its_name_and_how_to_repeat_it() {
        let Failed(text) = shell("exit 3").run().unwrap_err();
        assert!(text.starts_with("tests failed: exit status: 3"), "{text}");
        assert!(text.ends_with("  sh -c 'exit 3'"), "{text}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let Failed(text) = Stage::new("lints", "no-such-program", &[])
            .run()
            .unwrap_err();
        assert!(text.contains("cannot run no-such-program: "), "{text}");
    }

    #[test]
    fn tests_are_counted_from_either_stream() {
        let on_stdout = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored;'";
        assert_eq!(shell(on_stdout).run_tests(summary::cargo_test), Ok(2));
        let on_stderr = "echo '  Summary [ 0.1s] 3 tests run: 3 passed, 0 skipped' >&2";
        assert_eq!(shell(on_stderr).run_tests(summary::nextest), Ok(3));
    }

    #[test]
    fn no_test_at_all_is_a_failure() {
        let Failed(text) = shell("true").run_tests(summary::cargo_test).unwrap_err();
        assert!(text.contains("no test ran"), "{text}");
    }

    #[test]
    fn a_failed_test_counts_even_if_the_runner_ends_well() {
        let script = "echo 'test result: FAILED. 2 passed; 1 failed; 0 ignored;'";
        let Failed(text) = shell(script).run_tests(summary::cargo_test).unwrap_err();
        assert!(text.contains("1 failed"), "{text}");
    }

    #[test]
    fn a_process_left_behind_does_not_hold_up_the_run() {
        let script = "sleep 600 & echo $!; echo 'test result: ok. 1 passed; 0 failed;'";
        let mut tally = Tally::default();
        let mut left_behind = String::new();
        let start = Instant::now();
        let status = shell(script).run_read(|line| {
            if left_behind.is_empty() {
                line.trim().clone_into(&mut left_behind);
            }
            summary::cargo_test(&mut tally, line);
        });
        assert!(answers("kill", &[&left_behind]), "{left_behind:?}");
        assert!(status.is_ok_and(|status| status.success()));
        assert_eq!(tally.passed, 1);
        assert!(start.elapsed() < Duration::from_secs(60));
    }
}
