//! Writes to any schema: inserts, updates and deletes over all tables of a database, as its types and constraints allow.
//!
//! The catalog says what a table is made of; a seed says what is done. Values are expressions by type; a new row is a copy
//! of another with new keys. What a constraint forbids (a reference, a check, a second row of one key) fails alone: each
//! statement has a savepoint, and deferred constraints are checked at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::postgres::Database;
use crate::random::Random;
use crate::session::Session;

/// Columns of all ordinary tables of schema public, with what a writer must know of each.
const COLUMNS: &str = "
SELECT c.relname, a.attname, t.typname, CASE WHEN a.atttypmod > 4 THEN a.atttypmod - 4 ELSE -1 END, NOT a.attnotnull,
       coalesce((SELECT array_position(i.indkey::int2[], a.attnum) FROM pg_index i
                 WHERE i.indrelid = c.oid AND i.indisprimary), -1),
       EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY (k.conkey)),
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND NOT i.indisprimary
               AND a.attnum = ANY (i.indkey::int2[])),
       a.attgenerated <> '', (SELECT count(*) FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum";

/// A column of a table under load.
#[derive(Debug)]
struct Column {
    name: String,
    kind: String,
    /// The type's modifier without its header: the length of a varchar, precision and scale of a numeric.
    modifier: i64,
    nullable: bool,
    in_key: bool,
    reference: bool,
    unique: bool,
    generated: bool,
}

/// A table under load.
#[derive(Debug)]
pub struct LoadTable {
    /// Its name in schema public.
    pub name: String,
    /// The columns of its primary key, in order.
    pub key: Vec<String>,
    columns: Vec<Column>,
    rows: u64,
}

/// What a load has done.
#[derive(Debug, Default)]
pub struct LoadDone {
    /// Transactions committed.
    pub transactions: u64,
    /// Rows inserted.
    pub inserts: u64,
    /// Rows updated.
    pub updates: u64,
    /// Rows whose key was changed.
    pub rekeys: u64,
    /// Rows deleted.
    pub deletes: u64,
    /// Tables in which any of this was done.
    pub tables: usize,
}

/// A writer over all tables of a database.
#[derive(Debug)]
pub struct WriteLoad {
    tables: Vec<LoadTable>,
    session: Session,
    random: Random,
}

impl WriteLoad {
    /// The tables of schema public.
    pub fn tables(database: &Database<'_>) -> Vec<LoadTable> {
        let mut tables = BTreeMap::<String, (Vec<Column>, Vec<(i64, String)>)>::new();
        for line in database.psql(COLUMNS).lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let [table, name, kind, modifier, nullable, place, reference, unique, generated, _] =
                fields.as_slice()
            else {
                panic!("the catalog answers {line}");
            };
            let place: i64 = place.parse().expect("a place in the key is a number");
            let of_table = tables.entry((*table).to_owned()).or_default();
            if place >= 0 {
                of_table.1.push((place, (*name).to_owned()));
            }
            of_table.0.push(Column {
                name: (*name).to_owned(),
                kind: (*kind).to_owned(),
                modifier: modifier.parse().expect("a modifier is a number"),
                nullable: *nullable == "t",
                in_key: place >= 0,
                reference: *reference == "t",
                unique: *unique == "t",
                generated: *generated == "t",
            });
        }
        tables
            .into_iter()
            .map(|(name, (columns, mut key))| {
                key.sort();
                let rows = database.psql(&format!("SELECT count(*) FROM {}", quoted(&name)));
                let rows = rows.parse().expect("a count is a number");
                LoadTable {
                    name,
                    key: key.into_iter().map(|(_, name)| name).collect(),
                    columns,
                    rows,
                }
            })
            .collect()
    }

    /// A writer that has done nothing yet.
    pub fn new(database: &Database<'_>, random: Random) -> Self {
        Self { tables: Self::tables(database), session: database.session(), random }
    }

    /// Writes in a thread until [`LoadUnderWay::stop`].
    pub fn start(mut self) -> LoadUnderWay {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (mut done, mut touched) = (LoadDone::default(), BTreeSet::new());
            while !told.load(Ordering::SeqCst) {
                self.transaction(&mut done, &mut touched);
            }
            done.tables = touched.len();
            done
        });
        LoadUnderWay { stop, thread }
    }

    fn transaction(&mut self, done: &mut LoadDone, touched: &mut BTreeSet<String>) {
        let commit = !self.random.happens(15);
        let mut script = "\\set ON_ERROR_STOP off\n\\set ON_ERROR_ROLLBACK on\nBEGIN;\n\
                          SET CONSTRAINTS ALL IMMEDIATE;\n"
            .to_owned();
        for _ in 0..self.random.within(1, 8) {
            let place = self.random.below(self.tables.len() as u64);
            let table = usize::try_from(place).ok().and_then(|place| self.tables.get(place));
            let table = table.expect("there are tables");
            let statement = match self.random.below(10) {
                0..=1 => table.insert(&mut self.random),
                2 => table.delete(&mut self.random),
                3 => table.rekey(&mut self.random),
                _ => table.update(&mut self.random),
            };
            if let Some((letter, statement)) = statement {
                let (name, literal) = (&table.name, table.name.replace('\'', "''"));
                assert!(!name.contains('\t'), "a name with a tab");
                script.push_str(&format!(
                    "WITH done AS ({statement} RETURNING 1) SELECT '{letter}', '{literal}', count(*) FROM done;\n"
                ));
            }
        }
        script.push_str(if commit { "COMMIT" } else { "ROLLBACK" });
        let rows = self
            .session
            .run(&script)
            .unwrap_or_else(|broken| panic!("the load's session broke: {}", broken.told));
        if !commit {
            return;
        }
        done.transactions += 1;
        for row in rows {
            let fields: Vec<&str> = row.split('\t').collect();
            let [letter, table, count] = fields.as_slice() else {
                panic!("the load's script told {row}");
            };
            let count: u64 = count.parse().expect("a count is a number");
            if count > 0 {
                touched.insert((*table).to_owned());
            }
            match *letter {
                "i" => done.inserts += count,
                "u" => done.updates += count,
                "m" => done.rekeys += count,
                _ => done.deletes += count,
            }
        }
    }
}

/// A load that a thread writes.
#[derive(Debug)]
pub struct LoadUnderWay {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<LoadDone>,
}

impl LoadUnderWay {
    /// Ends after the transaction that is under way; tells what was done.
    pub fn stop(self) -> LoadDone {
        self.stop.store(true, Ordering::SeqCst);
        match self.thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl LoadTable {
    /// Some rows that lie together, from a place that the seed tells.
    fn some(&self, random: &mut Random, most: u64) -> String {
        format!(
            "ctid = ANY (ARRAY(SELECT ctid FROM {} OFFSET {} LIMIT {}))",
            quoted(&self.name),
            random.below(self.rows.max(1)),
            random.within(1, most)
        )
    }

    fn update(&self, random: &mut Random) -> Option<(char, String)> {
        let free: Vec<&Column> = self.columns.iter().filter(|column| column.is_free()).collect();
        if free.is_empty() {
            return None;
        }
        let mut set = BTreeMap::new();
        for _ in 0..random.within(1, 3) {
            let column = random.pick(&free);
            let value = if column.nullable && random.happens(6) {
                "NULL".to_owned()
            } else {
                column.expression(random)
            };
            set.insert(&column.name, value);
        }
        let set: Vec<String> =
            set.iter().map(|(name, value)| format!("{} = {value}", quoted(name))).collect();
        let rows = self.some(random, 5);
        Some(('u', format!("UPDATE {} SET {} WHERE {rows}", quoted(&self.name), set.join(", "))))
    }

    /// The key of one row changes, where nothing refers to it.
    fn rekey(&self, random: &mut Random) -> Option<(char, String)> {
        let set = self.new_key(random)?;
        let rows = self.some(random, 1);
        Some(('m', format!("UPDATE {} SET {set} WHERE {rows}", quoted(&self.name))))
    }

    fn new_key(&self, random: &mut Random) -> Option<String> {
        let [key] = self.key.as_slice() else { return None };
        let column = self.columns.iter().find(|column| column.name == *key)?;
        (!column.reference)
            .then(|| format!("{} = {}", quoted(key), self.key_expression(column, random)))
    }

    fn key_expression(&self, column: &Column, random: &mut Random) -> String {
        if column.kind.starts_with("int") {
            format!("(SELECT max({}) + 1 FROM {})", quoted(&column.name), quoted(&self.name))
        } else {
            column.expression(random)
        }
    }

    /// A copy of a row with new keys.
    fn insert(&self, random: &mut Random) -> Option<(char, String)> {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for column in self.columns.iter().filter(|column| !column.generated) {
            names.push(quoted(&column.name));
            values.push(if column.in_key && !column.reference {
                self.key_expression(column, random)
            } else if column.unique && !column.reference || column.is_free() && random.happens(3) {
                column.expression(random)
            } else {
                quoted(&column.name)
            });
        }
        let (table, names) = (quoted(&self.name), names.join(", "));
        let offset = random.below(self.rows.max(1));
        let statement = format!(
            "INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE SELECT {} FROM {table} OFFSET {offset} LIMIT 1",
            values.join(", ")
        );
        Some(('i', statement))
    }

    fn delete(&self, random: &mut Random) -> Option<(char, String)> {
        let rows = self.some(random, 2);
        Some(('d', format!("DELETE FROM {} WHERE {rows}", quoted(&self.name))))
    }
}

impl Column {
    /// Whether it may take any value of its type.
    fn is_free(&self) -> bool {
        !(self.in_key || self.reference || self.unique || self.generated)
    }

    /// A value of the type, as SQL.
    fn expression(&self, random: &mut Random) -> String {
        let number = random.below(1 << 40);
        match self.kind.as_str() {
            "bool" => format!("{}", random.happens(2)),
            "int2" => format!("{}", number % 30_000),
            "int4" => format!("{}", number % 2_000_000_000),
            "int8" => format!("{number}"),
            "float4" | "float8" => format!("({number}::float8 / 7919)"),
            "numeric" => {
                // The modifier is precision and scale in one number, as the catalog has it.
                let scale = if self.modifier < 0 { 2 } else { self.modifier & 0x7ff };
                let whole = if self.modifier < 0 { 6 } else { (self.modifier >> 16) - scale };
                let least = 10_u64.pow(u32::try_from(whole.clamp(1, 9)).unwrap_or(1));
                format!("trunc({}::numeric / 7, {scale}::int)", number % least)
            }
            "date" => format!("('2000-01-01'::date + {})", number % 20_000),
            "timestamptz" | "timestamp" => {
                format!("('2000-01-01'::{} + {number} * interval '1 millisecond')", self.kind)
            }
            "time" => {
                format!("('00:00'::time + {} * interval '1 microsecond')", number % 86_400_000_000)
            }
            "uuid" => format!("md5('{number}')::uuid"),
            "jsonb" | "json" => format!(
                "('{{\"n\": {number}, \"é\": [null, true, \"' || repeat(md5('{number}'), {}) || '\"]}}')::{}",
                random.below(40),
                self.kind
            ),
            "tsvector" => format!("to_tsvector('simple', 'word{number} and others')"),
            _ => {
                let long = if random.happens(10) { 200 } else { 1 };
                let text = format!(
                    "({}||repeat(md5('{number}'), {long}))",
                    random.pick(&["'é''\"\\ '", "''", "'漢 '", "E'a\\tb\\n'"])
                );
                if self.modifier < 0 { text } else { format!("left({text}, {})", self.modifier) }
            }
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::PostgresServer;
    use crate::shared::shared_data;

    #[test]
    fn a_load_writes_most_tables_of_a_real_schema() {
        let Some(dump) = shared_data("mitxonline.dump") else { return };
        let server = PostgresServer::start();
        let database = server.create_database("load");
        database.restore(&dump);
        let writing = WriteLoad::new(&database, Random(3)).start();
        thread::sleep(std::time::Duration::from_secs(5));
        let done = writing.stop();
        eprintln!("{done:?}");
        assert!(done.tables > 100, "{done:?}");
        assert!(
            done.inserts > 20 && done.updates > 100 && done.deletes > 5 && done.rekeys > 5,
            "{done:?}"
        );
    }
}
