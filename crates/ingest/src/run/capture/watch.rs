//! Beside the stream: what the server says of the slot and of the publication, and its catalog when a table changes.
//!
//! A publication that somebody alters does not end the stream: the server just sends less. What a session began with
//! is compared with what is there now, and another publication ends the session, so that the next one's preparation
//! judges it. Until then tables may reach positions before which changes were not sent; that they do is told later by
//! the entry of the table in the publication, which is another one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cap::{Cap, Weight};
use crate::error::{Doing, Error, Result};
use crate::metrics;
use crate::source::postgres::catalog::Catalog;
use crate::source::postgres::error::SourceError;
use crate::source::postgres::replication::publication::PublicationFacts;
use crate::source::postgres::replication::slot::Control;

/// How often slot and publication are looked at.
const PERIOD: Duration = Duration::from_secs(15);

/// What is watched.
pub struct Watched {
    /// The unit.
    pub unit: String,
    /// The name of the slot, which is also the publication's.
    pub name: String,
    /// The publication as the session began with it.
    pub publication: Option<PublicationFacts>,
    /// The most log that the source may keep for the slot.
    pub cap: Cap,
    /// The most of it that failed tables may hold back, in bytes.
    pub hold_bytes: u64,
}

/// A connection for questions, and what was last answered.
pub struct Watch {
    control: Control,
    catalog: Arc<Catalog>,
    watched: Watched,
    looked: Instant,
    weight: Weight,
}

/// What a look shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sight {
    /// The source keeps more log than failed tables may hold back.
    pub must_release: bool,
    /// The publication is not what the session began with.
    pub is_altered: bool,
}

impl Watch {
    /// A watch over a slot.
    #[must_use]
    pub fn new(control: Control, catalog: Arc<Catalog>, watched: Watched) -> Self {
        Self { control, catalog, watched, looked: Instant::now(), weight: Weight::Light }
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
        self.catalog = Arc::new(self.control.catalog().await.map_err(read)?);
        Ok(self.catalog())
    }

    /// Whether it is time to look again.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.looked.elapsed() >= PERIOD
    }

    /// Looks at slot and publication.
    ///
    /// # Errors
    /// The source's.
    pub async fn look(&mut self) -> Result<Sight> {
        self.looked = Instant::now();
        let Watched { unit, name, publication, cap, hold_bytes } = &self.watched;
        let facts = self.control.slot(name).await.map_err(read)?;
        let is_altered = self.control.publication(name).await.map_err(read)? != *publication;
        if is_altered {
            tracing::warn!(unit, publication = name, "the publication was altered");
        }
        let Some(facts) = facts else { return Ok(Sight { must_release: false, is_altered }) };
        metrics::slot(unit, facts.retained_bytes, cap.bytes());
        let weight = cap.weigh(facts.retained_bytes);
        if weight > Weight::Light && weight != self.weight {
            tracing::warn!(
                unit,
                slot = name,
                retained_bytes = facts.retained_bytes,
                cap_bytes = cap.bytes(),
                safe_wal_size_bytes = facts.safe_wal_size,
                "the source keeps much of its log for the slot"
            );
        }
        self.weight = weight;
        let must_release = facts.retained_bytes > *hold_bytes || weight == Weight::TooMuch;
        Ok(Sight { must_release, is_altered })
    }

    /// Gives the connection back.
    #[must_use]
    pub fn into_control(self) -> Control {
        self.control
    }
}

fn read(error: SourceError) -> Error {
    error.into_error(Doing::Reading)
}
