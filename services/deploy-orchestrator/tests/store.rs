//! What outlasts the process.

use deploy_orchestrator::{
    deploy::{About, Deploy},
    known::HostKnown,
    rollout::{Input, Rollout},
    store::{Changes, Store, StoreError, StoredOrder},
};
use events::message::{Fetched, Ordered, Phase, ScriptOutput, Signed, Step};
use tempfile::TempDir;
use uuid::Uuid;
use world::World;

use crate::support::{Story, at, commit, host, hosts};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn signed() -> Signed {
    Signed {
        payload_type: "x".to_owned(),
        payload: "e30=".to_owned(),
        signatures: Vec::new(),
    }
}

/// A deploy that has begun.
fn deploy(id: Uuid) -> Deploy {
    let mut story = Story::deploy("web1 | web2");
    story.begin();
    story.prepared("web1");
    let rollout = Rollout {
        deploy: id,
        ..story.rollout
    };
    let about = About {
        id,
        project: "shop".parse().expect("a project"),
        environment: "prod".parse().expect("an environment"),
        action: rollout.action,
        commit: Some(commit("v2")),
        tag: Some("v2".parse().expect("a tag")),
        undoes: None,
        broke_glass: None,
        reason: Some("because".to_owned()),
        untested: false,
        by: vec!["ann".to_owned()],
        created: at(0),
        targets: hosts("web1 web2"),
        grant: signed(),
        digest: "sha256:00".to_owned(),
    };
    Deploy { about, rollout }
}

fn order(deploy: Uuid, id: u128) -> StoredOrder {
    StoredOrder {
        id: Uuid::from_u128(id),
        deploy,
        expires: at(60),
        ordered: Ordered {
            host: host("web2"),
            project: "shop".parse().expect("a project"),
            phase: Phase::Prepare,
            order: signed(),
            grant: signed(),
            targets: hosts("web1 web2"),
        },
    }
}

const KEEP: usize = 3;

/// A clock that a test sets.
#[derive(Debug)]
struct Stopped(jiff::Timestamp);

impl world::Clock for Stopped {
    fn now(&self) -> jiff::Timestamp {
        self.0
    }
}

async fn open_at(folder: &TempDir, now: jiff::Timestamp) -> Store {
    let mut world = World::real();
    world.clock = std::sync::Arc::new(Stopped(now));
    Store::open(&world, folder.path(), KEEP)
        .await
        .expect("the store opens")
}

/// At the beginning of all time, where counters only count.
async fn open(folder: &TempDir) -> Store {
    open_at(folder, jiff::Timestamp::UNIX_EPOCH).await
}

/// What a table holds.
fn rows(folder: &TempDir, table: &str) -> i64 {
    let file = folder.path().join("orchestrator.sqlite");
    let connection = rusqlite::Connection::open(file).expect("it opens");
    let count = format!("SELECT count(*) FROM {table}");
    let count = connection.query_row(&count, [], |row| row.get(0));
    count.expect("it counts")
}

#[tokio::test]
async fn a_new_process_goes_on_where_the_last_one_was() {
    let folder = folder();
    let id = Uuid::from_u128(1);
    let begun = deploy(id);
    let fetched = Fetched {
        host: host("web1"),
        repository: "shop".parse().expect("a repository"),
        refs: Vec::new(),
        refs_total: 0,
    };
    {
        let store = open(&folder).await;
        assert_eq!(store.load().await.expect("it loads").epoch, 1);
        let changes = Changes {
            deploys: vec![begun.clone()],
            orders: vec![order(id, 10)],
            sequence: Some(41),
            hosts: vec![(
                host("web9"),
                HostKnown {
                    admitted: true,
                    ..HostKnown::default()
                },
            )],
            refs: vec![fetched],
            ..Changes::default()
        };
        store.save(changes).await.expect("it is kept");
        let mut rollout = begun.rollout.clone();
        rollout.step(at(3), Input::Pause);
        // An order that had expired is made anew.
        store
            .save(Changes {
                rollouts: vec![rollout],
                orders: vec![order(id, 11)],
                ..Changes::default()
            })
            .await
            .expect("it is kept");
    }
    let loaded = open(&folder).await.load().await.expect("it loads");
    assert_eq!((loaded.epoch, loaded.sequence), (2, 41));
    assert_eq!(loaded.orders, [order(id, 11)]);
    assert_eq!(loaded.running.len(), 1);
    assert_eq!(loaded.running[0].about, begun.about);
    assert!(loaded.running[0].rollout.paused);
    assert!(loaded.known.hosts[&host("web9")].admitted);
    assert!(
        loaded
            .known
            .refs
            .contains_key(&"shop".parse().expect("a repository"))
    );
}

#[tokio::test]
async fn an_ended_deploy_is_history_and_does_not_go_on() {
    let folder = folder();
    let store = open(&folder).await;
    let ids = [1_u128, 2, 3].map(|n| Uuid::from_u128(n << 8));
    for id in ids {
        let mut deploy = deploy(id);
        deploy.rollout.step(at(1), Input::Abort);
        deploy.rollout.step(at(100), Input::Tick);
        assert!(deploy.rollout.is_ended());
        store
            .save(Changes {
                deploys: vec![deploy],
                ..Changes::default()
            })
            .await
            .expect("it is kept");
    }
    assert!(store.load().await.expect("it loads").running.is_empty());
    let newest = store
        .deploys(Some("shop".parse().expect("a project")), 2)
        .await
        .expect("it lists");
    assert_eq!(
        newest
            .iter()
            .map(|deploy| deploy.about.id)
            .collect::<Vec<_>>(),
        [ids[2], ids[1]]
    );
    assert!(
        store
            .deploys(Some("cart".parse().expect("a project")), 9)
            .await
            .expect("it lists")
            .is_empty()
    );
}

#[tokio::test]
async fn a_deploy_is_found_by_the_beginning_or_the_end_of_its_id() {
    let folder = folder();
    let store = open(&folder).await;
    let id: Uuid = "0193abcd-0000-7000-8000-0000deadbeef"
        .parse()
        .expect("an id");
    store
        .save(Changes {
            deploys: vec![deploy(id)],
            ..Changes::default()
        })
        .await
        .expect("it is kept");
    for (part, found) in [
        ("0193", 1),
        ("deadbeef", 1),
        ("DEADBEEF", 1),
        (&id.to_string(), 1),
        ("dead", 0),
        ("", 0),
        ("%", 0),
        ("_", 0),
    ] {
        assert_eq!(
            store.find(part).await.expect("it looks").len(),
            found,
            "{part:?}"
        );
    }
}

#[tokio::test]
async fn output_comes_back_in_order_once_and_bounded() {
    let folder = folder();
    let store = open(&folder).await;
    let id = Uuid::from_u128(1);
    let piece = |step, offset, text: &str| ScriptOutput {
        host: host("web1"),
        project: "shop".parse().expect("a project"),
        deploy: id,
        step,
        offset,
        text: text.to_owned(),
        cut: false,
    };
    let stranger = ScriptOutput {
        deploy: Uuid::from_u128(99),
        ..piece(Step::Check, 0, "x")
    };
    let output = vec![
        piece(Step::Check, 2, "b"),
        piece(Step::Start, 0, "s"),
        piece(Step::Check, 0, "a\n"),
        piece(Step::Check, 2, "b"),
        piece(Step::Check, 5 << 20, "far too much"),
        stranger,
    ];
    let changes = Changes {
        deploys: vec![deploy(id)],
        output,
        ..Changes::default()
    };
    store.save(changes).await.expect("it is kept");
    let pieces = store
        .output(id, Some(host("web1")), None)
        .await
        .expect("it reads");
    let texts: Vec<_> = pieces
        .iter()
        .map(|piece| (piece.step, piece.offset, piece.text.as_str(), piece.cut))
        .collect();
    let expected = [
        (Step::Start, 0, "s", false),
        (Step::Check, 0, "a\n", false),
        (Step::Check, 2, "b", false),
        (Step::Check, 1 << 20, "", true),
    ];
    assert_eq!(texts, expected);
    assert!(
        store
            .output(id, Some(host("web2")), None)
            .await
            .expect("it reads")
            .is_empty()
    );
    assert_eq!(
        store
            .output(id, None, Some(Step::Start))
            .await
            .expect("it reads")
            .len(),
        1
    );
}

#[tokio::test]
async fn what_fails_half_way_keeps_nothing() {
    let folder = folder();
    let store = open(&folder).await;
    let known = deploy(Uuid::from_u128(1));
    store
        .save(Changes {
            deploys: vec![known.clone()],
            ..Changes::default()
        })
        .await
        .expect("it is kept");
    let again = Changes {
        deploys: vec![deploy(Uuid::from_u128(2)), known],
        sequence: Some(9),
        ..Changes::default()
    };
    assert!(store.save(again).await.is_err(), "the id is taken");
    let loaded = store.load().await.expect("it loads");
    assert_eq!((loaded.running.len(), loaded.sequence), (1, 0));
}

#[tokio::test]
async fn a_second_process_on_the_folder_is_refused_in_one_sentence() {
    let folder = folder();
    let first = open(&folder).await;
    let error = Store::open(&World::real(), folder.path(), KEEP)
        .await
        .expect_err("it is in use");
    let expected = format!(
        "the folder {} is in use by another orchestrator: stop that one, or set another `data`",
        folder.path().display()
    );
    assert_eq!(error.to_string(), expected);
    drop(first);
    open(&folder).await;
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let folder = folder();
    drop(open(&folder).await);
    let file = folder.path().join("orchestrator.sqlite");
    let connection = rusqlite::Connection::open(&file).expect("it opens");
    connection
        .pragma_update(None, "user_version", 999)
        .expect("it is written");
    drop(connection);
    let error = Store::open(&World::real(), folder.path(), KEEP)
        .await
        .expect_err("it is newer");
    assert!(
        matches!(error, StoreError::Newer { found: 999, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_lost_or_restored_database_does_not_go_below_what_agents_have_seen() {
    let first = folder();
    let store = open_at(&first, at(0)).await;
    let seen = store.load().await.expect("it loads");
    drop(store);
    // The same again, a second later, with nothing left.
    let lost = open_at(&folder(), at(1)).await.load().await;
    let lost = lost.expect("it loads");
    assert!(lost.epoch > seen.epoch, "{lost:?}");
    assert!(lost.sequence >= seen.sequence + 1000, "{lost:?}");
    // A clock that was set back takes nothing from what was counted.
    let again = open_at(&first, at(-5000)).await.load().await;
    assert_eq!(again.expect("it loads").epoch, seen.epoch + 1);
}

#[tokio::test]
async fn of_an_ended_deploy_no_orders_are_kept() {
    let folder = folder();
    let store = open(&folder).await;
    let id = Uuid::from_u128(1);
    let mut deploy = deploy(id);
    let changes = Changes {
        deploys: vec![deploy.clone()],
        orders: vec![order(id, 10)],
        ..Changes::default()
    };
    store.save(changes).await.expect("it is kept");
    assert_eq!(rows(&folder, "orders"), 1);
    deploy.rollout.step(at(1), Input::Abort);
    deploy.rollout.step(at(100), Input::Tick);
    assert!(deploy.rollout.is_ended());
    // The last orders may come with the end.
    let changes = Changes {
        rollouts: vec![deploy.rollout],
        orders: vec![order(id, 11)],
        ..Changes::default()
    };
    store.save(changes).await.expect("it is kept");
    assert_eq!(rows(&folder, "orders"), 0);
}

#[tokio::test]
async fn the_newest_deploys_of_each_project_are_kept_and_those_under_way() {
    let folder = folder();
    let store = open(&folder).await;
    let running = Uuid::from_u128(1);
    let kept = |n: u128| Uuid::from_u128(n << 8);
    let save = async |deploy: Deploy| {
        let line = (deploy.about.id, at(1), "it was".to_owned());
        let changes = Changes {
            deploys: vec![deploy],
            lines: vec![line],
            ..Changes::default()
        };
        store.save(changes).await.expect("it is kept");
    };
    save(deploy(running)).await;
    for n in 1..=5 {
        let mut ended = deploy(kept(n));
        ended.rollout.step(at(1), Input::Abort);
        ended.rollout.step(at(100), Input::Tick);
        save(ended).await;
    }
    let mut other = deploy(Uuid::from_u128(2));
    other.about.project = "cart".parse().expect("a project");
    save(other).await;
    let shop = Some("shop".parse().expect("a project"));
    let left = store.deploys(shop, 99).await.expect("it lists");
    let left: Vec<_> = left.iter().map(|deploy| deploy.about.id).collect();
    assert_eq!(left, [kept(5), kept(4), kept(3), running]);
    assert_eq!(rows(&folder, "deploys"), 5);
    assert_eq!(rows(&folder, "lines"), 5);
}

#[tokio::test]
async fn orders_of_the_first_version_are_read_on() {
    let folder = folder();
    let id = Uuid::from_u128(1);
    let changes = Changes {
        deploys: vec![deploy(id)],
        ..Changes::default()
    };
    open(&folder).await.save(changes).await.expect("it is kept");
    let file = folder.path().join("orchestrator.sqlite");
    let connection = rusqlite::Connection::open(file).expect("it opens");
    let first = "DROP TABLE ci;
        DROP TABLE orders;
        CREATE TABLE orders (
            deploy TEXT NOT NULL REFERENCES deploys (id) ON DELETE CASCADE, host TEXT NOT NULL, phase TEXT NOT NULL,
            id TEXT NOT NULL, ordered TEXT NOT NULL, expires TEXT NOT NULL, PRIMARY KEY (deploy, host, phase)
        ) STRICT;
        PRAGMA user_version = 1;";
    connection.execute_batch(first).expect("it is as it was");
    let order = order(id, 10);
    let ordered = serde_json::to_string(&order.ordered).expect("it is JSON");
    let insert = "INSERT INTO orders VALUES (?, 'web2', 'prepare', ?, ?, ?)";
    let row = [
        id.to_string(),
        order.id.to_string(),
        ordered,
        order.expires.to_string(),
    ];
    connection.execute(insert, row).expect("it is written");
    drop(connection);
    let loaded = open(&folder).await.load().await.expect("it loads");
    assert_eq!(loaded.orders, [order]);
}

#[tokio::test]
async fn a_forgotten_host_is_gone_with_its_refs() {
    let folder = folder();
    let store = open(&folder).await;
    let fetched = Fetched {
        host: host("web9"),
        repository: "shop".parse().expect("a repository"),
        refs: Vec::new(),
        refs_total: 0,
    };
    let changes = Changes {
        hosts: vec![(host("web9"), HostKnown::default())],
        refs: vec![fetched],
        ..Changes::default()
    };
    store.save(changes).await.expect("it is kept");
    let changes = Changes {
        forgotten: vec![host("web9")],
        ..Changes::default()
    };
    store.save(changes).await.expect("it is kept");
    assert_eq!((rows(&folder, "hosts"), rows(&folder, "refs")), (0, 0));
}
