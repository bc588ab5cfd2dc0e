//! The running agent's end: a unix socket, a request a line, and whoever asks is known by what the kernel says of them.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use events::{EnvironmentName, HostName, ProjectName, message::Phase};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use world::{World, own_uid};

use super::{Answer, Note, Request, Standing, Status, who};
use crate::{
    project::{Ask, Mail, Seen},
    trust::Trust,
};

/// The socket's permissions; whoever comes through is looked at again.
const MODE: u32 = 0o660;
/// Connections at a time; more wait.
const CONNECTIONS: usize = 8;
/// The longest request: an order with its grant.
pub(super) const REQUEST_BYTES: u64 = 512 * 1024;
/// A request is there within this.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// A project answers within this: it is asked between two steps, or beside one.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Whoever asked takes each line of the answer within this.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// How long to wait after a connection that could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// What is asked through the socket.
#[derive(Debug)]
pub struct Doors {
    /// This host.
    pub host: HostName,
    /// The outside.
    pub world: World,
    /// Whom this host believes.
    pub trust: Trust,
    /// The projects of the settings.
    pub projects: BTreeMap<ProjectName, (EnvironmentName, Door)>,
    /// True while there is a broker.
    pub connected: watch::Receiver<bool>,
}

/// A project.
#[derive(Debug)]
pub enum Door {
    /// It hears.
    Open(mpsc::Sender<Mail>),
    /// Nothing can be done for it, for this reason.
    Stuck(String),
}

/// Serves on the socket until the stop. Without it the agent goes on: it is not needed to deploy.
pub async fn serve(doors: Doors, path: &Path, stop: &CancellationToken) {
    let listener = match chassis::http::bind_unix(path, MODE).await {
        Ok(listener) => listener,
        Err(error) => {
            let path = path.display();
            tracing::error!(%path, %error, "cannot be asked at the host: set `control` to another path");
            return;
        }
    };
    let doors = Arc::new(doors);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            // It is never closed.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, accept(&listener).await)
        };
        tokio::select! {
            (place, stream) = accepted => {
                let doors = Arc::clone(&doors);
                connections.spawn(async move {
                    doors.connection(stream).await;
                    drop(place);
                });
            }
            Some(_) = connections.join_next() => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn accept(listener: &UnixListener) -> UnixStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

impl Doors {
    async fn connection(&self, stream: UnixStream) {
        let Ok(peer) = stream.peer_cred() else {
            return;
        };
        let (read, mut write) = stream.into_split();
        let heard = match request(read).await {
            Ok(_) if !who::may_ask(peer.uid(), own_uid()) => {
                let uid = peer.uid();
                tracing::warn!(uid, "somebody who may not asked at the host");
                let reason = format!("uid {uid} may not ask this agent: root and its own user may");
                Heard::Said(Answer::Forbidden { reason })
            }
            Ok(request) => self
                .answer(request, peer.uid())
                .await
                .unwrap_or_else(refused),
            Err(why) => refused(format!("the request is not understood: {why}")),
        };
        match heard {
            Heard::Said(answer) => {
                say(&mut write, &answer).await;
            }
            Heard::Follows(seen) => follow(&mut write, seen).await,
        }
    }

    async fn answer(&self, request: Request, uid: u32) -> Result<Heard, String> {
        match request {
            Request::Status { project } => {
                let status = self.status(project.as_ref()).await?;
                Ok(Heard::Said(Answer::Status(status)))
            }
            Request::History { project, limit } => {
                let ask = |to| Ask::History(limit, to);
                let entries = self.asked(&project, ask).await?;
                Ok(Heard::Said(Answer::History { entries }))
            }
            Request::Rollback { project, note } => {
                self.begin(&project, Phase::Rollback, uid, note).await
            }
            Request::Clear { project, note } => self.begin(&project, Phase::Clear, uid, note).await,
            Request::Apply { ordered } => {
                let believed = self
                    .trust
                    .believe(&self.world, &ordered, &self.host)
                    .await?;
                let ask = |to| Ask::Order(Box::new(believed), to);
                let seen = self.asked(&ordered.project, ask).await??;
                Ok(Heard::Follows(seen))
            }
        }
    }

    async fn begin(
        &self,
        project: &ProjectName,
        phase: Phase,
        uid: u32,
        note: Note,
    ) -> Result<Heard, String> {
        let who = who::at_host(&self.world, uid, note).await;
        let ask = |to| Ask::Do(phase, Box::new(who), to);
        let seen = self.asked(project, ask).await??;
        Ok(Heard::Follows(seen))
    }

    async fn status(&self, only: Option<&ProjectName>) -> Result<Status, String> {
        let mut projects = Vec::new();
        if let Some(only) = only {
            self.door(only)?;
        }
        let wanted = |name: &&ProjectName| only.is_none_or(|only| only == *name);
        for name in self.projects.keys().filter(wanted) {
            let standing = match self.door(name)? {
                (environment, Door::Stuck(reason)) => {
                    Standing::stuck(name, environment.clone(), reason.clone())
                }
                _ => self.asked(name, Ask::Standing).await?,
            };
            projects.push(standing);
        }
        Ok(Status {
            host: self.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            running: true,
            connected: *self.connected.borrow(),
            projects,
        })
    }

    fn door(&self, project: &ProjectName) -> Result<&(EnvironmentName, Door), String> {
        let known = self.projects.get(project);
        known.ok_or_else(|| unknown(project, self.projects.keys()))
    }

    async fn asked<T>(
        &self,
        project: &ProjectName,
        ask: impl FnOnce(oneshot::Sender<T>) -> Ask,
    ) -> Result<T, String> {
        let mail = match self.door(project)? {
            (_, Door::Open(mail)) => mail,
            (_, Door::Stuck(reason)) => return Err(reason.clone()),
        };
        let (to, answer) = oneshot::channel();
        let busy = |what: &str| format!("{project} {what}: deploy-agent status {project}");
        mail.try_send(Mail::Asked(Box::new(ask(to))))
            .map_err(|_| busy("has too much to hear"))?;
        match timeout(ANSWER_LIMIT, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(busy("stops")),
            // It may be done yet: it is in the queue of what the project hears.
            Err(_) => Err(busy("cannot write its journal, and may do it later")),
        }
    }
}

fn refused(reason: String) -> Heard {
    Heard::Said(Answer::Refused { reason })
}

/// The one line of a request.
async fn request(read: OwnedReadHalf) -> Result<Request, String> {
    let mut line = String::new();
    let mut read = BufReader::new(read.take(REQUEST_BYTES));
    match timeout(REQUEST_LIMIT, read.read_line(&mut line)).await {
        Ok(Ok(_)) if line.ends_with('\n') => {
            serde_json::from_str(&line).map_err(|error| error.to_string())
        }
        Ok(Ok(_)) => Err(format!("it is one line of at most {REQUEST_BYTES} bytes")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("none came within {} s", REQUEST_LIMIT.as_secs())),
    }
}

/// Names what there is.
pub(super) fn unknown<'a>(
    project: &ProjectName,
    known: impl Iterator<Item = &'a ProjectName>,
) -> String {
    let names: Vec<&str> = known.map(ProjectName::as_str).collect();
    format!("{project} is not deployed here, only: {}", names.join(", "))
}

enum Heard {
    Said(Answer),
    Follows(Seen),
}

/// Tells all there is to tell of an order, until its end or the agent's.
async fn follow(write: &mut OwnedWriteHalf, mut seen: Seen) {
    loop {
        let report = seen.borrow_and_update().clone();
        if let Some(report) = report {
            let ended = report.state.is_final();
            let report = Box::new(report);
            let said = say(write, &Answer::Report { report }).await;
            if ended || !said {
                return;
            }
        }
        if seen.changed().await.is_err() {
            return;
        }
    }
}

/// One line; false if whoever asked is gone.
async fn say(write: &mut OwnedWriteHalf, answer: &Answer) -> bool {
    let Ok(mut line) = serde_json::to_vec(answer) else {
        return false;
    };
    line.push(b'\n');
    let written = timeout(WRITE_LIMIT, write.write_all(&line)).await;
    matches!(written, Ok(Ok(())))
}
