//! The whole agent, as its own program, on a real bus with real git.

mod at_host;
mod clearing;
mod deploying;
mod frozen;
mod gated;
mod hostile;
mod naming;
mod presence;
mod recovering;
mod refusing;
mod releases;
mod scripts;

use events::message::{Reported, Running};

/// A check that fails.
const BAD: (&str, &str) = (
    ".deploy/check",
    "#!/bin/sh\necho 'GET /health 500 \"no such table\"'\necho\nexit 1\n",
);

/// Waits until the test lets it go on; at most 15 s.
const SLOW: (&str, &str) = (
    ".deploy/start",
    "#!/bin/sh\necho \"$DEPLOYKIT_STEP $DEPLOYKIT_TAG\" >> \"$DEPLOYKIT_SHARED/ran\"\n\
     for i in $(seq 300); do test -e \"$DEPLOYKIT_SHARED/go\" && exit 0; sleep 0.05; done; exit 9\n",
);

pub(crate) fn label(report: &Reported) -> Option<&str> {
    report.live.as_ref().map(Running::label)
}
