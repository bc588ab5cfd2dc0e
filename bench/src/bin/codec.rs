//! How fast frames with bodies of 1 kB are read and written by one core, and how often memory is allocated for each.
#![expect(
    clippy::print_stdout,
    reason = "a measuring program at a person's terminal"
)]

use std::{alloc::System, process::ExitCode, time::Duration};

use bench::{
    cpu,
    machine::Machine,
    run::{median, outcome},
};
use bytes::BytesMut;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use stomp::{Codec, Command, Frame, FrameLimits, Item, encode};
use tokio_util::codec::Decoder;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const RUNS: usize = 5;
const FRAMES: u32 = 200_000;
const BODY_BYTES: usize = 1024;
/// As much as the client takes with one read at most.
const READ_BYTES: usize = 64 * 1024;

const FRAMES_PER_SECOND: f64 = 1e6;
const ALLOCATIONS_PER_FRAME: f64 = 20.0;

fn main() -> ExitCode {
    outcome(measure())
}

fn measure() -> Result<(), String> {
    println!("{}", Machine::this());
    let mut passed = Vec::new();
    for (name, frame) in [
        ("a message of 6 headers", lean()),
        ("an event of the bus", event()),
    ] {
        let mut bytes = BytesMut::new();
        encode(&frame, &mut bytes).map_err(|error| error.to_string())?;
        let headers = frame.headers.len();
        println!(
            "{name}: {headers} headers, {BODY_BYTES} bytes of body, {} in all",
            bytes.len()
        );
        passed.extend(within_limits("  read", &figures(|| read(&bytes))));
        passed.extend(within_limits("  written", &figures(|| write(&frame))));
    }
    if passed.is_empty() {
        Ok(())
    } else {
        Err(passed.join("\n"))
    }
}

/// What a broker adds and little else.
fn lean() -> Frame {
    Frame::new(Command::Message)
        .with("subscription", "agent")
        .with("destination", "/topic/deploykit.git.commits")
        .with(
            "message-id",
            "T_agent@@session-h4Yq0vV8vWPcxbdB6tEMDg@@4711",
        )
        .with("ack", "T_agent@@session-h4Yq0vV8vWPcxbdB6tEMDg@@4711")
        .with("redelivered", "false")
        .with("persistent", "true")
        .with_body(vec![b'x'; BODY_BYTES])
}

/// As RabbitMQ delivers what our services publish.
fn event() -> Frame {
    lean()
        .with("receipt", "4711")
        .with("content-type", "application/cloudevents+json")
        .with("ce-id", "019a9e1c-8f00-7b6e-9f60-1c2d3e4f5a6b")
        .with("ce-type", "deploykit.git.commits.v1")
        .with("ce-source", "urn:deploykit:stomp-git:web1.example.org")
        .with("ce-time", "2026-11-21T12:00:00.123456Z")
        .with("ce-subject", "shop refs/heads/main")
        .with("ce-dedupkey", "7c4a8d09ca3762af61e59520943dc26494f8941b")
}

struct Figures {
    frames_per_second: f64,
    allocations: f64,
}

/// The median of the runs, and the allocations of the last.
fn figures(mut run: impl FnMut()) -> Figures {
    let mut times = Vec::new();
    let mut allocations = 0.0;
    for _ in 0..RUNS {
        let memory = Region::new(ALLOCATOR);
        let start = cpu::used();
        run();
        times.push(cpu::used() - start);
        let change = memory.change();
        allocations = (change.allocations + change.reallocations) as f64 / f64::from(FRAMES);
    }
    let time = median(times).unwrap_or(Duration::MAX);
    Figures {
        frames_per_second: f64::from(FRAMES) / time.as_secs_f64(),
        allocations,
    }
}

fn read(frame: &[u8]) {
    let stream = frame.repeat(READ_BYTES.div_ceil(frame.len()) + 1);
    let mut codec = Codec::new(FrameLimits::default());
    let mut buffer = BytesMut::new();
    let (mut at, mut seen) = (0, 0);
    while seen < FRAMES {
        // The frames of a stream follow each other without end, and a read ends anywhere in one.
        buffer.extend_from_slice(&stream[at..at + READ_BYTES]);
        at = (at + READ_BYTES) % frame.len();
        while let Some(item) = codec.decode(&mut buffer).expect("it was written by us") {
            seen += u32::from(matches!(std::hint::black_box(item), Item::Frame(_)));
        }
    }
}

fn write(frame: &Frame) {
    let mut buffer = BytesMut::new();
    for _ in 0..FRAMES {
        encode(std::hint::black_box(frame), &mut buffer).expect("it can be written");
        if buffer.len() > READ_BYTES {
            std::hint::black_box(&buffer);
            buffer.clear();
        }
    }
}

fn within_limits(what: &str, figures: &Figures) -> Option<String> {
    let Figures {
        frames_per_second: speed,
        allocations,
    } = figures;
    println!(
        "{what}: {:.2} million frames/s per core, {allocations:.1} allocations a frame",
        speed / 1e6
    );
    let slow = *speed < FRAMES_PER_SECOND;
    let greedy = *allocations > ALLOCATIONS_PER_FRAME;
    (slow || greedy).then(|| {
        format!(
            "{}: the limits are {:.0} million frames/s and {ALLOCATIONS_PER_FRAME:.0} allocations a frame",
            what.trim(),
            FRAMES_PER_SECOND / 1e6
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(frames_per_second: f64, allocations: f64) -> Figures {
        Figures {
            frames_per_second,
            allocations,
        }
    }

    #[test]
    fn the_limits_are_those_of_the_table() {
        assert_eq!(within_limits("x", &figures(1e6, 20.0)), None);
        assert!(within_limits("x", &figures(9.99e5, 0.0)).is_some());
        assert!(within_limits("x", &figures(1e7, 20.1)).is_some());
    }
}
