//! One look at one table: both sides by range, then by key where they differ.

use std::collections::{BTreeSet, HashMap, HashSet};

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use ol_lake::LakeTable;

use super::lake::LakeSide;
use super::tally::{ByKey, Found, Scope, Side, Survey, range_of};
use super::{MOST_KEYS, MOST_NAMED, MOST_SAMPLES};
use crate::column::digest::Digester;
use crate::error::{Definite, Error, Result, Transient};
use crate::position::Position;
use crate::report::verification::DifferingKey;

/// Takes rows, with the version of each.
pub type Take<'a> = dyn FnMut(&RecordBatch, &[u64]) -> std::result::Result<(), ArrowError> + 'a;

/// The rows of a source's table at one moment.
pub trait SourceRows: Clone + Send + 'static {
    /// The table, for people.
    fn table(&self) -> String;

    /// The columns that are read.
    fn names(&self) -> Vec<String>;

    /// Reads every row, decoded as a run decodes it, and hands on batches with the version of each row; none where the
    /// source has no versions. Blocks.
    ///
    /// # Errors
    /// The source's, or what `take` returns.
    fn read_rows(&self, take: &mut Take<'_>) -> Result<()>;
}

/// Both sides of a table at one moment.
pub struct Look<S> {
    /// The lake's.
    pub lake: LakeSide,
    /// The source's.
    pub source: S,
    /// Whether everything before the place is in the lake.
    pub is_reached: bool,
    /// Whether the source's rows are of later than the place, as the source shows no row as it was.
    pub is_moving: bool,
    /// How many ranges.
    pub ranges: usize,
}

/// What is known of a table.
#[derive(Debug, Default)]
pub struct Finding {
    /// Rows at the source.
    pub source_rows: u64,
    /// Rows of the lake.
    pub lake_rows: u64,
    /// Columns that were compared.
    pub columns_compared: u64,
    /// Columns in which rows differ.
    pub columns_differing: Vec<String>,
    /// The place of the last look.
    pub position: Option<Position>,
    /// Ranges that were compared.
    pub ranges_compared: u64,
    /// Ranges in which something differs, or is not settled.
    pub ranges_differing: u64,
    /// Some of the keys that differ.
    pub keys: Vec<DifferingKey>,
    /// Whether anything differs, whatever happens.
    pub differs: bool,
    /// Keys to look at again.
    pub unsettled: HashMap<u128, u64>,
}

impl Finding {
    /// The failure that it amounts to, if it is not agreement.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        if self.differs {
            return Some(
                Error::new(Definite::VerificationFailed)
                    .with("source_rows", self.source_rows)
                    .with("lake_rows", self.lake_rows),
            );
        }
        let moving = self.unsettled.len();
        (moving > 0).then(|| Error::new(Transient::RowsMoving).with("rows", moving))
    }
}

impl<S: SourceRows> Look<S> {
    /// Compares the whole table.
    ///
    /// # Errors
    /// The source's or the lake's; the lake has not come to the place, and the sides differ.
    pub async fn first(&self) -> Result<Finding> {
        let mut lake = self.lake.survey(self.ranges).await?;
        let (source, seen) = self.survey(std::mem::take(&mut lake.moved)).await?;
        let differing = lake.differing(&source);
        let mut finding = Finding {
            source_rows: source.rows,
            lake_rows: lake.rows,
            columns_compared: self.lake.digester.names().len() as u64,
            position: self.lake.at,
            ranges_compared: self.ranges as u64,
            ranges_differing: differing.len() as u64,
            ..Finding::default()
        };
        if !differing.is_empty() && !self.is_reached {
            return Err(self.behind(differing.len()));
        }
        if !self.lake.digester.has_key() {
            finding.differs = !differing.is_empty();
            let pairs = lake.columns.iter().zip(&source.columns);
            finding.columns_differing = self.columns(pairs.map(|(mine, theirs)| mine != theirs));
            return Ok(finding);
        }
        let (mut all, mut is_cut) = (Found::default(), false);
        for chosen in passes(&differing, &lake, &source) {
            let scope = Scope::Ranges { of: self.ranges, chosen };
            let found = self.by_key(scope).await?;
            all.differing.extend(found.differing);
            all.unsettled.extend(found.unsettled);
            all.samples.extend(found.samples);
            // Enough is known of a table that differs; every pass costs the source a read.
            is_cut = all.differing.len() >= MOST_NAMED;
            if is_cut {
                break;
            }
        }
        all.unsettled.extend(seen.into_iter().map(|key| (key, 0)));
        self.settle(&mut finding, all).await?;
        if is_cut {
            finding.ranges_differing = differing.len() as u64;
        }
        Ok(finding)
    }

    /// Looks again at what was not settled.
    ///
    /// # Errors
    /// The source's or the lake's; the lake has not come to the place.
    pub async fn again(&self, mut finding: Finding) -> Result<Finding> {
        if !self.is_reached {
            return Err(self.behind(0));
        }
        finding.position = self.lake.at;
        let found = self.by_key(Scope::Keys(std::mem::take(&mut finding.unsettled))).await?;
        self.settle(&mut finding, found).await?;
        Ok(finding)
    }

    async fn settle(&self, finding: &mut Finding, found: Found) -> Result<()> {
        if found.unsettled.len() > MOST_KEYS {
            return Err(Error::new(Transient::RowsMoving).with("rows", found.unsettled.len()));
        }
        let keys = found.differing.keys().chain(found.unsettled.keys());
        let ranges: BTreeSet<usize> = keys.map(|key| range_of(*key, self.ranges)).collect();
        finding.ranges_differing = ranges.len() as u64;
        finding.differs |= !found.differing.is_empty();
        self.name(finding, &found).await?;
        finding.unsettled = found.unsettled;
        Ok(())
    }

    /// Names some of the keys that differ, and the columns they differ in.
    async fn name(&self, finding: &mut Finding, found: &Found) -> Result<()> {
        if found.differing.is_empty() {
            return Ok(());
        }
        let is_shown =
            |key: &u128, side: &Side| *side == Side::Lake || found.samples.contains_key(key);
        let named: Vec<(u128, Side)> = found
            .differing
            .iter()
            .filter(|(key, side)| is_shown(key, side))
            .map(|(key, side)| (*key, *side))
            .take(MOST_SAMPLES)
            .collect();
        let of_lake: BTreeSet<u128> =
            named.iter().filter(|(_, side)| *side != Side::Source).map(|(key, _)| *key).collect();
        let lake = match of_lake.is_empty() {
            true => HashMap::new(),
            false => self.lake.samples(&of_lake).await?,
        };
        let mut columns = vec![0u128; self.lake.digester.names().len()];
        for (key, side) in &named {
            let (theirs, mine) = (found.samples.get(key), lake.get(key));
            let Some(shown) = theirs.or(mine) else { continue };
            for (column, hash) in columns.iter_mut().zip(theirs.iter().flat_map(|it| &it.columns)) {
                *column = column.wrapping_add(*hash);
            }
            for (column, hash) in columns.iter_mut().zip(mine.iter().flat_map(|it| &it.columns)) {
                *column = column.wrapping_sub(*hash);
            }
            if finding.keys.len() < MOST_NAMED {
                finding.keys.push(DifferingKey { key: shown.key.clone(), on: side.word() });
            }
        }
        finding.columns_differing = self.columns(columns.iter().map(|sum| *sum != 0));
        Ok(())
    }

    fn columns(&self, differs: impl Iterator<Item = bool>) -> Vec<String> {
        let names = self.lake.digester.names().iter().zip(differs);
        names.filter(|(_, differs)| *differs).map(|(name, _)| name.clone()).collect()
    }

    /// The source by range, without the keys that the lake has in a later form, and those of them that it has.
    async fn survey(&self, moved: HashSet<u128>) -> Result<(Survey, Vec<u128>)> {
        let digester = self.lake.digester.clone();
        let mut survey = Survey::new(self.ranges, digester.names().len());
        let (source, table) = (self.source.clone(), self.table());
        let read = tokio::task::spawn_blocking(move || {
            let mut seen = Vec::new();
            source.read_rows(&mut |batch, _| {
                let digested = digester.digest(batch)?;
                for (row, key) in digested.keys.iter().enumerate() {
                    if moved.contains(key) {
                        survey.rows += 1;
                        seen.push(*key);
                    } else {
                        survey.add(&digested, row);
                    }
                }
                Ok(())
            })?;
            Ok((survey, seen))
        });
        ended(read.await).map_err(|error| error.with("table", table))
    }

    async fn by_key(&self, scope: Scope) -> Result<Found> {
        let mut by_key = match self.is_moving {
            true => ByKey::moving(scope),
            false => ByKey::new(scope),
        };
        self.lake.by_key(&mut by_key).await?;
        let digester = self.lake.digester.clone();
        let (source, table) = (self.source.clone(), self.table());
        let read = tokio::task::spawn_blocking(move || {
            source.read_rows(&mut |batch, versions| by_key.source(&digester, batch, versions))?;
            Ok(by_key)
        });
        let by_key: ByKey = ended(read.await).map_err(|error| error.with("table", table))?;
        Ok(by_key.found(self.absence_is_final()))
    }

    /// Whether a row that the lake lacks cannot have been deleted since.
    fn absence_is_final(&self) -> bool {
        let Some(at) = self.lake.at else { return true };
        self.lake.keeps_deleted() || ends(&self.lake.table).is_some_and(|end| end <= at)
    }

    fn behind(&self, ranges: usize) -> Error {
        let end = ends(&self.lake.table).map_or_else(|| "none".to_owned(), |end| end.to_string());
        let place = self.lake.at.map_or_else(String::new, |at| at.to_string());
        Error::new(Transient::LakeBehind)
            .with("table", self.table())
            .with("is_at", end)
            .with("compared_at", place)
            .with("ranges_differing", ranges)
    }

    fn table(&self) -> String {
        self.source.table()
    }
}

fn ends(table: &LakeTable) -> Option<Position> {
    table.state().get(ol_lake::POSITION_KEY)?.parse().ok()
}

fn ended<T>(joined: std::result::Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    match joined {
        Ok(read) => read,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// The ranges in groups whose rows fit into memory together.
fn passes(differing: &[usize], lake: &Survey, source: &Survey) -> Vec<BTreeSet<usize>> {
    let rows = |survey: &Survey, range: usize| survey.ranges.get(range).map_or(0, |it| it.rows);
    let mut passes: Vec<BTreeSet<usize>> = Vec::new();
    let mut filled = 0;
    for range in differing {
        let more = rows(lake, *range).max(rows(source, *range));
        filled += more;
        match passes.last_mut() {
            Some(pass) if filled <= MOST_KEYS as u64 => {
                pass.insert(*range);
            }
            _ => {
                passes.push(BTreeSet::from([*range]));
                filled = more;
            }
        }
    }
    passes
}

/// What is compared of a table: its columns, told apart by its key if all of that is read.
#[must_use]
pub fn digester(source: &impl SourceRows, key: &[String]) -> Digester {
    let names = source.names();
    let key = if key.iter().all(|name| names.contains(name)) { key } else { &[] };
    Digester::new(&names, key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tally::Range;

    fn survey(rows: &[u64]) -> Survey {
        let mut survey = Survey::new(rows.len(), 0);
        survey.ranges = rows.iter().map(|rows| Range { rows: *rows, digest: 0 }).collect();
        survey
    }

    #[test]
    fn ranges_are_looked_at_together_as_far_as_memory_goes() {
        let most = MOST_KEYS as u64;
        let lake = survey(&[most / 2, 9, most / 2, 1, 2 * most]);
        let source = survey(&[0, 0, most / 2 + 1, 0, 0]);
        let of = |ranges: &[usize]| -> Vec<BTreeSet<usize>> { passes(ranges, &lake, &source) };
        assert_eq!(of(&[]), []);
        assert_eq!(of(&[0, 2, 3]), [BTreeSet::from([0]), BTreeSet::from([2, 3])]);
        assert_eq!(of(&[0, 3, 4]), [BTreeSet::from([0, 3]), BTreeSet::from([4])]);
    }
}
