//! `deploykit hosts`

use deploy_orchestrator::api::{ApiError, HeadView, HostView};
use events::HostName;

use super::{Session, show};
use crate::{
    cli::{HostAction, Hosts},
    failure::Failure,
    words,
};

impl Session<'_> {
    /// `deploykit hosts`
    ///
    /// # Errors
    /// When nobody answers, or the host is unknown.
    pub async fn hosts(&self, args: &Hosts) -> Result<(), Failure> {
        let (host, verb, json) = match &args.action {
            Some(HostAction::Admit { host, json }) => (host, "admit", json),
            Some(HostAction::Looked { host, json }) => (host, "looked", json),
            Some(HostAction::Heads { host, json }) => {
                let heads = self.heads(host).await?;
                show(args.json || *json, &heads, |heads| words::heads(heads));
                return Ok(());
            }
            None => {
                let hosts: Vec<HostView> = self.client.get("/api/v1/hosts").await?;
                show(args.json, &hosts, |hosts| words::hosts(hosts));
                return Ok(());
            }
        };
        let path = format!("/api/v1/hosts/{host}/{verb}");
        let view: HostView = self.client.post(&path, &()).await?;
        show(args.json || *json, &[view], |views| words::hosts(views));
        Ok(())
    }

    async fn heads(&self, wanted: &HostName) -> Result<Vec<HeadView>, Failure> {
        let hosts: Vec<HostView> = self.client.get("/api/v1/hosts").await?;
        let names = hosts.iter().map(|view| view.host.to_string()).collect();
        let found = hosts.into_iter().find(|view| view.host == *wanted);
        found.map(|view| view.heads).ok_or_else(|| {
            Failure::Refused(ApiError {
                error: format!("no host is called {wanted}"),
                exists: names,
                next: None,
            })
        })
    }
}
