//! The part of the story that CI plays.

use deploy_orchestrator::api::{Action, CiView, PlanRequest};
use events::message::Verdict;

use super::{ASK_AGAIN, FETCH_LIMIT, Story};
use crate::{demo::source::Release, failure::Failure, screen::say};

impl Story<'_> {
    /// CI builds it, and finds it good.
    pub(super) async fn builds(&mut self, release: &Release) -> Result<(), Failure> {
        let built = self.ci.build(release).await?;
        let text = format!(
            "CI (the demo's own) tests {} and finds it good",
            release.tag
        );
        self.claim(&text, built)
    }

    pub(super) async fn red_build(&mut self) -> Result<(), Failure> {
        let (red, fixed) = (&self.source.red, &self.source.second);
        self.chapter(&format!(
            "Push {}, whose test fails: no server gets it; {} mends it",
            red.tag, fixed.tag
        ));
        self.push(red).await?;
        let said = self.ci.build(red).await?;
        let said = said
            .err()
            .unwrap_or_else(|| "nothing: it passed".to_owned());
        let found = self.ci_finds(red, Verdict::Bad).await?;
        self.claim(&format!("CI finds {} bad: {said}", red.tag), found)?;
        let refused = self.refusal(red).await;
        self.claim("to deploy it is refused", refused)?;
        self.push(fixed).await?;
        self.builds(fixed).await?;
        self.mirrored(fixed).await?;
        let nowhere = self.nowhere(red).await?;
        let text = format!("no mirror has {}, tag or commit", red.tag);
        self.claim(&text, nowhere)
    }

    /// Asks the orchestrator until it has heard what CI found.
    async fn ci_finds(
        &self,
        release: &Release,
        verdict: Verdict,
    ) -> Result<Result<(), String>, Failure> {
        let path = format!(
            "/api/v1/ci/{}?revision={}",
            self.source.repository, release.commit
        );
        let found = async {
            loop {
                let views: Vec<CiView> = self.session.get(&path).await?;
                if views.iter().any(|view| view.verdict == verdict) {
                    return Ok(());
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        let limit = FETCH_LIMIT.as_secs();
        match tokio::time::timeout(FETCH_LIMIT, found).await {
            Ok(found) => found.map(Ok),
            Err(_) => Ok(Err(format!("not heard within {limit} s"))),
        }
    }

    /// What a plan of this commit says, if it is refused because of CI.
    async fn refusal(&self, release: &Release) -> Result<(), String> {
        let request = PlanRequest {
            project: self.source.project.clone(),
            action: Action::Deploy,
            revision: Some(release.commit.to_string()),
            on: None,
            reason: None,
            untested: false,
            clear: false,
        };
        match self.session.plan(&request).await {
            Err(Failure::Refused(why)) if why.error.contains("CI found") => {
                say(format!("   {}", why.error));
                Ok(())
            }
            Err(other) => Err(other.to_string()),
            Ok(_) => Err("there is a plan for it".to_owned()),
        }
    }

    /// Looks into every mirror.
    async fn nowhere(&self, release: &Release) -> Result<Result<(), String>, Failure> {
        for host in &self.pipeline.layout.hosts {
            let mirror = self.mirror(host);
            let has = mirror.has(&release.commit).await;
            let tag = mirror.resolve(&events::RefName::tag(&release.tag)).await;
            let failed = |error| Failure::Failed(chassis::causes(&error));
            if has.map_err(failed)? || tag.map_err(failed)?.is_some() {
                return Ok(Err(format!("the mirror on {host} has it")));
            }
        }
        Ok(Ok(()))
    }
}
