//! What must be true of an answer: of the orchestrator's own account, as far as the disk cannot tell.

use deploy_orchestrator::api::{DeployState, DeployView, HostState};

/// An HTTP status.
///
/// # Errors
/// The one that it is.
pub(super) fn is(wanted: u16, status: u16) -> Result<(), String> {
    if wanted == status {
        Ok(())
    } else {
        Err(format!("it was answered with {status}"))
    }
}

/// The state of a deploy.
///
/// # Errors
/// The one that it is.
pub(super) fn state_is(view: &DeployView, wanted: DeployState) -> Result<(), String> {
    if view.state == wanted {
        Ok(())
    } else {
        Err(format!("it is {:?}: {:?}", view.state, view.reason))
    }
}

/// The first wave is one host, and no host of a later wave began to activate before that one was live.
///
/// # Errors
/// What is not so.
pub fn canary_first(view: &DeployView) -> Result<(), String> {
    state_is(view, DeployState::Succeeded)?;
    let [first, later @ ..] = view.waves.as_slice() else {
        return Err("there is no wave".to_owned());
    };
    let [canary] = first.hosts.as_slice() else {
        return Err(format!("the first wave has {} hosts", first.hosts.len()));
    };
    let Some(done) = canary.live_at else {
        return Err(format!("nothing says when {} was live", canary.host));
    };
    for host in later.iter().flat_map(|wave| &wave.hosts) {
        match host.activated_at {
            Some(began) if began >= done => {}
            Some(began) => {
                return Err(format!(
                    "{} began at {began}, before {} was live at {done}",
                    host.host, canary.host
                ));
            }
            None => return Err(format!("nothing says when {} began", host.host)),
        }
    }
    Ok(())
}

/// The only host of the first wave is put back; all others were left alone.
///
/// # Errors
/// What is not so.
pub fn canary_put_back(view: &DeployView) -> Result<(), String> {
    for (index, wave) in view.waves.iter().enumerate() {
        for host in &wave.hosts {
            let fine = match index {
                0 => host.state == HostState::PutBack,
                _ => matches!(host.state, HostState::Untouched | HostState::Prepared),
            };
            if !fine {
                return Err(format!("{} is {:?}", host.host, host.state));
            }
        }
    }
    Ok(())
}
