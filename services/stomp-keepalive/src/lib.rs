#![doc = include_str!("../README.md")]

pub mod rounds;
pub mod settings;

use std::{
    pin::Pin,
    sync::{Mutex, PoisonError},
};

use chassis::{Bus, Failure, Handler, Listen, Start, Verdict, causes, consume};
use events::{Envelope, Topic, message::Beat};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};

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
    let mut hearing = Hearing {
        start: &start,
        rounds: &rounds,
    };
    start.status.ready();
    let hear = consume(&mut hearing, inbox, &start.bus, &start.stop);
    let (heard, ()) = tokio::join!(hear, beat(&start, &rounds));
    heard
}

/// Sends a beat each interval, and looks whether the ones before are back, also while one still waits for a broker.
async fn beat(start: &Start<Settings>, rounds: &Mutex<Rounds>) {
    let mut ticks = interval(start.settings.every());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sending: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = None;
    loop {
        tokio::select! {
            biased;
            () = start.stop.cancelled() => return,
            () = async { sending.as_mut().expect("asked only if there is one").await }, if sending.is_some() => {
                sending = None;
            }
            _ = ticks.tick() => {
                let change = with(rounds, |rounds| rounds.look(Instant::now()));
                tell(start, rounds, change).await;
                if sending.is_none() {
                    let beat = with(rounds, |rounds| rounds.next(Instant::now()));
                    let eol = start.settings.eol.clone();
                    sending = Some(Box::pin(publish(start.bus.clone(), beat, eol)));
                }
            }
        }
    }
}

async fn publish(bus: Bus, beat: Beat, eol: Vec<String>) {
    if let Err(error) = bus.publish(&beat).await {
        tracing::warn!(
            beat = beat.number,
            error = causes(&error),
            "a beat was not sent"
        );
        return;
    }
    for destination in eol {
        if let Err(error) = bus.publish_raw(&destination, false, "\n".into()).await {
            tracing::warn!(
                destination,
                error = causes(&error),
                "a line end was not sent"
            );
        }
    }
}

/// Listens to the beats.
struct Hearing<'a> {
    start: &'a Start<Settings>,
    rounds: &'a Mutex<Rounds>,
}

impl Handler for Hearing<'_> {
    async fn handle(&mut self, envelope: &Envelope) -> Verdict {
        let beat = match envelope.open::<Beat>() {
            Ok(beat) => beat,
            Err(error) => return error.into(),
        };
        let change = with(self.rounds, |rounds| rounds.hear(&beat, Instant::now()));
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
    let line = format!("{}: bus {pace}", start.host);
    let record = json!({ "slow": pace.is_bad(), "limit_ms": limit_ms });
    start.bus.line(line, record).await;
}

fn with<T>(rounds: &Mutex<Rounds>, look: impl FnOnce(&mut Rounds) -> T) -> T {
    look(&mut rounds.lock().unwrap_or_else(PoisonError::into_inner))
}
