//! Debian's RabbitMQ with its STOMP plugin.

use command::Program;

use crate::{
    BrokerProcess, Folder,
    process::{free_port, start, until_listening},
};

/// Of the package `rabbitmq-server`. `/usr/sbin/rabbitmq-server` would change to the package's user and folders.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Debian's RabbitMQ: STOMP only, no AMQP port, and a port mapper (epmd) of its own.
#[derive(Debug)]
pub struct RabbitMq;

impl RabbitMq {
    /// Starts it and waits until it accepts a client.
    ///
    /// # Panics
    /// It is not installed or did not start, with the last lines of its log.
    pub async fn start() -> BrokerProcess {
        let (port, mapper_port, node_port) =
            (free_port().await, free_port().await, free_port().await);
        let folder = Folder::new();
        // Started here, it is ended here: the one that RabbitMQ would start outlives it.
        let mapper = BrokerProcess::program("epmd")
            .args(["-address", "127.0.0.1", "-port"])
            .arg(mapper_port.to_string());
        let mapper = start(&mapper, folder.join("epmd.log"));
        until_listening("epmd listens", mapper_port).await;
        let program = program(&folder, port, mapper_port, node_port);
        BrokerProcess::start_beside(Some(mapper), "RabbitMQ", port, folder, program).await
    }
}

fn program(folder: &Folder, port: u16, mapper_port: u16, node_port: u16) -> Program {
    let at = |path: &str| folder.join(path).display().to_string();
    folder.write("enabled_plugins", "[rabbitmq_stomp].\n");
    folder.write("definitions.json", &definitions());
    let settings = format!(
        "listeners.tcp = none\n\
         stomp.listeners.tcp.1 = 127.0.0.1:{port}\n\
         log.console = true\n\
         log.console.level = info\n\
         log.file = false\n\
         load_definitions = {}\n",
        at("definitions.json")
    );
    folder.write("rabbitmq.conf", &settings);
    folder.write("home/README", "The Erlang cookie lies here.\n");
    BrokerProcess::program(SERVER)
        .folder(folder.path())
        .env("HOME", at("home"))
        // The script then becomes the server, where otherwise it would start it and stand in between.
        .env("RUNNING_UNDER_SYSTEMD", "true")
        .env("RABBITMQ_NODENAME", "test@localhost")
        .env("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf"))
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("enabled_plugins"))
        .env("RABBITMQ_MNESIA_BASE", at("mnesia"))
        .env("RABBITMQ_LOG_BASE", at("logs"))
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

/// Its users and their rights, loaded at each start.
fn definitions() -> String {
    let (login, passcode) = (BrokerProcess::LOGIN, BrokerProcess::PASSCODE);
    format!(
        r#"{{
  "vhosts": [{{"name": "/"}}],
  "users": [{{"name": "{login}", "password": "{passcode}", "tags": ""}}],
  "permissions": [{{"user": "{login}", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}}]
}}
"#
    )
}
