//! TLS, with a certificate on both sides.

use chassis::{BusSettings, bus::reach};
use testkit::{Certificates, Member};
use world::World;

use crate::site::{HUB, Site};

/// A service that is let in, by its certificate alone.
const USER: &str = "stomp-keepalive";

pub(crate) async fn a_certificate_says_who_is_there(site: &mut Site) {
    let server = try_it(&settings(site)).await.expect("it is let in");
    assert_eq!(stomp::Dialect::of(&server), site.kind);
    // Whose certificate it is shows by what is refused.
    let member = Member::connect(USER, site.common_as(USER, HUB)).await;
    let refused = member
        .bus
        .publish_raw("/topic/deploykit.git.commits", true, "x".into());
    let refused = refused.await.expect_err("it may not say that").to_string();
    assert!(refused.contains(USER), "{refused}");
}

pub(crate) async fn who_has_no_certificate_of_the_site_is_not_let_in(site: &mut Site) {
    let mut nobody = settings(site);
    (nobody.tls_certificate_file, nobody.tls_key_file) = (None, None);
    let refused = try_it(&nobody).await.expect_err("it has no certificate");
    // The broker's own word, not only that the client has a hint for whatever happens.
    let said = said_by_the_broker(&refused, &["CertificateRequired", "BadCertificate"]);
    assert!(said, "{refused}");

    let elsewhere = Certificates::make().await;
    let mut stranger = settings(site);
    stranger.tls_certificate_file = Some(elsewhere.certificate(USER));
    stranger.tls_key_file = Some(elsewhere.key(USER));
    let refused = try_it(&stranger).await.expect_err("another site made it");
    let said = said_by_the_broker(&refused, &["UnknownCA", "CertificateUnknown"]);
    let file = elsewhere.certificate(USER).display().to_string();
    assert!(said && refused.contains(&file), "{refused}");

    // A name that is no user here.
    site.broker
        .certificates()
        .script(&["client", "unheard-of"])
        .await;
    let mut unknown = settings(site);
    unknown.tls_certificate_file = Some(site.broker.certificates().certificate("unheard-of"));
    unknown.tls_key_file = Some(site.broker.certificates().key("unheard-of"));
    let refused = try_it(&unknown).await.expect_err("nobody has that name");
    assert!(
        refused.contains("the broker refused the connection: "),
        "{refused}"
    );
}

pub(crate) async fn a_broker_without_the_certificate_of_the_site_is_not_trusted(site: &mut Site) {
    let elsewhere = Certificates::make().await;
    let mut wrong_authority = settings(site);
    wrong_authority.tls_ca_file = Some(elsewhere.authority());
    let refused = try_it(&wrong_authority)
        .await
        .expect_err("not its authority");
    assert!(refused.contains("tls_ca_file"), "{refused}");
    let mut wrong_name = settings(site);
    wrong_name.tls_server_name = Some("mq2.example.org".to_owned());
    let refused = try_it(&wrong_name).await.expect_err("not its name");
    assert!(refused.contains("mq2.example.org"), "{refused}");
}

/// True if the broker's alert is one of these.
fn said_by_the_broker(refused: &str, alerts: &[&str]) -> bool {
    let alert = refused.split(['(', ')']).nth(1);
    alert.is_some_and(|alert| alerts.contains(&alert))
}

fn settings(site: &Site) -> BusSettings {
    site.common_as(USER, HUB).bus
}

async fn try_it(settings: &BusSettings) -> Result<String, String> {
    reach(settings, &settings.brokers[0], "conf-tls", &World::real()).await
}
