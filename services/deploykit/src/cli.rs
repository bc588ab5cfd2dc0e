//! What can be typed.

mod announcing;
mod asking;
mod ci;
mod clear;
mod on;
mod tail;
mod webhooks;

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use events::ProjectName;

pub use announcing::{BuildArgs, BuildSays, SpoolArgs};
pub use asking::{
    Ask, Control, Deploy, History, HostAction, Hosts, Logs, Rollback, Show, Status, Tags,
};
pub use ci::Ci;
pub use clear::Clear;
pub use on::On;
pub use tail::Tail;
pub use webhooks::{Act, Webhooks};

/// Deploys to plain servers over a message bus.
#[derive(Debug, Parser)]
#[command(name = "deploykit", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// The data folder of a running `up` or `demo` to talk to
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "DEPLOYKIT_AT",
        overrides_with = "at"
    )]
    pub at: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  deploykit demo                        watch the whole pipeline at work on this machine
  deploykit up --repo ~/src/shop        run it on your own repository
  deploykit tags shop                   what can be deployed
  deploykit deploy shop v2              canary first, then the rest
  deploykit deploy shop v2 --on web1    one server only
  deploykit rollback shop               back to the release before, everywhere
  deploykit status                      what runs where
  deploykit tail                        what happens, as it happens

Exit codes:
  0  done; hosts that could not be reached and were left behind are named
  1  it failed; after a deploy, hosts are back on what they had, or say what they are on
  2  the command line was not understood
  3  refused: unknown name, not allowed, busy
  69 the orchestrator (or the broker) cannot be reached
  78 the settings must be mended";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the whole pipeline at work: push, fetch, deploy in waves, a bad release put back, rollback
    Demo(Demo),
    /// Run the whole pipeline on your repository, on this machine
    Up(Up),
    /// Run the embedded broker alone
    Broker(Broker),
    /// Make the keys and settings of a first installation
    Setup(Setup),
    /// Say what is missing or wrong on this machine
    Doctor(Doctor),
    /// Make a tag, branch or commit live
    Deploy(Deploy),
    /// Go back to the release before; nothing forbids it
    Rollback(Rollback),
    /// Have broken hosts take deploys again, once somebody has looked at them
    Clear(Clear),
    /// What runs where
    Status(Status),
    /// The servers
    Hosts(Hosts),
    /// What can be deployed
    Tags(Tags),
    /// What CI has found of commits
    Ci(Ci),
    /// One deploy, whole
    Show(Show),
    /// What the scripts of a deploy wrote
    Logs(Logs),
    /// What all components said, and what they say, live
    Tail(Tail),
    /// Deploys, newest first
    History(History),
    /// End a deploy that is under way; what changed is put back
    Abort(Control),
    /// Hold a deploy after the hosts that are under way
    Pause(Control),
    /// Go on with a paused deploy
    Resume(Control),
    /// Run a command of your own for each message of a topic
    On(On),
    /// Tell the bus of something that happened (for hooks)
    #[command(subcommand)]
    Announce(Announce),
    /// What forges sent to github-stomp, and what became of it
    Webhooks(Webhooks),
    /// Print a completion script for your shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write the man pages
    Man {
        /// The folder to write them to
        folder: PathBuf,
    },
    /// One host's agent, as a child of `up` and `demo`
    #[command(hide = true)]
    Agent {
        /// Its settings file
        #[arg(long)]
        config: PathBuf,
    },
    /// One script of a deploy, as a child of the agent
    #[command(hide = true)]
    Step {
        /// Its folder; and what this process then becomes: a program with its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
}

/// `deploykit demo`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploykit demo                 stays up afterwards, with a web page; Ctrl-C ends it
  deploykit demo --exit          ends after the story; exit code 0 only if every step was verified
  deploykit demo --repo ~/src/x  the story on a copy of your own repository
  deploykit demo --broker mq.example.org:61613 --login ann --passcode-file ~/mq-passcode
                                 over your RabbitMQ or ActiveMQ
  deploykit demo --bus-settings bus.toml
                                 the same with TLS and all else that a [bus] section can say

Needs git only. Everything happens in a new temporary folder, which is removed at the end. On a broker of yours, its
topics and subscriptions begin with deploykit-demo- and a random word, and the subscriptions are removed at the end.")]
pub struct Demo {
    /// Use a copy of this repository (yours is only read)
    #[arg(long, value_name = "PATH_OR_URL")]
    pub repo: Option<String>,
    /// End after the story
    #[arg(long)]
    pub exit: bool,
    /// Where the web page listens; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: String,
    /// A broker in place of the embedded one: RabbitMQ or ActiveMQ, its port for STOMP
    #[arg(long, value_name = "HOST:PORT")]
    pub broker: Option<String>,
    /// The login at that broker
    #[arg(long, value_name = "NAME", requires_all = ["broker", "passcode_file"])]
    pub login: Option<String>,
    /// A file with the passcode of that login
    #[arg(long, value_name = "FILE", requires = "login")]
    pub passcode_file: Option<PathBuf>,
    /// In place of the three above: a settings file whose section bus says how to reach the broker
    #[arg(long, value_name = "FILE", conflicts_with = "broker")]
    pub bus_settings: Option<PathBuf>,
}

/// `deploykit up`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploykit up --repo ~/src/shop
  deploykit up --repo https://github.com/acme/shop.git --project shop --hosts 3

The data folder survives restarts. In another shell: deploykit status")]
pub struct Up {
    /// The repository to deploy from
    #[arg(long, value_name = "PATH_OR_URL")]
    pub repo: String,
    /// The project's name; default: the last part of the repository's
    #[arg(long)]
    pub project: Option<ProjectName>,
    /// How many servers to play, web1 and on
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub hosts: u16,
    /// Where everything is kept; default: `$XDG_DATA_HOME/deploykit`
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where the web page listens (loopback only: it has no login yet)
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7700")]
    pub listen: String,
    /// Where webhooks are received
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7701")]
    pub webhooks: String,
    /// Where the embedded broker listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:61613")]
    pub broker: String,
}

/// `deploykit broker`
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  deploykit broker --listen 127.0.0.1:61613 --data ~/.local/share/deploykit/broker

  deploykit broker --user ann=keys/ann --user bob=keys/bob

For one machine, demos and tests. On loopback and without a passcode file it takes guest/guest.
More machines: RabbitMQ or ActiveMQ.")]
pub struct Broker {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:61613")]
    pub listen: String,
    /// Where durable subscriptions and their messages are kept; without it they end with the process
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The login to ask for
    #[arg(long, default_value = "guest", requires = "passcode_file")]
    pub login: String,
    /// A file with the passcode of that login
    #[arg(long, value_name = "FILE")]
    pub passcode_file: Option<PathBuf>,
    /// One more who may connect, and the file with the passcode; may be repeated
    #[arg(long = "user", value_name = "LOGIN=FILE")]
    pub users: Vec<String>,
    /// Listen where other machines reach it too, though passcodes and messages then cross the network unencrypted
    #[arg(long)]
    pub allow_outside: bool,
}

/// `deploykit setup`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploykit setup                                   keys and settings in $XDG_CONFIG_HOME/deploykit
  deploykit setup --dir /etc/deploykit --broker mq.example.org:61614 --tls-ca /etc/deploykit/keys/broker-ca.pem
  deploykit setup … --tls-ca … --tls-certificates /etc/deploykit/keys    as docs/brokers.md has it: a certificate for each service
  deploykit setup --key ~/.ssh/id_ed25519           sign with your own key

What exists is kept. Ends with a look by `deploykit doctor`.")]
pub struct Setup {
    /// Where to write; default: `$XDG_CONFIG_HOME/deploykit`
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Your own Ed25519 ssh key, in place of a new operator key
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Your name in the history; default: user@host
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The broker that the settings name
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:61613")]
    pub broker: String,
    /// TLS to the broker.
    #[command(flatten)]
    pub tls: SetupTls,
}

/// How services reach a broker by TLS.
#[derive(Debug, Args)]
pub struct SetupTls {
    /// Services speak TLS, and believe the authorities of the system
    #[arg(long)]
    pub tls: bool,
    /// Services speak TLS, and believe this authority alone (PEM)
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Services show certificates in place of a login: SERVICE.pem and SERVICE.key in this folder
    #[arg(long, value_name = "DIR")]
    pub tls_certificates: Option<PathBuf>,
    /// The name that the broker's certificate is for, if that is not the host in --broker
    #[arg(long, value_name = "NAME")]
    pub tls_server_name: Option<String>,
}

/// `deploykit doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// The folder that `setup` made; default: `$XDG_CONFIG_HOME/deploykit`
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// For machines
    #[arg(long)]
    pub json: bool,
}

/// `deploykit announce`
#[derive(Debug, Subcommand)]
pub enum Announce {
    /// Print a hook, to be put into a repository's hooks/ folder
    Hook {
        /// Which one
        #[arg(value_parser = crate::announce::hook_names())]
        hook: String,
    },
    /// Deliver what hooks left in the spool, for ever: the service beside them
    ///
    /// Settings: `/etc/deploykit/announce.toml`, with `[outbox]` and `[bus]`.
    Deliver {
        /// The settings file
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Only read the settings
        #[arg(long)]
        check: bool,
    },
    /// Refs of a git repository that moved: `OLD NEW REF` lines on standard input, as post-receive gets them
    ///
    /// Writes to the spool and returns; a service delivers. Never fails the push: it exits 0 whatever it is given, with a
    /// line on standard error for what is not announced.
    Git {
        /// The repository's name on the bus
        #[arg(long)]
        repository: String,
        /// Who pushed, for people to read; default: who runs this
        #[arg(long, value_name = "NAME")]
        pusher: Option<String>,
        /// Where they wait.
        #[command(flatten)]
        spool: SpoolArgs,
    },
    /// Packages that came into an apt repository: on standard input a line for each, as reprepro gives it to its log scripts
    ///
    /// `add SUITE deb COMPONENT ARCHITECTURE NAME VERSION [-- FILES]`, or `replace` with the old version after the new one.
    /// Writes to the spool and exits 0, as `announce git` does.
    Package {
        /// The apt repository's name on the bus
        #[arg(long)]
        repository: String,
        /// Where they wait.
        #[command(flatten)]
        spool: SpoolArgs,
    },
    /// A commit to Subversion: on standard input what `svnlook info` and then `svnlook changed` print of it
    ///
    /// Writes to the spool and exits 0, as `announce git` does.
    Svn {
        /// The repository's name on the bus
        #[arg(long)]
        repository: String,
        /// The revision
        #[arg(long)]
        revision: u64,
        /// Where they wait.
        #[command(flatten)]
        spool: SpoolArgs,
    },
    /// A build of CI that began or ended, for a CI that none of our services knows
    ///
    /// Writes to the spool and exits 0, as `announce git` does. Within a build of Jenkins, what is not typed is taken from the
    /// environment, as `jenkins-helper` takes it.
    #[command(subcommand)]
    Build(BuildSays),
    /// What apt of this machine would install now of these packages, for apt's own hook
    ///
    /// Writes to the spool and exits 0, as `announce git` does.
    Refreshed {
        /// The packages
        #[arg(required = true, value_name = "PACKAGE")]
        packages: Vec<String>,
        /// Where they wait.
        #[command(flatten)]
        spool: SpoolArgs,
        /// What `APT_CONFIG` names for apt, where its root is not this system's
        #[arg(long, value_name = "FILE")]
        apt_config: Option<PathBuf>,
    },
}

impl Command {
    /// True if the answer is for a machine, and so the refusal too.
    #[must_use]
    pub fn json(&self) -> bool {
        match self {
            Self::Deploy(args) => args.ask.json,
            Self::Rollback(args) => args.ask.json,
            Self::Clear(args) => args.ask.json,
            Self::Status(args) => args.json,
            Self::Hosts(args) => args.json || args.action.as_ref().is_some_and(HostAction::json),
            Self::Tags(args) => args.json,
            Self::Show(args) => args.json,
            Self::Logs(args) => args.json,
            Self::History(args) => args.json,
            Self::Abort(args) | Self::Pause(args) | Self::Resume(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Webhooks(args) => args.act.json(),
            _ => false,
        }
    }
}
