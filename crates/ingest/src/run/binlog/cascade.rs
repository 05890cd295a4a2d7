//! Rows that went, or changed, with others, of which the log does not tell ([`foreign_key`]): their tables are copied again.
//!
//! A table leaves its log at the event that may have taken rows of it along, with all that came before; its copy is of a moment
//! behind that event, so the event says nothing to it any more.
//!
//! [`foreign_key`]: crate::source::mysql::binlog::foreign_key

use std::collections::BTreeSet;
use std::sync::Arc;

use super::session::Session;
use super::transaction::{Reading, is_all};
use crate::error::Result;
use crate::position::Position;
use crate::run::change::Refused;
use crate::run::change::log::Writer as _;
use crate::source::mysql::binlog::event::{Change, Rows};
use crate::source::mysql::binlog::foreign_key::{Cascade, Cascades, Name};
use crate::source::mysql::binlog::gtid::Gtid;
use crate::source::mysql::binlog::image::Image;
use crate::source::mysql::binlog::statement::{Effect, Statement, mentions};
use crate::source::mysql::binlog::table_map::TableMap;
use crate::source::mysql::error::SourceError;

const WENT: &str = "rows may have gone or changed with others (a foreign key with CASCADE or SET), which the server does not log";
const UNKEYED: &str =
    "a foreign key was dropped, which may have changed rows before without the server logging it";

/// A table whose rows take others with them.
pub(super) struct Parent {
    /// Its columns; `None` when they are of a type that is not known.
    map: Option<TableMap>,
    cascades: Vec<Cascade>,
}

impl Parent {
    /// The table of a description, if it is one.
    pub(super) fn of(known: &Cascades, name: &Name, body: &[u8]) -> Option<Arc<Self>> {
        let cascades = known.of(name);
        let parent = || Self { map: TableMap::parse(body).ok(), cascades: cascades.to_vec() };
        (!cascades.is_empty()).then(|| Arc::new(parent()))
    }

    /// The tables of which an event may have taken rows along.
    fn takes_along(&self, rows: &Rows<'_>) -> BTreeSet<&Name> {
        let happens = |cascade: &&Cascade| match rows.change {
            Change::Insert => false,
            Change::Delete => cascade.on_delete,
            Change::Update => cascade.on_update && !self.keeps(&cascade.columns, rows),
        };
        self.cascades.iter().filter(happens).flat_map(|it| &it.tables).collect()
    }

    /// Whether an update is known to leave the values of these columns as they are.
    fn keeps(&self, columns: &[String], rows: &Rows<'_>) -> bool {
        let Some(map) = self.map.as_ref().filter(|map| map.has_names) else { return false };
        let is_whole = |present: &&[u8]| is_all(present, rows.columns);
        if map.columns.len() != rows.columns || !rows.present.iter().all(is_whole) {
            return false;
        }
        let wanted: Vec<bool> =
            map.columns.iter().map(|column| columns.contains(&column.name)).collect();
        let is_kept = |images: &[Image<'_>]| match images {
            [old, new] => values(old, &wanted).ok() == values(new, &wanted).ok(),
            _ => false,
        };
        wanted.iter().filter(|is_wanted| **is_wanted).count() == columns.len()
            && Image::split(&map.columns, &rows.body, rows.is_partial)
                .is_ok_and(|images| images.chunks(2).all(is_kept))
    }
}

/// The values of some columns of a row.
fn values<'a>(image: &Image<'a>, wanted: &[bool]) -> Result<Vec<Option<&'a [u8]>>, SourceError> {
    let mut cells = image.cells()?;
    let mut found = Vec::new();
    for is_wanted in wanted {
        let cell = cells.next_cell()?;
        found.extend(cell.filter(|_| *is_wanted));
    }
    Ok(found)
}

impl Session {
    /// Rows of a table came in that may have taken others along; `last` is the place of the event's end.
    pub(super) fn cascade(
        &mut self,
        reading: &Reading,
        parent: &Parent,
        rows: &Rows<'_>,
        (last, gtid): (Position, Option<Gtid>),
    ) -> Result<()> {
        for name in parent.takes_along(rows) {
            self.copy_again(reading, name, (last, gtid), WENT)?;
        }
        Ok(())
    }

    /// A statement may have changed the foreign keys of a table that is followed, or by way of which rows go.
    pub(super) fn rekeyed(
        &mut self,
        reading: &Reading,
        (statement, text, database): (&Statement, &[u8], &str),
        at: (Position, Option<Gtid>),
    ) -> Result<()> {
        if self.cascades.are_logged {
            return Ok(());
        }
        let drops =
            mentions(text, "DROP") && (mentions(text, "FOREIGN") || mentions(text, "CONSTRAINT"));
        let is_altered = |(of, table): &Name| match statement.on(text, database, (of, table)) {
            Effect::Altered(_) => true,
            Effect::None | Effect::Emptied | Effect::Other(_) => false,
        };
        let mut unkeyed: BTreeSet<Name> = BTreeSet::new();
        for (_, cascades) in self.cascades.parents().filter(|(parent, _)| is_altered(parent)) {
            self.following.must_regroup = true;
            unkeyed.extend(cascades.iter().flat_map(|it| &it.tables).cloned());
        }
        let followed = self.following.tables.iter().flatten();
        let names = followed.map(|followed| followed.writer.plan().relation.full_name());
        unkeyed.extend(names.filter(is_altered));
        for name in unkeyed.iter().filter(|_| drops) {
            self.copy_again(reading, name, at, UNKEYED)?;
        }
        Ok(())
    }

    /// A followed table is copied again, if it does not have what happened at a place.
    fn copy_again(
        &mut self,
        reading: &Reading,
        name: &Name,
        (at, gtid): (Position, Option<Gtid>),
        reason: &'static str,
    ) -> Result<()> {
        let place = self.following.tables.iter().position(|followed| {
            followed.as_ref().is_some_and(|followed| {
                followed.writer.plan().relation.full_name() == *name && !followed.has.has(at, gtid)
            })
        });
        let Some(place) = place else { return Ok(()) };
        self.has_cascaded = true;
        self.leave(reading, place, Refused::Copy(reason))
    }
}
