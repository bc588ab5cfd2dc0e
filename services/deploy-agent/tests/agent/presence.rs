//! What the host says of itself.

use std::{fs, os::unix::fs::PermissionsExt};

use events::{Facts, message::Phase};

use crate::rig::Rig;

fn facts(text: &str) -> Facts {
    serde_json::from_str(text).expect("facts")
}

impl Rig {
    /// Settings of the agent beside its own file, and a command that says facts.
    fn says(&self, script: &str) {
        let command = self.path("facts");
        fs::write(&command, script).expect("written");
        fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).expect("set");
        let settings = format!(
            "facts_s = 1\nfacts_command = ['{}']\n[facts]\nrack = 'b12'\n",
            command.display()
        );
        fs::create_dir_all(self.path("agent.d")).expect("made");
        fs::write(self.path("agent.d/facts.toml"), settings).expect("written");
    }

    async fn hears_facts(&mut self, what: &str, wanted: &Facts) {
        let same = |rig: &Self| (rig.present.as_ref()?.facts == *wanted).then_some(());
        self.wait(what, same).await;
    }
}

#[tokio::test]
async fn facts_of_the_settings_and_of_a_command_are_said_and_said_anew() {
    let mut rig = Rig::start().await;
    rig.says("#!/bin/sh\necho '{\"os.name\": \"Debian\", \"rack\": \"?\"}'\n");
    rig.run_agent().await;
    let both = facts(r#"{ "os.name": "Debian", "rack": "b12" }"#);
    rig.hears_facts("both", &both).await;
    rig.says("#!/bin/sh\necho '{\"os.name\": \"Ubuntu\"}'\n");
    let other = facts(r#"{ "os.name": "Ubuntu", "rack": "b12" }"#);
    rig.hears_facts("the new ones", &other).await;
    // What is no flat object is named once, and changes nothing.
    rig.says("#!/bin/sh\necho '{\"os\": {\"name\": \"Debian\"}}'\n");
    rig.wait("the complaint", |rig| {
        let log = fs::read_to_string(rig.path("agent.log")).ok()?;
        log.contains("the fact os is an object or a list")
            .then_some(())
    })
    .await;
    assert_eq!(
        rig.present.as_ref().map(|present| &present.facts),
        Some(&other)
    );
}

#[tokio::test]
async fn what_lies_prepared_is_said() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    rig.run_agent().await;
    let grant = rig.grant(Some(("v1", &v1)));
    rig.carry_out(&grant, Phase::Prepare).await;
    let prepared = |rig: &Rig| {
        let project = rig.present.as_ref()?.projects.first()?;
        Some(
            project
                .prepared
                .iter()
                .map(|it| it.revision.clone())
                .collect::<Vec<_>>(),
        )
    };
    rig.wait("v1 prepared", |rig| {
        (prepared(rig)? == [v1.clone()]).then_some(())
    })
    .await;
    rig.carry_out(&grant, Phase::Activate).await;
    rig.wait("v1 live", |rig| prepared(rig)?.is_empty().then_some(()))
        .await;
    let v2 = rig.version("v2", &[]);
    rig.deploy("v2", &v2).await;
    rig.wait("v1 beside v2", |rig| {
        (prepared(rig)? == [v1.clone()]).then_some(())
    })
    .await;
}
