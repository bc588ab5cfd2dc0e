//! What `docs/brokers` shows is what the tests start the brokers from.

use std::{fs, path::Path};

use testkit::Certificates;

#[test]
fn every_documented_file_is_what_a_broker_is_started_from() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/brokers");
    let started = [
        ("rabbitmq", include_str!("../src/rabbitmq.rs")),
        ("activemq", include_str!("../src/activemq.rs")),
    ];
    for (broker, source) in started {
        let mut folders = vec![docs.join(broker)];
        let mut files = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(&docs).unwrap().display();
                let used = format!("documented!(\"{name}\")");
                assert!(source.contains(&used), "{name} is not tested");
                files += 1;
            }
        }
        assert!(files > 3, "{broker} has {files} files");
    }
}

#[tokio::test]
async fn each_user_has_a_certificate_of_the_site_s_authority() {
    let made = Certificates::make().await;
    made.script(&["client", "one-more.web3"]).await;
    for name in ["one-more.web3", "deploy-agent.web2_example_org"] {
        for file in [made.certificate(name), made.key(name)] {
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.starts_with("-----BEGIN "), "{}", file.display());
        }
    }
}

#[tokio::test]
#[should_panic(expected = "ca.key is already here")]
async fn an_authority_is_not_written_over() {
    Certificates::make().await.script(&["ca"]).await;
}

#[tokio::test]
#[should_panic(expected = "\"web1/../ca\" is no name")]
async fn a_certificate_has_a_plain_name() {
    let made = Certificates::make().await;
    made.script(&["client", "web1/../ca"]).await;
}

#[tokio::test]
#[should_panic(expected = "ca.pem")]
async fn what_openssl_says_of_a_failure_is_told() {
    let made = Certificates::make().await;
    fs::remove_file(made.authority()).unwrap();
    made.script(&["client", "deploy-agent.web3"]).await;
}
