//! The shipped file and the limits.

use chassis::{
    Settings as _,
    settings::{parse, switched_on},
};
use stomp_keepalive::Settings;

#[test]
fn the_shipped_file_is_the_defaults() {
    let (common, own) = parse::<Settings>(Settings::SHIPPED, "shipped").unwrap();
    assert_eq!((common, own), Default::default());
}

#[test]
fn every_commented_key_of_the_shipped_file_can_be_switched_on() {
    let (common, own) = parse::<Settings>(&switched_on(Settings::SHIPPED), "shipped").unwrap();
    assert_eq!(own.eol, ["/topic/old.clients"]);
    assert_eq!(common.bus.topics.rename["keepalive"], "site.beats");
}

#[test]
fn values_out_of_range_are_refused_by_their_key() {
    let table = [
        ("every_s = 0", "x: every_s must be 1 to 3600"),
        ("slow_ms = 0", "x: slow_ms must be 1 to 600000"),
        (
            "eol = ['old.clients']",
            "x: eol has \"old.clients\"; a destination is /topic/NAME or /queue/NAME",
        ),
        (
            "eol = ['/topic/']",
            "x: eol has \"/topic/\"; a destination is /topic/NAME or /queue/NAME",
        ),
    ];
    for (text, said) in table {
        assert_eq!(parse::<Settings>(text, "x").unwrap_err().to_string(), said);
    }
}
