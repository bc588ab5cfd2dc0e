//! A double of Jenkins: stateful, over real HTTP, with faults on demand. No real one can be had in CI; two foreign clients
//! drive this one in `tests/`, so that it is not only what we believe.

mod faults;
mod routes;
mod shapes;
mod state;
mod tree;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::to_bytes,
    extract::{Request, State as AxumState},
    http::header,
    response::Response,
};
use chassis::http;
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use world::World;

pub use faults::JenkinsFault;
pub use state::{BuildSeen, Job, Parameters, Stop};

use routes::{Asked, House};
use state::State;

const USER: &str = "ann";
const TOKEN: &str = "11c0ffee-token";
const PASSWORD: &str = "correct horse";

/// It lies under a path, as behind a proxy.
const CONTEXT: &str = "/jenkins/";

/// A request that it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSeen {
    /// `POST /jenkins/job/shop/build?delay=0sec`
    pub line: String,
    /// The body, as far as it is text.
    pub body: String,
}

/// A Jenkins on loopback. Dropped, it is cut off.
#[derive(Debug)]
pub struct Jenkins {
    shared: Arc<Shared>,
    port: u16,
    server: Option<(CancellationToken, JoinSet<()>)>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    seen: Mutex<Vec<RequestSeen>>,
    faults: Mutex<Vec<Planned>>,
    house: Mutex<HouseRules>,
    began: Instant,
}

#[derive(Debug)]
struct Planned {
    on: String,
    times: usize,
    fault: JenkinsFault,
}

#[derive(Debug)]
struct HouseRules {
    base: String,
    told_base: String,
    unparameterized: u16,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Jenkins {
    /// Who may do everything here.
    pub const USER: &'static str = USER;
    /// The API token of [`Jenkins::USER`].
    pub const TOKEN: &'static str = TOKEN;
    /// The password of [`Jenkins::USER`], which needs a crumb beside it.
    pub const PASSWORD: &'static str = PASSWORD;

    /// Starts one without jobs.
    ///
    /// # Panics
    /// It cannot listen.
    pub async fn start() -> Self {
        let house = HouseRules {
            base: String::new(),
            told_base: String::new(),
            unparameterized: 500,
        };
        let shared = Shared {
            state: Mutex::new(State::new()),
            seen: Mutex::default(),
            faults: Mutex::default(),
            house: Mutex::new(house),
            began: Instant::now(),
        };
        let mut jenkins = Self {
            shared: Arc::new(shared),
            port: 0,
            server: None,
        };
        jenkins.start_again().await;
        let base = jenkins.url();
        let mut house = locked(&jenkins.shared.house);
        house.told_base.clone_from(&base);
        house.base = base;
        drop(house);
        jenkins
    }

    /// Listens again, under the same address, with what outlived the stop.
    ///
    /// # Panics
    /// It runs, or cannot listen.
    pub async fn start_again(&mut self) {
        assert!(self.server.is_none(), "it still runs");
        let address = format!("127.0.0.1:{}", self.port);
        let listener = World::real().net.listen(&address).await;
        let listener = listener.unwrap_or_else(|error| panic!("{address}: {error}"));
        self.port = listener.local_address().expect("where it listens").port();
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&self.shared));
        let stop = CancellationToken::new();
        let until = stop.clone();
        let mut server = JoinSet::new();
        server.spawn(async move { http::serve(router, listener, &until, Duration::ZERO).await });
        self.server = Some((stop, server));
    }

    /// Ends it; connections are cut.
    ///
    /// # Panics
    /// It does not run.
    pub async fn stop(&mut self, stop: Stop) {
        let (token, mut server) = self.server.take().expect("it runs");
        token.cancel();
        while server.join_next().await.is_some() {}
        self.state().end(stop);
    }

    /// Its address, with the path that it lies under.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{CONTEXT}", self.port)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = locked(&self.shared.state);
        state.tick(self.shared.now_ms());
        state
    }

    /// Adds a job, or replaces it.
    pub fn add(&self, job: Job) {
        self.state().jobs.insert(job.name.clone(), job);
    }

    /// How many builds run at once. With 0 everything stays in the queue.
    pub fn executors(&self, executors: usize) {
        self.state().executors = executors;
    }

    /// How long items are known after they left the queue; Jenkins: 5 minutes.
    pub fn forgets_after(&self, time: Duration) {
        self.state().forgets_after_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    }

    /// The status for parameters that a job does not take: 500 at first; newer versions say 400.
    pub fn refuses_parameters_with(&self, status: u16) {
        locked(&self.shared.house).unparameterized = status;
    }

    /// `Location` has another address than ours, as behind a proxy.
    pub fn names_itself(&self, base: &str) {
        base.clone_into(&mut locked(&self.shared.house).told_base);
    }

    /// Ends a build that runs.
    ///
    /// # Panics
    /// There is no such build.
    pub fn finish(&self, job: &str, number: u64, result: &str) {
        let found = self.state().finish(job, number, result);
        assert!(found, "{job} has no running build {number}");
    }

    /// Forgets a build, as retention does.
    pub fn delete(&self, job: &str, number: u64) {
        if let Some(builds) = self.state().builds.get_mut(job) {
            builds.retain(|build| build.number != number);
        }
    }

    /// Takes everything out of the queue, as a person does.
    pub fn cancel_all(&self) {
        let now_ms = self.shared.now_ms();
        let mut state = self.state();
        let ids: Vec<u64> = state.queue.iter().map(|item| item.id).collect();
        for id in ids {
            state.cancel(id, now_ms);
        }
    }

    /// The builds of a job, oldest first.
    #[must_use]
    pub fn builds(&self, job: &str) -> Vec<BuildSeen> {
        self.state().builds.get(job).cloned().unwrap_or_default()
    }

    /// How many items wait in the queue.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let state = self.state();
        let waits = |item: &&state::Item| item.place == state::Place::Waiting;
        state.queue.iter().filter(waits).count()
    }

    /// The next requests (`times` of them) whose `METHOD /path?query` contains `on` meet this fault.
    pub fn fail(&self, on: &str, times: usize, fault: JenkinsFault) {
        let on = on.to_owned();
        locked(&self.shared.faults).push(Planned { on, times, fault });
    }

    /// Ends all faults.
    pub fn heal(&self) {
        locked(&self.shared.faults).clear();
    }

    /// How many more faults are planned.
    #[must_use]
    pub fn faults_left(&self) -> usize {
        locked(&self.shared.faults).iter().map(|it| it.times).sum()
    }

    /// Every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestSeen> {
        locked(&self.shared.seen).clone()
    }
}

impl Shared {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn fault(&self, line: &str) -> Option<JenkinsFault> {
        let mut faults = locked(&self.faults);
        let planned = faults
            .iter_mut()
            .find(|it| it.times > 0 && line.contains(&it.on))?;
        planned.times -= 1;
        Some(planned.fault.clone())
    }
}

async fn answer(AxumState(shared): AxumState<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    let line = format!("{} {}", head.method, head.uri);
    locked(&shared.seen).push(RequestSeen {
        line: line.clone(),
        body: body.clone(),
    });
    let fault = shared.fault(&line);
    if let Some(fault) = fault.as_ref().filter(|fault| !fault.acts()) {
        return fault.answer().await;
    }
    let is_form = head.headers.get(header::CONTENT_TYPE);
    let is_form = is_form.is_some_and(|it| {
        it.as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    });
    let asked = Asked {
        method: &head.method,
        path: head.uri.path().strip_prefix(CONTEXT).unwrap_or("nowhere"),
        query: routes::fields(head.uri.query().unwrap_or_default()),
        form: if is_form {
            routes::fields(&body)
        } else {
            Parameters::new()
        },
        headers: &head.headers,
    };
    let response = {
        let rules = locked(&shared.house);
        let house = House {
            base: rules.base.clone(),
            told_base: rules.told_base.clone(),
            unparameterized: rules.unparameterized,
        };
        drop(rules);
        let now_ms = shared.now_ms();
        let mut state = locked(&shared.state);
        state.tick(now_ms);
        let response = routes::answer(&mut state, &house, &asked, now_ms);
        state.tick(now_ms);
        response
    };
    match fault {
        Some(fault) => fault.answer().await,
        None => response,
    }
}
