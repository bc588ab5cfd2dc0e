//! A message that crashes the service each time it is handled, beside others that do not.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use chassis::{Handler, Inbox, Listen, Verdict, bus::DELIVERY_LIMIT, consume};
use events::{Envelope, Topic, message::Beat};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    faulty::{Fate, Faulty},
    peer::{OnSend, Peer, Tester, until, within},
};

const REPORTS: &str = "/topic/deploykit.deploy.reports";

fn beat(number: u64) -> Beat {
    Beat {
        from: "hub1".to_owned(),
        number,
        last_round_trip_ms: None,
    }
}

struct Site {
    peer: Peer,
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        Self {
            peer: Peer::new(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("reports.in-hand")
    }

    /// A start of the service.
    async fn start(&self) -> (Tester, Inbox) {
        let tester = Tester::new(&self.peer);
        let listen = Listen::durable(Topic::DeployReports, "deploykit.tester.hub1".to_owned());
        let inbox = tester.bus.listen(listen.counted_in(&self.file())).await;
        (tester, inbox)
    }

    /// Brings the messages that the broker keeps, numbered from 0.
    fn bring(&self, tester: &Tester, messages: u64) -> Vec<Uuid> {
        let sealed = (0..messages).map(|number| tester.bus.seal(&beat(number)).unwrap());
        let bring = |envelope: Envelope| {
            self.peer.bring(REPORTS, envelope.to_bytes());
            envelope.id
        };
        sealed.map(bring).collect()
    }
}

fn number(envelope: &Envelope) -> u64 {
    envelope.open::<Beat>().unwrap().number
}

/// `kill -9`: nothing is said any more, nothing is dropped in good order.
fn crash(site: &Site, tester: Tester, held: impl Sized) {
    std::mem::forget(held);
    tester.crash();
    site.peer.leave();
    site.peer.come_back();
}

#[tokio::test(start_paused = true)]
async fn a_message_that_crashes_the_service_ends_as_a_dead_letter_and_others_are_handled() {
    let site = Site::new();
    let mut handled = Vec::new();
    let mut starts = 0;
    let mut ids = Vec::new();
    loop {
        let (tester, mut inbox) = site.start().await;
        if starts == 0 {
            ids = site.bring(&tester, 5);
        }
        starts += 1;
        let crashed = loop {
            let all_done = async {
                let so = || site.peer.acknowledged() == [true; 5];
                until("all are acknowledged", so).await;
            };
            let delivery = tokio::select! {
                delivery = inbox.next() => delivery.unwrap(),
                () = all_done => break None,
            };
            match number(delivery.envelope().unwrap()) {
                2 => break Some(delivery),
                number => {
                    delivery.ack().await;
                    let so = || site.peer.acknowledged()[usize::try_from(number).unwrap()];
                    until("the broker has heard it", so).await;
                    handled.push(number);
                }
            }
        };
        match crashed {
            Some(delivery) => crash(&site, tester, (inbox, delivery)),
            None => {
                inbox.close().await;
                tester.disconnect().await;
                break;
            }
        }
        assert!(starts <= 20, "it goes on crashing");
    }
    assert_eq!(handled, [0, 1, 3, 4]);
    assert_eq!(starts, DELIVERY_LIMIT + 1);
    let letter = site.peer.sent()[0].envelope();
    let letter: events::message::DeadLetter = letter.open().unwrap();
    assert!(
        letter.cause.contains("crashed 8 times with it in hand"),
        "{}",
        letter.cause
    );
    assert!(letter.body.contains(&ids[2].to_string()));
    assert_eq!(site.peer.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_innocent_are_not_counted_twice() {
    let site = Site::new();
    let (tester, mut inbox) = site.start().await;
    let ids = site.bring(&tester, 10);
    // A crash with all of them in hand.
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(within(inbox.next()).await.unwrap());
    }
    crash(&site, tester, (inbox, held));
    // From then on one at a time: the first is in hand at each crash, the others are not.
    for _ in 1..DELIVERY_LIMIT {
        let (tester, mut inbox) = site.start().await;
        let first = within(inbox.next()).await.unwrap();
        assert_eq!(first.id(), Some(ids[0]));
        let beside = tokio::time::timeout(std::time::Duration::from_secs(50), inbox.next()).await;
        assert!(beside.is_err(), "nothing is given out beside a suspect");
        crash(&site, tester, (inbox, first));
    }
    let (tester, mut inbox) = site.start().await;
    for id in &ids[1..] {
        let next = within(inbox.next()).await.unwrap();
        assert_eq!(next.id(), Some(*id));
        next.ack().await;
    }
    let more = tokio::time::timeout(std::time::Duration::from_secs(1), inbox.next()).await;
    assert!(more.is_err());
    assert_eq!(site.peer.sent().len(), 1);
    assert_eq!(site.peer.acknowledged(), [true; 10]);
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_suspect_that_is_held_for_long_does_not_hold_up_the_others_for_ever() {
    let site = Site::new();
    let (tester, mut inbox) = site.start().await;
    site.bring(&tester, 3);
    let first = within(inbox.next()).await.unwrap();
    crash(&site, tester, (inbox, first));
    let (tester, mut inbox) = site.start().await;
    let began = tokio::time::Instant::now();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(within(inbox.next()).await.unwrap());
    }
    assert!(began.elapsed().as_secs() <= 130, "{:?}", began.elapsed());
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_no_crash() {
    let site = Site::new();
    for start in 0..2 * DELIVERY_LIMIT {
        let (tester, mut inbox) = site.start().await;
        if start == 0 {
            site.bring(&tester, 1);
        }
        let _held = within(inbox.next()).await.unwrap();
        inbox.close().await;
        tester.disconnect().await;
    }
    assert!(site.peer.sent().is_empty(), "no dead letter");
}

#[tokio::test(start_paused = true)]
async fn what_was_let_go_of_is_not_in_hand_at_a_crash() {
    let site = Site::new();
    let (tester, mut inbox) = site.start().await;
    let ids = site.bring(&tester, 1);
    drop(within(inbox.next()).await.unwrap());
    // It is noted with the next message.
    let culprit = site.bring(&tester, 1);
    let held = within(inbox.next()).await.unwrap();
    crash(&site, tester, (inbox, held));
    let (tester, mut inbox) = site.start().await;
    let text = std::fs::read_to_string(site.file()).unwrap();
    assert_eq!(text, format!("crashed {} 1\n", culprit[0]));
    let first = within(inbox.next()).await.unwrap();
    assert_eq!(first.id(), Some(ids[0]));
    tester.disconnect().await;
}

struct Never;
impl Handler for Never {
    async fn handle(&mut self, _: &Envelope) -> Verdict {
        Verdict::Again("not now".to_owned())
    }
}

#[tokio::test(start_paused = true)]
async fn the_run_loop_stops_in_good_order() {
    let site = Site::new();
    for start in 0..=DELIVERY_LIMIT {
        let (tester, inbox) = site.start().await;
        if start == 0 {
            site.bring(&tester, 1);
        }
        let stop = CancellationToken::new();
        let stopping = async {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            stop.cancel();
        };
        let mut never = Never;
        let (ended, ()) = tokio::join!(consume(&mut never, inbox, &tester.bus, &stop), stopping);
        ended.unwrap();
        tester.disconnect().await;
    }
    assert!(site.peer.sent().is_empty(), "no dead letter");
    assert_eq!(site.peer.acknowledged(), [false]);
}

#[tokio::test(start_paused = true)]
async fn a_torn_or_strange_file_costs_no_message() {
    let table: [&[u8]; 4] = [
        b"given 0190",
        b"\xff\xfe\0\0",
        b"crashed 00000000-0000-0000-0000-000000000001 8\ngiven",
        &vec![b'x'; 2 * 1024 * 1024],
    ];
    for bytes in table {
        let site = Site::new();
        std::fs::write(site.file(), bytes).unwrap();
        let (tester, mut inbox) = site.start().await;
        site.bring(&tester, 1);
        within(inbox.next()).await.unwrap().ack().await;
        let size = std::fs::metadata(site.file()).unwrap().len();
        assert!(size < 1024, "{size} bytes");
        tester.disconnect().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_written_costs_no_message_and_the_file_stays_small() {
    let site = Site::new();
    let missing = Path::new("/nowhere/in-hand");
    let tester = Tester::new(&site.peer);
    let listen = Listen::durable(Topic::DeployReports, "deploykit.tester.hub1".to_owned());
    let mut inbox = tester.bus.listen(listen.counted_in(missing)).await;
    site.bring(&tester, 1);
    within(inbox.next()).await.unwrap().ack().await;
    drop(inbox);
    tester.disconnect().await;

    let site = Site::new();
    let (tester, mut inbox) = site.start().await;
    site.bring(&tester, 1000);
    for _ in 0..1000 {
        within(inbox.next()).await.unwrap().ack().await;
    }
    let size = std::fs::metadata(site.file()).unwrap().len();
    assert!(size < 20 * 1024, "{size} bytes after 1000 messages");
    tester.disconnect().await;
}

/// The next message, for a reader that also has something else to do each time it looks.
async fn next_beside_a_flood(inbox: &mut Inbox) -> chassis::Delivery {
    let flooded = async {
        loop {
            tokio::select! {
                biased;
                delivery = inbox.next() => return delivery.unwrap(),
                () = std::future::ready(()) => tokio::task::yield_now().await,
            }
        }
    };
    let limit = std::time::Duration::from_secs(20);
    let next = tokio::time::timeout(limit, flooded).await;
    next.expect("a message is given out beside a flood")
}

#[tokio::test]
async fn a_reader_that_is_always_cancelled_gets_its_messages_all_the_same() {
    let site = Site::new();
    let mut world = world::World::real();
    world.net = site.peer.world().net;
    // On a thread, and never done at once: each note writes the whole file.
    world.disk = Arc::new(Faulty::new(|step, _| {
        // waits for nothing: it is a slow disk
        std::thread::sleep(std::time::Duration::from_millis(5));
        match step {
            "open_log" => Fate::Fails,
            _ => Fate::Done,
        }
    }));
    let tester = Tester::in_world(world, chassis::BusSettings::default());
    let listen = Listen::durable(Topic::DeployReports, "deploykit.tester.hub1".to_owned());
    let mut inbox = tester.bus.listen(listen.counted_in(&site.file())).await;
    let envelope = tester.bus.seal(&beat(0)).unwrap();
    for number in 0..4 {
        // The first comes twice.
        let body = match number {
            0 | 1 => envelope.to_bytes(),
            _ => tester.bus.seal(&beat(number)).unwrap().to_bytes(),
        };
        site.peer.bring(REPORTS, body);
    }
    for wanted in [0, 2, 3] {
        let delivery = next_beside_a_flood(&mut inbox).await;
        assert_eq!(number(delivery.envelope().unwrap()), wanted);
        delivery.ack().await;
    }
    until("all are acknowledged", || {
        site.peer.acknowledged() == [true; 4]
    })
    .await;
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_dead_letter_of_what_crashes_the_service_is_tried_each_half_minute() {
    let site = Site::new();
    let (tester, inbox) = site.start().await;
    let id = site.bring(&tester, 1)[0];
    inbox.close().await;
    tester.disconnect().await;
    std::fs::write(site.file(), format!("crashed {id} {DELIVERY_LIMIT}\n")).unwrap();
    site.peer.on_send(OnSend::Refuse);
    let (tester, mut inbox) = site.start().await;
    let ten_minutes = std::time::Duration::from_secs(600);
    let given = tokio::time::timeout(ten_minutes, inbox.next()).await;
    assert!(given.is_err(), "it is not given out");
    let tries = site.peer.sent().len();
    assert!((10..=21).contains(&tries), "{tries} tries");
    let said = format!("{inbox:?}");
    assert!(said.contains("waiting: 1 "), "its twins are one: {said}");
    site.peer.on_send(OnSend::Confirm);
    let given = tokio::time::timeout(ten_minutes, inbox.next()).await;
    assert!(given.is_err(), "it is not given out");
    assert_eq!(site.peer.acknowledged(), [true]);
    assert_eq!(site.peer.sent().len(), tries + 1);
    tester.disconnect().await;
}
