//! Programs in the process group of the caller.

use command::{Processes, RealBeside, RunError};

use crate::watch::{ample, sh, short};

#[tokio::test]
async fn it_is_in_the_group_of_who_runs_it() {
    let group = "cut -d' ' -f5 /proc/$$/stat";
    let own = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let own = own
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split(' ').nth(3));
    let output = RealBeside.run(&sh(group), ample()).await.expect("it runs");
    let said = String::from_utf8(output.stdout).expect("a number");
    assert_eq!(Some(said.trim()), own);
    // Ended at its limit without taking this process along.
    let error = RealBeside.run(&sh("exec sleep 100"), short(200, 100)).await;
    assert!(matches!(error, Err(RunError::Limit { .. })), "{error:?}");
    assert!(RealBeside.start_detached(&sh("true")).is_err());
}
