//! Debian's `ActiveMQ` classic.

use std::sync::Arc;

use command::Program;

use crate::{
    BrokerProcess, Certificates, Folder,
    documented::documented,
    process::{Setup, Tls, free_ports},
};

/// Of the package `activemq`. `/usr/bin/activemq` would change to the package's user.
const JAR: &str = "/usr/share/activemq/bin/activemq.jar";

/// As `/usr/bin/activemq` does it: the documented options, then Java with them.
const START: &str =
    r#". "$ACTIVEMQ_CONFIG_DIR/options"; exec java $ACTIVEMQ_OPTS "$@" $ACTIVEMQ_ARGS"#;

/// The documented `storeUsage`.
const STORE: &str = "8 gb";

/// What the packaged start script opens of Java's inside.
const OPENED: [&str; 7] = [
    "java.base/java.security",
    "java.base/java.net",
    "java.base/java.lang",
    "java.base/java.util",
    "java.naming/javax.naming.spi",
    "java.rmi/sun.rmi.transport.tcp",
    "java.base/java.util.concurrent",
];

/// Debian's `ActiveMQ` classic with the files of `docs/brokers/activemq`.
#[derive(Debug)]
pub struct ActiveMq;

impl ActiveMq {
    /// Starts it and waits until it accepts a client.
    ///
    /// # Panics
    /// It is not installed or did not start, with the last lines of its log.
    pub async fn start() -> BrokerProcess {
        Self::start_with(Arc::new(Certificates::make().await)).await
    }

    /// As [`ActiveMq::start`], with certificates that are there.
    ///
    /// # Panics
    /// As that.
    pub async fn start_with(certificates: Arc<Certificates>) -> BrokerProcess {
        Self::start_with_room(certificates, STORE).await
    }

    /// As [`ActiveMq::start_with`], with another `storeUsage`.
    ///
    /// # Panics
    /// As that.
    pub async fn start_with_room(certificates: Arc<Certificates>, store: &str) -> BrokerProcess {
        let [port, tls_port] = free_ports().await;
        let folder = Folder::new();
        certificates.script(&["stores", Certificates::SERVER]).await;
        configure(&folder, port, tls_port, &certificates, store);
        BrokerProcess::set_up(Setup {
            name: "ActiveMQ",
            port,
            tls: Some(Tls {
                port: tls_port,
                certificates,
            }),
            program: program(&folder),
            folder,
            _beside: None,
        })
        .await
    }
}

/// The documented files; `conf` stands for /etc/activemq/instances-enabled/main.
fn configure(folder: &Folder, port: u16, tls_port: u16, certificates: &Certificates, store: &str) {
    let tls = certificates.folder().display();
    let server = format!("{tls}/{}.p12", Certificates::SERVER);
    documented!("activemq/activemq.xml")
        .with("127.0.0.1:61613", &format!("127.0.0.1:{port}"))
        .with("0.0.0.0:61614", &format!("127.0.0.1:{tls_port}"))
        .with("/etc/activemq/tls/server.p12", &server)
        .with("/etc/activemq/tls/trust.p12", &format!("{tls}/trust.p12"))
        .with("CHANGE-ME-STORES", &certificates.store_password())
        .with(
            &format!("<storeUsage limit=\"{STORE}\"/>"),
            &format!("<storeUsage limit=\"{store}\"/>"),
        )
        .with_lines_of_the_other_host()
        .write(folder, "conf/activemq.xml");
    documented!("activemq/users.properties")
        .with("#older=", "older=")
        .with("CHANGE-ME", BrokerProcess::PASSCODE)
        .write(folder, "conf/users.properties");
    documented!("activemq/certificates.properties")
        .with_lines_of_the_other_host()
        .write(folder, "conf/certificates.properties");
    documented!("activemq/groups.properties")
        .with_members_of_the_other_host()
        .write(folder, "conf/groups.properties");
    documented!("activemq/login.config").write(folder, "conf/login.config");
    documented!("activemq/options").write(folder, "conf/options");
    documented!("activemq/log4j.properties").write(folder, "conf/log4j.properties");
    folder.write("data/README", "Messages and the log.\n");
    folder.write("tmp/README", "Java's temporary files.\n");
}

fn program(folder: &Folder) -> Program {
    let at = |path: &str| folder.join(path).display().to_string();
    BrokerProcess::program("sh")
        .args(["-c", START, "activemq"])
        .folder(folder.path())
        .env("HOME", at("tmp"))
        .env("INSTANCE", "main")
        .env("ACTIVEMQ_CONFIG_DIR", at("conf"))
        .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg("-Dactivemq.home=/usr/share/activemq")
        .arg(format!("-Dactivemq.base={}", folder.path().display()))
        .arg(format!("-Dactivemq.conf={}", at("conf")))
        .arg(format!("-Dactivemq.data={}", at("data")))
        .arg(format!("-Dactivemq.classpath={}", at("conf")))
        .arg(format!("-Djava.io.tmpdir={}", at("tmp")))
        .arg("--add-reads=java.xml=java.logging")
        .args(OPENED.map(|package| format!("--add-opens={package}=ALL-UNNAMED")))
        .args(["-jar", JAR])
}
