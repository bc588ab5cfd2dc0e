//! Following what happens.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use deploy_orchestrator::{
    api::{ProjectHost, ProjectView, Status},
    app::{App, Request},
};
use futures_util::StreamExt;
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::support::{at, host};

/// An orchestrator that knows one thing, which the test changes.
struct Fake {
    app: App,
    version: watch::Sender<u64>,
    seen: Arc<AtomicI64>,
    _task: JoinSet<()>,
}

fn fake() -> Fake {
    let (app, mut requests, version) = App::new();
    let seen = Arc::new(AtomicI64::new(0));
    let known = Arc::clone(&seen);
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut asked = 0;
        while let Some(request) = requests.recv().await {
            asked += 1;
            if let Request::Status(answer) = request {
                let _gone = answer.send(Ok(status(asked, known.load(Ordering::Relaxed))));
            }
        }
    });
    Fake {
        app,
        version,
        seen,
        _task: task,
    }
}

fn status(time: i64, seen: i64) -> Status {
    let host = ProjectHost {
        host: host("web1"),
        present: true,
        seen: Some(at(seen)),
        live: None,
        previous: None,
        stuck: None,
        broken: None,
        held: None,
    };
    let project = ProjectView {
        requires_ci: false,
        project: "shop".parse().expect("a project"),
        environment: "prod".parse().expect("an environment"),
        repository: "shop".parse().expect("a repository"),
        hosts: vec![host],
        deploy: None,
    };
    Status {
        time: at(time),
        projects: vec![project],
    }
}

impl Fake {
    fn change(&self, seen: i64) {
        self.seen.store(seen, Ordering::Relaxed);
        self.version.send_modify(|version| *version += 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_event_comes_at_once_and_a_burst_of_changes_is_one() {
    let fake = fake();
    let mut events = Box::pin(fake.app.watch_status());
    let seen = |status: Arc<Status>| status.projects[0].hosts[0].seen;
    assert_eq!(events.next().await.map(seen), Some(Some(at(0))));
    for n in 1..=100 {
        fake.change(n);
    }
    assert_eq!(events.next().await.map(seen), Some(Some(at(100))));
    let more = timeout(Duration::from_secs(3600), events.next()).await;
    assert!(more.is_err(), "nothing has changed since");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_nobody_can_see_is_no_event_and_the_end_of_the_orchestrator_ends_it() {
    let fake = fake();
    let mut events = Box::pin(fake.app.watch_status());
    events.next().await.expect("the first one");
    // Only the time has gone on.
    fake.change(0);
    let more = timeout(Duration::from_secs(3600), events.next()).await;
    assert!(more.is_err(), "the time alone is no change");
    drop(fake);
    assert!(events.next().await.is_none());
}
