#![doc = include_str!("../README.md")]

pub mod measured;
pub mod rounds;
pub mod settings;

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Mutex, PoisonError},
};

use chassis::{Bus, Failure, Handler, Listen, Start, Verdict, causes, consume};
use events::{
    Envelope, Topic,
    message::{Beat, Level, Said},
};
use tokio::time::{Instant, MissedTickBehavior, interval};

use measured::Measured;
use rounds::{Pace, Rounds};
pub use settings::Settings;

/// Beats and listens until the stop.
///
/// # Errors
/// None of its own; a lost broker is waited for.
pub async fn serve(start: Start<Settings>) -> Result<(), Failure> {
    let inbox = start.bus.listen(Listen::hints([Topic::Keepalive])).await;
    // A restarted instance must not take its predecessor's beats for its own.
    let from = format!("{} {}", start.host, start.world.new_id());
    let rounds = Mutex::new(Rounds::new(from, start.settings.slow()));
    let measured = Measured::new(start.bus.metrics());
    let mut hearing = Hearing {
        start: &start,
        rounds: &rounds,
        measured: &measured,
    };
    start.status.ready();
    let hear = consume(&mut hearing, inbox, &start.bus, &start.stop);
    let (heard, ()) = tokio::join!(hear, beat(&start, &rounds, &measured));
    heard
}

/// What went wrong with a destination, and `None` where nothing did.
type Outcomes = Vec<(String, Option<String>)>;

/// Sends a beat each interval, and looks whether the ones before are back, also while one still waits for a broker.
async fn beat(start: &Start<Settings>, rounds: &Mutex<Rounds>, measured: &Measured) {
    let mut ticks = interval(start.settings.every());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sending: Option<Pin<Box<dyn Future<Output = Outcomes> + Send>>> = None;
    let mut failing = BTreeMap::new();
    loop {
        tokio::select! {
            biased;
            () = start.stop.cancelled() => return,
            outcomes = async { sending.as_mut().expect("asked only if there is one").await }, if sending.is_some() => {
                sending = None;
                note(&mut failing, outcomes);
            }
            _ = ticks.tick() => {
                let change = with(rounds, |rounds| {
                    let change = rounds.look(Instant::now());
                    measured.looked(rounds);
                    change
                });
                tell(start, rounds, change).await;
                if sending.is_none() {
                    let beat = with(rounds, |rounds| rounds.next(Instant::now()));
                    let (bus, settings) = (start.bus.clone(), start.settings.clone());
                    sending = Some(Box::pin(publish(bus, beat, settings, measured.clone())));
                }
            }
        }
    }
}

/// Sends a beat, and a line end to each destination.
async fn publish(bus: Bus, beat: Beat, settings: Settings, measured: Measured) -> Outcomes {
    if let Err(error) = bus.publish(&beat).await {
        return vec![("the beats".to_owned(), Some(causes(&error)))];
    }
    let mut outcomes = vec![("the beats".to_owned(), None)];
    let life = settings.line_end_life();
    for destination in settings.eol {
        let sent = bus.publish_line_end(&destination, life).await;
        if sent.is_ok() {
            measured.line_end();
        }
        outcomes.push((destination, sent.err().map(|error| causes(&error))));
    }
    outcomes
}

/// Says once what begins to fail, and once that it is over.
fn note(failing: &mut BTreeMap<String, String>, outcomes: Outcomes) {
    for (destination, outcome) in outcomes {
        match outcome {
            Some(error) if failing.get(&destination) != Some(&error) => {
                tracing::warn!(destination, error, "not sent");
                failing.insert(destination, error);
            }
            Some(_) => {}
            None => {
                if failing.remove(&destination).is_some() {
                    tracing::info!(destination, "sent again");
                }
            }
        }
    }
}

/// Listens to the beats.
struct Hearing<'a> {
    start: &'a Start<Settings>,
    rounds: &'a Mutex<Rounds>,
    measured: &'a Measured,
}

impl Handler for Hearing<'_> {
    async fn handle(&mut self, envelope: &Envelope) -> Verdict {
        let beat = match envelope.open::<Beat>() {
            Ok(beat) => beat,
            Err(error) => return error.into(),
        };
        let change = with(self.rounds, |rounds| {
            let before = rounds.outstanding();
            let change = rounds.hear(&beat, Instant::now());
            if rounds.outstanding() < before {
                self.measured.heard(rounds);
            }
            change
        });
        tell(self.start, self.rounds, change).await;
        Verdict::Done
    }
}

/// The status always; a change also to the log and to the feed.
async fn tell(start: &Start<Settings>, rounds: &Mutex<Rounds>, change: Option<Pace>) {
    let pace = with(rounds, |rounds| rounds.pace());
    start.status.says(pace.to_string());
    let Some(pace) = change else { return };
    let limit_ms = start.settings.slow_ms;
    if pace.is_bad() {
        tracing::warn!(limit_ms, "the bus is {pace}");
    } else {
        tracing::info!(limit_ms, "the bus is well again: {pace}");
    }
    let said = Said::new(pace.word(), format!("bus {pace}"))
        .level(match pace.is_bad() {
            true => Level::Problem,
            false => Level::Over,
        })
        .with("took_ms", pace.time().map(|time| time.as_millis()))
        .with("limit_ms", limit_ms);
    start.bus.say(said);
}

fn with<T>(rounds: &Mutex<Rounds>, look: impl FnOnce(&mut Rounds) -> T) -> T {
    look(&mut rounds.lock().unwrap_or_else(PoisonError::into_inner))
}
