//! What is printed, and how: colour and moving lines on a terminal, plain lines elsewhere. `NO_COLOR` is obeyed.
//!
//! The only place of this program that writes to standard output and standard error.

use std::{
    collections::BTreeMap,
    fmt::Display,
    io::{IsTerminal, Write},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use deploy_orchestrator::api::{DeployView, HostProgress, HostState};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::words;

/// Good news.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Bad news.
pub const BAD: Style = AnsiColor::Red.on_default();
/// What is less important.
pub const DIM: Style = Style::new().dimmed();
/// Headings.
pub const BOLD: Style = Style::new().bold();

/// Prints a line to standard output; colours go where they are not wanted.
pub fn say(line: impl Display) {
    // A closed pipe (`| head`) is no reason to fail what is under way.
    let _closed = writeln!(anstream::stdout(), "{line}");
}

/// Prints a line to standard output, for who ends when nobody reads it.
///
/// # Errors
/// The pipe's; `BrokenPipe` when it is closed.
pub fn try_say(line: impl Display) -> std::io::Result<()> {
    writeln!(anstream::stdout(), "{line}")
}

/// Prints lines to standard output.
pub fn say_all(lines: impl IntoIterator<Item = String>) {
    lines.into_iter().for_each(say);
}

/// Prints a value as JSON, for machines.
pub fn say_json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => say(text),
        Err(error) => complain(format!("cannot write JSON: {error}")),
    }
}

/// Prints a line to standard error.
pub fn complain(line: impl Display) {
    let _closed = writeln!(anstream::stderr(), "{BAD}deploykit:{BAD:#} {line}");
}

/// Prints a value as one line of JSON to standard error, for machines.
pub fn complain_json(value: &serde_json::Value) {
    let _closed = writeln!(std::io::stderr(), "{value}");
}

/// A text in a style.
#[must_use]
pub fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Shows a deploy as it moves: a line per host and wave.
#[derive(Debug)]
pub struct Progress {
    screen: Screen,
    shown: BTreeMap<String, String>,
    /// What precedes each line.
    indent: &'static str,
    /// False with `NO_COLOR`.
    colour: bool,
}

#[derive(Debug)]
enum Screen {
    /// A line per host, redrawn.
    Moving {
        all: MultiProgress,
        bars: BTreeMap<String, ProgressBar>,
    },
    /// A new line whenever something worth one happened.
    Lines,
    /// Nothing.
    Quiet,
}

impl Progress {
    /// For standard output as it is.
    #[must_use]
    pub fn new(indent: &'static str) -> Self {
        let moving = std::io::stdout().is_terminal();
        let screen = if moving {
            let all = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::stdout());
            Screen::Moving {
                all,
                bars: BTreeMap::new(),
            }
        } else {
            Screen::Lines
        };
        let colour =
            anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
        Self {
            screen,
            shown: BTreeMap::new(),
            indent,
            colour,
        }
    }

    /// Shows nothing, for `--json`.
    #[must_use]
    pub fn quiet() -> Self {
        Self {
            screen: Screen::Quiet,
            shown: BTreeMap::new(),
            indent: "",
            colour: false,
        }
    }

    /// Shows what is new in `view`.
    pub fn show(&mut self, view: &DeployView) {
        let width = view
            .waves
            .iter()
            .flat_map(|wave| &wave.hosts)
            .map(|host| host.host.as_str().len())
            .max()
            .unwrap_or(0);
        for wave in &view.waves {
            for host in &wave.hosts {
                let words = words::host(host);
                let line = format!("wave {}  {:width$}  {words}", wave.number, host.host);
                self.line(host, &line);
            }
        }
    }

    fn line(&mut self, host: &HostProgress, line: &str) {
        let name = host.host.to_string();
        if self.shown.get(&name).is_some_and(|shown| shown == line) {
            return;
        }
        let style = if self.colour {
            style_of(host.state)
        } else {
            Style::new()
        };
        match &mut self.screen {
            Screen::Quiet => {}
            Screen::Lines => {
                // Steps pass too quickly to be worth a line each; states are.
                if !matches!(
                    host.state,
                    HostState::Preparing | HostState::Activating | HostState::Untouched
                ) {
                    say(format!("{}{} {line}", self.indent, mark(host.state)));
                }
            }
            Screen::Moving { all, bars } => {
                let indent = self.indent;
                let bar = bars
                    .entry(name.clone())
                    .or_insert_with(|| moving_bar(all, indent));
                if is_settled(host.state) {
                    bar.set_style(template(&format!("{indent}{{msg}}")));
                    bar.set_message(format!("{style}{} {line}{style:#}", mark(host.state)));
                    bar.tick();
                } else {
                    bar.set_message(line.to_owned());
                }
            }
        }
        self.shown.insert(name, line.to_owned());
    }

    /// Leaves the lines as they are and stops moving.
    pub fn finish(self) {
        if let Screen::Moving { bars, .. } = self.screen {
            bars.into_values().for_each(|bar| bar.abandon());
        }
    }
}

fn moving_bar(all: &MultiProgress, indent: &str) -> ProgressBar {
    let bar = all.add(ProgressBar::new_spinner());
    bar.set_style(template(&format!("{indent}{{spinner}} {{msg}}")));
    bar.enable_steady_tick(Duration::from_millis(80));
    bar
}

fn template(text: &str) -> ProgressStyle {
    ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn is_settled(state: HostState) -> bool {
    !matches!(
        state,
        HostState::Preparing | HostState::Activating | HostState::PuttingBack
    )
}

fn mark(state: HostState) -> &'static str {
    match state {
        HostState::Live | HostState::Cleared => "✓",
        HostState::PutBack | HostState::Failed | HostState::Refused => "✗",
        HostState::Broken => "!",
        HostState::Unreachable => "?",
        HostState::Untouched | HostState::Prepared => "·",
        HostState::Preparing | HostState::Activating | HostState::PuttingBack => "…",
    }
}

fn style_of(state: HostState) -> Style {
    match state {
        HostState::Live | HostState::Cleared => GOOD,
        HostState::PutBack
        | HostState::Failed
        | HostState::Refused
        | HostState::Broken
        | HostState::Unreachable => BAD,
        _ => DIM,
    }
}
