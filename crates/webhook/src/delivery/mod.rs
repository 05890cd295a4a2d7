//! Delivering what is due: a pipeline from the outbox to the receiver and back.
//!
//! ```text
//!   outbox ── claim (a few ahead) ──▶ buffer ──▶ attempts (bounded, throttled) ──▶ results ── settle ──▶ outbox
//! ```
//!
//! Claiming, sending and recording run at the same time, so that the disk's wait and the network's
//! overlap; results that arrive while a transaction is under way are recorded by the next one, together.
//! Order needs nothing here: the outbox never hands out two messages of one entity at a time.
//!
//! The loop ends when there is nothing it may do within its patience, or never (`--forever`). It holds no
//! state that matters: whatever is lost with the process is in the outbox.

mod gate;
mod host;
mod idle;
mod pipeline;
#[cfg(test)]
mod simulation;
mod summary;

use std::sync::Arc;
use std::time::Duration;

use ol_chassis::clock::Clock;
use ol_chassis::progress::Progress;
use ol_chassis::shutdown::Shutdown;

use crate::config::Webhook;
use crate::error::Result;
use crate::outbox::Outbox;
use crate::target::Learn;
use crate::transport::Transport;

pub use summary::{Dead, Delivered, Observer, Silent, Summary};

/// When a delivery ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When nothing may be done within this time.
    Idle(Duration),
    /// When it is asked to stop.
    Stopped,
}

/// What a delivery needs.
pub struct Courier {
    /// Where messages are.
    pub outbox: Outbox,
    /// Who gets them.
    pub target: Arc<Learn>,
    /// How requests travel.
    pub transport: Arc<dyn Transport>,
    /// The settings.
    pub settings: Webhook,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The request to stop.
    pub shutdown: Shutdown,
    /// Bars on a terminal.
    pub progress: Progress,
    /// Who hears of each settled message.
    pub observer: Arc<dyn Observer>,
    /// The run whose messages are delivered; empty for all messages.
    pub origin: String,
    /// Numbers from `[0, 1)` for jitter.
    pub chance: Box<dyn FnMut() -> f64 + Send>,
}

/// Numbers from `[0, 1)`, by the operating system.
#[must_use]
pub fn system_chance() -> Box<dyn FnMut() -> f64 + Send> {
    Box::new(|| {
        let bits = u32::try_from(uuid::Uuid::new_v4().as_u128() & 0xffff_ffff).unwrap_or_default();
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    })
}

impl Courier {
    /// Delivers until the end that `until` names.
    ///
    /// # Errors
    /// The outbox's, when it lasts. What was sent and could not be recorded will be sent again, with the same id.
    pub async fn run(self, until: Until) -> Result<Summary> {
        Box::pin(pipeline::Delivery::new(self, until).run()).await
    }
}
