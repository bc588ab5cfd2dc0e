//! Asking the root part, from without rights.

use std::{io, path::Path, time::Duration};

use events::AptSource;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use super::Answer;

/// An answer is one line.
const ANSWER_BYTES: u64 = 16 * 1024;

/// Has a source refreshed by the root part at this socket. What goes wrong on the way is a failure with its next step.
pub async fn ask(socket: &Path, source: &AptSource, limit: Duration) -> Answer {
    let at = socket.display();
    let failed = |why: String| Answer::Failed { why };
    let asked = async {
        let mut stream = UnixStream::connect(socket).await.map_err(|error| {
            format!(
                "nobody answers at {at} ({error}): systemctl enable --now stomp-repo-refresh.socket"
            )
        })?;
        let told = talk(&mut stream, source).await;
        told.map_err(|error| format!("the root part at {at} broke off: {error}"))
    };
    let answer = match timeout(limit, asked).await {
        Err(_) => {
            return failed(format!(
                "no answer came from {at} within {} s",
                limit.as_secs()
            ));
        }
        Ok(Err(why)) => return failed(why),
        Ok(Ok(answer)) => answer,
    };
    serde_json::from_slice(&answer).unwrap_or_else(|error| {
        failed(format!(
            "the answer from {at} cannot be read: {error}; see journalctl -t stomp-repo"
        ))
    })
}

async fn talk(stream: &mut UnixStream, source: &AptSource) -> io::Result<Vec<u8>> {
    stream.write_all(format!("{source}\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer).await?;
    Ok(answer)
}
