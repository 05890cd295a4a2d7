//! The ledger: a source that writes all the time and remembers what it committed.
//!
//! Money moves between accounts in transactions of 1 to 50 rows, so the sum of all balances is the same at every commit,
//! and a torn transaction shows. The same transactions touch tables of every shape that change capture must get right:
//! without a key, with keys that change, with values stored out of line, partitioned, emptied, altered. The writer is
//! repeated by its seed, and journals each committed transaction to its own file from what the executor returned. The
//! checker (`tests/readers/ledger.py`) holds the lake against that file, so it would also notice what the server's own
//! log does not hold.

mod actions;
mod journal;
mod schema;
mod script;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::postgres::Database;
use crate::random::Random;
use crate::session::{Broken, Session};

pub use schema::{ALTERATIONS, Alteration, GENERATED, Landing, TABLES, TOTAL, Table, find, unit};

use actions::Action;
use journal::Journal;
use script::{Rows, Script, Shape};

/// How long a writer tries to reach a server that went away.
const SERVER_RETURNS_WITHIN: Duration = Duration::from_secs(120);
/// Transactions between two changes of a table's shape.
const ALTER_EVERY: u64 = 25;
/// Errors of a transaction that are no fault of its SQL: two writers in each other's way, a server that ends.
const EXPECTED_ERRORS: &[&str] = &["40P01", "40001", "57P01", "57P02", "57P03"];
/// Writers of one ledger that a transaction's number has room for.
const WRITERS: u64 = 8;

/// A writer of the ledger.
#[derive(Debug)]
pub struct Ledger {
    psql: PathBuf,
    url: String,
    session: Session,
    journal: Journal,
    random: Random,
    /// The number of the next transaction; those of other writers lie between.
    next: u64,
    first: bool,
    shapes: Vec<Shape>,
    shapes_given: usize,
    altered: usize,
    alters: bool,
    committed: Arc<AtomicU64>,
    changes: u64,
}

impl Ledger {
    /// Makes the schema and its first rows in an empty database; the journal lies in `folder`.
    pub fn new(database: &Database<'_>, folder: &Path, random: Random) -> Self {
        database.psql(schema::SCHEMA);
        let mut ledger = Self::writer(database, folder, random, 0);
        ledger.fill();
        ledger
    }

    /// A further writer (1 to 7) of a ledger that was made, for transactions that overlap.
    pub fn another(&self, database: &Database<'_>, folder: &Path, number: u64) -> Self {
        assert!((1..WRITERS).contains(&number), "there is no writer {number}");
        let seed = self.random.clone().number() ^ number;
        let mut other = Self::writer(database, folder, Random(seed), number);
        other.next += WRITERS;
        other
    }

    fn writer(database: &Database<'_>, folder: &Path, random: Random, number: u64) -> Self {
        let shapes = script::first_shapes();
        let mut journal = Journal::create(&folder.join(format!("journal-{number}.jsonl")));
        for (table, shape) in TABLES.iter().zip(&shapes) {
            journal.shape(table, shape);
        }
        let psql = database.server().psql_program();
        let url = database.url();
        Self {
            session: Session::open(&psql, &url),
            psql,
            url,
            journal,
            random,
            next: WRITERS + number,
            first: number == 0,
            shapes_given: shapes.len(),
            shapes,
            altered: 0,
            alters: true,
            committed: Arc::default(),
            changes: 0,
        }
    }

    /// Leaves the shapes of the tables as they are.
    #[must_use]
    pub fn without_alterations(mut self) -> Self {
        self.alters = false;
        self
    }

    /// The file that tells what was committed.
    pub fn journal(&self) -> &Path {
        self.journal.path()
    }

    /// Transactions committed so far.
    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::SeqCst)
    }

    /// Changes of rows in them.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Commits a number of transactions; others are rolled back or empty in between.
    pub fn run(&mut self, transactions: u64) {
        let wanted = self.committed() + transactions;
        while self.committed() < wanted {
            self.step();
        }
    }

    /// Writes in a thread until [`Writing::stop`], with a pause between transactions.
    pub fn start(mut self, pause: Duration) -> Writing {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let committed = Arc::clone(&self.committed);
        let thread = thread::spawn(move || {
            while !told.load(Ordering::SeqCst) {
                self.step();
                thread::sleep(pause);
            }
            self
        });
        Writing { stop, committed, thread }
    }

    /// One transaction that inserts `rows` rows, then changes and deletes every hundredth of them.
    pub fn bulk(&mut self, rows: u64) {
        let base = self.next * 1_000_000;
        self.transaction(true, |script, random| {
            actions::transfers(script, random, 1);
            let query = format!(
                "SELECT {base} + n, md5(n::text), {} FROM generate_series(1, {rows}) n",
                script.transaction
            );
            script.insert("bulk", "id, payload, tx", &query);
            let every = |rest: u64| Rows::Where(format!("id > {base} AND id % 100 = {rest}"));
            script.update("bulk", "payload = payload || 'x'", &every(1));
            script.delete("bulk", &every(2));
        });
    }

    /// Applies the next alteration of a table, in a transaction that writes the table before and after it; `false` when
    /// there is none left.
    pub fn alter(&mut self) -> bool {
        let Some(alteration) = ALTERATIONS.get(self.altered) else { return false };
        let touch: Action =
            if alteration.table == "shape" { actions::shape } else { actions::renamed };
        self.transaction(true, |script, random| {
            actions::transfers(script, random, 1);
            touch(script, random);
        });
        // A shape of its own in the journal: what is written from here on has other columns.
        let (place, table) = find(alteration.table);
        let shape = Shape { number: self.shapes_given, columns: alteration.columns.to_vec() };
        self.shapes_given += 1;
        self.journal.shape(table, &shape);
        let altered = self.transaction_with(
            |shapes| {
                if let Some(old) = shapes.get_mut(place) {
                    *old = shape;
                }
            },
            |script, random| {
                actions::transfers(script, random, 1);
                script.plain(alteration.statement);
                touch(script, random);
            },
        );
        self.altered += usize::from(altered);
        true
    }

    fn step(&mut self) {
        if self.first
            && self.alters
            && (self.next / WRITERS).is_multiple_of(ALTER_EVERY)
            && self.alter()
        {
            return;
        }
        let first = self.first;
        match self.random.below(20) {
            // Nothing in it, and nothing but what nobody follows.
            0 => {
                self.uncounted("BEGIN; COMMIT");
                self.uncounted("INSERT INTO ledger.noise (junk) SELECT md5(n::text) FROM generate_series(1, 20) n");
            }
            1 => {
                self.transaction(false, |script, random| {
                    script.forget();
                    actions::transfers(script, random, 3);
                    act(first, script, random);
                });
            }
            _ => {
                self.transaction(true, |script, random| {
                    let lines = if random.happens(10) {
                        random.within(10, 25)
                    } else {
                        random.within(1, 4)
                    };
                    actions::transfers(script, random, lines);
                    for _ in 0..random.below(4) {
                        if random.happens(5) {
                            let kept = random.happens(2);
                            script.savepoint(kept, |script| act(first, script, random));
                        } else {
                            act(first, script, random);
                        }
                    }
                    if random.happens(4) {
                        script.plain("INSERT INTO ledger.noise (junk) VALUES ('beside')");
                    }
                });
            }
        }
    }

    /// The first rows of every table, in one transaction.
    fn fill(&mut self) {
        self.transaction(true, |script, random| {
            let tx = script.transaction;
            let accounts = format!("SELECT n, 1000000, {tx} FROM generate_series(1, 40) n");
            script.insert("accounts", "id, balance, tx", &accounts);
            actions::transfers(script, random, 3);
            let idle = format!("SELECT n, 'idle', {tx} FROM generate_series(1, 3) n");
            script.insert("idle", "id, note, tx", &idle);
            let renamed = format!("SELECT n, 'name ' || n, {tx} FROM generate_series(1, 5) n");
            script.insert("renamed", "id, first_name, tx", &renamed);
            let shape = format!("SELECT n, 'kept', n, 'doomed', {tx} FROM generate_series(1, 5) n");
            script.insert("shape", "id, kept, small, doomed, tx", &shape);
            let bulk = format!("SELECT n, md5(n::text), {tx} FROM generate_series(1, 500) n");
            script.insert("bulk", "id, payload, tx", &bulk);
        });
        // Some rows in every other table.
        for _ in 0..3 {
            self.transaction(true, |script, random| {
                actions::transfers(script, random, 2);
                for action in actions::EVERYWHERE.iter().chain(actions::FIRST_ONLY) {
                    action(script, random);
                }
            });
        }
    }

    /// Carries out a transaction; tells whether it was committed.
    fn transaction(
        &mut self,
        commit: bool,
        fill: impl FnOnce(&mut Script<'_>, &mut Random),
    ) -> bool {
        let number = self.next;
        self.next += WRITERS;
        let mut script = Script::new(number, &self.shapes);
        fill(&mut script, &mut self.random);
        let sql = if commit { script.commit() } else { script.roll_back() };
        self.carry_out(number, commit, &sql)
    }

    /// The same with tables of another shape, which stays if it is committed.
    fn transaction_with(
        &mut self,
        reshape: impl FnOnce(&mut Vec<Shape>),
        fill: impl FnOnce(&mut Script<'_>, &mut Random),
    ) -> bool {
        let before = self.shapes.clone();
        reshape(&mut self.shapes);
        let committed = self.transaction(true, fill);
        if !committed {
            self.shapes = before;
        }
        committed
    }

    fn carry_out(&mut self, number: u64, commit: bool, sql: &str) -> bool {
        let (rows, after) = match self.session.run(sql) {
            Ok(rows) => (rows, None),
            Err(Broken { rows, told }) => {
                let fault = told.contains("ERROR:");
                let expected = EXPECTED_ERRORS.iter().any(|code| told.contains(code));
                assert!(!fault || expected, "the ledger's own SQL fails: {told}\n{sql}");
                // A deadlock, or a server that went away, perhaps after it had committed: it is asked.
                self.reconnect();
                let committed = format!("SELECT count(*) FROM ledger.entries WHERE tx = {number}");
                let lsn = "SELECT pg_current_wal_insert_lsn()";
                match (self.session.value(&committed), self.session.value(lsn)) {
                    (Ok(lines), Ok(lsn)) if lines != "0" => (rows, Some(lsn)),
                    (Ok(_), Ok(_)) => return false,
                    (Err(broken), _) | (_, Err(broken)) => {
                        panic!(
                            "nobody can tell whether transaction {number} is committed: {}",
                            broken.told
                        )
                    }
                }
            }
        };
        if commit {
            let changes = self.journal.committed(number, &rows, after.as_deref());
            self.changes += changes as u64;
            self.committed.fetch_add(1, Ordering::SeqCst);
        }
        commit
    }

    /// A statement that no table of the ledger notices.
    fn uncounted(&mut self, sql: &str) {
        if self.session.run(sql).is_err() {
            self.reconnect();
        }
    }

    fn reconnect(&mut self) {
        let started = Instant::now();
        loop {
            self.session = Session::open(&self.psql, &self.url);
            match self.session.value("SELECT 1") {
                Ok(_) => return,
                Err(broken) => assert!(
                    started.elapsed() < SERVER_RETURNS_WITHIN,
                    "the server does not return: {}",
                    broken.told
                ),
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn act(first: bool, script: &mut Script<'_>, random: &mut Random) {
    let of_first = if first { actions::FIRST_ONLY } else { &[] };
    let all: Vec<Action> = actions::EVERYWHERE.iter().chain(of_first).copied().collect();
    random.pick(&all)(script, random);
}

/// A ledger that is being written by a thread.
#[derive(Debug)]
pub struct Writing {
    stop: Arc<AtomicBool>,
    committed: Arc<AtomicU64>,
    thread: JoinHandle<Ledger>,
}

impl Writing {
    /// Transactions committed so far.
    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::SeqCst)
    }

    /// Ends after the transaction that is under way.
    pub fn stop(self) -> Ledger {
        self.stop.store(true, Ordering::SeqCst);
        match self.thread.join() {
            Ok(ledger) => ledger,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::{PostgresServer, Stop};

    #[test]
    fn the_sum_of_the_accounts_stays_and_every_commit_is_journaled() {
        let server = PostgresServer::start();
        let database = server.create_database("ledger");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut ledger = Ledger::new(&database, folder.path(), Random(7));
        let other = ledger.another(&database, folder.path(), 1).start(Duration::ZERO);
        ledger.run(200);
        ledger.bulk(1_000);
        let writing = ledger.start(Duration::ZERO);
        let before = writing.committed();
        server.restart(Stop::Immediate);
        let started = Instant::now();
        while writing.committed() < before + 50 {
            assert!(started.elapsed() < Duration::from_secs(60), "the writer stands still");
            thread::sleep(Duration::from_millis(10));
        }
        let (ledger, other) = (writing.stop(), other.stop());
        assert!(!ledger.alters || ledger.altered == ALTERATIONS.len(), "not all was altered");
        assert_eq!(database.psql("SELECT sum(balance) FROM ledger.accounts"), TOTAL.to_string());
        let at_source = database.psql("SELECT DISTINCT tx FROM ledger.entries ORDER BY tx");
        let mut journaled: Vec<u64> = [&ledger, &other]
            .into_iter()
            .flat_map(|writer| {
                let text = std::fs::read_to_string(writer.journal()).expect("a journal is text");
                text.lines()
                    .filter_map(|line| {
                        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
                        line.get("tx").and_then(serde_json::Value::as_u64)
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        journaled.sort_unstable();
        let journaled: Vec<String> = journaled.iter().map(u64::to_string).collect();
        assert_eq!(at_source, journaled.join("\n"));
    }
}
