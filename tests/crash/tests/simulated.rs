//! Power loss at each change, on a simulated disk.

use std::{collections::BTreeSet, sync::Arc};

use crash::{
    Logged,
    sim::{Image, Loss, Sim},
};

use crate::{
    crashes::{Undisturbed, all},
    host::Host,
    oracle::{Cause, crashed, judge},
    scene::{Scene, Site},
};

/// A disk after a power loss.
struct Left {
    at: String,
    image: Image,
    ledger_bytes: usize,
}

/// All disks that a power loss can leave, each once.
fn left(way: &Undisturbed) -> Vec<Left> {
    let mut sim = Sim::holding(&way.image);
    let mut seen = BTreeSet::new();
    let mut left = Vec::new();
    for (
        at,
        Logged {
            name,
            change,
            ledger_bytes,
        },
    ) in way.log.iter().enumerate()
    {
        let mut within = sim.clone();
        within.apply_part(change);
        sim.apply(change);
        let seed = at as u64;
        let losses = [
            Loss::All,
            Loss::Bytes,
            Loss::Nothing,
            Loss::Chance(seed),
            Loss::Chance(!seed),
        ];
        for (disk, when) in [(&within, "within"), (&sim, "after")] {
            for loss in losses {
                let image = disk.after(loss);
                let ledger_bytes = usize::try_from(*ledger_bytes).expect("it is small");
                if seen.insert((image.digest(), ledger_bytes)) {
                    let at = format!("{when} {name}, {loss:?} lost");
                    left.push(Left {
                        at,
                        image,
                        ledger_bytes,
                    });
                }
            }
        }
    }
    left
}

async fn lost(scene: Scene) {
    let site = Arc::new(Site::new());
    let way = Arc::new(Undisturbed::of(&site, scene).await);
    let points = left(&way).into_iter().map(|left| {
        let (site, way) = (Arc::clone(&site), Arc::clone(&way));
        async move {
            let host = Host::with_moved(
                &site,
                &left.image,
                &way.folder,
                &way.ledger[..left.ledger_bytes],
            );
            let mut wrong = crashed(&host);
            let heard = host.play(&way.orders).await;
            wrong.extend(judge(
                &site,
                way.scene,
                &way.orders,
                &host,
                &heard,
                Cause::Script,
            ));
            let told = wrong.into_iter();
            told.map(|wrong| format!("power lost {}: {wrong}", left.at))
                .collect()
        }
    });
    let (count, wrong) = all(points.collect::<Vec<_>>()).await;
    eprintln!(
        "{scene:?}: {} changes, {count} disks after a power loss",
        way.log.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_first_deploy_survives_a_power_loss_at_every_change() {
    lost(Scene::FirstDeploy).await;
}

#[tokio::test]
async fn a_deploy_survives_a_power_loss_at_every_change() {
    lost(Scene::Deploy).await;
}

#[tokio::test]
async fn putting_back_survives_a_power_loss_at_every_change() {
    lost(Scene::PutBack).await;
}

#[tokio::test]
async fn a_rollback_survives_a_power_loss_at_every_change() {
    lost(Scene::Rollback).await;
}

#[tokio::test]
async fn a_rollback_in_the_middle_of_a_deploy_survives_a_power_loss_at_every_change() {
    lost(Scene::Preempt).await;
}
