//! A source that writes all the time, and knows what it has committed: the rows are made here and given to the server as they
//! are, so what each table holds after each transaction is known without a look at any log.
//!
//! Money moves between accounts, so the sum of their balances is the same after every commit and a torn transaction shows.
//! The same transactions update, delete, re-key and add rows of tables in every shape, and empty one now and then.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use ol_testkit::{MysqlDatabase, Random};

use super::Follow;

pub(super) const SCHEMA: &str = "
    CREATE TABLE account (id bigint PRIMARY KEY, n bigint, body varchar(200), tx bigint);
    CREATE TABLE moving (id bigint PRIMARY KEY, n bigint, body varchar(200), tx bigint);
    CREATE TABLE marked (id bigint PRIMARY KEY, n bigint, body varchar(200), tx bigint);
    CREATE TABLE history (id bigint PRIMARY KEY, n bigint, body varchar(200), tx bigint);
    CREATE TABLE idle (id bigint PRIMARY KEY, n bigint, body varchar(200), tx bigint);
    CREATE TABLE noise (id bigint AUTO_INCREMENT PRIMARY KEY, junk text);
    INSERT INTO idle VALUES (1, 1, 'idle', 0)";

pub(super) const MODES: &[(&str, &str)] = &[
    ("account", "incremental_update"),
    ("moving", "incremental_update"),
    ("marked", "incremental_soft_delete"),
    ("history", "incremental_append"),
    ("idle", "incremental_update"),
];

const ACCOUNTS: u64 = 40;
const BALANCE: i64 = 1_000;
const NASTY: &[&str] = &["é", "'", "\"", "\\", "{}", "NULL", "", " ", "漢字", "💶", "a,b", "%s"];
/// How long a server may be away.
const SERVER_RETURNS_WITHIN: Duration = Duration::from_secs(120);

/// `(n, body, tx)` by `id`.
type Rows = BTreeMap<u64, (i64, String, u64)>;

/// What a table held: `(id, n, tx)` by `id`.
type State = Vec<(u64, i64, u64)>;

/// A line of the change log: what happened, the key, the number, the transaction.
type Line = (char, u64, i64, u64);

/// The writer.
pub(super) struct Ledger<'a> {
    database: &'a MysqlDatabase<'static>,
    random: Random,
    tables: BTreeMap<&'static str, Rows>,
    next_id: u64,
    /// The next transaction.
    pub(super) next: u64,
    /// What each table that is merged held after each transaction, newest last; `(id, n, tx)`.
    states: BTreeMap<&'static str, Vec<State>>,
    /// What happened to `history`.
    lines: Vec<Line>,
}

impl<'a> Ledger<'a> {
    /// A writer over a database with [`SCHEMA`], whose first transaction fills the accounts.
    pub(super) fn new(database: &'a MysqlDatabase<'static>, random: Random) -> Self {
        let names = ["account", "moving", "marked", "history"];
        let mut ledger = Self {
            database,
            random,
            tables: names.map(|name| (name, Rows::new())).into(),
            next_id: 1_000,
            next: 1,
            states: names.map(|name| (name, vec![Vec::new()])).into(),
            lines: Vec::new(),
        };
        ledger.transaction(true);
        ledger
    }

    pub(super) fn run(&mut self, transactions: u64) {
        for _ in 0..transactions {
            self.transaction(false);
        }
    }

    /// One transaction; it is journaled if the server has committed it.
    fn transaction(&mut self, is_first: bool) {
        let before = (self.tables.clone(), self.lines.len());
        let tx = self.next;
        self.next += 1;
        let mut sql = "BEGIN;\n".to_owned();
        if is_first {
            for id in 1..=ACCOUNTS {
                self.put(&mut sql, "account", id, BALANCE, "first", tx);
            }
        } else {
            let (from, to) = (self.random.within(1, ACCOUNTS), self.random.within(1, ACCOUNTS));
            let amount = i64::try_from(self.random.within(1, 500)).unwrap();
            for (id, amount) in [(from, -amount), (to, amount)] {
                let n = self.tables["account"].get(&id).map_or(BALANCE, |row| row.0) + amount;
                self.put(&mut sql, "account", id, n, "moved", tx);
            }
        }
        for table in ["moving", "marked", "history"] {
            for _ in 0..self.random.within(1, 4) {
                self.act(&mut sql, table, tx);
            }
        }
        if self.random.happens(3) {
            sql.push_str("INSERT INTO noise (junk) VALUES ('beside');\n");
        }
        let rolls_back = !is_first && self.random.happens(8);
        sql.push_str(if rolls_back { "ROLLBACK;\n" } else { "COMMIT;\n" });
        let carried_out = self.carry_out(&sql, tx);
        if rolls_back || !carried_out {
            self.tables = before.0;
            self.lines.truncate(before.1);
            return;
        }
        self.remember();
        // TRUNCATE is a transaction of its own: the lake may be between the two.
        if self.random.happens(25) {
            let table = self.random.pick(&["moving", "history"]);
            self.database.sql(&format!("TRUNCATE {table}"));
            self.tables.insert(table, Rows::new());
            if table == "history" {
                self.lines.push(('t', 0, 0, 0));
            }
            self.remember();
        }
    }

    /// What every table holds now is a state that the lake may be in.
    fn remember(&mut self) {
        for (table, states) in &mut self.states {
            states.push(state(&self.tables[table]));
        }
    }

    /// Carries out a script; whether its transaction is committed.
    fn carry_out(&self, sql: &str, tx: u64) -> bool {
        if self.database.try_sql(sql).is_ok() {
            return true;
        }
        // The server went away, perhaps after it had committed: it is asked.
        let started = Instant::now();
        loop {
            let asked = format!("SELECT count(*) FROM account WHERE tx = {tx}");
            match self.database.try_sql(&asked) {
                Ok(count) => return count != "0",
                Err(told) => assert!(
                    started.elapsed() < SERVER_RETURNS_WITHIN,
                    "nobody can tell whether transaction {tx} is committed: {told}"
                ),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Something happens to a row of a table.
    fn act(&mut self, sql: &mut String, table: &'static str, tx: u64) {
        let keys: Vec<u64> = self.tables[table].keys().copied().collect();
        let n = i64::try_from(self.random.below(1_000_000)).unwrap();
        let body = format!("{}{n}", self.random.pick(NASTY));
        if keys.len() < 5 || self.random.happens(3) {
            self.next_id += 1;
            return self.put(sql, table, self.next_id, n, &body, tx);
        }
        let id = self.random.pick(&keys);
        match self.random.below(4) {
            0 => self.gone(sql, table, id, tx),
            1 => {
                // The row gets another key, or that of a row that was there before.
                self.next_id += 1;
                let free = (1..1_000).find(|id| !self.tables[table].contains_key(id));
                let new = if self.random.happens(2) { self.next_id } else { free.unwrap() };
                writeln!(sql, "UPDATE {table} SET id = {new}, tx = {tx} WHERE id = {id};").unwrap();
                let (n, body, was) = self.tables.get_mut(table).unwrap().remove(&id).unwrap();
                self.tables.get_mut(table).unwrap().insert(new, (n, body, tx));
                if table == "history" {
                    self.lines.extend([('d', id, n, was), ('i', new, n, tx)]);
                }
            }
            _ => self.put(sql, table, id, n, &body, tx),
        }
    }

    fn put(&mut self, sql: &mut String, table: &'static str, id: u64, n: i64, body: &str, tx: u64) {
        let text = body.replace('\\', "\\\\").replace('\'', "''");
        let old = self.tables.get_mut(table).unwrap().insert(id, (n, body.to_owned(), tx));
        match old {
            None => writeln!(sql, "INSERT INTO {table} VALUES ({id}, {n}, '{text}', {tx});"),
            Some(_) => {
                writeln!(
                    sql,
                    "UPDATE {table} SET n = {n}, body = '{text}', tx = {tx} WHERE id = {id};"
                )
            }
        }
        .unwrap();
        // An update to the very same values is none to the server.
        if table == "history" && old.as_ref() != Some(&(n, body.to_owned(), tx)) {
            self.lines.push((if old.is_some() { 'u' } else { 'i' }, id, n, tx));
        }
    }

    fn gone(&mut self, sql: &mut String, table: &'static str, id: u64, _: u64) {
        writeln!(sql, "DELETE FROM {table} WHERE id = {id};").unwrap();
        let (n, _, was) = self.tables.get_mut(table).unwrap().remove(&id).unwrap();
        if table == "history" {
            self.lines.push(('d', id, n, was));
        }
    }

    /// Demands that what is in the lake is what was there after some transaction, and, if `is_complete`, after the last.
    #[track_caller]
    pub(super) fn judge(&self, follow: &Follow, is_complete: bool, when: &str) {
        let number = |text: &str| text.parse::<i64>().unwrap_or_default();
        let all = "SELECT id, n, tx FROM lake ORDER BY id";
        let kept = "SELECT id, n, tx FROM lake WHERE _ol_deleted_at IS NULL ORDER BY id";
        let log = "SELECT _ol_op, id, n, tx FROM lake ORDER BY _ol_position, id";
        let asked = [("account", all), ("moving", all), ("marked", kept), ("history", log)];
        let mut answers = follow.case.lines_of_each(&asked);
        let history = answers.pop().flatten();
        for ((table, _), lines) in asked.iter().zip(answers) {
            let Some(lines) = lines else {
                assert!(!is_complete, "{when}: {table} is not in the lake");
                continue;
            };
            let row = |line: &String| {
                let mut fields = line.split('\t').map(number);
                let mut next = || fields.next().unwrap_or_default();
                (next().unsigned_abs(), next(), next().unsigned_abs())
            };
            let found: Vec<(u64, i64, u64)> = lines.iter().map(row).collect();
            let states = &self.states[table];
            let known =
                if is_complete { states.last() == Some(&found) } else { states.contains(&found) };
            assert!(known, "{when}: {table} never held {found:?}, at last {:?}", states.last());
            if *table == "account" && !found.is_empty() {
                let sum: i64 = found.iter().map(|row| row.1).sum();
                assert_eq!(
                    sum,
                    BALANCE * i64::try_from(ACCOUNTS).unwrap(),
                    "{when}: a torn transaction"
                );
            }
        }
        let Some(lines) = history else { return };
        let line = |text: &String| -> Line {
            let mut fields = text.split('\t');
            let op = fields.next().and_then(|op| op.chars().next()).unwrap_or_default();
            let mut next = || number(fields.next().unwrap_or_default());
            (op, next().unsigned_abs(), next(), next().unsigned_abs())
        };
        let lines: Vec<Line> = lines.iter().map(line).collect();
        let followed = lines.iter().filter(|line| line.0 != 'r').count();
        let states = states_of(&self.lines);
        let departures: Option<Vec<(usize, String)>> = (0..=self.lines.len())
            .filter(|start| !is_complete || self.lines.len() - start == followed)
            .map(|start| departs(&lines, &self.lines, &states, start))
            .collect();
        // Where it goes along for longest is most likely where it begins.
        let departs = departures.map(|all| all.into_iter().max().unwrap_or_default().1);
        assert!(
            departs.is_none(),
            "{when}: the log lacks or doubles a change: {} copied, {followed} followed of {}: {departs:?}",
            lines.len() - followed,
            self.lines.len()
        );
    }
}

/// What a log comes to: by key, the rest of the row.
type Held = BTreeMap<u64, (i64, u64)>;

fn take(held: &mut Held, (op, id, n, tx): Line) {
    match op {
        'd' => drop(held.remove(&id)),
        't' => held.clear(),
        _ => drop(held.insert(id, (n, tx))),
    }
}

/// What there was before each of the lines, and behind the last.
fn states_of(lines: &[Line]) -> Vec<Held> {
    let mut held = Held::new();
    let mut states = vec![held.clone()];
    for line in lines {
        take(&mut held, *line);
        states.push(held.clone());
    }
    states
}

/// Where `found` is not the lines from `start` on, each once and in order, with rows in between that were read where they stand:
/// each is what there was at that place, and all together come to what there was behind the last line. After how many lines of
/// it, and how.
fn departs(
    found: &[Line],
    lines: &[Line],
    states: &[Held],
    start: usize,
) -> Option<(usize, String)> {
    let (mut at, mut held) = (start, Held::new());
    for (number, line) in found.iter().enumerate() {
        let (op, id, n, tx) = *line;
        let is_true = match op {
            'r' => states[at].get(&id) == Some(&(n, tx)),
            _ => lines.get(at) == Some(line),
        };
        if !is_true {
            let behind = found.get(number.saturating_sub(3)..found.len().min(number + 4));
            let before = lines.get(at.saturating_sub(3)..lines.len().min(at + 4));
            return Some((number, format!("it says {behind:?} where there was {before:?}")));
        }
        at += usize::from(op != 'r');
        take(&mut held, *line);
    }
    let is_all = held == states[at];
    (!is_all).then(|| (found.len(), format!("it comes to {held:?} and not {:?}", states[at])))
}

fn state(rows: &Rows) -> State {
    rows.iter().map(|(id, (n, _, tx))| (*id, *n, *tx)).collect()
}
