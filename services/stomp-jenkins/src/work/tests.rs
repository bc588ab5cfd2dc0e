//! What takes hours, under a paused clock, without a broker or a Jenkins.

use std::{collections::BTreeMap, sync::Arc};

use chassis::{BusSettings, Common, Failure, settings::parse};
use jiff::Timestamp;
use testkit::{Folder, Running};
use world::World;

use super::*;
use crate::{
    board::Known,
    follow::{End, Stage},
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

#[tokio::test(start_paused = true)]
async fn what_is_old_is_forgotten_though_something_comes_more_often_than_that_is_looked_for() {
    let folder = Folder::new();
    folder.write("passcode", "guest");
    folder.write("token", "token");
    let text = format!(
        "state = '{}'\n[jenkins]\nurl = 'http://127.0.0.1:1'\nuser = 'us'\ntoken_file = '{}'\n\
         [[rules]]\nrepository = 'shop'\njob = 'shop'\n",
        folder.join("state").display(),
        folder.join("token").display(),
    );
    let settings: Settings = parse(&text, "test").unwrap().1;
    let common = Common {
        host: Some("hub1".parse().unwrap()),
        bus: BusSettings {
            brokers: vec!["127.0.0.1:1".to_owned()],
            login: Some("guest".to_owned()),
            passcode_file: Some(folder.join("passcode")),
            ..BusSettings::default()
        },
        ..Common::default()
    };
    let old = Followed {
        stage: Stage::Ended { how: End::Good },
        ..wanted("old")
    };
    let board = Arc::new(Board::new(vec![old]));
    let of_service = Arc::clone(&board);
    let serve = async move |mut start: Start<Settings>| -> Result<(), Failure> {
        // Nothing gets its turn.
        start.settings.at_once = 0;
        let jenkins = Jenkins::new(start.settings.jenkins.clone(), start.world.clone()).unwrap();
        let book = Book::open(&start.world, &start.settings.state).await?;
        let outbox = start.settings.state.join("outbox");
        let (outbox, _) = Outbox::open(&start.bus, &start.world, &start.settings.outbox, outbox)
            .await
            .unwrap();
        let work = Work {
            start: &start,
            jenkins: &jenkins,
            book: &book,
            board: &of_service,
            outbox: &outbox,
        };
        work.run().await;
        Ok(())
    };
    let world = World::real().with_inline_disk();
    let running = Running::start("stomp-jenkins", common, settings, world, serve);
    for arrival in ["a", "b", "c"] {
        // waits for 40 minutes of the paused clock
        sleep(40 * MINUTE).await;
        board.add(wanted(arrival));
    }
    running.stop().await.unwrap();
    assert_eq!(board.known("old"), Known::New);
}
