//! Debian's RabbitMQ with its STOMP plugin.

use std::{net::IpAddr, path::Path, sync::Arc};

use command::{Limits, Program};
use world::World;

use crate::{
    BrokerProcess, Certificates, Folder, LONG,
    documented::{HOST, documented},
    process::{Setup, Tls, free_ports, start, until_listening},
    until,
};

/// Of the package `rabbitmq-server`. `/usr/sbin/rabbitmq-server` would change to the package's user and folders.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Its environment, for a port mapper that is started before it.
const MAPPER: &str = "set -a; . ./etc/rabbitmq-env.conf; exec epmd";

/// Debian's RabbitMQ with the files of `docs/brokers/rabbitmq`, and a port mapper (epmd) of its own.
#[derive(Debug)]
pub struct RabbitMq;

impl RabbitMq {
    /// Starts it and waits until it accepts a client.
    ///
    /// # Panics
    /// It is not installed or did not start, with the last lines of its log.
    pub async fn start() -> BrokerProcess {
        Self::start_with(Arc::new(Certificates::make().await)).await
    }

    /// As [`RabbitMq::start`], with certificates that are there.
    ///
    /// # Panics
    /// As that.
    pub async fn start_with(certificates: Arc<Certificates>) -> BrokerProcess {
        let [port, tls_port, mapper_port, node_port] = free_ports().await;
        let folder = Folder::new();
        configure(&folder, port, tls_port, &certificates);
        folder.write("ctl", &ctl(&folder, mapper_port));
        // Started here, it is ended here: the one that RabbitMQ would start outlives it.
        let mapper = BrokerProcess::program("sh")
            .args(["-c", MAPPER])
            .folder(folder.path())
            .env("ERL_EPMD_PORT", mapper_port.to_string());
        let mapper = start(&mapper, folder.join("epmd.log"));
        until_listening("epmd listens", mapper_port).await;
        let broker = BrokerProcess::set_up(Setup {
            name: "RabbitMQ",
            port,
            tls: Some(Tls {
                port: tls_port,
                certificates,
            }),
            program: program(&folder, mapper_port, node_port),
            folder,
            _beside: Some(mapper),
        })
        .await;
        for port in [port, tls_port, mapper_port, node_port] {
            let addresses = listening(port);
            let outside = addresses.iter().find(|address| !address.is_loopback());
            assert!(
                outside.is_none() && !addresses.is_empty(),
                "port {port} of the documented RabbitMQ is open on {addresses:?}"
            );
        }
        broker
    }

    /// Runs its own `rabbitmqctl` and gives what it wrote.
    ///
    /// # Panics
    /// It fails for [`LONG`].
    pub async fn ctl(broker: &BrokerProcess, args: &[&str]) -> String {
        let ctl = Program::new(broker.setup.folder.join("ctl"))
            .arg("--quiet")
            .args(args.iter().copied());
        // It lets clients in shortly before it answers this.
        let run = || async {
            let run = World::real().processes.run(&ctl, Limits::of(LONG)).await;
            let run = run.unwrap_or_else(|error| panic!("{error}"));
            run.success().then_some(run.stdout)
        };
        let said = until(&format!("rabbitmqctl {args:?}"), LONG, run).await;
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Takes up one more server as documented, while the broker runs: `host` is its name with `_` for each dot.
    ///
    /// # Panics
    /// The broker does not take it.
    pub async fn import_host(broker: &BrokerProcess, host: &str) {
        let file = format!("etc/definitions.d/host-{host}.json");
        documented!("rabbitmq/definitions.d/host-web1_example_org.json")
            .with(HOST, host)
            .write(&broker.setup.folder, &file);
        let file = broker.setup.folder.join(file).display().to_string();
        Self::ctl(broker, &["import_definitions", &file]).await;
    }

    /// Removes a server as documented, while the broker runs.
    ///
    /// # Panics
    /// It was not there.
    pub async fn remove_host(broker: &BrokerProcess, host: &str) {
        let file = format!("etc/definitions.d/host-{host}.json");
        let removed = World::real()
            .disk
            .remove_file(&broker.setup.folder.join(file));
        removed.unwrap_or_else(|error| panic!("{host}: {error}"));
        for service in ["stomp-git", "deploy-agent", "stomp-repo"] {
            Self::ctl(broker, &["delete_user", &format!("{service}.{host}")]).await;
        }
    }

    /// The names of all queues of one that [`RabbitMq::start`] started, sorted, by its own `rabbitmqctl`.
    ///
    /// # Panics
    /// It does not answer.
    pub async fn queues(broker: &BrokerProcess) -> Vec<String> {
        let args = ["list_queues", "--no-table-headers", "name"];
        let listed = Self::ctl(broker, &args).await;
        let mut queues: Vec<String> = listed.lines().map(str::to_owned).collect();
        queues.sort();
        queues
    }
}

/// `rabbitmqctl` for this one.
fn ctl(folder: &Folder, mapper_port: u16) -> String {
    let home = folder.join("home").display().to_string();
    let environment = folder.join("etc/rabbitmq-env.conf").display().to_string();
    format!(
        "#!/bin/sh\nexport HOME={home} RABBITMQ_CONF_ENV_FILE={environment} ERL_EPMD_PORT={mapper_port}\n\
         exec /usr/lib/rabbitmq/bin/rabbitmqctl \"$@\"\n"
    )
}

/// The documented files; `etc` stands for /etc/rabbitmq.
fn configure(folder: &Folder, port: u16, tls_port: u16, certificates: &Certificates) {
    let etc = folder.join("etc").display().to_string();
    let path = |path: std::path::PathBuf| path.display().to_string();
    documented!("rabbitmq/rabbitmq.conf")
        .with("127.0.0.1:61613", &format!("127.0.0.1:{port}"))
        .with("0.0.0.0:61614", &format!("127.0.0.1:{tls_port}"))
        .with("/etc/rabbitmq/tls/ca.pem", &path(certificates.authority()))
        .with(
            "/etc/rabbitmq/tls/server.pem",
            &path(certificates.certificate(Certificates::SERVER)),
        )
        .with(
            "/etc/rabbitmq/tls/server.key",
            &path(certificates.key(Certificates::SERVER)),
        )
        .with(
            "/etc/rabbitmq/definitions.d",
            &format!("{etc}/definitions.d"),
        )
        .write(folder, "etc/rabbitmq.conf");
    documented!("rabbitmq/rabbitmq-env.conf").write(folder, "etc/rabbitmq-env.conf");
    documented!("rabbitmq/enabled_plugins").write(folder, "etc/enabled_plugins");
    documented!("rabbitmq/definitions.d/00-site.json")
        .with("CHANGE-ME", BrokerProcess::PASSCODE)
        .write(folder, "etc/definitions.d/00-site.json");
    let host = || documented!("rabbitmq/definitions.d/host-web1_example_org.json");
    host().write(folder, "etc/definitions.d/host-web1_example_org.json");
    host()
        .for_the_other_host()
        .write(folder, "etc/definitions.d/host-web2_example_org.json");
}

fn program(folder: &Folder, mapper_port: u16, node_port: u16) -> Program {
    let at = |path: &str| folder.join(path).display().to_string();
    folder.write("home/README", "The Erlang cookie lies here.\n");
    BrokerProcess::program(SERVER)
        .folder(folder.path())
        .env("HOME", at("home"))
        // The script then becomes the server, where otherwise it would start it and stand in between.
        .env("RUNNING_UNDER_SYSTEMD", "true")
        .env("RABBITMQ_CONFIG_FILE", at("etc/rabbitmq.conf"))
        .env("RABBITMQ_CONF_ENV_FILE", at("etc/rabbitmq-env.conf"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("etc/enabled_plugins"))
        .env("RABBITMQ_MNESIA_BASE", at("mnesia"))
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_PID_FILE", at("pid"))
        .env("RABBITMQ_DIST_PORT", node_port.to_string())
        .env("ERL_EPMD_PORT", mapper_port.to_string())
        .env("ERL_CRASH_DUMP_BYTES", "0")
        // Beside what the documented file says: there is a port mapper.
        .env("RABBITMQ_SERVER_START_ARGS", "-start_epmd false")
}

/// The addresses on which somebody listens on this port.
fn listening(port: u16) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = World::real().disk.read(Path::new(table));
        let text = text.unwrap_or_else(|error| panic!("{table}: {error}"));
        for line in String::from_utf8_lossy(&text).lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            // 0A: it listens.
            let (local, state) = (words[1], words[3]);
            let (address, its_port) = local.split_once(':').expect("address:port");
            if state == "0A" && u16::from_str_radix(its_port, 16) == Ok(port) {
                found.push(address_of(address));
            }
        }
    }
    found
}

/// An address as the kernel shows it: words of 32 bits, each in this machine's order of bytes.
fn address_of(hex: &str) -> IpAddr {
    let word = |at: usize| u32::from_str_radix(&hex[at..at + 8], 16).expect("eight digits");
    let bytes = |at: usize| word(at).to_ne_bytes();
    if hex.len() == 8 {
        return IpAddr::from(bytes(0));
    }
    let mut all = [0; 16];
    for (n, part) in all.chunks_mut(4).enumerate() {
        part.copy_from_slice(&bytes(n * 8));
    }
    IpAddr::from(all)
}
