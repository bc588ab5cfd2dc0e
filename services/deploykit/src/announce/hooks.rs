//! What `deploykit announce` does when a hook calls it: it never fails, and says in one line what is not announced.

use std::{
    io::{self, BufReader, Read, stdin},
    path::PathBuf,
};

use anyhow::Context;
use chassis::environment;
use events::{PackageName, RepoName};
use jenkins_helper::build_step;
use world::World;

use super::{NAME, Sealer, Spool, moved_refs, packages, svn, tags};
use crate::{
    cli::{BuildSays, SpoolArgs},
    host_name, person_name,
    screen::complain,
};

/// What a hook tells at once is read up to this: some 100,000 refs or packages.
const INPUT_BYTES: u64 = 16 << 20;

/// `deploykit announce git`
pub async fn git(repository: &str, pusher: Option<String>, spool: &SpoolArgs) {
    let world = World::real();
    let work = async {
        let name: RepoName = repository.parse()?;
        let pusher = pusher.or_else(person_name);
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for line in moved_refs(&name, pusher.as_deref(), &input()?) {
            match line {
                Ok(push) => good.push(push),
                Err(error) => bad.push(error),
            }
        }
        for error in bad {
            complain(format!("a ref of {name} is not announced: {error}"));
        }
        tags::lead(&mut good, &world).await;
        super::spool(&good, &Spool::of(spool, &world), &host_name(), &world)
    };
    let done = work.await;
    tell(&format!("the push of {repository:?}"), || done);
}

/// `deploykit announce package`
pub fn package(repository: &str, spool: &SpoolArgs) {
    tell(&format!("packages of {repository:?}"), || {
        let world = World::real();
        let name: RepoName = repository.parse()?;
        let (messages, errors) = packages::updated(&name, &input()?);
        for error in errors {
            complain(format!("a package of {name} is not announced: {error}"));
        }
        let host = host_name();
        let sealer = Sealer::new(&host, &world);
        let sealed: Result<Vec<_>, _> = messages
            .iter()
            .map(|message| sealer.seal(message))
            .collect();
        Spool::of(spool, &world).drop_in(&world, &sealed?)
    });
}

/// `deploykit announce svn`
pub fn subversion(repository: &str, revision: u64, spool: &SpoolArgs) {
    tell(&format!("r{revision} of {repository:?}"), || {
        let world = World::real();
        let commit = svn::committed(&repository.parse()?, revision, &mut BufReader::new(stdin()))?;
        let host = host_name();
        Spool::of(spool, &world).drop_in(&world, &[Sealer::new(&host, &world).seal(&commit)?])
    });
}

/// `deploykit announce build`: what jenkins-helper does as a build step, without its settings and without a broker.
pub fn a_build(says: &BuildSays) {
    let (word, of) = says.word();
    tell(&format!("that a build {word}"), || {
        let world = World::real();
        let settings = jenkins_helper::Settings::default();
        let told = build_step::told(word, &of.typed, &environment(), &settings)?;
        let message = told.sealed(NAME, &host_name(), &world)?;
        Spool::of(&of.spool, &world).drop_in(&world, &[message])
    });
}

/// `deploykit announce refreshed`
pub async fn refreshed(names: &[String], spool: &SpoolArgs, apt_config: Option<PathBuf>) {
    let work = async {
        let world = World::real();
        let names: Result<Vec<PackageName>, _> = names.iter().map(|name| name.parse()).collect();
        let host = host_name();
        let message = packages::refreshed(&names?, host.clone(), &world, apt_config).await;
        let message = message.context("apt cannot be asked")?;
        if message.packages.is_empty() {
            return Ok(());
        }
        Spool::of(spool, &world).drop_in(&world, &[Sealer::new(&host, &world).seal(&message)?])
    };
    let done = work.await;
    tell("what apt would install", || done);
}

/// Standard input. What is no UTF-8 in it spoils its own line only.
fn input() -> io::Result<String> {
    let mut input = Vec::new();
    stdin().take(INPUT_BYTES).read_to_end(&mut input)?;
    if stdin().read(&mut [0])? > 0 {
        complain(format!(
            "what comes after the first {INPUT_BYTES} bytes of the input is not announced"
        ));
    }
    Ok(String::from_utf8_lossy(&input).into_owned())
}

fn tell(what: &str, work: impl FnOnce() -> anyhow::Result<()>) {
    if let Err(error) = work() {
        complain(format!("not announced: {what}: {error:#}"));
    }
}
