//! Reads a collection again, without writing it: for `verify`.

use std::sync::{Arc, Mutex, PoisonError};

use super::chunks::Bounds;
use super::error::SourceError;
use super::read::Request;
use super::session::Session;
use crate::error::{Doing, Error};
use crate::verify::table::{SourceRows, Take};

/// A collection to read again.
#[derive(Clone)]
pub struct Reread {
    /// A connection.
    pub session: Arc<Mutex<Session>>,
    /// What is read.
    pub request: Request,
}

impl SourceRows for Reread {
    fn table(&self) -> String {
        self.request.plan.collection.display()
    }

    fn names(&self) -> Vec<String> {
        self.request.plan.readings.iter().map(|reading| reading.name.clone()).collect()
    }

    fn read_rows(&self, take: &mut Take<'_>) -> Result<(), Error> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let read = self.request.read(&mut session, &Bounds::default(), |batch, _| {
            take(&batch, &[]).map_err(|error| SourceError::Batch(error.to_string()))
        });
        read.map(drop).map_err(|error| error.into_error(Doing::Reading))
    }
}
