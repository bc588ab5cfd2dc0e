//! What takes hours, under a paused clock, without a broker or a Jenkins.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use chassis::{BusSettings, Common, Failure, Handler, Verdict, settings::parse};
use events::message::Pushed;
use jiff::Timestamp;
use testkit::{Faulty, Folder, Running};
use tokio::{sync::oneshot, time::timeout};
use world::{Boxed, Listener, Net, Stream, World};

use super::*;
use crate::{
    board::Known,
    follow::{End, Stage},
    hear::Hearing,
    plan::Wanted,
};

const MINUTE: Duration = Duration::from_secs(60);

fn wanted(id: &str) -> Followed {
    let wanted = Wanted {
        id: id.to_owned(),
        repository: "shop".parse().unwrap(),
        name: "refs/heads/main".parse().unwrap(),
        commit: "1f0c1e9d5b7a4f3e2d1c0b9a8f7e6d5c4b3a2910".parse().unwrap(),
        project: None,
        job: "shop".parse().unwrap(),
        parameters: BTreeMap::new(),
        unstable_is_good: false,
    };
    Followed::new(wanted, Timestamp::UNIX_EPOCH)
}

/// Where Jenkins would be.
const JENKINS: &str = "127.0.0.1:2";

/// A network on which nobody is there; counts who asks for Jenkins.
#[derive(Debug, Default)]
struct Empty(AtomicU32);

impl Net for Empty {
    fn connect<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Stream>>> {
        if address == JENKINS {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
    }

    fn listen<'a>(&'a self, _: &'a str) -> Boxed<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}

struct Rig {
    folder: Folder,
    world: World,
    net: Arc<Empty>,
}

impl Rig {
    fn new() -> Self {
        let folder = Folder::new();
        folder.write("passcode", "guest");
        folder.write("token", "token");
        let net = Arc::new(Empty::default());
        let mut world = World::real().with_inline_disk();
        world.net = Arc::<Empty>::clone(&net);
        Self { folder, world, net }
    }

    fn start<Fut>(&self, serve: impl FnOnce(Start<Settings>) -> Fut + Send + 'static) -> Running
    where
        Fut: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let text = format!(
            "state = '{}'\n[jenkins]\nurl = 'http://{JENKINS}'\nuser = 'us'\ntoken_file = '{}'\n\
             [[rules]]\nrepository = 'shop'\njob = 'shop'\n",
            self.folder.join("state").display(),
            self.folder.join("token").display(),
        );
        let settings: Settings = parse(&text, "test").unwrap().1;
        let common = Common {
            host: Some("hub1".parse().unwrap()),
            bus: BusSettings {
                brokers: vec!["127.0.0.1:1".to_owned()],
                login: Some("guest".to_owned()),
                passcode_file: Some(self.folder.join("passcode")),
                ..BusSettings::default()
            },
            ..Common::default()
        };
        Running::start("stomp-jenkins", common, settings, self.world.clone(), serve)
    }

    /// Follows what is on this board, so many at once.
    fn works(&self, board: &Arc<Board>, at_once: usize) -> Running {
        let board = Arc::clone(board);
        self.start(async move |mut start: Start<Settings>| {
            start.settings.at_once = at_once;
            let jenkins =
                Jenkins::new(start.settings.jenkins.clone(), start.world.clone()).unwrap();
            let book = Book::open(&start.world, &start.settings.state).await?;
            let outbox = start.settings.state.join("outbox");
            let (outbox, _) =
                Outbox::open(&start.bus, &start.world, &start.settings.outbox, outbox)
                    .await
                    .unwrap();
            let work = Work {
                start: &start,
                jenkins: &jenkins,
                book: &book,
                board: &board,
                outbox: &outbox,
            };
            work.run().await;
            Ok(())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_old_is_forgotten_though_something_comes_more_often_than_that_is_looked_for() {
    let rig = Rig::new();
    let old = Followed {
        stage: Stage::Ended { how: End::Good },
        ..wanted("old")
    };
    let board = Arc::new(Board::new(vec![old]));
    // Nothing gets its turn.
    let running = rig.works(&board, 0);
    for arrival in ["a", "b", "c"] {
        // waits for 40 minutes of the paused clock
        sleep(40 * MINUTE).await;
        board.add(wanted(arrival));
    }
    running.stop().await.unwrap();
    assert_eq!(board.known("old"), Known::New);
}

#[tokio::test(start_paused = true)]
async fn a_jenkins_that_is_away_is_asked_ever_more_seldom_and_has_its_time_from_the_first_try() {
    let rig = Rig::new();
    // It was pushed years ago and has waited for its turn since.
    let board = Arc::new(Board::new(vec![wanted("a")]));
    let running = rig.works(&board, 1);
    // waits for an hour of the paused clock
    sleep(60 * MINUTE).await;
    assert_eq!(board.known("a"), Known::UnderWay);
    running.stop().await.unwrap();
    let asked = rig.net.0.load(Ordering::Relaxed);
    assert!((100..=300).contains(&asked), "asked {asked} times");
}

#[tokio::test(start_paused = true)]
async fn a_push_waits_while_the_state_folder_is_full() {
    let mut rig = Rig::new();
    let full = Arc::new(AtomicBool::new(true));
    let of_disk = Arc::clone(&full);
    rig.world.disk = Arc::new(Faulty::new(move |call, path| {
        let a_build = call == "replace" && path.parent().is_some_and(|it| it.ends_with("builds"));
        match a_build && of_disk.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }));
    let (tell, told) = oneshot::channel();
    let running = rig.start(async move |start: Start<Settings>| {
        let book = Book::open(&start.world, &start.settings.state).await?;
        let board = Board::new(Vec::new());
        let pushed = Pushed::of(
            "shop".parse().unwrap(),
            "refs/heads/main".parse().unwrap(),
            None,
            Some(wanted("a").wanted.commit),
        );
        let envelope = start.bus.seal(&pushed).unwrap();
        let mut hearing = Hearing {
            start: &start,
            book: &book,
            board: &board,
        };
        let handle = hearing.handle(&envelope);
        tokio::pin!(handle);
        let early = timeout(10 * MINUTE, &mut handle).await;
        assert!(early.is_err(), "{early:?}");
        full.store(false, Ordering::Relaxed);
        let verdict = handle.await;
        let _ = tell.send((verdict, board.waiting()));
        start.stop.cancelled().await;
        Ok(())
    });
    assert!(matches!(told.await, Ok((Verdict::Done, 1))));
    running.stop().await.unwrap();
}
