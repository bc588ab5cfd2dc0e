//! What was begun goes on by its run folder, whatever the settings and files say by then.

use std::{collections::BTreeMap, fs, sync::Arc};

use deploy_agent::{
    machine::{End, Outcome},
    run_folder::{RunFolder, Spec, Status},
    steps::{Work, act},
};
use events::message::Step;
use tokio_util::sync::CancellationToken;
use world::RealDisk;

use crate::{laying_out::work, manifest::Place};

/// A try of a step that an agent began and whose script is over; what is asked of it now, when these terms apply.
async fn resumed(step: Step, terms: &str, status: &Status) -> Outcome {
    let place = Place::new();
    let commit = place.commit(&[("other", "x")]);
    assert_eq!(place.prepare(&commit, "one").await.end, End::Ok);
    fs::write(place.layout().manifest("one"), terms).expect("written");
    let work = Work {
        step,
        ..work(&commit)
    };
    let name = format!("{}-{step}-{}", work.asked.order, work.attempt);
    let run = RunFolder::at(place.layout().step(&name));
    let spec = Spec {
        // As of `from = "host"`, which the settings do not say any more.
        program: "/etc/gone".into(),
        args: Vec::new(),
        folder: "/".into(),
        user: None,
        env: BTreeMap::new(),
        limit_s: 20,
        grace_s: 1,
        flush: false,
    };
    run.make(&RealDisk, &spec).expect("made");
    run.begin(&RealDisk).expect("begun");
    fs::write(run.output(), "it is up\n").expect("written");
    run.finish(&RealDisk, status).expect("over");
    act(Arc::clone(&place.site), work, CancellationToken::new()).await
}

#[tokio::test]
async fn a_script_that_was_begun_counts_as_it_ended_though_it_is_not_there_any_more() {
    let status = Status {
        exit: Some(0),
        ..Status::default()
    };
    let unknown = "later = 1";
    let bad_check = "[[check]]\ntcp = '127.0.0.1:1'\ntries = 1";
    for (step, terms) in [
        (Step::Start, ""),
        (Step::Start, unknown),
        (Step::Check, ""),
        (Step::Check, bad_check),
    ] {
        let outcome = resumed(step, terms, &status).await;
        let detail = outcome.detail.as_deref();
        assert_eq!(
            (outcome.end, outcome.exit, detail),
            (End::Ok, Some(0), Some("it is up")),
            "{step} {terms}"
        );
    }
    let failed = Status {
        exit: Some(3),
        ..Status::default()
    };
    let outcome = resumed(Step::Stop, "", &failed).await;
    assert_eq!((outcome.end, outcome.exit), (End::Failed, Some(3)));
}
