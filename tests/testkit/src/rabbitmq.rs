//! Debian's RabbitMQ with its STOMP plugin.

use std::sync::Arc;

use command::{Limits, Program};
use world::World;

use crate::{
    BrokerProcess, Certificates, Folder, LONG,
    documented::documented,
    process::{Setup, Tls, free_port, start, until_listening},
    until,
};

/// Of the package `rabbitmq-server`. `/usr/sbin/rabbitmq-server` would change to the package's user and folders.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Its name among Erlang's nodes.
const NODE: &str = "test@localhost";

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
        let (port, tls_port) = (free_port().await, free_port().await);
        let (mapper_port, node_port) = (free_port().await, free_port().await);
        let folder = Folder::new();
        // Started here, it is ended here: the one that RabbitMQ would start outlives it.
        let mapper = BrokerProcess::program("epmd")
            .args(["-address", "127.0.0.1", "-port"])
            .arg(mapper_port.to_string());
        let mapper = start(&mapper, folder.join("epmd.log"));
        until_listening("epmd listens", mapper_port).await;
        configure(&folder, port, tls_port, &certificates);
        folder.write("ctl", &ctl(&folder, mapper_port));
        BrokerProcess::set_up(Setup {
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
        .await
    }

    /// The names of all queues of one that [`RabbitMq::start`] started, sorted, by its own `rabbitmqctl`.
    ///
    /// # Panics
    /// It does not answer.
    pub async fn queues(broker: &BrokerProcess) -> Vec<String> {
        let ctl = Program::new(broker.setup.folder.join("ctl")).args([
            "--quiet",
            "list_queues",
            "--no-table-headers",
            "name",
        ]);
        // It lets clients in shortly before it answers this.
        let run = || async {
            let run = World::real().processes.run(&ctl, Limits::of(LONG)).await;
            let run = run.unwrap_or_else(|error| panic!("{error}"));
            run.success().then_some(run.stdout)
        };
        let listed = until("RabbitMQ lists its queues", LONG, run).await;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let mut queues: Vec<String> = listed.lines().map(str::to_owned).collect();
        queues.sort();
        queues
    }
}

/// `rabbitmqctl` for this one.
fn ctl(folder: &Folder, mapper_port: u16) -> String {
    let home = folder.join("home").display().to_string();
    format!(
        "#!/bin/sh\nexport HOME={home} RABBITMQ_NODENAME={NODE} RABBITMQ_CONF_ENV_FILE=/dev/null\n\
         export ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT={mapper_port}\n\
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
        .env("RABBITMQ_NODENAME", NODE)
        .env("RABBITMQ_CONFIG_FILE", at("etc/rabbitmq.conf"))
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("etc/enabled_plugins"))
        .env("RABBITMQ_MNESIA_BASE", at("mnesia"))
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_PID_FILE", at("pid"))
        .env("RABBITMQ_DIST_PORT", node_port.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", mapper_port.to_string())
        .env("ERL_CRASH_DUMP_BYTES", "0")
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
        )
}
