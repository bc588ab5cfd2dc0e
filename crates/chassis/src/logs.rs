//! One line per event, on standard error: with colour for a terminal, with systemd's priorities for the journal, else plain.

use std::{
    fmt::{self, Write as _},
    io::IsTerminal,
};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use crate::environment::Environment;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Time, level in colour, message.
    Colour,
    /// Time, level, message.
    Plain,
    /// `<6>` and the message: the journal has its own time.
    Journal,
}

impl Form {
    fn choose(environment: &Environment, journal: bool, terminal: bool) -> Self {
        match (journal, terminal) {
            (true, _) => Self::Journal,
            (false, true) if environment.get("NO_COLOR").is_none() => Self::Colour,
            (false, _) => Self::Plain,
        }
    }
}

/// What to log: `RUST_LOG`, else the setting, else `info`.
fn filter(environment: &Environment, setting: Option<&str>) -> Result<EnvFilter, String> {
    let text = environment.get("RUST_LOG").or(setting).unwrap_or("info");
    EnvFilter::try_new(text).map_err(|error| format!("log {text:?} is no level or filter: {error}"))
}

/// Says whether `log` in the settings can be used.
pub(crate) fn check(environment: &Environment, setting: Option<&str>) -> Result<(), String> {
    filter(environment, setting).map(|_| ())
}

/// Starts logging for a program that is no service: `RUST_LOG`, else `level`. A second call does nothing.
pub fn start_logs(level: &str) {
    start(&Environment::of_process(), Some(level));
}

/// Starts logging for the process. A second call does nothing.
pub(crate) fn start(environment: &Environment, setting: Option<&str>) {
    let stderr = std::io::stderr();
    let form = Form::choose(environment, is_journal(environment), stderr.is_terminal());
    let filter = filter(environment, setting).unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(form == Form::Colour)
        .event_format(form)
        .try_init();
}

/// True if `JOURNAL_STREAM` names what standard error is; a child with redirected output inherits the variable too.
fn is_journal(environment: &Environment) -> bool {
    let Some((device, inode)) = environment
        .get("JOURNAL_STREAM")
        .and_then(|text| text.split_once(':'))
    else {
        return false;
    };
    rustix::fs::fstat(std::io::stderr())
        .is_ok_and(|stat| device.parse() == Ok(stat.st_dev) && inode.parse() == Ok(stat.st_ino))
}

/// sd-daemon's priorities.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG | Level::TRACE => 34,
    }
}

impl<S, N> FormatEvent<S, N> for Form
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        match self {
            Self::Journal => write!(writer, "<{}>", priority(level))?,
            Self::Colour => {
                SystemTime.format_time(&mut writer)?;
                write!(writer, " \x1b[{}m{level:>5}\x1b[0m ", colour(level))?;
            }
            Self::Plain => {
                SystemTime.format_time(&mut writer)?;
                write!(writer, " {level:>5} ")?;
            }
        }
        let mut line = String::new();
        if let Some(scope) = context.event_scope() {
            for span in scope.from_root() {
                write!(line, "{}: ", span.name())?;
            }
        }
        if level > Level::INFO {
            write!(line, "{}: ", event.metadata().target())?;
        }
        context.format_fields(Writer::new(&mut line), event)?;
        // One event is one line, whatever a field holds.
        writeln!(writer, "{}", line.replace('\n', "\\n").replace('\r', "\\r"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_goes_before_a_terminal_and_no_color_is_obeyed() {
        let bare = Environment::default();
        let no_colour = Environment::from([("NO_COLOR", "1")]);
        let table = [
            (&bare, true, true, Form::Journal),
            (&bare, false, true, Form::Colour),
            (&no_colour, false, true, Form::Plain),
            (&bare, false, false, Form::Plain),
        ];
        for (environment, journal, terminal, form) in table {
            assert_eq!(Form::choose(environment, journal, terminal), form);
        }
    }
    #[derive(Debug, Clone, Default)]
    struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_journal_gets_one_line_with_a_priority_for_each_event() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .event_format(Form::Journal)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(why = "two\nlines", "failed");
            tracing::warn!(text = %"a\nb", "odd");
            tracing::info!(count = 3, "fine");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            "<3>failed why=\"two\\nlines\"\n<4>odd text=a\\nb\n<6>fine count=3\n"
        );
    }

    #[test]
    fn the_environment_goes_before_the_setting_and_a_wrong_one_is_refused() {
        let bare = Environment::default();
        let asked = Environment::from([("RUST_LOG", "debug")]);
        let shown = |environment, setting| filter(environment, setting).map(|it| it.to_string());
        assert_eq!(shown(&bare, None).unwrap(), "info");
        assert_eq!(shown(&bare, Some("warn")).unwrap(), "warn");
        assert_eq!(shown(&asked, Some("warn")).unwrap(), "debug");
        assert!(
            shown(&bare, Some("a=b=c"))
                .unwrap_err()
                .starts_with("log \"a=b=c\"")
        );
    }
}
