//! `stomp-repo`: refreshes an apt source of this host when a package of interest came into it.
//!
//! Hears of packages on the bus, and says which versions apt would install then. `stomp-repo refresh` is its root part.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == "refresh")
    {
        return stomp_repo::refresh::main(std::env::args_os().skip(1)).await;
    }
    chassis::run(chassis::service!(), stomp_repo::serve).await
}
