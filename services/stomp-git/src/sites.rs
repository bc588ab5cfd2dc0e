//! Where the files of each repository are, and who may touch them.

use std::{collections::BTreeMap, path::Path};

use chassis::causes;
use command::Limits;
use events::RepoName;
use git::mirror_folder;
use world::{User, World};

use crate::{
    checkouts::Checkouts,
    errand::Site,
    hands::Hands,
    settings::{Mode, Repository, Settings},
};

/// All repositories of the settings.
///
/// # Errors
/// One sentence that names the key: a user that is not there, or whom this process cannot be.
pub(crate) async fn sites(
    settings: &Settings,
    world: &World,
) -> Result<BTreeMap<RepoName, (Site, Hands)>, String> {
    let mut sites = BTreeMap::new();
    for (name, repository) in &settings.repositories {
        let found = site(settings, name, repository, world).await;
        let found = found.map_err(|wrong| format!("repositories.{name}.user: {wrong}"))?;
        sites.insert(name.clone(), found);
    }
    Ok(sites)
}

async fn site(
    settings: &Settings,
    name: &RepoName,
    repository: &Repository,
    world: &World,
) -> Result<(Site, Hands), String> {
    let user = match &repository.user {
        Some(name) => Some(
            User::find(world, name)
                .await
                .map_err(|error| causes(&error))?,
        )
        .filter(User::is_another),
        None => None,
    };
    let mut base = settings.base.clone();
    let mut home = settings.home.clone().or_else(std::env::home_dir);
    if let Some(user) = &user {
        base = base.join("users").join(user.name().as_str());
        make_folder(world, user, &base).await?;
        home = Some(user.home().to_owned());
    }
    let named = match repository.mode {
        Mode::Mirror => repository.folder.clone(),
        Mode::Branch | Mode::Branches | Mode::Tags => None,
    };
    let site = Site {
        repository: name.clone(),
        origin: repository.origin.clone(),
        named: named.is_some(),
        mirror: named.unwrap_or_else(|| mirror_folder(&base, name)),
        checkouts: Checkouts::of(repository, settings.keep_s),
        home,
        key_file: repository.key_file.clone(),
        known_hosts_file: repository.known_hosts_file.clone(),
        limits: settings.limits(),
    };
    let hands = match user {
        None => Hands::Own(world.clone()),
        Some(user) => Hands::of(world, user)?,
    };
    Ok((site, hands))
}

/// A folder of the user's own in one that is root's: the user can change nothing above it.
async fn make_folder(world: &World, user: &User, folder: &Path) -> Result<(), String> {
    let above = folder.parent().unwrap_or(Path::new("/")).to_owned();
    let made = world.on_disk(move |disk| disk.create_folders(&above, 0o755));
    made.await
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    let program = user.make_folder(folder);
    let ran = world.processes.run(&program, Limits::of(User::LIMIT)).await;
    let output = ran.map_err(|error| causes(&error))?;
    match output.success() {
        true => Ok(()),
        false => Err(format!("{program}: {}", output.last_line())),
    }
}
