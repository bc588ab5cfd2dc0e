//! A broker that says what a test tells it to say.

use std::time::Duration;

use bytes::BytesMut;
use stomp::{
    Client, Codec, Command, Connect, Deliveries, Ended, Frame, FrameLimits, Item, Limits, Message,
    Secret, Subscription, encode,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::{codec::Decoder, sync::CancellationToken};

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_secs(600);

pub(crate) fn introduction() -> Connect {
    Connect {
        host: "/".to_owned(),
        login: Some("me".to_owned()),
        passcode: Some(Secret::new("hush")),
        client_id: "agent".to_owned(),
        heart_beat: Duration::ZERO,
        dialect: None,
        limits: Limits::default(),
    }
}

/// The broker's end of a connection.
pub(crate) struct Far {
    pub(crate) pipe: DuplexStream,
    /// Every byte that came, for comparing with a recording.
    pub(crate) heard: Vec<u8>,
    codec: Codec,
    buffer: BytesMut,
}

impl Far {
    pub(crate) fn new(pipe: DuplexStream) -> Self {
        Self {
            pipe,
            heard: Vec::new(),
            codec: Codec::new(FrameLimits::default()),
            buffer: BytesMut::new(),
        }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.pipe
            .write_all(text.as_bytes())
            .await
            .expect("the client reads");
    }

    pub(crate) async fn item(&mut self) -> Option<Item> {
        let item = async {
            loop {
                if let Some(item) = self.codec.decode(&mut self.buffer).expect("STOMP") {
                    return Some(item);
                }
                let read = self.pipe.read_buf(&mut self.buffer).await;
                match read.expect("a pipe") {
                    0 => return None,
                    bytes => {
                        let new = self.buffer.len() - bytes;
                        self.heard.extend_from_slice(&self.buffer[new..]);
                    }
                }
            }
        };
        timeout(LIMIT, item).await.expect("an item in time")
    }

    pub(crate) async fn frame(&mut self) -> Frame {
        loop {
            match self.item().await.expect("a frame") {
                Item::Frame(frame) | Item::Over { frame, .. } => return frame,
                Item::HeartBeat => {}
            }
        }
    }
}

/// A client with a scripted broker.
pub(crate) struct Script {
    pub(crate) client: Client,
    pub(crate) far: Far,
    pub(crate) stop: CancellationToken,
    driver: JoinSet<Ended>,
}

impl Script {
    pub(crate) async fn new() -> Self {
        Self::with(introduction(), "").await
    }

    pub(crate) async fn with_server(server: &str) -> Self {
        Self::with(introduction(), &format!("server:{server}\n")).await
    }

    /// `headers` are further ones of CONNECTED.
    pub(crate) async fn with(connect: Connect, headers: &str) -> Self {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let mut far = Far::new(far);
        let (connected, ()) = tokio::join!(stomp::connect(near, connect), async {
            assert_eq!(far.frame().await.command, Command::Connect);
            far.say(&format!("CONNECTED\nversion:1.2\n{headers}\n\0"))
                .await;
        });
        let (client, driver) = connected.expect("it connects");
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(driver.run(stop.clone()));
        Self {
            client,
            far,
            stop,
            driver: tasks,
        }
    }

    /// Confirms the next frame; its text without the receipt.
    pub(crate) async fn confirm_next(&mut self) -> String {
        let frame = self.far.frame().await;
        let receipt = frame.header("receipt").expect("it asks for a receipt");
        self.far
            .say(&format!("RECEIPT\nreceipt-id:{receipt}\n\n\0"))
            .await;
        text(&frame)
    }

    pub(crate) async fn subscribe(&mut self, durable: &str) -> Deliveries {
        let client = self.client.clone();
        let subscribe = client.subscribe(Subscription {
            destination: "/topic/t".to_owned(),
            durable: Some(durable.to_owned()),
            prefetch: 2,
        });
        let (subscribed, _) = tokio::join!(subscribe, self.confirm_next());
        subscribed.expect("subscribed")
    }

    pub(crate) async fn ended(&mut self) -> Ended {
        let ended = timeout(LIMIT, self.driver.join_next()).await;
        ended
            .expect("an end in time")
            .expect("it ran")
            .expect("no panic")
    }

    pub(crate) fn abort(&mut self) {
        self.driver.abort_all();
    }
}

/// A frame as it was written, without `receipt` and the last two bytes.
pub(crate) fn text(frame: &Frame) -> String {
    let mut plain = Frame::new(frame.command);
    for (name, value) in frame.headers.iter().filter(|(name, _)| *name != "receipt") {
        plain.headers.push(name, value);
    }
    let mut bytes = BytesMut::new();
    encode(&plain, &mut bytes).expect("it can be written");
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    text.trim_end_matches(['\0'])
        .trim_end_matches('\n')
        .to_owned()
        + "\n"
}

pub(crate) fn message(text: &str) -> Message {
    Message {
        destination: "/topic/t".to_owned(),
        headers: Vec::new(),
        body: bytes::Bytes::copy_from_slice(text.as_bytes()),
        persistent: true,
        confirm: true,
        expires: None,
    }
}
