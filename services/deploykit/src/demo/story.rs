//! The story of the demo: what is done, and what must then be true on disk.

mod killed;
mod red;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use deploy_orchestrator::api::{Action, DeployState, DeployView, HostView, PlanRequest, TagView};
use events::HostName;
use world::World;

use super::{
    checker::{self, LiveLink},
    ci::Ci,
    claims::{canary_first, canary_put_back, is, state_is},
    source::{Release, Source},
    webhook,
};
use crate::{
    ask::Session,
    cli::Ask,
    failure::Failure,
    home::Home,
    layout::Broker,
    pipeline::Pipeline,
    screen::{BAD, BOLD, GOOD, Progress, paint, say},
};

/// A push must be in all mirrors within this time.
const FETCH_LIMIT: Duration = Duration::from_secs(15);
/// And within this time over another broker, on which not everybody may have been subscribed when the push was announced:
/// the slow timer of 30 s finds it.
const FETCH_LIMIT_ELSEWHERE: Duration = Duration::from_secs(45);
/// All agents must be heard within this time.
const PRESENCE_LIMIT: Duration = Duration::from_secs(30);
/// How often the orchestrator is asked whether it is so.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Performs the story. Returns how many claims were verified.
///
/// # Errors
/// At the first claim that is not true: names it.
pub async fn tell(pipeline: &Pipeline, source: &Source, world: &World) -> Result<usize, Failure> {
    let home = Home {
        socket: pipeline.layout.socket(),
        key_file: pipeline.layout.trust().operator_key,
        broker: None,
        environments: BTreeMap::new(),
        groups: BTreeMap::new(),
    };
    let session = Session::new(home, Some(&pipeline.layout.data), world)?;
    let mut story = Story {
        pipeline,
        source,
        world,
        session,
        ci: Ci::new(pipeline, source, world),
        verified: 0,
        chapter: 0,
    };
    story.all_present().await?;
    story.pushes().await?;
    story.red_build().await?;
    story.webhook().await?;
    let (first, second) = (&source.first, &source.second);
    story.chapter(&format!(
        "Deploy {}: one server first (the canary), then the rest",
        first.tag
    ));
    story.deploys(first).await?;
    story.survives(second).await?;
    story.bad_release().await?;
    story.rolls_back().await?;
    Ok(story.verified)
}

struct Story<'a> {
    pipeline: &'a Pipeline,
    source: &'a Source,
    world: &'a World,
    session: Session<'a>,
    ci: Ci<'a>,
    verified: usize,
    chapter: usize,
}

impl Story<'_> {
    fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        say(format!(
            "\n{}",
            paint(BOLD, format!("{}. {title}", self.chapter))
        ));
    }

    /// Tells a claim with its outcome; a false one ends the story.
    fn claim(&mut self, text: &str, truth: Result<(), String>) -> Result<(), Failure> {
        match truth {
            Ok(()) => {
                self.verified += 1;
                say(format!("   {} {text}", paint(GOOD, "✓")));
                Ok(())
            }
            Err(why) => {
                say(format!("   {} {text}", paint(BAD, "✗")));
                Err(Failure::Failed(format!("not so: {text}: {why}")))
            }
        }
    }

    /// Everybody is on the bus: who is not yet would not hear the first push, and find it only by its slow timer.
    async fn all_present(&self) -> Result<(), Failure> {
        let all = async {
            loop {
                let hosts: Vec<HostView> = self.session.get("/api/v1/hosts").await?;
                let there =
                    |host: &HostName| hosts.iter().any(|view| view.host == *host && view.present);
                if self.pipeline.layout.hosts.iter().all(there) {
                    return Ok(());
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        let limit = PRESENCE_LIMIT.as_secs();
        let all = tokio::time::timeout(PRESENCE_LIMIT, all).await;
        all.unwrap_or_else(|_| {
            Err(Failure::Failed(format!(
                "not all hosts were on the bus after {limit} s"
            )))
        })
    }

    async fn pushes(&mut self) -> Result<(), Failure> {
        self.chapter("A developer pushes; the repository's post-receive hook announces it");
        self.source
            .install_hook(
                &self.pipeline.layout.data,
                &self.pipeline.layout.spool(),
                self.world,
            )
            .await?;
        let first = &self.source.first;
        self.push(first).await?;
        self.builds(first).await?;
        self.mirrored(first).await
    }

    async fn push(&self, release: &Release) -> Result<(), Failure> {
        self.source
            .push(&self.pipeline.layout.data, release, self.world)
            .await?;
        say(format!(
            "   git push: {} is commit {}",
            release.tag,
            release.commit.short()
        ));
        Ok(())
    }

    fn mirror(&self, host: &HostName) -> git::Mirror {
        let base = self.pipeline.layout.base(host);
        let folder = git::mirror_folder(&base, &self.source.repository);
        git::Mirror::at(folder, &git::Git::new(self.world))
    }

    async fn webhook(&mut self) -> Result<(), Failure> {
        self.chapter("Another push, announced by a signed GitHub webhook");
        let source = self.source;
        let release = &source.broken;
        source.remove_hook(self.world)?;
        self.push(release).await?;
        let secret = self
            .world
            .disk
            .read(&self.pipeline.layout.trust().webhook_secret())?;
        let secret = secret.trim_ascii_end();
        let to = self.pipeline.webhooks;
        let forged = webhook::send(
            to,
            b"not the secret",
            &source.repository,
            &release.tag,
            &release.commit,
        )
        .await?;
        self.claim(
            "a webhook with a wrong signature is refused (401)",
            is(401, forged),
        )?;
        let signed = webhook::send(
            to,
            secret,
            &source.repository,
            &release.tag,
            &release.commit,
        )
        .await?;
        self.claim("the signed one is accepted (202)", is(202, signed))?;
        self.builds(release).await?;
        self.mirrored(release).await
    }

    /// The orchestrator has heard that all hosts have it, and their mirrors really do.
    async fn mirrored(&mut self, release: &Release) -> Result<(), Failure> {
        let limit = match self.pipeline.layout.broker {
            Broker::Embedded(_) => FETCH_LIMIT,
            Broker::Elsewhere(_) => FETCH_LIMIT_ELSEWHERE,
        };
        let heard = tokio::time::timeout(limit, self.on_all_hosts(release)).await;
        heard.map_err(|_| {
            Failure::Failed(format!(
                "{} was not on all hosts after {} s",
                release.tag,
                limit.as_secs()
            ))
        })??;
        let mut truth = Ok(());
        for host in &self.pipeline.layout.hosts {
            let found = self
                .mirror(host)
                .resolve(&events::RefName::tag(&release.tag))
                .await
                .map_err(|error| Failure::Failed(chassis::causes(&error)))?;
            if found.as_ref() != Some(&release.commit) {
                truth = Err(format!("the mirror on {host} has {found:?}"));
            }
        }
        self.claim(
            &format!("the mirrors on {} have {}", self.names(), release.tag),
            truth,
        )
    }

    async fn on_all_hosts(&self, release: &Release) -> Result<(), Failure> {
        loop {
            let tags: Vec<TagView> = self
                .session
                .get(&format!("/api/v1/projects/{}/tags", self.source.project))
                .await?;
            let everywhere = |tag: &TagView| {
                tag.tag == release.tag && tag.commit == release.commit && tag.missing.is_empty()
            };
            if tags.iter().any(everywhere) {
                return Ok(());
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    async fn deploys(&mut self, release: &Release) -> Result<(), Failure> {
        let view = self.ask(Action::Deploy, Some(release)).await?;
        self.claim("the canary went first, alone", canary_first(&view))?;
        self.live_everywhere(release)
    }

    async fn bad_release(&mut self) -> Result<(), Failure> {
        let source = self.source;
        let bad = &source.broken;
        self.chapter(&format!("Deploy {}, which fails its health check", bad.tag));
        let before: Vec<(HostName, LiveLink)> = self.live_links()?;
        let view = self.ask(Action::Deploy, Some(bad)).await?;
        self.session.tell_outcome(&view);
        self.claim(
            "the deploy failed, and says so",
            state_is(&view, DeployState::Failed),
        )?;
        self.claim("the canary was put back by itself", canary_put_back(&view))?;
        let after = self.live_links()?;
        let canary = view
            .waves
            .first()
            .and_then(|wave| wave.hosts.first())
            .map(|host| host.host.clone());
        for ((host, before), (_, after)) in before.iter().zip(&after) {
            if Some(host) == canary.as_ref() {
                let truth = if before.inode == after.inode {
                    Err("its live link was never switched".to_owned())
                } else {
                    Ok(())
                };
                self.claim(
                    &format!("{host} had {} live, and went back", bad.tag),
                    truth,
                )?;
            } else {
                self.claim(
                    &format!("{host} was never touched"),
                    checker::untouched(before, after),
                )?;
            }
        }
        self.live_everywhere(&source.second)
    }

    async fn rolls_back(&mut self) -> Result<(), Failure> {
        let first = &self.source.first;
        self.chapter(&format!("Roll back: {} is restored everywhere", first.tag));
        self.ask(Action::Rollback, None).await?;
        self.live_everywhere(first)
    }

    /// Plans, signs, hands in and watches, as `deploykit deploy` and `deploykit rollback` do.
    async fn ask(&self, action: Action, release: Option<&Release>) -> Result<DeployView, Failure> {
        let request = PlanRequest {
            project: self.source.project.clone(),
            action,
            revision: release.map(|release| release.tag.to_string()),
            on: None,
            untested: false,
            clear: false,
            reason: Some("the demo".to_owned()),
        };
        let plan = self.session.plan(&request).await?;
        let ask = Ask {
            on: Vec::new(),
            reason: None,
            key: None,
            yes: false,
            dry_run: false,
            json: false,
        };
        let mut progress = Progress::new("   ");
        let view = self
            .session
            .submit(&request, &plan, &ask, |view| progress.show(view))
            .await;
        progress.finish();
        view
    }

    fn live_everywhere(&mut self, release: &Release) -> Result<(), Failure> {
        let mut truth = Ok(());
        for host in &self.pipeline.layout.hosts {
            let is = checker::live_is(
                &self.project_folder(host),
                &release.commit,
                &release.tree,
                &self.source.shared,
                &*self.world.disk,
            );
            truth = truth.and(is);
        }
        self.claim(
            &format!("live is {}, file by file, on {}", release.tag, self.names()),
            truth,
        )
    }

    fn live_links(&self) -> Result<Vec<(HostName, LiveLink)>, Failure> {
        let look = |host: &HostName| {
            let link = checker::live_link(&self.project_folder(host), &*self.world.disk)
                .map_err(Failure::Failed)?;
            Ok((host.clone(), link))
        };
        self.pipeline.layout.hosts.iter().map(look).collect()
    }

    fn project_folder(&self, host: &HostName) -> PathBuf {
        self.pipeline
            .layout
            .base(host)
            .join(self.source.project.as_str())
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self
            .pipeline
            .layout
            .hosts
            .iter()
            .map(HostName::as_str)
            .collect();
        names.join(", ")
    }
}
