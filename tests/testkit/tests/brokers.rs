//! Brokers in processes of their own. That the real ones start, are killed and start again is in tests/conformance.

use command::Program;
use testkit::BrokerProcess;

#[tokio::test]
#[should_panic(expected = "does-not-start ended at once (exit 3)")]
async fn a_broker_that_does_not_start_fails_the_test() {
    BrokerProcess::start("does-not-start", |_, _| script("exit 3")).await;
}

#[tokio::test]
#[should_panic(expected = "the disk is full")]
async fn its_log_is_told() {
    BrokerProcess::start("does-not-start", |_, _| script("echo the disk is full >&2")).await;
}

#[tokio::test]
#[should_panic(expected = "failed to execute no-such-broker")]
async fn one_that_is_not_installed_is_told() {
    let not_there = |_: &testkit::Folder, _| BrokerProcess::program("no-such-broker");
    BrokerProcess::start("not-installed", not_there).await;
}

fn script(text: &str) -> Program {
    BrokerProcess::program("sh").args(["-c", text])
}
