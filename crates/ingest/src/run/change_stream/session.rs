//! One change stream: events in, commits out. What is due between two events is [`Following`]'s affair.
//!
//! Between any two events there is a place, with a token of its own, also within a transaction: so a batch may end anywhere.

use std::time::Duration;

use super::ReplicaSet;
use super::state::Place;
use crate::error::{Definite, Doing, Error, Failure, Result};
use crate::failpoints;
use crate::position::ClusterTime;
use crate::run::change::log::{self, Writer as _};
use crate::run::change::session::Following;
use crate::run::change::{At, Ended, Refused};
use crate::source::mongodb::change_stream::{ChangeStream, Event, Kind, Token};
use crate::source::mongodb::error::SourceError;

/// How long one wait for the server takes at most.
const WAIT: Duration = Duration::from_millis(200);

/// Opens the stream.
pub type Open = Box<dyn FnOnce() -> Result<ChangeStream, SourceError> + Send>;

/// One session.
pub struct Session {
    /// The tables.
    pub following: Following<ReplicaSet>,
    /// Opens the stream, once.
    pub open: Option<Open>,
    /// The database that is followed.
    pub database: String,
    /// Where it ends by itself; `None` for never.
    pub goal: Option<ClusterTime>,
    /// Behind which event the stream is.
    pub received: Place,
}

fn streaming(error: SourceError) -> Error {
    error.into_error(Doing::Streaming)
}

impl log::Session for Session {
    type Log = ReplicaSet;

    fn run(&mut self) -> Result<Ended> {
        let Some(open) = self.open.take() else { return Ok(Ended::Regroup) };
        let streamed = match open().map_err(|error| error.into_error(Doing::StartingStream)) {
            Ok(mut stream) => self.follow(&mut stream),
            Err(error) => Err(error),
        };
        match streamed {
            Err(error) if error.failure() == Failure::from(Definite::ChangesMissed) => {
                self.lost(&error)
            }
            streamed => streamed,
        }
    }

    fn following(&mut self) -> &mut Following<ReplicaSet> {
        &mut self.following
    }
}

impl Session {
    fn follow(&mut self, stream: &mut ChangeStream) -> Result<Ended> {
        let mut is_opened = false;
        loop {
            let batch = stream.next(WAIT).map_err(streaming)?;
            if !std::mem::replace(&mut is_opened, true) {
                self.following.lacks_nothing()?;
            }
            let mut events = 0;
            for event in batch.events() {
                self.take(&event.map_err(streaming)?)?;
                events += 1;
            }
            if let Some(token) = batch.token {
                self.received = self.received.moved_to(Token::of(token));
            }
            // Behind what ends a stream, another one may be opened.
            self.following.must_regroup |= batch.is_last;
            let is_reached = self.goal.is_some_and(|goal| self.is_at(goal, events == 0));
            let received = &self.received;
            if let Some(ended) = self.following.rest(|| received.clone(), is_reached)? {
                return Ok(ended);
            }
        }
    }

    /// Whether all that had happened by a time has come in. Of the very time more may come in the next batch, unless none came in
    /// this one; nor does a token that tells no time say more.
    fn is_at(&self, goal: ClusterTime, is_empty: bool) -> bool {
        let (time, _) = self.received.time();
        time > goal || (is_empty && (time == goal || self.received.token.time().is_none()))
    }

    fn take(&mut self, event: &Event<'_>) -> Result<()> {
        let next = self.received.followed_by(event.time, Token::of(event.token));
        let at = At {
            position: next.position,
            committed_at_microseconds: event.committed_at_microseconds,
        };
        for place in 0..self.following.tables.len() {
            let Some(Some(followed)) = self.following.tables.get_mut(place) else { continue };
            if at.position <= followed.has {
                continue;
            }
            let name = &followed.writer.plan().read.collection.name;
            let is_of_it = *name == event.collection;
            let refused = match &event.kind {
                Kind::Document { change, key, document } if is_of_it => {
                    let taken = followed.writer.take(*change, key, *document, at);
                    let size = document.map_or(key.raw.len(), |document| document.bytes().len());
                    self.following.took(size);
                    failpoints::hit(failpoints::CHANGE_TAKEN);
                    taken.err()
                }
                Kind::Dropped if is_of_it => Some(Refused::Copy("the collection was dropped")),
                Kind::Renamed { .. } if is_of_it => {
                    Some(Refused::Copy("the collection was renamed"))
                }
                Kind::Renamed { database, name: to }
                    if *database == self.database && to == name =>
                {
                    Some(Refused::Copy("another collection has got the name"))
                }
                Kind::DatabaseDropped => Some(Refused::Copy("the database was dropped")),
                Kind::Document { .. }
                | Kind::Dropped
                | Kind::Renamed { .. }
                | Kind::Invalidated
                | Kind::Nothing => None,
            };
            if let Some(refused) = refused {
                self.following.leave(place, refused, &self.received)?;
            }
        }
        self.received = next;
        if self.following.is_crowded() {
            self.following.commit(&self.received)?;
        }
        Ok(())
    }

    /// The server has forgotten what comes behind the place at which the stream was opened, or behind what was received: the
    /// tables that are not beyond that lack it. The others are prepared anew.
    fn lost(&mut self, error: &Error) -> Result<Ended> {
        let upto = self.received.position;
        for place in 0..self.following.tables.len() {
            let table = self.following.tables.get_mut(place);
            let lost = table.and_then(|table| table.take_if(|it| it.begins.position <= upto));
            if let Some(followed) = lost {
                self.following.fail(followed, error.again())?;
            }
        }
        Ok(Ended::Regroup)
    }
}
