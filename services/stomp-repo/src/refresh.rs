//! `stomp-repo refresh`: the root part, and how it is asked.
//!
//! systemd starts it for one connection to its socket, as root, with fixed arguments. It reads one line, the name of a source, which must
//! be one of the files of a list that only root can change; runs `apt-get update` for that one; answers with one line of
//! JSON; ends. Whoever reaches the socket can have the sources of the list refreshed, and nothing else.

mod allowed;
mod asking;

use std::{ffi::OsString, os::fd::AsFd, path::PathBuf, process::ExitCode, time::Duration};

use chassis::causes;
use clap::Parser;
use command::{Limits, Output, Program};
use events::AptSource;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};
use world::World;

pub use allowed::{Refusal, allowed};
pub use asking::ask;

use crate::apt::with_config;

/// The name must have come by then.
const NAME_LIMIT: Duration = Duration::from_secs(10);
/// And be no longer than this, with its line end.
const NAME_BYTES: u64 = 128;
/// What is read of apt's output.
const OUTPUT_BYTES: usize = 64 * 1024;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Answer {
    /// Apt's lists have what the source has.
    Refreshed,
    /// Another apt holds the lock of the lists: ask again later.
    Busy {
        /// What apt said.
        why: String,
    },
    /// Apt could not: no network, no signature, no room.
    Failed {
        /// What apt said.
        why: String,
    },
    /// It may not be asked for, or the list cannot be trusted.
    Refused {
        /// Why, and what to do.
        why: String,
    },
}

/// The root part, by its arguments.
#[derive(Debug, Parser)]
#[command(
    name = "stomp-repo refresh",
    about = "The root part of stomp-repo: refreshes one source of apt. Started by stomp-repo-refresh.socket"
)]
pub struct Part {
    /// The sources that may be asked for: absolute paths, one a line; only root may be able to change it
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/deploykit/stomp-repo.sources"
    )]
    pub list: PathBuf,
    /// What `APT_CONFIG` names for apt, where its root is not this system's
    #[arg(long, value_name = "FILE")]
    pub apt_config: Option<PathBuf>,
    /// apt is ended after this (seconds)
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub limit_s: u64,
}

/// Serves the one connection that is its standard input.
pub async fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let part = match Part::try_parse_from(args) {
        Ok(part) => part,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    chassis::start_logs("info");
    let mut stream = match connection() {
        Ok(stream) => stream,
        Err(error) => {
            tracing::error!(%error, "standard input is no socket: this is started by stomp-repo-refresh.socket");
            return ExitCode::FAILURE;
        }
    };
    part.serve(&mut stream, &World::real()).await;
    ExitCode::SUCCESS
}

impl Part {
    /// Answers the one request of a connection.
    ///
    /// # Panics
    /// Never: an answer is plain JSON.
    pub async fn serve(&self, stream: &mut UnixStream, world: &World) {
        let asked_by = stream.peer_cred().map(|peer| peer.uid()).ok();
        let answer = match name(stream).await {
            Ok(name) => {
                let answer = self.refresh(&name, world).await;
                tracing::info!(source = %name, asked_by, ?answer, "asked");
                answer
            }
            Err(why) => {
                tracing::warn!(asked_by, why, "refused");
                Answer::Refused { why }
            }
        };
        let line = serde_json::to_string(&answer).expect("an answer is plain JSON") + "\n";
        if let Err(error) = stream.write_all(line.as_bytes()).await {
            tracing::info!(%error, "who asked is gone");
        }
    }

    async fn refresh(&self, name: &AptSource, world: &World) -> Answer {
        let path = match allowed(&self.list, name) {
            Ok(path) => path,
            Err(refusal) => {
                let why = causes(&refusal);
                return Answer::Refused { why };
            }
        };
        let program = with_config(update(&path), self.apt_config.as_ref());
        let limits = Limits {
            output_bytes: OUTPUT_BYTES,
            ..Limits::of(Duration::from_secs(self.limit_s))
        };
        match world.processes.run(&program, limits).await {
            Ok(output) => answer(&output),
            Err(error) => Answer::Failed {
                why: causes(&error),
            },
        }
    }
}

fn connection() -> std::io::Result<UnixStream> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    // Else a file or terminal would only fail at the first read.
    rustix::net::getsockname(&socket)?;
    let stream = std::os::unix::net::UnixStream::from(socket);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// The one line of a request.
async fn name(stream: &mut UnixStream) -> Result<AptSource, String> {
    let mut line = Vec::new();
    let mut bounded = stream.take(NAME_BYTES);
    let read = async {
        while !line.ends_with(b"\n") && bounded.read_buf(&mut line).await? > 0 {}
        std::io::Result::Ok(())
    };
    match timeout(NAME_LIMIT, read).await {
        Err(_) => return Err(format!("no name came within {} s", NAME_LIMIT.as_secs())),
        Ok(Err(error)) => return Err(error.to_string()),
        Ok(Ok(())) => {}
    }
    let text = String::from_utf8_lossy(&line);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    text.parse::<AptSource>().map_err(|error| error.to_string())
}

/// `apt-get update` of one source: without the third setting it would delete the lists of all others, without the fourth
/// an unreachable source would be a success.
#[must_use]
pub fn update(source: &std::path::Path) -> Program {
    Program::new("apt-get").args([
        "update",
        "-q",
        "-o",
        &format!("Dir::Etc::sourcelist={}", source.display()),
        "-o",
        "Dir::Etc::sourceparts=-",
        "-o",
        "APT::Get::List-Cleanup=0",
        "-o",
        "APT::Update::Error-Mode=any",
    ])
}

/// What apt's end means. Its own waiting for a lock does not hold for `update`.
fn answer(output: &Output) -> Answer {
    if output.success() {
        return Answer::Refreshed;
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let said = |line: &&str| line.starts_with("E: ");
    let first = errors.lines().find(said).unwrap_or_default();
    let why = match first.strip_prefix("E: ") {
        Some(said) => said.chars().take(400).collect(),
        None => output.last_line(),
    };
    let why = format!("apt-get update: {}: {why}", output.ending());
    if errors.contains("Could not get lock") {
        return Answer::Busy { why };
    }
    Answer::Failed { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_is_refreshed_and_the_lists_of_the_others_stay() {
        let program = update(std::path::Path::new("/etc/apt/sources.list.d/acme.sources"));
        assert_eq!(
            program.to_string(),
            "apt-get update -q -o Dir::Etc::sourcelist=/etc/apt/sources.list.d/acme.sources \
             -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0 -o APT::Update::Error-Mode=any"
        );
    }

    #[test]
    fn ends_of_apt_are_told_apart() {
        let output = |code, stderr: &str| Output {
            code: Some(code),
            signal: None,
            stdout: Vec::new(),
            stderr: stderr.as_bytes().to_vec(),
        };
        assert_eq!(answer(&output(0, "W: x\n")), Answer::Refreshed);
        let lock = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 12 (apt-get)\n\
                    E: Unable to lock directory /var/lib/apt/lists/\n";
        let why = "apt-get update: exit 100: Could not get lock /var/lib/apt/lists/lock. It is held by process 12 (apt-get)";
        let why = why.to_owned();
        assert_eq!(answer(&output(100, lock)), Answer::Busy { why });
        let away = "W: x\nE: Failed to fetch http://h/InRelease  Could not connect\nE: Some index files failed\n";
        let why = "apt-get update: exit 100: Failed to fetch http://h/InRelease  Could not connect"
            .to_owned();
        assert_eq!(answer(&output(100, away)), Answer::Failed { why });
    }
}
