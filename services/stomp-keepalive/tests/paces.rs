//! The whole service with the embedded broker, under a paused clock: what is slow, what is lost, what expires.

use std::{sync::Arc, time::Duration};

use broker::Broker;
use chassis::{BusSettings, Common, Metrics, Start};
use stomp_keepalive::{Settings, serve};
use testkit::{Folder, Running};
use tokio::{sync::oneshot, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use world::World;

use crate::wire::Wire;

/// By the paused clock.
const LIMIT: Duration = Duration::from_secs(600);

struct Scene {
    wire: Wire,
    running: Running,
    said: tokio::sync::watch::Receiver<chassis::Said>,
    metrics: Metrics,
    _folder: Folder,
    _broker: JoinSet<()>,
}

impl Scene {
    async fn start() -> Self {
        let wire = Wire::new();
        let mut world = World::real().with_inline_disk();
        world.net = Arc::new(wire.clone());
        let broker = Broker::open(broker::Settings::default(), &world)
            .await
            .unwrap();
        let listener = world.net.listen("").await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            broker
                .run(listener, CancellationToken::new())
                .await
                .expect("it runs");
        });
        let folder = Folder::new();
        folder.write("passcode", "guest");
        let common = Common {
            host: Some("hub1".parse().unwrap()),
            bus: BusSettings {
                login: Some("guest".to_owned()),
                passcode_file: Some(folder.join("passcode")),
                backoff_limit_s: 1,
                ..BusSettings::default()
            },
            ..Common::default()
        };
        let (tell, told) = oneshot::channel();
        let listened = |start: Start<Settings>| {
            let _ = tell.send((start.status.said(), start.bus.metrics().clone()));
            serve(start)
        };
        let settings = Settings {
            eol: vec!["/topic/old.clients".to_owned()],
            ..Settings::default()
        };
        let running = Running::start("stomp-keepalive", common, settings, world, listened);
        let (said, metrics) = told.await.unwrap();
        Self {
            wire,
            running,
            said,
            metrics,
            _folder: folder,
            _broker: tasks,
        }
    }

    async fn says(&mut self, beginning: &str) -> String {
        let so = self.said.wait_for(|said| said.text.starts_with(beginning));
        timeout(LIMIT, so)
            .await
            .expect(beginning)
            .unwrap()
            .text
            .clone()
    }

    fn value(&self, name: &str) -> f64 {
        let text = self.metrics.text();
        let begins = format!("deploykit_{name} ");
        let found = text.lines().find_map(|line| line.strip_prefix(&begins));
        found
            .unwrap_or_else(|| panic!("no {name} in {text}"))
            .parse()
            .unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_bus_is_told_from_a_fast_one_and_measured() {
    let mut scene = Scene::start().await;
    scene.says("round trip 0 ms").await;
    // 1.2 s there and back; the limit is 1 s.
    scene.wire.delay(Duration::from_millis(600));
    let slow = scene.says("slow: round trip 12").await;
    assert!(slow.len() == "slow: round trip 1200 ms".len(), "{slow}");
    scene.wire.delay(Duration::from_millis(50));
    scene.says("round trip 10").await;
    let count = scene.value("bus_round_trip_seconds_count");
    let sum = scene.value("bus_round_trip_seconds_sum");
    assert!(count >= 3.0 && (1.2..5.0).contains(&sum), "{count} {sum}");
    assert!(scene.value("bus_round_trip_seconds_bucket{le=\"0.001\"}") >= 1.0);
    assert!(scene.value("bus_line_ends_total") >= 2.0);
    assert_eq!(scene.value("bus_beats_lost_total"), 0.0);
    scene.running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_is_away_loses_beats_and_is_well_again_when_it_is_back() {
    let mut scene = Scene::start().await;
    scene.says("round trip ").await;
    scene.wire.cut();
    scene.says("slow: no beat is back for ").await;
    scene.says("lost: no beat is back for ").await;
    assert!(scene.value("bus_beats_lost_total") >= 1.0);
    scene.wire.delay(Duration::ZERO);
    scene.says("round trip ").await;
    scene.running.stop().await.unwrap();
}
