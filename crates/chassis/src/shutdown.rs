//! Stopping on request.
//!
//! Kubernetes sends SIGTERM and waits for its grace period; a person types Ctrl-C. The first signal
//! asks: the run finishes what it holds, writes its checkpoint and ends with [`Exit::Stopped`]. The
//! second one insists: the process ends at once with the same code. Whatever a run had not
//! committed by then never happened, so that is safe too.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::exit::Exit;

/// A request to stop, shared by everything that should heed it. Clones are the same request.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    /// A request that only [`Shutdown::request`] makes: for tests, and for embedding a run in
    /// another process.
    pub fn new() -> Self {
        Self::default()
    }

    /// A request made by SIGTERM or SIGINT. A second signal ends the process at once with
    /// [`Exit::Stopped`].
    ///
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// Definite, when the operating system refuses the signal handlers.
    pub fn listen() -> Result<Self, Error> {
        let install = |kind, name| {
            signal(kind).map_err(|source| {
                Error::definite("Cannot listen for a signal").with("signal", name).caused_by(source)
            })
        };
        let mut terminate = install(SignalKind::terminate(), "SIGTERM")?;
        let mut interrupt = install(SignalKind::interrupt(), "SIGINT")?;
        let shutdown = Self::new();
        let request = shutdown.clone();
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                if request.is_requested() {
                    tracing::warn!(signal = name, "stopping at once; the next run resumes");
                    std::process::exit(Exit::Stopped.code().into());
                }
                tracing::warn!(
                    signal = name,
                    "stopping at the next safe point; another signal stops at once"
                );
                request.request();
            }
        });
        Ok(shutdown)
    }

    /// Asks everybody who shares this to stop. Asking again changes nothing.
    pub fn request(&self) {
        self.token.cancel();
    }

    /// True once somebody has asked.
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Returns once somebody has asked; at once when that was before the call.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_hears_the_request() {
        let shutdown = Shutdown::new();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.requested().await }
        });
        assert!(!shutdown.is_requested());
        shutdown.clone().request();
        waiting.await.expect("the waiter returns");
        assert!(shutdown.is_requested());
        shutdown.requested().await;
    }
}
