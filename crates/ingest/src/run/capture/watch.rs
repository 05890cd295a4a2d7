//! Beside the stream: what the server says of the slot, and its catalog when a table changes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Doing, Result};
use crate::metrics;
use crate::source::postgres::catalog::Catalog;
use crate::source::postgres::replication::slot::Control;

/// How often the slot is looked at.
const PERIOD: Duration = Duration::from_secs(15);

/// A connection for questions, and what was last answered.
pub struct Watch {
    control: Control,
    catalog: Arc<Catalog>,
    unit: String,
    slot: String,
    looked: Instant,
    /// Log of the source that failed tables may hold back, in bytes.
    pub hold_bytes: u64,
}

impl Watch {
    /// A watch over a slot.
    #[must_use]
    pub fn new(
        control: Control,
        catalog: Arc<Catalog>,
        unit: String,
        slot: String,
        hold_bytes: u64,
    ) -> Self {
        Self { control, catalog, unit, slot, looked: Instant::now(), hold_bytes }
    }

    /// The catalog as last read.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog)
    }

    /// The catalog as it is now.
    ///
    /// # Errors
    /// The source's.
    pub async fn refresh_catalog(&mut self) -> Result<Arc<Catalog>> {
        let read = self.control.catalog().await;
        self.catalog = Arc::new(read.map_err(|error| error.into_error(Doing::Reading))?);
        Ok(self.catalog())
    }

    /// Looks at the slot if it is time to; the log that the server keeps for it, in bytes.
    ///
    /// # Errors
    /// The source's.
    pub async fn look(&mut self) -> Result<Option<u64>> {
        if self.looked.elapsed() < PERIOD {
            return Ok(None);
        }
        self.looked = Instant::now();
        let facts = self.control.slot(&self.slot).await;
        let facts = facts.map_err(|error| error.into_error(Doing::Reading))?;
        Ok(facts.map(|facts| {
            metrics::slot(&self.unit, facts.retained_bytes);
            facts.retained_bytes
        }))
    }

    /// Gives the connection back.
    #[must_use]
    pub fn into_control(self) -> Control {
        self.control
    }
}
