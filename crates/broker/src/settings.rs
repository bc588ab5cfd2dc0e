//! What may be asked for.

use std::{path::PathBuf, time::Duration};

use stomp::{FrameLimits, Secret};

/// Where the broker keeps what must last, and who may come in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of the log; `None` keeps everything in memory.
    pub data: Option<PathBuf>,
    /// Who may connect. All of them may publish and subscribe everywhere.
    pub users: Vec<User>,
    /// How long and how much.
    pub limits: Limits,
}

impl Default for Settings {
    /// In memory, for guest/guest.
    fn default() -> Self {
        Self {
            data: None,
            users: vec![User {
                login: "guest".to_owned(),
                passcode: Secret::new("guest"),
            }],
            limits: Limits::default(),
        }
    }
}

/// Somebody who may connect.
#[derive(Debug, Clone)]
pub struct User {
    /// The name.
    pub login: String,
    /// The password.
    pub passcode: Secret,
}

/// The longest waits and the most of everything. What happens at each is said beside it.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A larger frame is answered with ERROR. Default 64 kB of headers, 256 headers, 1 MiB of body.
    pub frame: FrameLimits,
    /// From the connection to CONNECT; then it is closed. Default 10 s.
    pub handshake: Duration,
    /// One write to a peer that does not read; then it is disconnected. Default 30 s.
    pub write: Duration,
    /// From the stop to the last connection's end; then what is left is cut. Default 5 s.
    pub stop: Duration,
    /// The shortest heart-beat that is agreed to. Default 100 ms.
    pub heart_beat: Duration,
    /// Connections; more are closed at once. Default 1024.
    pub connections: usize,
    /// Connections that have not logged in yet; more are closed at once. Default 256.
    pub strangers: usize,
    /// Subscriptions of one connection; more are answered with ERROR. Default 256.
    pub subscriptions: usize,
    /// Durable subscriptions in all; more are answered with ERROR. Default 10,000.
    pub durable_subscriptions: usize,
    /// Deliveries on their way when the subscriber does not say. Default 100.
    pub prefetch: u32,
    /// The most that a subscriber can ask for; more is cut to it. Default 1000.
    pub most_prefetch: u32,
    /// Frames written for one connection and not yet taken by it; a slower one is disconnected. Default 8192.
    pub outgoing_frames: usize,
    /// Bytes on their way to one connection, above which its deliveries wait. Default 1 MiB.
    pub outgoing_bytes: usize,
    /// Messages waiting for a subscription: a durable one loses its oldest (with a warning), another one is disconnected.
    /// Default 100,000.
    pub backlog_messages: usize,
    /// Their bytes, with the same policy. Default 256 MiB.
    pub backlog_bytes: u64,
    /// Bytes in memory that wait for one subscription (all of them without durability, and the non-persistent messages of a
    /// durable one); further non-persistent messages are not kept for it, a non-durable one is disconnected. Default 16 MiB.
    pub memory_bytes: u64,
    /// Bytes of messages in memory in all, above which the same happens to what does not go out at once. Default 256 MiB.
    pub memory_bytes_in_all: u64,
    /// Bytes of the log's files. A persistent message over it for a durable subscription is answered with ERROR. Seven
    /// eighths of it can be filled with waiting messages. Default 1024 MiB.
    pub disk_bytes: u64,
    /// A durable subscription that nobody used for this long is removed with its backlog. Default 7 days.
    pub unused: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            // Less than a client's, since a delivery has some headers more than what was sent.
            frame: FrameLimits {
                header_bytes: 48 * 1024,
                headers: 200,
                body_bytes: 1024 * 1024,
            },
            handshake: Duration::from_secs(10),
            write: Duration::from_secs(30),
            stop: Duration::from_secs(5),
            heart_beat: Duration::from_millis(100),
            connections: 1024,
            strangers: 256,
            subscriptions: 256,
            durable_subscriptions: 10_000,
            prefetch: 100,
            most_prefetch: 1000,
            outgoing_frames: 8192,
            outgoing_bytes: 1024 * 1024,
            backlog_messages: 100_000,
            backlog_bytes: 256 * MIB,
            memory_bytes: 16 * MIB,
            memory_bytes_in_all: 256 * MIB,
            disk_bytes: 1024 * MIB,
            unused: Duration::from_secs(7 * 24 * 3600),
        }
    }
}
