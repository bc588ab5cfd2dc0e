//! What is posted: lines, folded and written for a chat. Pure.

use events::message::Level;
use serde_json::{Value, json};

use super::Form;
use crate::feed::FeedLine;

/// Lines that are to be posted together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Post {
    /// Those that are shown, oldest first.
    pub lines: Vec<FeedLine>,
    /// How many more were chosen.
    pub more: u64,
    /// How many were forgotten by the feed before they could be posted; whether they would have been chosen is not known.
    pub forgotten: u64,
}

impl Post {
    /// Adds a line. With more than `most`, those that matter least, and of these the oldest, are counted only.
    pub fn add(&mut self, line: FeedLine, most: usize) {
        self.lines.push(line);
        if self.lines.len() > most {
            let places = self.lines.iter().enumerate();
            let least = places.min_by_key(|(place, line)| (line.level, *place));
            if let Some((place, _)) = least {
                self.lines.remove(place);
                self.more += 1;
            }
        }
    }

    /// True if there is nothing to say. What was forgotten is said by itself too: nobody knows how much it mattered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.forgotten == 0
    }

    /// How many lines it stands for.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.lines.len() as u64 + self.more
    }

    /// The body, JSON in each form.
    #[must_use]
    pub fn body(&self, form: Form, relay: &str) -> Vec<u8> {
        let body: Value = match form {
            Form::Json => json!({
                "relay": relay,
                "text": self.text(str::to_owned),
                "lines": self.lines,
                "more": self.more,
                "forgotten": self.forgotten,
            }),
            // Nothing is formatted, and no address is shown as a preview.
            Form::Slack => json!({
                "text": self.text(slack), "mrkdwn": false, "unfurl_links": false, "unfurl_media": false,
            }),
            Form::Mattermost => json!({ "text": self.text(mattermost) }),
        };
        body.to_string().into_bytes()
    }

    fn text(&self, escape: impl Fn(&str) -> String) -> String {
        let lines = self.lines.iter();
        let mut texts: Vec<String> = lines
            .map(|line| format!("{}{}", sign(line.level), escape(&line.line)))
            .collect();
        if self.more > 0 {
            let noun = if self.more == 1 { "line" } else { "lines" };
            texts.push(format!("and {} more {noun}: deploykit tail", self.more));
        }
        if self.forgotten > 0 {
            let count = self.forgotten;
            let noun = if count == 1 { "line" } else { "lines" };
            texts.push(format!(
                "the feed has forgotten {count} {noun} before they could be posted here"
            ));
        }
        texts.join("\n")
    }
}

fn sign(level: Level) -> &'static str {
    match level {
        Level::Info => "",
        Level::Over => "✓ ",
        Level::Problem => "⚠ ",
        Level::Alarm => "‼ ",
    }
}

/// The three characters by which Slack knows links, people and channels.
fn slack(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Markdown is shown as it reads. A mention is broken by an empty space, also in the form of Slack, which Mattermost
/// takes wherever it stands.
fn mattermost(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' | '|' | '>' | '!' => {
                shown.push('\\');
                shown.push(c);
            }
            '@' | '<' => {
                shown.push(c);
                shown.push('\u{200b}');
            }
            c => shown.push(c),
        }
    }
    shown
}
