//! A broker, what is known of it, and links to it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use stomp::{
    Client, ConnectError, Deliveries, Delivery, Dialect, Ended, Message, SendError, Subscription,
};
use testkit::{ActiveMq, BrokerProcess, Certificates, LONG, RabbitMq, SOON};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};
use tokio_util::sync::CancellationToken;
use world::World;

/// A publish that is to outlast a restart of the broker waits this long.
const PUBLISH_LIMIT_S: u64 = 120;

/// Hosts of docs/brokers: two servers, and one where services run of which there is one only.
pub(crate) const WEB1: &str = "web1.example.org";
pub(crate) const WEB2: &str = "web2.example.org";
pub(crate) const HUB: &str = "hub.example.org";

/// A running broker.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) broker: BrokerProcess,
    pub(crate) kind: Dialect,
}

impl Site {
    pub(crate) async fn embedded() -> Self {
        Self {
            broker: embedded(&[]).await,
            kind: Dialect::Embedded,
        }
    }

    pub(crate) async fn rabbitmq() -> Self {
        Self {
            broker: RabbitMq::start().await,
            kind: Dialect::RabbitMq,
        }
    }

    pub(crate) async fn activemq() -> Self {
        Self {
            broker: ActiveMq::start().await,
            kind: Dialect::ActiveMq,
        }
    }

    /// Another broker of this kind, that knows the same users and nothing of the first.
    pub(crate) async fn another(&self) -> BrokerProcess {
        let certificates = || Arc::clone(self.broker.certificates());
        match self.kind {
            Dialect::RabbitMq => RabbitMq::start_with(certificates()).await,
            Dialect::ActiveMq => ActiveMq::start_with(certificates()).await,
            _ => embedded(&[]).await,
        }
    }

    /// Another broker of this kind with room for little more than 32 MB of messages on its disk. Less, `ActiveMQ` would have
    /// with its first file.
    pub(crate) async fn narrow(&self) -> Self {
        let broker = match self.kind {
            Dialect::ActiveMq => {
                let certificates = Arc::clone(self.broker.certificates());
                ActiveMq::start_with_room(certificates, "48 mb").await
            }
            Dialect::Embedded => embedded(&["50331648"]).await,
            other => panic!("the room of {other:?} is that of its machine"),
        };
        let kind = self.kind;
        Self { broker, kind }
    }

    /// Where services connect to a broker of this kind.
    pub(crate) fn services_at(&self, broker: &BrokerProcess) -> String {
        match self.kind {
            Dialect::Embedded => broker.address(),
            _ => broker.tls_address(),
        }
    }

    /// Settings of a service that is this user of docs/brokers; the embedded broker has one user for all.
    pub(crate) fn common_as(&self, user: &str, host: &str) -> chassis::Common {
        let mut common = match self.kind {
            Dialect::Embedded => self.broker.common(host),
            _ => self.broker.common_as(user, host),
        };
        patient(&mut common);
        common
    }

    /// Settings of a service on this broker, patient enough for a restart of it.
    pub(crate) fn common(&self, host: &str) -> chassis::Common {
        let mut common = self.broker.common(host);
        patient(&mut common);
        common
    }

    /// Connects as this client.
    pub(crate) async fn link(&self, client_id: &str) -> Link {
        let linked = self.try_link(self.broker.introduction(client_id)).await;
        linked.unwrap_or_else(|error| panic!("{client_id} cannot connect: {error}"))
    }

    pub(crate) async fn try_link(&self, connect: stomp::Connect) -> Result<Link, ConnectError> {
        let stream = World::real().net.connect(&self.broker.address()).await;
        linked(stream.expect("the broker listens"), connect).await
    }

    /// Connects with the certificate of this user alone.
    pub(crate) async fn try_link_as(
        &self,
        user: &str,
        client_id: &str,
    ) -> Result<Link, ConnectError> {
        let certificates = self.broker.certificates();
        let mut roots = RootCertStore::empty();
        let read = |file| CertificateDer::from_pem_file(file).expect("a certificate");
        roots
            .add(read(certificates.authority()))
            .expect("an authority");
        let key = PrivateKeyDer::from_pem_file(certificates.key(user)).expect("a key");
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![read(certificates.certificate(user))], key);
        let connector = TlsConnector::from(Arc::new(config.expect("they belong together")));
        let name = ServerName::try_from(Certificates::SERVER).expect("a name");
        let stream = World::real().net.connect(&self.broker.tls_address()).await;
        let stream = connector.connect(name, stream.expect("the broker listens"));
        let introduction = stomp::Connect {
            login: None,
            passcode: None,
            ..self.broker.introduction(client_id)
        };
        linked(stream.await.map_err(ConnectError::Io)?, introduction).await
    }
}

async fn linked(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    connect: stomp::Connect,
) -> Result<Link, ConnectError> {
    let (client, driver) = stomp::connect(stream, connect).await?;
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(driver.run(stop.clone()));
    Ok(Link {
        client,
        stop,
        running,
    })
}

fn patient(common: &mut chassis::Common) {
    common.bus.heart_beat_s = 1;
    common.bus.publish_limit_s = PUBLISH_LIMIT_S;
}

async fn embedded(more: &[&str]) -> BrokerProcess {
    let program = |folder: &testkit::Folder, port: u16| {
        BrokerProcess::program(env!("CARGO_BIN_EXE_conformance"))
            .arg(format!("127.0.0.1:{port}"))
            .arg(folder.join("data").display().to_string())
            .args([BrokerProcess::LOGIN, BrokerProcess::PASSCODE])
            .args(more.iter().copied())
    };
    BrokerProcess::start("the embedded broker", program).await
}

/// A connection. Dropped, it is cut without a goodbye, as by a crash of the client.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) client: Client,
    stop: CancellationToken,
    running: JoinSet<Ended>,
}

impl Link {
    /// Publishes a text that is kept, and waits for the receipt.
    pub(crate) async fn publish(&self, destination: &str, text: &str) {
        let sent = self.client.send(message(destination, text)).await;
        sent.unwrap_or_else(|error| panic!("{text:?} to {destination}: {error}"));
    }

    /// Hears a destination from now on.
    pub(crate) async fn hear(&self, destination: &str) -> Heard {
        let asked = self.try_hear(destination, None).await;
        asked.unwrap_or_else(|error| panic!("cannot subscribe to {destination}: {error}"))
    }

    /// Hears what is kept for this durable subscription.
    pub(crate) async fn hear_durably(&self, destination: &str, name: &str) -> Heard {
        let asked = self.try_hear(destination, Some(name)).await;
        asked.unwrap_or_else(|error| panic!("cannot subscribe to {destination}: {error}"))
    }

    pub(crate) async fn try_hear(
        &self,
        destination: &str,
        durable: Option<&str>,
    ) -> Result<Heard, SendError> {
        let asked = self.client.subscribe(Subscription {
            destination: destination.to_owned(),
            durable: durable.map(str::to_owned),
            prefetch: 64,
        });
        Ok(Heard(asked.await?))
    }

    /// Acknowledges it, and is sure that the broker has read that.
    pub(crate) async fn ack(&self, delivery: &Delivery) {
        let acknowledged = self.client.ack(delivery).await;
        acknowledged.expect("the connection is kept");
        // Frames are dealt with in their order, so after this receipt the acknowledgement has been.
        self.publish("/topic/conf.nobody", "after an acknowledgement")
            .await;
    }

    /// True if the connection holds for all this time.
    pub(crate) async fn holds_for(&mut self, time: Duration) -> bool {
        timeout(time, self.running.join_next()).await.is_err()
    }

    /// Says goodbye and waits for the broker's.
    pub(crate) async fn leave(mut self) {
        self.stop.cancel();
        let ended = timeout(LONG, self.running.join_next()).await;
        let ended = ended.expect("a stop ends the link within its limit");
        let ended = ended
            .expect("there is one driver")
            .expect("it does not panic");
        assert!(matches!(ended, Ended::Stopped), "{ended}");
    }
}

/// What a subscription brings.
#[derive(Debug)]
pub(crate) struct Heard(pub(crate) Deliveries);

impl Heard {
    pub(crate) async fn next(&mut self) -> Delivery {
        let next = timeout(SOON, self.0.next()).await;
        let next = next.unwrap_or_else(|_| panic!("nothing came within {} s", SOON.as_secs()));
        next.expect("the connection is kept")
    }

    pub(crate) async fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.next().await.body).into_owned()
    }

    /// All that comes up to this text.
    pub(crate) async fn up_to(&mut self, last: &str) -> Vec<Delivery> {
        let mut heard = Vec::new();
        loop {
            heard.push(self.next().await);
            if heard.last().is_some_and(|it| it.body == last.as_bytes()) {
                return heard;
            }
        }
    }
}

/// A text that is kept and confirmed.
pub(crate) fn message(destination: &str, text: &str) -> Message {
    Message {
        destination: destination.to_owned(),
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        body: Bytes::copy_from_slice(text.as_bytes()),
        persistent: true,
        confirm: true,
        expires: None,
    }
}

/// The texts of deliveries.
pub(crate) fn texts(deliveries: &[Delivery]) -> Vec<String> {
    let text = |it: &Delivery| String::from_utf8_lossy(&it.body).into_owned();
    deliveries.iter().map(text).collect()
}
