//! Where the contract is tried: the double, or a real Jenkins.

use std::{env, fs, path::PathBuf, time::Duration};

use jenkins::{Access, Jenkins};
use testkit::{Folder, Job};
use world::World;

/// What the jobs of the contract take.
pub(crate) const TAKES: [&str; 2] = ["DEPLOYKIT_ID", "DEPLOYKIT_COMMIT"];

/// A Jenkins to ask.
pub(crate) enum Place {
    Double(testkit::Jenkins),
    /// Its address and who we are there.
    Real(String, String, PathBuf),
}

/// A place, and the token files of the test.
pub(crate) struct Site {
    pub(crate) place: Place,
    pub(crate) folder: Folder,
}

/// A job of the contract.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Parameters,
    Plain,
    Disabled,
}

impl Site {
    /// The double.
    pub(crate) async fn double() -> (Self, testkit::Jenkins) {
        let folder = Folder::new();
        folder.write("token", &format!("{}\n", testkit::Jenkins::TOKEN));
        let double = testkit::Jenkins::start().await;
        let place = Place::Real(
            double.url(),
            testkit::Jenkins::USER.to_owned(),
            folder.join("token"),
        );
        (Self { place, folder }, double)
    }

    /// The real one, if the environment names it, else the double.
    pub(crate) async fn named() -> Self {
        let folder = Folder::new();
        let set = |name: &str| env::var(name).ok().filter(|text| !text.is_empty());
        let place = match set("DEPLOYKIT_JENKINS_URL") {
            None => {
                folder.write("token", testkit::Jenkins::TOKEN);
                Place::Double(testkit::Jenkins::start().await)
            }
            Some(url) => {
                let user = set("DEPLOYKIT_JENKINS_USER").expect("DEPLOYKIT_JENKINS_USER is set");
                let file = set("DEPLOYKIT_JENKINS_TOKEN_FILE");
                let file = file.expect("DEPLOYKIT_JENKINS_TOKEN_FILE is set");
                Place::Real(url, user, file.into())
            }
        };
        Self { place, folder }
    }

    pub(crate) fn access(&self) -> Access {
        let (url, user, token_file) = match &self.place {
            Place::Double(double) => (
                double.url(),
                testkit::Jenkins::USER.to_owned(),
                self.folder.join("token"),
            ),
            Place::Real(url, user, file) => (url.clone(), user.clone(), file.clone()),
        };
        Access {
            url,
            user,
            token_file,
            ca_file: None,
            connect_limit_s: 10,
            request_limit_s: 30,
        }
    }

    pub(crate) fn client(&self) -> Jenkins {
        Jenkins::new(self.access(), World::real()).unwrap()
    }

    /// Makes a job that ends well after a second; in a real Jenkins it replaces the one of that name.
    pub(crate) async fn job(&self, name: &str, kind: Kind) {
        match &self.place {
            Place::Double(double) => {
                let mut job = Job::new(name).ends(Duration::from_millis(50), "SUCCESS");
                if kind != Kind::Plain {
                    job = job.takes(&TAKES);
                }
                if kind == Kind::Disabled {
                    job = job.disabled();
                }
                double.add(job);
            }
            Place::Real(url, user, file) => {
                let token = fs::read_to_string(file).unwrap();
                let http = reqwest::Client::new();
                let base = url.trim_end_matches('/');
                let delete = http.post(format!("{base}/job/{name}/doDelete"));
                // There may be none yet.
                let _gone = delete.basic_auth(user, Some(token.trim())).send().await;
                let make = http.post(format!("{base}/createItem?name={name}"));
                let make = make.basic_auth(user, Some(token.trim()));
                let make = make.header("content-type", "text/xml").body(xml(kind));
                let made = make.send().await.unwrap().status();
                assert!(made.is_success(), "{name} cannot be made: {made}");
            }
        }
    }
}

fn xml(kind: Kind) -> String {
    let one = |name: &&str| {
        format!(
            "<hudson.model.StringParameterDefinition><name>{name}</name></hudson.model.StringParameterDefinition>"
        )
    };
    let parameters: String = TAKES.iter().map(one).collect();
    let properties = match kind {
        Kind::Plain => String::new(),
        Kind::Parameters | Kind::Disabled => format!(
            "<hudson.model.ParametersDefinitionProperty><parameterDefinitions>{parameters}</parameterDefinitions>\
             </hudson.model.ParametersDefinitionProperty>"
        ),
    };
    format!(
        "<project><properties>{properties}</properties><scm class=\"hudson.scm.NullSCM\"/><canRoam>true</canRoam>\
         <disabled>{}</disabled><triggers/><concurrentBuild>false</concurrentBuild><builders><hudson.tasks.Shell>\
         <command>sleep 1</command></hudson.tasks.Shell></builders><publishers/><buildWrappers/></project>",
        kind == Kind::Disabled
    )
}
