//! `deploykit tail`: what all components said, and say, from the orchestrator's feed.

use std::{io, time::Duration};

use anstyle::{AnsiColor, Style};
use deploy_orchestrator::feed::{FeedLine, FeedView};
use events::message::Level;
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use tokio::{signal::ctrl_c, time::sleep};
use world::World;

use crate::{
    cli::Tail,
    client::Client,
    failure::Failure,
    screen::{complain, paint, try_say},
    words,
};

/// Lines of what was before, where nobody says.
const LINES: u32 = 20;
/// Lines that are asked for at most.
const LINES_MOST: u32 = 10_000;
/// The wait before a lost connection is made again; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Why it ended before somebody wanted it to.
#[derive(Debug)]
pub enum Cut {
    /// Nobody reads what is printed.
    Closed,
    /// The orchestrator does not answer, or no more.
    Failed(Failure),
}

impl From<Failure> for Cut {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Shows lines until Ctrl-C, a closed pipe, or the end with `--no-follow`.
///
/// # Errors
/// When the orchestrator refuses, or does not answer at the start.
pub async fn run(client: &Client, args: &Tail, world: &World) -> Result<(), Failure> {
    let showing = show(client, args, world);
    let ended = tokio::select! {
        ended = showing => ended,
        // Not caught is as good as ended.
        _ = ctrl_c() => return Ok(()),
    };
    match ended {
        Ok(()) | Err(Cut::Closed) => Ok(()),
        Err(Cut::Failed(failure)) => Err(failure),
    }
}

async fn show(client: &Client, args: &Tail, world: &World) -> Result<(), Cut> {
    let wanted = query(args);
    let since = args.since.as_deref();
    let since = since.map(|text| since_when(text, world.clock.now()));
    let since = since.transpose().map_err(Failure::Settings)?;
    let lines = args.lines.unwrap_or(match since {
        Some(_) => LINES_MOST,
        None => LINES,
    });
    let from = since.map_or_else(String::new, |time| format!("&since={time}"));
    let view: FeedView = client
        .get(&format!("/api/v1/feed?limit={lines}{from}{wanted}"))
        .await?;
    for line in &view.lines {
        print(args, line)?;
    }
    if args.no_follow {
        return Ok(());
    }
    let mut seen = view.newest;
    let mut wait = FIRST_WAIT;
    loop {
        let path = format!("/api/v1/feed/watch?after={seen}{wanted}");
        let mut closed = false;
        let ended = client
            .lines(
                &path,
                || wait = FIRST_WAIT,
                |line| {
                    seen = line.id;
                    closed = print(args, &line).is_err();
                    !closed
                },
            )
            .await;
        match ended {
            _ if closed => return Err(Cut::Closed),
            Err(failure @ (Failure::Unavailable(_) | Failure::Failed(_))) => {
                let seconds = wait.as_secs();
                complain(format!("{failure}; tried again in {seconds} s"));
                sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            Err(failure) => return Err(failure.into()),
            Ok(()) => {}
        }
    }
}

fn print(args: &Tail, line: &FeedLine) -> Result<(), Cut> {
    let text = if args.json {
        serde_json::to_string(line).map_err(|error| Failure::Failed(error.to_string()))?
    } else {
        shown(line)
    };
    try_say(text).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Cut::Closed,
        _ => Failure::from(error).into(),
    })
}

/// `2026-11-21 11:58:42Z problem web1: shop cannot be fetched`
#[must_use]
pub fn shown(line: &FeedLine) -> String {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    let style = match line.level {
        Level::Info => None,
        Level::Over => Some(colour(AnsiColor::Green)),
        Level::Problem => Some(colour(AnsiColor::Yellow)),
        Level::Alarm => Some(colour(AnsiColor::Red).bold()),
    };
    let time = paint(Style::new().dimmed(), words::when(line.time));
    match style {
        None => format!("{time} {}", line.line),
        Some(style) => format!("{time} {} {}", paint(style, line.level.word()), line.line),
    }
}

/// What is chosen, for the address of a request.
fn query(args: &Tail) -> String {
    let mut query = String::new();
    let mut add = |key: &str, value: &str| {
        query.push('&');
        query.push_str(key);
        query.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                    query.push(char::from(byte));
                }
                other => query.push_str(&format!("%{other:02X}")),
            }
        }
    };
    for topic in &args.topic {
        add("component", topic.as_str());
    }
    for host in &args.host {
        add("host", host.as_str());
    }
    for project in &args.project {
        add("project", project.as_str());
    }
    let trouble = [Level::Over, Level::Problem, Level::Alarm];
    let levels = if args.trouble {
        &trouble[..]
    } else {
        &args.level
    };
    for level in levels {
        add("level", level.word());
    }
    query
}

/// A time as a person types it: so long ago, `today`, a day, or a point in time.
///
/// # Errors
/// One sentence that says what can be typed.
pub fn since_when(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let midnight = |day: civil::Date| {
        let begin = day.to_zoned(TimeZone::UTC).ok()?;
        Some(begin.timestamp())
    };
    let today = || now.to_zoned(TimeZone::UTC).date();
    let found = match text {
        "today" => midnight(today()),
        "yesterday" => today().yesterday().ok().and_then(midnight),
        _ => ago(text)
            .and_then(|ago| now.checked_sub(ago).ok())
            .or_else(|| text.parse().ok())
            .or_else(|| text.parse().ok().and_then(midnight)),
    };
    found.ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        format!(
            "{shown:?} is no time: type how long ago (90s, 30m, 2h, 1d, 1h30m), today, yesterday, a day \
             (2026-11-21) or a time with its zone (2026-11-21T09:30:00Z)"
        )
    })
}

/// `90s`, `2h`, `1d12h`
fn ago(text: &str) -> Option<SignedDuration> {
    let mut rest = text;
    let mut seconds: i64 = 0;
    while !rest.is_empty() {
        let unit = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..unit].parse().ok()?;
        let each = match rest.as_bytes().get(unit)? {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(each)?)?;
        rest = &rest[unit + 1..];
    }
    (!text.is_empty()).then(|| SignedDuration::from_secs(seconds))
}
