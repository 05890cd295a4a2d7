//! Lives and deaths of a process that follows [`assess`] and [`Progress`], against a world in which every step can be
//! the last: invariants (A), (B) and (C) after each step, and the whole history at the end.
//!
//! The world is one thread and one seed: a log that grows, a slot, a lake that may answer "done", "not done" or not at
//! all, tables that fail for good, are reset, leave the publication and come back, a second process, and a person
//! who drops or advances the slot.

use std::collections::BTreeMap;

use super::*;
use crate::position::Position;

const TABLES: usize = 4;
/// Of each copy.
const CHUNKS: usize = 3;

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A transaction: where its commit record begins and ends, and the table of each change.
#[derive(Clone)]
struct Transaction {
    commit: u64,
    end: u64,
    changes: Vec<usize>,
}

#[derive(Clone, Default)]
struct LakeTable {
    position: Option<Position>,
    incarnation: Option<Incarnation>,
    recorded: Option<(Incarnation, u64)>,
    gap: Option<u64>,
    /// Where its copy was taken; everything before is in it.
    copied_at: u64,
    /// The changes behind the copy.
    rows: Vec<Position>,
    /// A copy that is not complete: its slot, and where each of its chunks was read.
    copy: Option<(Incarnation, Vec<u64>)>,
}

struct World {
    random: Random,
    log: Vec<Transaction>,
    end: u64,
    slot: Option<(Incarnation, SlotState)>,
    published: [bool; TABLES],
    lake: Vec<LakeTable>,
    steps: BTreeMap<&'static str, u64>,
}

/// A life of the process ended.
struct Death;

impl LakeTable {
    /// A table without a position, which still says what it recorded.
    fn forgotten(&self) -> Self {
        let own = self.incarnation.clone().zip(self.position.map(Position::lsn));
        Self { recorded: own.max(self.recorded.clone()), ..Self::default() }
    }
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            log: Vec::new(),
            end: 100,
            slot: None,
            published: [false; TABLES],
            lake: vec![LakeTable::default(); TABLES],
            steps: BTreeMap::new(),
        }
    }

    fn count(&mut self, step: &'static str) {
        *self.steps.entry(step).or_default() += 1;
    }

    fn grow(&mut self) {
        for _ in 0..self.random.below(4) {
            // Other databases and rolled back transactions are log, too.
            let commit = self.end + self.random.below(30);
            let end = commit + 1 + self.random.below(9);
            // The last table is almost always quiet.
            let changes = (0..self.random.below(5)).map(|_| match self.random.below(40) {
                0 => TABLES - 1,
                other => usize::try_from(other).unwrap_or(0) % (TABLES - 1),
            });
            let changes = changes.collect();
            self.log.push(Transaction { commit, end, changes });
            self.end = end;
        }
    }

    /// (A): what the slot has passed is in the lake, or the lake says that it is missing.
    fn check(&self) {
        let Some((incarnation, slot)) = &self.slot else { return };
        for (index, table) in self.lake.iter().enumerate() {
            let follows = table.incarnation.as_ref() == Some(incarnation)
                && table.position.is_some()
                && self.published.get(index) == Some(&true);
            if !follows {
                continue;
            }
            assert!(table.rows.is_sorted(), "table {index} is out of order");
            for (position, lsn) in self.changes_of(index) {
                let is_held = table.rows.binary_search(&position).is_ok();
                let is_missing = lsn >= table.copied_at && !is_held;
                let is_said = table.gap.is_some_and(|gap| gap <= lsn);
                assert!(
                    !is_missing || is_said || slot.confirmed <= lsn,
                    "table {index} lacks {position} and the slot is at {}",
                    slot.confirmed
                );
            }
            assert!(table.rows.windows(2).all(|pair| pair.first() != pair.last()), "doubled");
        }
    }

    fn changes_of(&self, table: usize) -> impl Iterator<Item = (Position, u64)> + '_ {
        self.log.iter().flat_map(move |transaction| {
            let of = (0..).zip(&transaction.changes).filter(move |(_, of)| **of == table);
            of.map(|(ordinal, _)| {
                let lsn = transaction.commit;
                (Position::Change { lsn, ordinal }, lsn)
            })
        })
    }

    fn facts(&self) -> Vec<TableState> {
        let tables = self.lake.iter().zip(self.published);
        tables
            .map(|(table, is_published)| TableState {
                position: table.position,
                incarnation: table.incarnation.clone(),
                recorded: table.recorded.clone(),
                gap: table.gap,
                copy: table.copy.clone().and_then(|(slot, chunks)| Some((slot, *chunks.first()?))),
                is_published,
            })
            .collect()
    }

    fn die_sometimes(&mut self) -> Result<(), Death> {
        self.check();
        if self.random.one_in(60) {
            self.count("death");
            return Err(Death);
        }
        Ok(())
    }

    /// One life: begins where the facts say, and goes on until it dies or `calm` lets it catch up.
    fn live(&mut self, is_calm: bool) -> Result<(), Death> {
        let slot = self.slot.as_ref().map(|(_, slot)| *slot);
        let (incarnation, recorded, starts) = match assess(&self.facts(), slot) {
            Assessment::Begin => {
                self.count("begin");
                self.published = [true; TABLES];
                let slot = SlotState { confirmed: self.end, is_lost: false };
                let incarnation = Incarnation { slot: "s".into(), began: self.end };
                self.slot = Some((incarnation.clone(), slot));
                self.die_sometimes()?;
                (incarnation, self.end, vec![Start::Copy; TABLES])
            }
            Assessment::GoOn { incarnation, recorded, starts } => (incarnation, recorded, starts),
            Assessment::Stop(_) => {
                self.count("stop");
                // A person reads the runbook: every table is reset, and the next life begins anew.
                self.lake.iter_mut().for_each(|table| *table = LakeTable::default());
                self.slot = None;
                return Ok(());
            }
        };
        let confirmed = self.slot.as_ref().map_or(0, |(_, slot)| slot.confirmed);
        let mut progress = Progress::new(confirmed, recorded);
        let mut follows = [false; TABLES];
        let mut copying = BTreeMap::new();
        for (index, start) in starts.iter().enumerate() {
            match start {
                Start::Follow(_) => follows[index] = true,
                Start::Copy => {
                    // A gap is written first: between here and the copy, the table is published but not followed.
                    if self.lake[index].position.is_some() {
                        self.lake[index].gap = Some(0);
                        self.die_sometimes()?;
                    }
                    self.published[index] = true;
                    progress.hold(index, self.end);
                    self.lake[index].copy = Some((incarnation.clone(), Vec::new()));
                    copying.insert(index, self.end);
                    self.grow();
                }
                Start::Resume { since } => {
                    self.count("resume");
                    progress.hold(index, *since);
                    copying.insert(index, self.end);
                    self.grow();
                }
                Start::Gap { .. } => {
                    self.count("gap");
                    self.lake[index] = self.lake[index].forgotten();
                }
            }
        }
        self.session(is_calm, &incarnation, &mut progress, &mut follows, copying)
    }

    fn session(
        &mut self,
        is_calm: bool,
        incarnation: &Incarnation,
        progress: &mut Progress,
        follows: &mut [bool; TABLES],
        copying: BTreeMap<usize, u64>,
    ) -> Result<(), Death> {
        let from = progress.position();
        let mut next = self.log.iter().position(|t| t.commit >= from).unwrap_or(self.log.len());
        let mut batch: BTreeMap<usize, Vec<Position>> = BTreeMap::new();
        let mut in_flight: BTreeMap<usize, Vec<Position>> = BTreeMap::new();
        let mut upto = 0;
        let mut is_recorded = false;
        for _ in 0..400 {
            self.die_sometimes()?;
            if !is_calm {
                self.grow();
            }
            match self.random.below(6) {
                0 if next == self.log.len() => progress.received(self.end),
                0 | 1 if next < self.log.len() => {
                    let transaction = self.log[next].clone();
                    next += 1;
                    for (ordinal, table) in (0..).zip(&transaction.changes) {
                        let position = Position::Change { lsn: transaction.commit, ordinal };
                        let is_new = self.lake[*table].position.is_some_and(|at| position > at);
                        if follows[*table] && is_new {
                            progress.taken(transaction.commit);
                            batch.entry(*table).or_default().push(position);
                        }
                    }
                    progress.received(transaction.end);
                }
                2 if progress.is_filling() && !progress.is_in_flight() => {
                    progress.seal();
                    in_flight = std::mem::take(&mut batch);
                    upto = progress.position();
                }
                3 if progress.is_in_flight() => match in_flight.pop_first() {
                    Some((table, rows)) => {
                        self.commit(table, &rows, upto, progress, follows)?;
                        if !follows[table] {
                            // Later rows would move its position over those that failed.
                            batch.remove(&table);
                        }
                        is_recorded |= follows[table];
                    }
                    None => progress.committed(std::mem::take(&mut is_recorded).then_some(upto)),
                },
                4 => {
                    let anchor = (0..TABLES).find(|index| follows[*index]);
                    if let (Some(lsn), Some(index)) = (progress.to_record(), anchor) {
                        self.lake[index].recorded = Some((incarnation.clone(), lsn));
                        self.die_sometimes()?;
                        progress.recorded(lsn);
                    }
                    let acknowledged = progress.acknowledge();
                    if let Some((_, slot)) = &mut self.slot {
                        slot.confirmed = slot.confirmed.max(acknowledged);
                    }
                    self.check();
                }
                _ => {
                    let next = copying.first_key_value().map(|(index, at)| (*index, *at));
                    if let Some((index, at)) = next
                        && self.gather(index, at, incarnation)?
                    {
                        // What it needs is sent again: the session ends, the next one has the table.
                        return Ok(());
                    }
                }
            }
            if is_calm && progress.has_reached(self.end) && copying.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Commits a chunk that was read at a place; whether the copy is complete with it.
    fn gather(&mut self, index: usize, at: u64, incarnation: &Incarnation) -> Result<bool, Death> {
        let table = &mut self.lake[index];
        let (_, chunks) = table.copy.get_or_insert_with(|| (incarnation.clone(), Vec::new()));
        if chunks.len() < CHUNKS {
            chunks.push(at);
            self.count("chunk");
            self.die_sometimes()?;
            return Ok(false);
        }
        let since = chunks[0];
        *table = LakeTable {
            position: Some(Position::Lsn(since)),
            incarnation: Some(incarnation.clone()),
            copied_at: since,
            ..table.forgotten()
        };
        self.count("copy");
        self.die_sometimes()?;
        Ok(true)
    }

    fn commit(
        &mut self,
        table: usize,
        rows: &[Position],
        upto: u64,
        progress: &mut Progress,
        follows: &mut [bool; TABLES],
    ) -> Result<(), Death> {
        let first = rows.first().map_or(upto, |position| position.lsn());
        if self.random.one_in(40) {
            self.count("failure");
            follows[table] = false;
            progress.hold(table, first);
            self.lake[table].gap = Some(first);
            self.die_sometimes()?;
            if self.random.one_in(2) {
                progress.release(table);
            }
            return Ok(());
        }
        let is_unknown = self.random.one_in(20);
        if !is_unknown || self.random.one_in(2) {
            self.count("commit");
            self.lake[table].rows.extend(rows);
            self.lake[table].position = Some(Position::Lsn(upto));
            self.lake[table].gap = None;
        }
        if is_unknown { Err(Death) } else { self.die_sometimes() }
    }

    /// Somebody else does something to the slot or to the tables, between two lives.
    fn meddle(&mut self) {
        let index = usize::try_from(self.random.below(TABLES as u64)).unwrap_or(0);
        match self.random.below(12) {
            0 => self.slot = None,
            1 => {
                let incarnation = Incarnation { slot: "s".into(), began: self.end };
                let state = SlotState { confirmed: self.end, is_lost: false };
                // Without a byte of log in between there is nothing to miss.
                self.end += 1;
                if self.slot.replace((incarnation, state)).is_some() {
                    self.count("recreated");
                }
            }
            2 => {
                if let Some((_, slot)) = &mut self.slot {
                    slot.is_lost = true;
                }
            }
            3 => self.published[index] = false,
            4 => self.lake[index] = self.lake[index].forgotten(),
            _ => {}
        }
        self.grow();
    }
}

/// What must have happened more than a few times.
const STEPS: [&str; 10] =
    ["begin", "chunk", "commit", "copy", "death", "failure", "gap", "recreated", "resume", "stop"];

#[test]
fn lives_and_deaths_lose_and_double_nothing() {
    let given = ol_chassis::config::variable("OL_SEED").expect("the environment is text");
    let seed = given.map_or_else(
        || u64::from(std::process::id()) << 20,
        |text| text.parse().expect("OL_SEED is a number"),
    );
    eprintln!("OL_SEED={seed}");
    let mut steps: BTreeMap<&'static str, u64> = BTreeMap::new();
    let is_tried = |step, steps: &BTreeMap<_, u64>| steps.get(step).is_some_and(|count| *count > 5);
    for round in 0.. {
        // What is rare needs more rounds with some seeds than with others.
        let rare = STEPS.iter().find(|step| !is_tried(**step, &steps));
        if round >= 24 && rare.is_none() {
            break;
        }
        assert!(round < 96, "{rare:?} was hardly tried: {steps:?}");
        let mut world = World::new(seed.wrapping_add(round));
        for _ in 0..25 {
            let (Ok(()) | Err(Death)) = world.live(false);
            world.check();
            if world.random.one_in(4) {
                world.meddle();
                let moved = world.slot.clone();
                // A slot that somebody else moved is not ours to check until we have looked at it.
                if moved.is_some() && world.live(false).is_ok() {
                    world.check();
                }
            }
        }
        // The weather clears: everything must be caught up within a few lives.
        let mut lives = 0;
        loop {
            lives += 1;
            assert!(lives < 400, "never caught up in round {round}");
            let is_done = world.live(true).is_ok()
                && (0..TABLES).all(|table| {
                    let lake = &world.lake[table];
                    let wanted = world.changes_of(table);
                    let wanted: Vec<_> = wanted
                        .filter(|(_, lsn)| *lsn >= lake.copied_at)
                        .map(|(position, _)| position)
                        .collect();
                    lake.position.is_some() && lake.gap.is_none() && lake.rows == wanted
                });
            if is_done {
                break;
            }
        }
        for (step, count) in world.steps {
            *steps.entry(step).or_default() += count;
        }
    }
    eprintln!("{steps:?}");
}
