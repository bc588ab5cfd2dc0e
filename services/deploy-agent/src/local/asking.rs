//! The command's end of the agent's socket.

use std::{io::ErrorKind, time::Duration};

use events::message::Reported;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::timeout,
};

use super::{Answer, Request, command::Trouble};
use crate::settings::Settings;

/// An agent takes a request within this.
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// The longest answer: a history.
const ANSWER_BYTES: u64 = 16 * 1024 * 1024;

/// Nobody, where no agent is running.
pub(super) async fn connect(settings: &Settings) -> Result<Option<UnixStream>, Trouble> {
    let path = settings.control();
    match UnixStream::connect(&path).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(Trouble::NotPermitted(format!(
                "{}: {error}: ask as root or as the agent's user",
                path.display()
            )))
        }
        Err(error) => Err(Trouble::Unavailable(format!("{}: {error}", path.display()))),
    }
}

/// Asks a running agent; gives the last line of its answer.
pub(super) async fn ask(
    mut agent: UnixStream,
    request: &Request,
    mut each: impl FnMut(&Reported),
) -> Result<Answer, Trouble> {
    let lost = |why: String| {
        Trouble::Unavailable(format!(
            "the agent did not answer to the end ({why}); what was begun goes on when it is there: deploy-agent status"
        ))
    };
    let mut line = serde_json::to_vec(request).map_err(|error| lost(error.to_string()))?;
    line.push(b'\n');
    let sent = timeout(SEND_LIMIT, agent.write_all(&line)).await;
    sent.map_err(|_| lost("it takes no request".to_owned()))?
        .map_err(|error| lost(error.to_string()))?;
    let mut lines = BufReader::new(agent.take(ANSWER_BYTES)).lines();
    // As long as scripts may take: whoever waits can leave, it goes on.
    loop {
        let line = lines
            .next_line()
            .await
            .map_err(|error| lost(error.to_string()))?;
        let line = line.ok_or_else(|| lost("it hung up".to_owned()))?;
        let answer = serde_json::from_str(&line).map_err(|error| lost(error.to_string()))?;
        match answer {
            Answer::Report { report } if !report.state.is_final() => each(&report),
            Answer::Report { report } => {
                each(&report);
                return Ok(Answer::Report { report });
            }
            answer => return Ok(answer),
        }
    }
}
