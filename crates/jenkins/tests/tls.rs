//! A Jenkins behind TLS.

use std::sync::Arc;

use jenkins::{Jenkins, Trouble};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use testkit::Folder;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use world::World;

/// Answers every request with a queue item that was cancelled; its certificate, PEM, and its address.
async fn server(tasks: &mut JoinSet<()>) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate = rcgen::CertificateParams::new(names)
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        );
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = World::real().net.listen("127.0.0.1:0").await.unwrap();
    let port = listener.local_address().unwrap().port();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = [0; 4096];
            let _head = stream.read(&mut head).await;
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 18\r\n\r\n{\"cancelled\":true}";
            let _sent = stream.write_all(answer.as_bytes()).await;
            let _closed = stream.shutdown().await;
        }
    });
    (certificate.pem(), format!("https://localhost:{port}/"))
}

#[tokio::test]
async fn its_authority_is_asked_for_and_its_name_counts() {
    let mut tasks = JoinSet::new();
    let (authority, url) = server(&mut tasks).await;
    let folder = Folder::new();
    let access = |url: &str, trusted: bool| jenkins::Access {
        url: url.to_owned(),
        user: "ann".to_owned(),
        token_file: folder.write("token", "t"),
        ca_file: trusted.then(|| folder.write("ca.pem", &authority)),
        connect_limit_s: 10,
        request_limit_s: 10,
    };
    let asked = async |access| Jenkins::new(access, World::real()).unwrap().item(1).await;
    assert_eq!(
        asked(access(&url, true)).await,
        Ok(jenkins::Item::Cancelled)
    );
    let by_address = url.replace("localhost", "127.0.0.1");
    for (url, trusted) in [(&url, false), (&by_address, true)] {
        let trouble = asked(access(url, trusted)).await.unwrap_err();
        let Trouble::Unreachable(text) = trouble else {
            panic!("{trouble}")
        };
        assert!(
            text.starts_with("TLS: ") && text.contains("certificate"),
            "{text}"
        );
    }
    let mut empty = access(&url, true);
    empty.ca_file = Some(folder.write("empty.pem", "nothing"));
    let wrong = Jenkins::new(empty, World::real()).unwrap_err();
    assert!(wrong.contains("it holds no certificate"), "{wrong}");
}
