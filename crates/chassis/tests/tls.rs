//! TLS to the broker: who is let in, and what is said to those who are not.

use std::{cell::Cell, io, path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use chassis::{
    Bus, BusSettings, Failure,
    bus::{Connection, reach},
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use world::{Boxed, Listener, Net, Stream, World};

use crate::{
    log::Log,
    peer::{Peer, host, serve, within},
};

/// Signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, PEM.
struct Identity {
    certificate: String,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// For these names; until `year`.
    fn sign(&self, names: &[&str], year: i32) -> Identity {
        self.sign_key(KeyPair::generate().unwrap(), names, year)
    }

    fn sign_key(&self, key: KeyPair, names: &[&str], year: i32) -> Identity {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { certificate, key }
    }
}

/// The peer behind TLS.
#[derive(Clone)]
struct Secured {
    peer: Peer,
    tls: TlsAcceptor,
}

impl std::fmt::Debug for Secured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secured")
    }
}

impl Secured {
    fn new(identity: &Identity) -> Self {
        Self::with(identity, None)
    }

    /// With `clients` it lets in only whom that authority signed.
    fn with(identity: &Identity, clients: Option<&Authority>) -> Self {
        let builder = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                let root = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
                roots.add(root).unwrap();
                let provider = ring::default_provider().into();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
                builder.with_client_cert_verifier(verifier.unwrap())
            }
        };
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key.serialize_pem().as_bytes()).unwrap();
        let config = builder.with_single_cert(vec![certificate], key).unwrap();
        Self {
            peer: Peer::new(),
            tls: Arc::new(config).into(),
        }
    }

    fn world(&self) -> World {
        let mut world = World::real().with_inline_disk();
        world.net = Arc::new(self.clone());
        world
    }

    async fn reach(&self, settings: &BusSettings) -> Result<String, String> {
        let broker = &settings.brokers[0];
        within(reach(settings, broker, "tester", &self.world())).await
    }
}

impl Net for Secured {
    fn connect<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Stream>>> {
        let address = address.to_owned();
        let (client, server) = tokio::io::duplex(256 * 1024);
        let Self { peer, tls } = self.clone();
        tokio::spawn(async move {
            if let Ok(stream) = tls.accept(server).await {
                serve(peer, address, stream).await;
            }
        });
        Box::pin(async { Ok(Box::new(client) as Box<dyn Stream>) })
    }

    fn listen<'a>(&'a self, _: &'a str) -> Boxed<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}

/// Files of a test.
struct Files {
    folder: TempDir,
    identities: Cell<u32>,
}

impl Files {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            identities: Cell::new(0),
        }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Settings that trust this authority.
    fn trust(&self, authority: &Authority, broker: &str) -> BusSettings {
        BusSettings {
            brokers: vec![broker.to_owned()],
            tls: true,
            tls_ca_file: Some(self.write("ca.pem", &authority.pem)),
            ..BusSettings::default()
        }
    }

    fn identify(&self, settings: BusSettings, certificate: &str, key: &str) -> BusSettings {
        let number = self.identities.replace(self.identities.get() + 1);
        BusSettings {
            tls_certificate_file: Some(self.write(&format!("{number}-client.pem"), certificate)),
            tls_key_file: Some(self.write(&format!("{number}-client.key"), key)),
            ..settings
        }
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem += std::str::from_utf8(line).unwrap();
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}

#[tokio::test]
async fn a_broker_of_a_private_authority_is_trusted_by_name_and_by_address() {
    let authority = Authority::new("ours");
    let secured = Secured::new(&authority.sign(&["broker.example", "10.0.0.7", "fe80::7"], 2090));
    let files = Files::new();
    for broker in ["broker.example:61614", "10.0.0.7:61614", "[fe80::7]:61614"] {
        let reached = secured.reach(&files.trust(&authority, broker)).await;
        assert_eq!(reached.as_deref(), Ok("peer/1"), "{broker}");
    }
    let named = BusSettings {
        tls_server_name: Some("broker.example".to_owned()),
        ..files.trust(&authority, "127.0.0.1:61614")
    };
    assert_eq!(secured.reach(&named).await.as_deref(), Ok("peer/1"));
}

#[tokio::test]
async fn a_broker_that_is_not_the_one_is_refused_with_a_sentence() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let namesake = Authority::new("ours");
    let files = Files::new();
    let wanted = "broker.example:61614";
    let ca = files.folder.path().join("ca.pem").display().to_string();
    let not_signed = format!(
        "the broker's certificate is not signed by bus.tls_ca_file {ca}: put the certificate of the authority that signed it there"
    );
    let table = [
        (theirs.sign(&["broker.example"], 2090), not_signed.clone()),
        (namesake.sign(&["broker.example"], 2090), not_signed),
        (
            ours.sign(&["other.example", "10.0.0.7"], 2090),
            "the broker's certificate is not for broker.example but for other.example, 10.0.0.7: name the broker so in bus.brokers, or set bus.tls_server_name".to_owned(),
        ),
        (
            ours.sign(&["broker.example"], 2001),
            "the broker's certificate expired at 2001-01-01T00:00:00Z (here it is ".to_owned(),
        ),
    ];
    for (identity, expected) in table {
        let secured = Secured::new(&identity);
        let refused = secured
            .reach(&files.trust(&ours, wanted))
            .await
            .unwrap_err();
        assert!(refused.starts_with(&expected), "{refused}\nnot {expected}");
        assert!(secured.peer.connects().is_empty(), "no CONNECT goes to it");
    }
}

/// The file of authorities for the process that is to be such a system.
const AUTHORITIES: &str = "CHASSIS_TEST_AUTHORITIES";

/// Not a test: what the next one starts.
#[tokio::test]
async fn be_a_client_on_a_system_with_authorities() {
    let Ok(path) = std::env::var(AUTHORITIES) else {
        return;
    };
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    std::fs::write(&path, &ours.pem).unwrap();
    let of_system = BusSettings {
        tls_ca_file: None,
        ..Files::new().trust(&ours, "broker.example:61614")
    };
    let secured = Secured::new(&ours.sign(&["broker.example"], 2090));
    assert_eq!(secured.reach(&of_system).await.as_deref(), Ok("peer/1"));
    let secured = Secured::new(&theirs.sign(&["broker.example"], 2090));
    let refused = secured.reach(&of_system).await.unwrap_err();
    assert!(
        refused.contains("authority that this system knows")
            && refused.contains("set bus.tls_ca_file"),
        "{refused}"
    );
    std::fs::write(path + ".reached", "").unwrap();
}

#[test]
fn without_tls_ca_file_the_authorities_of_the_system_are_believed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authorities.pem");
    let client = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("tls::be_a_client_on_a_system_with_authorities")
        .env(AUTHORITIES, &path)
        .env("SSL_CERT_FILE", &path)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&client.stdout);
    assert!(
        client.status.success() && folder.path().join("authorities.pem.reached").exists(),
        "{said}{}",
        String::from_utf8_lossy(&client.stderr)
    );
}

#[tokio::test]
async fn a_broker_that_wants_a_client_certificate_gets_it_in_every_form_of_key() {
    let authority = Authority::new("ours");
    let server = authority.sign(&["broker.example"], 2090);
    let secured = Secured::with(&server, Some(&authority));
    let files = Files::new();
    let trusting = files.trust(&authority, "broker.example:61614");
    let refused = secured.reach(&trusting).await.unwrap_err();
    assert_eq!(
        refused,
        "the broker wants a client certificate (CertificateRequired): set bus.tls_certificate_file and bus.tls_key_file"
    );

    let elliptic = authority.sign(&["client"], 2090);
    // The inner part of a PKCS #8 document is the older form; what is before it has a fixed length for these keys.
    let sec1 = pem("EC PRIVATE KEY", &elliptic.key.serialize_der()[29..]);
    let rsa = KeyPair::from_pem(include_str!("keys/rsa-for-tests-only.pem")).unwrap();
    let pkcs1 = pem("RSA PRIVATE KEY", &rsa.serialize_der()[26..]);
    let rsa = authority.sign_key(rsa, &["client"], 2090);
    let table = [
        (&elliptic, elliptic.key.serialize_pem()),
        (&elliptic, sec1),
        (&rsa, rsa.key.serialize_pem()),
        (&rsa, pkcs1),
    ];
    for (identity, key) in table {
        let settings = files.identify(trusting.clone(), &identity.certificate, &key);
        let reached = secured.reach(&settings).await;
        assert_eq!(reached.as_deref(), Ok("peer/1"), "{}", &key[..30]);
    }

    let stranger = Authority::new("theirs").sign(&["client"], 2090);
    let key = stranger.key.serialize_pem();
    let settings = files.identify(trusting, &stranger.certificate, &key);
    let refused = secured.reach(&settings).await.unwrap_err();
    let expected = "the broker does not take bus.tls_certificate_file ";
    assert!(refused.starts_with(expected), "{refused}");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_told_at_the_start_without_their_content() {
    let authority = Authority::new("ours");
    let files = Files::new();
    let identity = authority.sign(&["client"], 2090);
    let key = identity.key.serialize_pem();
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    let encrypted = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    let torn = key.replace("-----END PRIVATE KEY-----", "");
    let trusting = files.trust(&authority, "broker.example:61614");
    let with = |certificate: &str, key: &str| files.identify(trusting.clone(), certificate, key);
    let table = [
        (
            BusSettings {
                tls_ca_file: Some("/nowhere/ca.pem".into()),
                ..trusting.clone()
            },
            "bus.tls_ca_file /nowhere/ca.pem: No such file",
        ),
        (
            BusSettings {
                tls_ca_file: Some(files.write("empty.pem", "")),
                ..trusting.clone()
            },
            "empty.pem: it holds no certificate; expected is PEM",
        ),
        (with(&key, &key), "client.pem: it holds no certificate"),
        (
            with(&identity.certificate, &identity.certificate),
            "client.key: it holds no key; expected is PEM with BEGIN PRIVATE KEY",
        ),
        (
            with(&identity.certificate, &encrypted),
            "client.key: the key is encrypted; write it without a passphrase",
        ),
        (
            with(&identity.certificate, &torn),
            "client.key: it is no PEM",
        ),
        (
            with(&identity.certificate, &other_key),
            "is not the key of bus.tls_certificate_file",
        ),
    ];
    for (settings, expected) in table {
        let new = Bus::new("tester", &host(), settings, World::real());
        let Err(Failure::Settings(said)) = new else {
            panic!("{expected}: {new:?}");
        };
        assert!(said.contains(expected), "{said}\nnot {expected}");
        for secret in key
            .lines()
            .chain(encrypted.lines())
            .filter(|l| !l.starts_with('-'))
        {
            assert!(!said.contains(secret), "{said}");
        }
    }
}

#[tokio::test]
async fn a_renewed_authority_is_taken_up_and_messages_travel_over_tls() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let secured = Secured::new(&new.sign(&["broker.example"], 2090));
    let files = Files::new();
    let settings = files.trust(&old, "broker.example:61614");
    let (bus, connection): (Bus, Connection) =
        Bus::new("tester", &host(), settings, secured.world()).unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn(connection.run(stop.clone()));
    let raw = || bus.publish_raw("/topic/x", false, "text".into());
    let early = tokio::time::timeout(Duration::from_millis(300), raw()).await;
    assert!(early.is_err(), "the old authority did not sign it");
    files.write("ca.pem", &new.pem);
    within(raw()).await.unwrap();
    assert_eq!(secured.peer.sent()[0].body, b"text");
    let debug = format!("{bus:?}");
    assert!(!debug.contains("PRIVATE"), "{debug}");
    stop.cancel();
    within(task).await.unwrap();
}

#[tokio::test]
async fn tls_with_a_broker_that_has_none_and_the_other_way_round() {
    let authority = Authority::new("ours");
    let files = Files::new();
    let peer = Peer::new();
    let tls = files.trust(&authority, "broker.example:61613");
    let refused = within(reach(&tls, "broker.example:61613", "tester", &peer.world())).await;
    let refused = refused.unwrap_err();
    assert!(refused.contains("is this its port for TLS?"), "{refused}");

    let secured = Secured::new(&authority.sign(&["broker.example"], 2090));
    let plain = BusSettings {
        brokers: vec!["broker.example:61614".to_owned()],
        ..BusSettings::default()
    };
    let refused = secured.reach(&plain).await.unwrap_err();
    assert!(
        refused.contains("is this its port for TLS (bus.tls)?"),
        "{refused}"
    );
}

#[tokio::test]
async fn plain_tcp_to_another_host_is_warned_about() {
    let log = Log::catch();
    let peer = Peer::new();
    let settings = BusSettings::default();
    let connect = async |broker: &str| {
        within(reach(&settings, broker, "tester", &peer.world()))
            .await
            .unwrap();
        log.text().matches("is not encrypted").count()
    };
    for broker in ["127.0.0.1:61613", "[::1]:61613", "localhost:61613"] {
        assert_eq!(connect(broker).await, 0, "{broker}");
    }
    assert_eq!(connect("broker.example:61613").await, 1);
    assert_eq!(connect("10.0.0.7:61613").await, 2);
}
