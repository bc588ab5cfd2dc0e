//! Origins over ssh and https with nobody there to ask: each way in which that can fail ends with what to do.

use std::{path::PathBuf, time::Duration};

use git::{Ensured, Git, GitError, Limits, Mirror, SshFiles};
use testkit::{Folder, GitHttps, Origin, Sshd};
use world::World;

/// Clones from there; nothing may take longer than the limit.
async fn clone(git: &Git, origin: &str) -> Result<Ensured, String> {
    let folder = Folder::new();
    let limits = Limits {
        fetch: Duration::from_secs(20),
        ..Limits::default()
    };
    let mirror = Mirror::at(folder.join("m.git"), &git.clone().with_limits(limits));
    let cloned = mirror.ensure(&origin.parse().unwrap()).await;
    cloned.map_err(|error| error.to_string())
}

fn with(key: Option<PathBuf>, known: PathBuf) -> Git {
    Git::new(&World::real()).with_ssh(SshFiles::new(key, Some(known)).unwrap())
}

#[tokio::test]
async fn over_ssh_only_the_known_host_and_the_given_key_will_do() {
    let (server, origin) = (Sshd::start().await, Origin::new());
    origin.commit(&[("a.txt", "1")]);
    let (address, key) = (server.origin(&origin.path()), Some(server.key()));
    let good = with(key.clone(), server.known_hosts("host"));
    assert_eq!(clone(&good, &address).await, Ok(Ensured::Cloned));

    let refused = async |git: Git, meaning: &str| {
        let error = clone(&git, &address).await.unwrap_err();
        assert!(error.starts_with("git clone: exit 128: "), "{error}");
        assert!(error.contains(meaning), "{error}");
    };
    let nobody = server.empty_known_hosts();
    refused(
        with(key.clone(), nobody),
        "the origin's host key is not known here",
    )
    .await;
    let stranger = server.other_key("stranger", "").await;
    let other = server.known_hosts("stranger");
    refused(
        with(key, other),
        "the origin has another host key than the one in known_hosts",
    )
    .await;
    let known = server.known_hosts("host");
    let no_key = "the origin takes no key of the user that fetches";
    refused(with(Some(stranger), known.clone()), no_key).await;
    refused(with(Some("/nonexistent/key".into()), known.clone()), no_key).await;
    // Nobody is there to type it, although the key would be let in.
    let locked = server.other_key("locked", "passphrase").await;
    server.let_in("locked");
    refused(with(Some(locked), known), no_key).await;
}

#[tokio::test]
async fn over_https_a_trusted_certificate_and_the_login_of_netrc_will_do() {
    let origin = Origin::new();
    origin.commit(&[("a.txt", "1")]);
    let server = GitHttps::start(origin.path().parent().unwrap()).await;
    let address = server.origin("origin.git");
    let home = Folder::new();
    let git = Git::new(&World::real()).with_home(home.path());
    let refused = async |meaning: &str| {
        let error = clone(&git, &address).await.unwrap_err();
        assert!(
            error.contains(meaning) && !error.contains("hunter2"),
            "{error}"
        );
    };
    refused("the origin's certificate is not trusted here").await;
    let trust = format!("[http]\n sslCAInfo = {}\n", server.certificate().display());
    home.write(".gitconfig", &trust);
    let login =
        "the origin wants a name and a password, and takes none that .netrc in the home folder has";
    refused(login).await;
    home.write(".netrc", "machine 127.0.0.1 login ann password hunter2\n");
    refused(login).await;
    home.write(".netrc", "machine 127.0.0.1 login ann password right\n");
    assert_eq!(clone(&git, &address).await, Ok(Ensured::Cloned));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left_at_the_limit_whatever_it_should_speak() {
    // Whoever connects waits in its queue for ever.
    let silent = World::real().net.listen("127.0.0.1:0").await.unwrap();
    let at = silent.local_address().unwrap();
    let folder = Folder::new();
    for address in [
        format!("ssh://git@{at}/shop.git"),
        format!("https://{at}/shop.git"),
    ] {
        let limits = Limits {
            fetch: Duration::from_millis(500),
            ..Limits::default()
        };
        let git = Git::new(&World::real()).with_limits(limits);
        let mirror = Mirror::at(folder.join("m.git"), &git);
        let error = mirror.ensure(&address.parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, GitError::Run(_)), "{error}");
        let said = error.to_string();
        assert_eq!(said, "git clone was ended after its limit of 0.5 s");
        assert_eq!(folder.names(""), ["m.git.lock"], "nothing half is left");
    }
}
