//! The service as a test has it, and what forges send to it.

use std::net::SocketAddr;

use chassis::{Common, Secret, Settings as _, settings::parse};
use events::message::Pushed;
use github_stomp::{Settings, deliveries::Delivery, serve_on, settings, signature::sign};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use testkit::{Ear, Folder, LONG, Running, until};
use world::World;

pub(crate) const PUSH: &str = include_str!("data/recorded/github/push.json");
pub(crate) const SECRET: &str = "It's a Secret to Everybody";

/// The service, and a client that signs.
pub(crate) struct Hub {
    pub(crate) address: SocketAddr,
    pub(crate) running: Running,
    pub(crate) client: Client,
    pub(crate) folder: Folder,
}

impl Hub {
    pub(crate) async fn start(common: Common) -> Self {
        Self::start_with(common, 10_000).await
    }

    /// With an outbox of so many messages.
    pub(crate) async fn start_with(common: Common, messages: usize) -> Self {
        Self::start_in(Folder::new(), common, |settings| {
            settings.outbox.messages = messages;
        })
        .await
    }

    /// In a folder that may have been used before, with other settings.
    pub(crate) async fn start_in(
        folder: Folder,
        common: Common,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        Self::start_on(World::real(), folder, common, change).await
    }

    /// The same on another disk.
    pub(crate) async fn start_on(
        world: World,
        folder: Folder,
        common: Common,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        folder.write("old", SECRET);
        folder.write("new", "a newer one");
        let text = format!(
            "[sources.hub]\nkind = 'github'\nsecret_files = ['{}', '{}']\n[repositories.shop]\naliases = ['acme/shop']\n",
            folder.join("old").display(),
            folder.join("new").display()
        );
        let (address, running) = serve(world, common, &folder, &text, change).await;
        let hub = Self {
            address,
            running,
            client: Client::new(),
            folder,
        };
        hub.becomes(StatusCode::OK, "connected to the bus").await;
        hub
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits until the health is so.
    pub(crate) async fn becomes(&self, status: StatusCode, said: &str) {
        until("the health changes", LONG, || async {
            let answer = self.client.get(self.url("/healthz")).send().await.ok()?;
            let right = answer.status() == status;
            (right && answer.text().await.ok()?.starts_with(said)).then_some(())
        })
        .await;
    }

    pub(crate) fn unsigned(&self, event: &str, body: impl Into<Vec<u8>>) -> RequestBuilder {
        self.client
            .post(self.url("/hook/hub"))
            .header("x-github-event", event)
            .header("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
            .body(body.into())
    }

    pub(crate) fn signed(&self, event: &str, body: impl Into<Vec<u8>>) -> RequestBuilder {
        let body = body.into();
        let signature = sign(&Secret::new(SECRET), &body);
        self.unsigned(event, body)
            .header("x-hub-signature-256", signature)
    }
}

/// The service with these settings, its files in this folder.
pub(crate) async fn serve(
    world: World,
    common: Common,
    folder: &Folder,
    text: &str,
    change: impl FnOnce(&mut Settings),
) -> (SocketAddr, Running) {
    let (_, mut settings) = parse::<Settings>(text, "test").unwrap();
    settings.outbox.folder = Some(folder.join("outbox"));
    settings.data = folder.join("data");
    change(&mut settings);
    settings.check().unwrap();
    let listener = world.net.listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_address().unwrap();
    let running = Running::start("github-stomp", common, settings, world, |start| {
        serve_on(start, listener)
    });
    (address, running)
}

pub(crate) async fn answer(request: RequestBuilder) -> (StatusCode, String) {
    let answer: Response = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// Asks the service's own socket about deliveries.
pub(crate) async fn ask(folder: &Folder, method: Method, path: &str) -> (StatusCode, String) {
    let socket = settings::socket(&folder.join("data"));
    let client = Client::builder().unix_socket(socket).build().unwrap();
    let url = format!("http://localhost/api/v1/deliveries{path}");
    answer(client.request(method, url)).await
}

pub(crate) async fn listed(folder: &Folder, query: &str) -> Vec<Delivery> {
    let (status, text) = ask(folder, Method::GET, &format!("?{query}")).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Waits until so many are listed; they are written beside the answers.
pub(crate) async fn all(folder: &Folder, count: usize) -> Vec<Delivery> {
    until("all deliveries are listed", LONG, || async {
        let all = listed(folder, "most=1000").await;
        (all.len() == count).then_some(all)
    })
    .await
}

/// What the metric says.
pub(crate) async fn metric(hub: &Hub, name: &str) -> u64 {
    let metrics = answer(hub.client.get(hub.url("/metrics"))).await.1;
    let value = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("{name} is not in\n{metrics}"))
}

/// The next push on the bus is this ref: nothing came before it that should not have.
pub(crate) async fn next_is(ear: &mut Ear, name: &str) -> Pushed {
    let pushed = ear.hear(|_: &Pushed| true).await;
    assert_eq!(pushed.name.as_str(), name);
    pushed
}

pub(crate) fn push(name: &str) -> String {
    PUSH.replace("refs/heads/master", name)
}
