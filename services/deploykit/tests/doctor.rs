//! `deploykit doctor`: each service's settings, broker and spool. `deploykit setup`: TLS in all of them.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;
use testkit::{Certificates, Folder, TestBroker};

use crate::{command_line::deploykit, machine::says};

/// What was looked at, with the verdict and what was said, and the exit code.
pub(crate) fn doctor(folder: &Path) -> (BTreeMap<String, (String, String)>, Option<i32>) {
    let folder = folder.to_str().unwrap();
    let output = deploykit(&["doctor", "--json", "--dir", folder]);
    let findings: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", says(&output)));
    let findings = findings.as_array().unwrap().iter().map(|finding| {
        let text = |key: &str| finding[key].as_str().unwrap().to_owned();
        (text("what"), (text("verdict"), text("detail")))
    });
    (findings.collect(), output.status.code())
}

/// Each of these is `what`, the verdict, and words of what was said.
async fn found(folder: &Path, expected: &[(&str, &str, &[&str])]) {
    let looked = folder.to_owned();
    // The broker runs in this thread meanwhile.
    let looking = tokio::task::spawn_blocking(move || doctor(&looked));
    let (findings, code) = looking.await.unwrap();
    assert_eq!(code, Some(1), "{findings:#?}");
    for (what, verdict, words) in expected {
        let (there, detail) = findings
            .get(*what)
            .unwrap_or_else(|| panic!("no {what}: {findings:#?}"));
        assert_eq!(there, verdict, "{what}: {detail}");
        for word in *words {
            assert!(
                detail.contains(word),
                "{what} does not say {word:?}: {detail}"
            );
        }
    }
}

#[test]
fn every_service_that_ships_settings_is_looked_at() {
    let folder = Folder::new();
    let services = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut shipped = Vec::new();
    for service in fs::read_dir(services).unwrap() {
        let Ok(dist) = fs::read_dir(service.unwrap().path().join("dist")) else {
            continue;
        };
        for file in dist.map(|file| file.unwrap().path()) {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            let of_a_service = name.strip_suffix(".toml");
            // The command line's own is no service's.
            if let Some(service) = of_a_service.filter(|name| *name != "deploykit") {
                fs::copy(&file, folder.join(&name)).unwrap();
                shipped.push(service.to_owned());
            }
        }
    }
    assert!(shipped.len() >= 9, "{shipped:?}");
    let (findings, _) = doctor(folder.path());
    for service in shipped {
        assert!(findings.contains_key(&service), "{service}: {findings:#?}");
        let broker = format!("{service}'s broker");
        // What ships may lack a key that only a person knows.
        let settings_fit = findings[&service].0 == "ok";
        assert_eq!(findings.contains_key(&broker), settings_fit, "{service}");
    }
}

#[tokio::test]
async fn each_service_is_looked_at_with_its_own_settings() {
    let broker = TestBroker::start().await;
    let folder = Folder::new();
    let passcode = broker.passcode_file();
    let wrong = folder.write("wrong-passcode", "let-me-out");
    let spool = folder.write("spool", "no folder");
    let bus = |address: &str, passcode: &Path| {
        format!("[bus]\nbrokers = [{address:?}]\nlogin = 'guest'\npasscode_file = {passcode:?}\n")
    };
    let address = broker.address();
    let nobody = "127.0.0.1:1";
    folder.write("stomp-git.toml", &bus(&address, &passcode));
    folder.write("stomp-keepalive.toml", &bus(&address, &wrong));
    folder.write("stomp-repo.toml", &bus(nobody, &passcode));
    let both = format!("[bus]\nbrokers = [{address:?}, {nobody:?}]\nlogin = 'guest'\n");
    folder.write(
        "announce.toml",
        &format!("{both}passcode_file = {passcode:?}\n[outbox]\nfolder = {spool:?}\n"),
    );
    folder.write("github-stomp.toml", "listne = '127.0.0.1:8080'\n");
    let names_both = folder.join("stomp-keepalive.toml").display().to_string();
    found(
        folder.path(),
        &[
            ("stomp-git", "ok", &["stomp-git.d"]),
            (
                "stomp-git's broker",
                "ok",
                &[&address, "login \"guest\" accepted"],
            ),
            (
                "stomp-keepalive's broker",
                "wrong",
                &[&address, "login \"guest\"", "refused", &names_both],
            ),
            (
                "stomp-repo's broker",
                "wrong",
                &[
                    nobody,
                    "Connection refused",
                    "does a broker run there?",
                    "stomp-repo.toml",
                ],
            ),
            ("announce's broker", "note", &[&address, nobody, "accepted"]),
            (
                "announce's spool",
                "wrong",
                &[
                    &spool.display().to_string(),
                    "is no folder",
                    "[outbox] folder",
                ],
            ),
            ("github-stomp", "wrong", &["github-stomp.toml", "listne"]),
        ],
    )
    .await;
    // A spool that is there is tried, and one that is not is the service's to make.
    for (folder_of_it, verdict) in [("there", "ok"), ("not-there", "note")] {
        fs::create_dir_all(folder.join("there")).unwrap();
        let outbox = format!("[outbox]\nfolder = {:?}\n", folder.join(folder_of_it));
        folder.write(
            "announce.toml",
            &format!("{}{outbox}", bus(&address, &passcode)),
        );
        found(
            folder.path(),
            &[("announce's spool", verdict, &[folder_of_it])],
        )
        .await;
    }
    assert_eq!(fs::read_dir(folder.join("there")).unwrap().count(), 0);
}

#[tokio::test]
async fn setup_writes_tls_into_the_settings_of_all_services() {
    let certificates = Certificates::make().await;
    let folder = Folder::new();
    let etc = folder.join("etc").display().to_string();
    let setup = |more: &[&str]| {
        let output =
            deploykit(&[&["setup", "--dir", &etc, "--broker", "127.0.0.1:1"], more].concat());
        (says(&output), output.status.code())
    };
    let missing = folder.join("no-ca.pem").display().to_string();
    let none = folder.write("not-pem", "hello").display().to_string();
    for (more, word) in [
        (["--tls-ca", &missing], missing.as_str()),
        (["--tls-ca", &none], none.as_str()),
        (["--tls-certificates", "/x"], "add --tls-ca FILE"),
        (["--tls-server-name", "mq1"], "add --tls-ca FILE"),
    ] {
        let (said, code) = setup(&more);
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains(word), "{said}");
    }
    assert!(!Path::new(&etc).exists(), "nothing is written before that");
    let ca = certificates.authority().display().to_string();
    let (said, code) = setup(&[
        "--tls-ca",
        &ca,
        "--tls-certificates",
        "/etc/deploykit/keys",
        "--tls-server-name",
        Certificates::SERVER,
    ]);
    assert_eq!(code, Some(0), "{said}");
    let written = |service: &str| {
        let file = format!("{etc}/{service}.d/10-setup.toml");
        let text = fs::read_to_string(file).unwrap();
        toml::from_str::<toml::Table>(&text).unwrap()["bus"].clone()
    };
    let bus = toml::toml! {
        brokers = ["127.0.0.1:1"]
        tls = true
        tls_certificate_file = "/etc/deploykit/keys/stomp-git.pem"
        tls_key_file = "/etc/deploykit/keys/stomp-git.key"
        tls_server_name = "mq1.example.org"
    };
    let mut found = written("stomp-git").as_table().unwrap().clone();
    assert_eq!(found.remove("tls_ca_file"), Some(ca.into()));
    assert_eq!(found, bus);
    for service in [
        "deploy-agent",
        "deploy-orchestrator",
        "github-stomp",
        "stomp-keepalive",
        "stomp-repo",
    ] {
        let key = format!("/etc/deploykit/keys/{service}.key");
        assert_eq!(
            written(service)["tls_key_file"].as_str(),
            Some(key.as_str())
        );
    }
}
