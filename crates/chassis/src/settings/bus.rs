//! `[bus]`: how to reach the bus, and how long to wait for it.

use std::path::PathBuf;

use events::Names;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use stomp::Dialect;

/// The longest that any limit may be, seconds: an hour.
const LONGEST_LIMIT_S: u64 = 3600;

/// The longest pause between two looks at an earlier broker, seconds: a day.
const LONGEST_FAIL_BACK_S: u64 = 86_400;

/// How to reach the bus: `[bus]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusSettings {
    /// Brokers as `host:port`, in the order they are tried.
    pub brokers: Vec<String>,
    /// Connected to a later broker, how often the earlier ones are tried, seconds. 0: never while this connection holds.
    pub fail_back_s: u64,
    /// User name at the broker.
    pub login: Option<String>,
    /// File with the passcode; read at each connection, so a changed one is taken up.
    pub passcode_file: Option<PathBuf>,
    /// STOMP's `host`: the virtual host.
    pub virtual_host: String,
    /// Which kind of broker it is, for one whose CONNECTED does not say so: `rabbitmq`, `activemq`, `artemis`, `embedded`.
    #[serde(with = "word")]
    pub dialect: Option<Dialect>,
    /// Speaks TLS 1.2 or 1.3 to all brokers.
    pub tls: bool,
    /// The authorities that may have signed the broker's certificate, PEM; only these then. Default: those of the system.
    /// This and the next two files are read at each connection, so renewed ones are taken up.
    pub tls_ca_file: Option<PathBuf>,
    /// The client certificate, PEM, with the certificates between it and its authority.
    pub tls_certificate_file: Option<PathBuf>,
    /// The key of the client certificate, PEM without passphrase: PKCS #8, SEC 1 or RSA.
    pub tls_key_file: Option<PathBuf>,
    /// The name or address that the broker's certificate is for. Default: the host of the broker's address.
    pub tls_server_name: Option<String>,
    /// Heart-beats both ways, seconds.
    pub heart_beat_s: u64,
    /// One attempt to connect, TCP and TLS, seconds.
    pub connect_limit_s: u64,
    /// From STOMP's CONNECT to CONNECTED, seconds.
    pub handshake_limit_s: u64,
    /// One write, from full buffers to room, seconds. Then the connection is replaced.
    pub write_limit_s: u64,
    /// From a frame to its RECEIPT, seconds. Then the connection is replaced.
    pub receipt_limit_s: u64,
    /// A publish, from the call to the receipt, waiting for a connection included, seconds.
    pub publish_limit_s: u64,
    /// The longest wait between two attempts to connect, seconds.
    pub backoff_limit_s: u64,
    /// Messages that the broker sends ahead of acknowledgements.
    pub prefetch: u32,
    /// How topics are named here.
    pub topics: Names,
}

impl BusSettings {
    pub(crate) fn check(&self) -> Result<(), String> {
        self.check_brokers()?;
        self.check_login()?;
        self.check_tls()?;
        let limits = [
            ("heart_beat_s", self.heart_beat_s),
            ("connect_limit_s", self.connect_limit_s),
            ("handshake_limit_s", self.handshake_limit_s),
            ("write_limit_s", self.write_limit_s),
            ("receipt_limit_s", self.receipt_limit_s),
            ("publish_limit_s", self.publish_limit_s),
            ("backoff_limit_s", self.backoff_limit_s),
            ("prefetch", u64::from(self.prefetch)),
        ];
        for (key, value) in limits {
            if !(1..=LONGEST_LIMIT_S).contains(&value) {
                return Err(format!(
                    "{key} is {value}: it must be 1 to {LONGEST_LIMIT_S}"
                ));
            }
        }
        if self.fail_back_s > LONGEST_FAIL_BACK_S {
            return Err(format!(
                "fail_back_s is {}: it must be 1 to {LONGEST_FAIL_BACK_S}, or 0 for never",
                self.fail_back_s
            ));
        }
        self.topics
            .check()
            .map_err(|wrong| format!("topics: {wrong}"))
    }

    fn check_brokers(&self) -> Result<(), String> {
        if self.brokers.is_empty() {
            return Err(
                "brokers is empty: name at least one, such as \"127.0.0.1:61613\"".to_owned(),
            );
        }
        match self.brokers.iter().find(|broker| !is_address(broker)) {
            Some(broker) => Err(format!("brokers has {broker:?}, which is not host:port")),
            None => Ok(()),
        }
    }

    fn check_login(&self) -> Result<(), String> {
        let portable = |text: &str| !text.contains(['\\', ':', '\r', '\n', '\0']);
        if self.login.as_deref().is_some_and(|login| !portable(login)) {
            return Err(
                "login holds a \\, a : or a control character, which not all brokers read alike"
                    .to_owned(),
            );
        }
        if self.login.is_some() != self.passcode_file.is_some() {
            return Err("login and bus.passcode_file go together: set both or none".to_owned());
        }
        Ok(())
    }

    fn check_tls(&self) -> Result<(), String> {
        if !self.tls {
            let set = [
                ("tls_ca_file", self.tls_ca_file.is_some()),
                ("tls_certificate_file", self.tls_certificate_file.is_some()),
                ("tls_key_file", self.tls_key_file.is_some()),
                ("tls_server_name", self.tls_server_name.is_some()),
            ];
            return match set.iter().find(|(_, set)| *set) {
                Some((key, _)) => Err(format!(
                    "{key} is set, but TLS is off: set bus.tls = true, or remove it"
                )),
                None => Ok(()),
            };
        }
        if self.tls_certificate_file.is_some() != self.tls_key_file.is_some() {
            return Err(
                "tls_certificate_file and bus.tls_key_file go together: set both or none"
                    .to_owned(),
            );
        }
        if let Some(name) = &self.tls_server_name {
            return match ServerName::try_from(name.as_str()) {
                Ok(_) => Ok(()),
                Err(_) => Err(format!(
                    "tls_server_name is {name:?}: it must be a DNS name or an IP address, without a port"
                )),
            };
        }
        let nameless = |broker: &&String| ServerName::try_from(host(broker)).is_err();
        match self.brokers.iter().find(nameless) {
            Some(broker) => Err(format!(
                "brokers has {broker:?}, whose host is no name that a certificate can be for: set bus.tls_server_name"
            )),
            None => Ok(()),
        }
    }
}

/// The host of a broker's address; `::1` of `[::1]:61613`.
pub(crate) fn host(broker: &str) -> &str {
    let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host)
}

/// True for `host:port`.
pub(crate) fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && !host.contains(['/', ' ', '@'])
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

impl Default for BusSettings {
    fn default() -> Self {
        Self {
            brokers: vec!["127.0.0.1:61613".to_owned()],
            fail_back_s: 300,
            login: None,
            passcode_file: None,
            virtual_host: "/".to_owned(),
            dialect: None,
            tls: false,
            tls_ca_file: None,
            tls_certificate_file: None,
            tls_key_file: None,
            tls_server_name: None,
            heart_beat_s: 5,
            connect_limit_s: 10,
            handshake_limit_s: 10,
            write_limit_s: 30,
            receipt_limit_s: 30,
            publish_limit_s: 30,
            backoff_limit_s: 30,
            prefetch: 64,
            topics: Names::default(),
        }
    }
}

/// A dialect as its word.
mod word {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use stomp::Dialect;

    pub(super) fn serialize<S: Serializer>(
        dialect: &Option<Dialect>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match dialect {
            Some(dialect) => to.serialize_some(&dialect.to_string()),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Dialect>, D::Error> {
        let word = Option::<String>::deserialize(from)?;
        word.map(|word| word.parse().map_err(D::Error::custom))
            .transpose()
    }
}
