//! The API of the orchestrator, or of another service, over its unix socket.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use deploy_orchestrator::{
    api::{ApiError, DeployView},
    feed::FeedLine,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{failure::Failure, home::Home};

/// An answer must come within this time.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// What is watched says something (a beat at least) within this time, or its connection is taken for dead.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// A service that is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// What it is called in sentences.
    pub who: &'static str,
    /// What to look at when it does not answer.
    pub next: &'static str,
}

/// What most commands ask.
const ORCHESTRATOR: Asked = Asked {
    who: "the orchestrator",
    next: "is `deploykit up` (or the service deploy-orchestrator) running?",
};

/// A client of one service.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    socket: String,
    asked: Asked,
}

impl Client {
    /// A client of the orchestrator that `home` names. Connects with the first request.
    ///
    /// # Errors
    /// When the socket's path is longer than a unix socket's may be.
    pub fn new(home: &Home) -> Result<Self, Failure> {
        Self::of(ORCHESTRATOR, &home.socket)
    }

    /// A client of the service that serves on this socket.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn of(asked: Asked, socket: &Path) -> Result<Self, Failure> {
        let socket = socket.display().to_string();
        let http = reqwest::Client::builder()
            .unix_socket(PathBuf::from(&socket))
            .no_proxy()
            .build()
            .map_err(|error| {
                Failure::Settings(format!("cannot use the socket {socket}: {error}"))
            })?;
        Ok(Self {
            http,
            socket,
            asked,
        })
    }

    /// `GET path`.
    ///
    /// # Errors
    /// [`Failure::Refused`] with the orchestrator's words, or [`Failure::Unavailable`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(self.request(Method::GET, path).timeout(ANSWER_LIMIT))
            .await
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Failure> {
        self.ask(
            self.request(Method::POST, path)
                .timeout(ANSWER_LIMIT)
                .json(body),
        )
        .await
    }

    /// `GET path`, as it is.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn bytes(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let request = self.request(Method::GET, path).timeout(ANSWER_LIMIT);
        let bytes = self.send(request).await?.bytes().await;
        let bytes = bytes.map_err(|error| self.lost(&error.to_string()))?;
        Ok(bytes.into())
    }

    /// Follows a deploy: `each` is given every new state, the last one is returned.
    ///
    /// # Errors
    /// As [`Client::get`], and when the orchestrator goes silent.
    pub async fn watch(
        &self,
        id: &str,
        mut each: impl FnMut(&DeployView),
    ) -> Result<DeployView, Failure> {
        let response = self
            .send(self.request(Method::GET, &format!("/api/v1/deploys/{id}/watch")))
            .await?;
        let mut events = Events::new(response);
        let mut last = None;
        loop {
            let event = events.next().await;
            let Some(data) = event.map_err(|why| self.lost_deploy(&why))? else {
                return last
                    .filter(|view: &DeployView| view.state.is_final())
                    .ok_or_else(|| self.lost_deploy("it ended the connection"));
            };
            let view = serde_json::from_str(&data)
                .map_err(|error| self.lost_deploy(&error.to_string()))?;
            each(&view);
            last = Some(view);
        }
    }

    /// Follows the feed: `there` is called once it answers, `each` is given every line until it says false.
    ///
    /// # Errors
    /// As [`Client::get`], and when the orchestrator ends the connection or goes silent.
    pub async fn lines(
        &self,
        path: &str,
        there: impl FnOnce(),
        mut each: impl FnMut(FeedLine) -> bool,
    ) -> Result<(), Failure> {
        let response = self.send(self.request(Method::GET, path)).await?;
        there();
        let mut events = Events::new(response);
        loop {
            let event = events.next().await.map_err(|why| self.lost(&why))?;
            let data = event.ok_or_else(|| self.lost("it ended the connection"))?;
            let line =
                serde_json::from_str(&data).map_err(|error| self.lost(&error.to_string()))?;
            if !each(line) {
                return Ok(());
            }
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://localhost{path}"))
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let response = self.send(request).await?;
        response
            .json()
            .await
            .map_err(|error| self.lost(&error.to_string()))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        match serde_json::from_str::<ApiError>(&text) {
            Ok(error) if status.is_client_error() => Err(Failure::Refused(error)),
            Ok(error) => Err(Failure::Failed(error.error)),
            Err(_) => Err(Failure::Failed(self.odd_answer(status, &text))),
        }
    }

    fn odd_answer(&self, status: StatusCode, text: &str) -> String {
        format!(
            "{} at {} answered {status}: {}",
            self.asked.who,
            self.socket,
            text.lines().next().unwrap_or_default()
        )
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Failure::Unavailable(format!(
            "{} does not answer at {}: {cause}; {}",
            self.asked.who, self.socket, self.asked.next
        ))
    }

    fn lost(&self, why: &str) -> Failure {
        let who = self.asked.who;
        Failure::Unavailable(format!("lost {who} at {}: {why}", self.socket))
    }

    fn lost_deploy(&self, why: &str) -> Failure {
        Failure::Unavailable(format!(
            "{}; the deploy itself goes on: `deploykit history` shows it",
            self.lost(why)
        ))
    }
}

/// Reads server-sent events; only their data matters here.
struct Events {
    response: Response,
    buffer: Vec<u8>,
}

impl Events {
    fn new(response: Response) -> Self {
        Self {
            response,
            buffer: Vec::new(),
        }
    }

    /// The data of the next event that has some; `None` at the end.
    async fn next(&mut self) -> Result<Option<String>, String> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                if let Some(data) = data_of(&String::from_utf8_lossy(&block)) {
                    return Ok(Some(data));
                }
            }
            // A beat between events is a chunk, too.
            let chunk = timeout(SILENCE_LIMIT, self.response.chunk()).await;
            let chunk = chunk.map_err(|_| "it went silent")?;
            match chunk.map_err(|error| error.to_string())? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}

fn data_of(block: &str) -> Option<String> {
    let data: Vec<&str> = block
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|data| data.strip_prefix(' ').unwrap_or(data))
        .collect();
    (!data.is_empty()).then(|| data.join("\n"))
}
