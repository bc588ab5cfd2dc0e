//! What goes wrong with TLS, as a sentence with the next step.

use std::{io, path::Path};

use jiff::Timestamp;
use rustls::{
    AlertDescription as Alert, CertificateError, Error, InconsistentKeys, pki_types::UnixTime,
};

use crate::BusSettings;

/// So many names of a broker's certificate are told, and so much of each.
const NAMES: usize = 8;
const NAME_CHARACTERS: usize = 80;

/// An error of a connection, if it is one of TLS: at the handshake, or after it, where brokers refuse client certificates.
pub(in crate::bus) fn told(error: &io::Error, settings: &BusSettings) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidCertificate(wrong) => certificate(wrong, settings),
        Error::AlertReceived(alert) => refused(*alert, settings),
        Error::InvalidMessage(_) => {
            "no TLS answers there: name the broker's port for TLS in bus.brokers, or set bus.tls = false".to_owned()
        }
        Error::PeerIncompatible(why) => {
            format!("the broker and this service have no way of TLS in common; here TLS 1.2 and 1.3 are spoken ({why:?})")
        }
        other => format!("TLS failed: {other}"),
    })
}

/// The handshake ended without a word.
pub(super) fn broken_handshake(error: &io::Error) -> String {
    format!("the broker hung up during the TLS handshake ({error}): is this its port for TLS?")
}

/// There is nobody whose certificates could be believed.
pub(super) fn no_authorities(why: Option<&str>) -> String {
    format!(
        "bus.tls: this system has no certificates of authorities ({}): install ca-certificates, or set bus.tls_ca_file",
        why.unwrap_or("none was found")
    )
}

/// A certificate and a key that cannot be used together.
pub(super) fn unfit_key(error: &Error, certificate: &Path, key: &Path) -> String {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => format!(
            "bus.tls_key_file {} is not the key of bus.tls_certificate_file {}: set the two that belong together",
            key.display(),
            certificate.display()
        ),
        other => format!(
            "bus.tls_key_file {} and bus.tls_certificate_file {} cannot be used: {other}",
            key.display(),
            certificate.display()
        ),
    }
}

/// What is wrong with the broker's certificate.
fn certificate(wrong: &CertificateError, settings: &BusSettings) -> String {
    match wrong {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            let told = match &settings.tls_ca_file {
                Some(file) => format!(
                    "is not signed by bus.tls_ca_file {}: put the certificate of the authority that signed it there",
                    file.display()
                ),
                None => "is not signed by an authority that this system knows: set bus.tls_ca_file to the certificate of the one that signed it".to_owned(),
            };
            format!("the broker's certificate {told}")
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => format!(
            "the broker's certificate is not for {} but for {}: name the broker so in bus.brokers, or set bus.tls_server_name",
            expected.to_str(),
            names(presented)
        ),
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the broker's certificate expired at {} (here it is {}): renew it at the broker",
            moment(*not_after),
            moment(*time)
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the broker's certificate is valid from {} on (here it is {}): look at both clocks",
            moment(*not_before),
            moment(*time)
        ),
        CertificateError::Other(why) if why.to_string().contains("CaUsedAsEndEntity") => {
            "the broker shows an authority's certificate as its own: have that authority sign one for the broker".to_owned()
        }
        other => format!("the broker's certificate cannot be used ({other}): make a new one for the broker"),
    }
}

/// What the broker did not like.
fn refused(alert: Alert, settings: &BusSettings) -> String {
    let about_certificate = matches!(
        alert,
        Alert::CertificateRequired
            | Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
    );
    match (&settings.tls_certificate_file, alert) {
        (None, _) if about_certificate => {
            format!(
                "the broker wants a client certificate ({alert:?}): set bus.tls_certificate_file and bus.tls_key_file"
            )
        }
        (Some(file), _) if about_certificate => format!(
            "the broker does not take bus.tls_certificate_file {} ({alert:?}): have an authority that it knows sign a valid one",
            file.display()
        ),
        (None, Alert::HandshakeFailure) => format!(
            "the broker ended the TLS handshake ({alert:?}): it may want a client certificate (bus.tls_certificate_file), or speak neither TLS 1.2 nor 1.3"
        ),
        (_, Alert::ProtocolVersion | Alert::HandshakeFailure) => {
            format!(
                "the broker and this service have no way of TLS in common; here TLS 1.2 and 1.3 are spoken ({alert:?})"
            )
        }
        (_, Alert::UnrecognisedName) => {
            "the broker does not know itself by this name: set bus.tls_server_name".to_owned()
        }
        _ => format!("the broker ended the TLS connection ({alert:?})"),
    }
}

/// `a.example, 10.0.0.1`, of texts such as `DnsName("a.example")`. They are a stranger's.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name.split_once('(').map_or(&**name, |(_, inner)| inner);
        let inner = inner.strip_suffix(')').unwrap_or(inner).trim_matches('"');
        let plain = inner.chars().map(|c| if c.is_control() { ' ' } else { c });
        plain.take(NAME_CHARACTERS).collect::<String>()
    };
    if presented.is_empty() {
        return "no name at all".to_owned();
    }
    let told: Vec<String> = presented.iter().take(NAMES).map(bare).collect();
    told.join(", ")
}

fn moment(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(|_| format!("{seconds} s"), |time| time.to_string())
}
