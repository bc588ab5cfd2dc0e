//! How many reports wait, as metrics.

use std::{sync::Arc, time::Duration};

use chassis::{Bus, BusSettings};
use deploy_agent::{
    machine::{End, Outcome},
    tell::Reports,
};
use events::message::{Phase, Reported, State};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use world::World;

fn report(order: u128, number: u64) -> Reported {
    Reported {
        host: "web1".parse().expect("a host name"),
        project: "shop".parse().expect("the name of a project"),
        order: Uuid::from_u128(order),
        deploy: Uuid::nil(),
        phase: Phase::Prepare,
        number,
        state: State::Accepted,
        steps: Vec::new(),
        live: None,
        previous: None,
        broke_glass: None,
        head: None,
        unbelieved: None,
    }
}

#[tokio::test(start_paused = true)]
async fn reports_that_wait_are_counted_and_so_is_what_is_left_out() {
    let host = "web1".parse().unwrap();
    let (bus, _connection) =
        Bus::new("tester", &host, BusSettings::default(), World::real()).unwrap();
    let reports = Arc::new(Reports::default());
    reports.measure(bus.metrics());
    let value = |name: &str| -> f64 {
        let text = bus.metrics().text();
        let name = format!("deploykit_reports_{name} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap_or_else(|| panic!("no {name}in {text}"))
            .parse()
            .unwrap()
    };
    assert_eq!((value("waiting"), value("oldest_age_seconds")), (0.0, 0.0));
    let (project, _mail) = mpsc::channel(1);
    reports.tell(report(1, 1), &project);
    tokio::time::advance(Duration::from_secs(60)).await;
    // A newer one takes its place and is as old, for that is how long nobody has heard of the order.
    reports.tell(report(1, 2), &project);
    reports.tell(report(2, 1), &project);
    assert_eq!((value("waiting"), value("oldest_age_seconds")), (2.0, 60.0));
    for order in 3..=1026 {
        reports.tell(report(order, 1), &project);
    }
    assert_eq!((value("waiting"), value("left_out_total")), (1024.0, 2.0));
    // There is always room for what replaces another one.
    reports.tell(report(2, 2), &project);
    assert_eq!(value("left_out_total"), 2.0);
}

#[tokio::test(start_paused = true)]
async fn a_report_that_cannot_be_sent_does_not_count_as_told() {
    let host = "web1".parse().unwrap();
    let (bus, _connection) =
        Bus::new("tester", &host, BusSettings::default(), World::real()).unwrap();
    let (reports, stop) = (Reports::default(), CancellationToken::new());
    let (project, mut mail) = mpsc::channel(1);
    let reason = "x".repeat(1 << 20);
    let long = Reported {
        state: State::Failed { reason },
        ..report(1, 1)
    };
    reports.tell(long, &project);
    let heard = async {
        let heard = timeout(Duration::from_secs(300), mail.recv()).await;
        stop.cancel();
        assert!(heard.is_err(), "no broker has taken it, not even in short");
    };
    tokio::join!(reports.deliver(&bus, &stop), heard);
}

#[test]
fn what_a_step_failed_with_is_cut() {
    let detail = |text: String| Outcome::of(End::Failed, Some(text)).detail;
    assert_eq!(detail("ü".repeat(400)), Some("ü".repeat(400)));
    let cut = "ü".repeat(399) + "…";
    assert_eq!(detail("ü".repeat(1 << 20)), Some(cut));
}
