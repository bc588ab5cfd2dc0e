//! What waits on the disk of a service while the broker is killed.

use std::ops::RangeInclusive;

use chassis::outbox::{Outbox, OutboxSettings, Waiting, drop_off};
use events::{Topic, message::Fetched};
use testkit::{Folder, LONG, Member, until};
use tokio_util::sync::CancellationToken;
use world::World;

use crate::{
    durable::numbered,
    site::{Site, WEB1, WEB2},
};

/// Left by hooks before anybody delivers: many windows of 64.
const BEFORE: usize = 3_000;

/// What one hook leaves.
const EACH: usize = 50;

/// Appended while the broker is away.
const MEANWHILE: usize = 3_100;

/// Appended after it is back.
const ALL: usize = 3_200;

/// So many have been heard when the broker is killed.
const KILLED_AFTER: usize = 100;

pub(crate) async fn what_an_outbox_took_arrives_in_its_order_through_a_kill(site: &mut Site) {
    let (world, folder) = (World::real(), Folder::new());
    let settings = OutboxSettings::default();
    let waiting = |number| {
        let sealed = Waiting::seal(&numbered(number), "/conformance", &world);
        sealed.expect("it fits a frame")
    };
    let left: Vec<Waiting> = (1..=BEFORE).map(waiting).collect();
    for left in left.chunks(EACH) {
        let left = drop_off(&world, folder.path(), settings.limits(), left);
        left.expect("there is room");
    }

    let reader = Member::connect("conf-outbox-reader", site.common(WEB1)).await;
    let mut ear = reader.listen_durably(Topic::GitFetched).await;
    let writer = Member::connect("conf-outbox", site.common(WEB2)).await;
    let opened = Outbox::open(&writer.bus, &world, &settings, folder.path());
    let (outbox, keeper) = opened.await.expect("the folder is there");
    let append = async |numbers: RangeInclusive<usize>| {
        for number in numbers {
            let taken = outbox.append_waiting(&waiting(number)).await;
            taken.expect("there is room");
        }
    };
    let mut heard = Vec::new();
    let story = async {
        let number = |heard: Fetched| heard.refs_total;
        while heard.len() < KILLED_AFTER {
            heard.push(number(ear.hear(|_: &Fetched| true).await));
        }
        site.broker.kill().await;
        let waits = outbox.holds().0;
        assert!(waits > 2 * EACH, "nearly all had gone out before the kill");
        append(BEFORE + 1..=MEANWHILE).await;
        site.broker.start_again().await;
        append(MEANWHILE + 1..=ALL).await;
        while heard.last() != Some(&ALL) {
            heard.push(number(ear.hear(|_: &Fetched| true).await));
        }
        let empty = || async { (outbox.holds().0 == 0).then_some(()) };
        until("the outbox is empty", LONG, empty).await;
    };
    let stop = CancellationToken::new();
    tokio::select! {
        () = story => {}
        () = keeper.run(&stop) => {}
    }
    // The inbox folds what comes twice.
    let all: Vec<usize> = (1..=ALL).collect();
    assert!(heard == all, "{}", first_difference(&heard, &all));
}

fn first_difference(heard: &[usize], all: &[usize]) -> String {
    let same = heard.iter().zip(all).take_while(|(a, b)| a == b).count();
    let end = heard.len().min(same + 20);
    format!("after {same} came {:?}", &heard[same..end])
}
