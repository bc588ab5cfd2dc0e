//! `kill -9` before, within and after each change.

use std::{path::PathBuf, sync::Arc};

use crash::{Kill, Logged, Plan, When};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    host::Host,
    oracle::{Cause, judge},
    scene::{Scene, Sent, Site},
};

/// How many hosts crash at once: each waits most of its time.
pub(crate) const AT_ONCE: usize = 6;

/// A scene as it goes when nothing disturbs it: where it begins, what is sent, which changes it makes.
#[derive(Debug)]
pub(crate) struct Undisturbed {
    pub(crate) scene: Scene,
    pub(crate) image: crash::sim::Image,
    /// Where it was.
    pub(crate) folder: PathBuf,
    pub(crate) orders: Vec<Sent>,
    pub(crate) log: Vec<Logged>,
    pub(crate) ledger: Vec<u8>,
}

impl Undisturbed {
    pub(crate) async fn of(site: &Site, scene: Scene) -> Self {
        let (image, orders) = site.begin(scene).await;
        let host = Host::with(site, &image, b"");
        host.plan(&Plan::Record);
        let heard = host.play(&orders).await;
        let wrong = judge(site, scene, &orders, &host, &heard, Cause::None);
        assert_eq!(wrong, [""; 0], "{scene:?}, undisturbed");
        Self {
            scene,
            image,
            folder: host.path().to_owned(),
            orders,
            log: host.log(),
            ledger: host.ledger(),
        }
    }
}

/// Runs them all, a few at once; gives what was wrong with each.
pub(crate) async fn all<F>(points: impl IntoIterator<Item = F>) -> (usize, Vec<String>)
where
    F: Future<Output = Vec<String>> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for point in points {
        let room = Arc::clone(&room);
        running.spawn(async move {
            let _place = room.acquire().await.expect("it is not closed");
            point.await
        });
    }
    let (mut count, mut wrong) = (0, Vec::new());
    while let Some(done) = running.join_next().await {
        count += 1;
        wrong.extend(done.expect("a point does not panic"));
    }
    (count, wrong)
}

async fn killed(scene: Scene) {
    let site = Arc::new(Site::new());
    let way = Arc::new(Undisturbed::of(&site, scene).await);
    let kills = way.log.iter().flat_map(|logged| {
        let within = logged.change.has_parts().then_some(When::Within);
        let whens = [Some(When::Before), within, Some(When::After)];
        whens.into_iter().flatten().map(|when| Kill {
            name: logged.name.clone(),
            when,
        })
    });
    let points = kills.map(|kill| {
        let (site, way) = (Arc::clone(&site), Arc::clone(&way));
        async move {
            let host = Host::with(&site, &way.image, b"");
            host.plan(&Plan::Kill(kill.clone()));
            let heard = host.play(&way.orders).await;
            let cause = match kill.name.starts_with("agent: ") {
                true => Cause::Agent,
                false => Cause::Script,
            };
            let mut wrong = judge(&site, way.scene, &way.orders, &host, &heard, cause);
            if !host.fired() {
                wrong.push("it was never come to".to_owned());
            }
            let at = format!("killed {:?} {}", kill.when, kill.name);
            wrong
                .into_iter()
                .map(|wrong| format!("{at}: {wrong}"))
                .collect()
        }
    });
    let (count, wrong) = all(points.collect::<Vec<_>>()).await;
    eprintln!(
        "{scene:?}: {} changes, killed at {count} points",
        way.log.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_first_deploy_survives_a_kill_at_every_change() {
    killed(Scene::FirstDeploy).await;
}

#[tokio::test]
async fn a_deploy_survives_a_kill_at_every_change() {
    killed(Scene::Deploy).await;
}

#[tokio::test]
async fn putting_back_survives_a_kill_at_every_change() {
    killed(Scene::PutBack).await;
}

#[tokio::test]
async fn a_rollback_survives_a_kill_at_every_change() {
    killed(Scene::Rollback).await;
}

#[tokio::test]
async fn a_rollback_in_the_middle_of_a_deploy_survives_a_kill_at_every_change() {
    killed(Scene::Preempt).await;
}
