//! The settings that `up` and `demo` write are read by the services' own code.

use std::path::PathBuf;

use chassis::settings::parse;
use deploykit::layout::{Broker, Layout, web_hosts};

fn layout() -> Layout {
    Layout {
        requires_ci: true,
        data: PathBuf::from("/srv/a folder/with \"quotes\""),
        project: "shop".parse().unwrap(),
        environment: "local".parse().unwrap(),
        repository: "shop".parse().unwrap(),
        aliases: vec!["acme/shop".to_owned()],
        origin: "https://example.org/acme/shop.git".to_owned(),
        hosts: web_hosts(3),
        page: "127.0.0.1:7700".to_owned(),
        webhooks: "127.0.0.1:7701".to_owned(),
        broker: Broker::Embedded("127.0.0.1:61613".to_owned()),
        shared: vec!["data".to_owned()],
    }
}

#[test]
fn every_settings_file_is_good() {
    let layout = layout();
    let broker = &layout.embedded("127.0.0.1:61613".to_owned());
    let host = &layout.hosts[0];
    parse::<deploy_orchestrator::Settings>(&layout.deploy_orchestrator(broker), "o").unwrap();
    parse::<github_stomp::Settings>(&layout.github_stomp(broker), "g").unwrap();
    parse::<stomp_keepalive::Settings>(&layout.stomp_keepalive(broker), "k").unwrap();
    parse::<deploykit::announce::Deliver>(&layout.announce(broker), "a").unwrap();
    parse::<stomp_git::Settings>(&layout.stomp_git(host, broker), "s").unwrap();
    let (common, _) =
        parse::<deploy_agent::Settings>(&layout.deploy_agent(host, broker), "d").unwrap();
    assert_eq!(common.host, Some("web1".parse().unwrap()));
    assert_eq!(common.bus.brokers, ["127.0.0.1:61613"]);
}
