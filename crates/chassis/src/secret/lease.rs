//! Keeping issued credentials alive.
//!
//! Vault issues database credentials under a lease and drops the database user when it ends. A
//! renewal is asked for after two thirds of the time granted, so that a third is left for Vault to
//! come back. A lease has a maximum life: near it Vault grants less and less, then the credentials
//! end whatever we do; open connections may survive, the next one asks for new ones.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::Vault;

/// A grant below this is the end of a lease's life.
const SHORTEST_GRANT: Duration = Duration::from_secs(2);

/// A lease as Vault granted it.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) id: String,
    pub(super) duration: Duration,
    /// The path the credentials came from, for log lines.
    pub(super) path: String,
}

/// Renews `lease` until the guard is dropped.
pub(super) fn keep(vault: &Arc<Vault>, lease: Lease) -> Arc<DropGuard> {
    let stop = CancellationToken::new();
    let guard = Arc::new(stop.clone().drop_guard());
    let vault = Arc::downgrade(vault);
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = renew(vault, lease) => {}
        }
    });
    guard
}

async fn renew(vault: Weak<Vault>, lease: Lease) {
    let Some(clock) = vault.upgrade().map(|vault| vault.clock()) else { return };
    let mut left = lease.duration;
    loop {
        let Some(token_left) = vault.upgrade().map(|vault| async move { vault.token_left().await })
        else {
            return;
        };
        let until = token_left.await.map_or(left, |token_left| token_left.min(left));
        let asked_at = clock.monotonic();
        clock.sleep((until * 2 / 3).max(Duration::from_secs(1))).await;
        let Some(strong) = vault.upgrade() else { return };
        match strong.renew_lease(&lease).await {
            Ok(granted) if granted < SHORTEST_GRANT => {
                tracing::warn!(
                    path = lease.path,
                    "the database credentials reach the end of their life; the next connection gets new ones"
                );
                return;
            }
            Ok(granted) => {
                tracing::debug!(
                    path = lease.path,
                    granted_seconds = granted.as_secs(),
                    "lease renewed"
                );
                left = granted;
            }
            Err(error) if error.is_transient() => {
                left = left.saturating_sub(clock.monotonic() - asked_at);
                if left.is_zero() {
                    tracing::warn!(path = lease.path, %error, "the lease ended before Vault came back");
                    return;
                }
                tracing::warn!(
                    path = lease.path,
                    left_seconds = left.as_secs(),
                    %error,
                    "the lease could not be renewed yet"
                );
            }
            Err(error) => {
                tracing::warn!(
                    path = lease.path,
                    %error,
                    "Vault no longer renews the lease; the next connection gets new credentials"
                );
                return;
            }
        }
    }
}
