//! A test's own place on the bus: it speaks as a service would, and hears what services say.

use std::fmt::Debug;

use chassis::{Bus, Common, Inbox, Listen};
use events::{HostName, Payload, Topic};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use world::World;

use crate::SOON;

/// A connected [`Bus`]. Dropped, its connection is cut.
#[derive(Debug)]
pub struct Member {
    /// The bus, as services have it.
    pub bus: Bus,
    service: String,
    host: HostName,
    _connection: JoinSet<()>,
}

impl Member {
    /// Connects under this service's name and waits until it is connected.
    ///
    /// # Panics
    /// It cannot be connected within [`SOON`].
    pub async fn connect(service: &str, common: Common) -> Self {
        let host = common.host_name().expect("a test's settings name the host");
        let (bus, connection) = Bus::new(service, &host, common.bus, World::real())
            .expect("a test's settings for the bus are right");
        let mut running = JoinSet::new();
        running.spawn(connection.run(CancellationToken::new()));
        let mut connected = bus.connected();
        let up = tokio::time::timeout(SOON, connected.wait_for(|connected| *connected)).await;
        assert!(
            matches!(up, Ok(Ok(_))),
            "{service} cannot connect to the broker within {} s",
            SOON.as_secs()
        );
        Self {
            bus,
            service: service.to_owned(),
            host,
            _connection: running,
        }
    }

    /// Hears everything on a topic from now on.
    pub async fn listen(&self, topic: Topic) -> Ear {
        Ear(self.bus.listen(Listen::hints([topic])).await)
    }

    /// Hears a topic by the durable subscription of the service under whose name this is connected.
    pub async fn listen_durably(&self, topic: Topic) -> Ear {
        let subscription = self.bus.names().subscription(&self.service, &self.host);
        Ear(self.bus.listen(Listen::durable(topic, subscription)).await)
    }
}

/// Hears one topic.
#[derive(Debug)]
pub struct Ear(Inbox);

impl Ear {
    /// The next message of this kind, however long it takes; others are passed over.
    ///
    /// # Panics
    /// The connection is not kept.
    pub async fn next<P: Payload>(&mut self) -> P {
        loop {
            let delivery = self.0.next().await.expect("the connection is kept");
            let payload = delivery.envelope().ok().and_then(|it| it.open::<P>().ok());
            delivery.ack().await;
            if let Some(payload) = payload {
                return payload;
            }
        }
    }

    /// The next message of this kind for which `wanted` holds; others are passed over.
    ///
    /// # Panics
    /// There is none within [`SOON`]; the sentence has what was passed over.
    pub async fn hear<P: Payload + Debug>(&mut self, wanted: impl Fn(&P) -> bool) -> P {
        let mut passed_over = Vec::new();
        let hearing = async {
            loop {
                let delivery = self.0.next().await.expect("the connection is kept");
                delivery.ack().await;
                let payload = delivery.envelope().ok().and_then(|it| it.open::<P>().ok());
                match payload {
                    Some(payload) if wanted(&payload) => return payload,
                    _ => passed_over.push(String::from_utf8_lossy(delivery.body()).into_owned()),
                }
            }
        };
        let heard = tokio::time::timeout(SOON, hearing).await;
        heard.unwrap_or_else(|_| {
            panic!(
                "{} was not heard within {} s, only:\n{}",
                P::TYPE,
                SOON.as_secs(),
                passed_over.join("\n")
            )
        })
    }
}
