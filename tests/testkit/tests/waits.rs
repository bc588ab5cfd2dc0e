//! Waiting for a condition.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use testkit::{SOON, until};

#[tokio::test]
async fn it_asks_until_there_is_an_answer() {
    let asked = AtomicU32::new(0);
    let third = || async {
        let n = asked.fetch_add(1, Ordering::Relaxed);
        (n == 2).then_some("there")
    };
    assert_eq!(until("the third", SOON, third).await, "there");
    assert_eq!(asked.into_inner(), 3);
}

#[tokio::test]
#[should_panic(expected = "v1 on web1: not within 0.05 s")]
async fn the_limit_says_what_was_waited_for() {
    let never = || async { None::<()> };
    until("v1 on web1", Duration::from_millis(50), never).await;
}
