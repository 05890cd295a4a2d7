//! Every type: what the stream says is, to the bit, what a copy says.
//!
//! Each relation of the zoo is read by binary COPY; then its rows are inserted into a table like it, streamed, and deleted again
//! under REPLICA IDENTITY FULL, which streams them as old rows. All three must agree column by column, with `_ol_odd`,
//! whatever the role, the database or the server has set.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use ol_chassis::shutdown::Shutdown;
use ol_ingest::column::batch::{Assembler, RowMeta, RunColumns};
use ol_ingest::column::digest::Digester;
use ol_ingest::column::metadata::{self, Op};
use ol_ingest::source::postgres::catalog::{Catalog, Relation, RelationKind};
use ol_ingest::source::postgres::replication::message::{Message, Old};
use ol_ingest::source::postgres::replication::relation::streamable;
use ol_ingest::source::postgres::replication::rows::ChangeRows;
use ol_ingest::source::postgres::replication::stream::{Event, ReplicationStream};
use ol_ingest::source::postgres::rows::{BatchLimit, RowError, RowReader};
use ol_ingest::source::postgres::settings::Settings;
use ol_ingest::source::postgres::snapshot::{BlockRange, Keeper, Reader, copy_statement};
use ol_ingest::source::postgres::types::{Reading, quote};
use ol_ingest::source::postgres::wire::WireError;
use ol_ingest::verify::tally::Survey;
use ol_lake::schema::LakeColumn;
use ol_testkit::{Database, PostgresServer, shared_data};

use crate::common::{PATIENCE, settings, slot, wait};
use crate::testing::arrow_schema;

/// The relations of the zoo that have rows, and those of `further.sql`.
const RELATIONS: usize = 77;
/// What the stream does not say of them: an array of composites with several dimensions, and computed columns.
const LEFT_OUT: &[&str] =
    &["nested.pairs", "t_generated.g_sum", "t_generated.g_txt", "t_generated.g_null"];
const LIMIT: BatchLimit = BatchLimit { rows: 1000, bytes: 1 << 20 };

/// A relation with what is read of it.
struct Animal {
    relation: Relation,
    readings: Vec<Reading>,
    left_out: Vec<String>,
    schema: SchemaRef,
}

impl Animal {
    fn new(relation: &Relation, catalog: &Catalog) -> Self {
        let (mut readings, mut left_out) = (Vec::new(), Vec::new());
        for column in &relation.columns {
            match Reading::decide(column, &catalog.types, None) {
                Ok(reading) if streamable(relation, &reading).is_ok() => readings.push(reading),
                _ => left_out.push(format!("{}.{}", relation.name, column.name)),
            }
        }
        let mut columns: Vec<LakeColumn> = readings
            .iter()
            .map(|reading| LakeColumn {
                name: reading.name.clone(),
                lake_type: reading.contract.lake.clone(),
                required: false,
                doc: None,
                was: None,
            })
            .collect();
        columns.extend(metadata::log());
        let schema = arrow_schema(&columns);
        Self { relation: relation.clone(), readings, left_out, schema }
    }

    fn names(&self) -> Vec<String> {
        self.readings.iter().map(|reading| reading.name.clone()).collect()
    }

    fn assembler(&self) -> Assembler {
        let run = RunColumns {
            position: String::new(),
            extracted_at_microseconds: 0,
            run_id: String::new(),
        };
        Assembler::new(self.schema.clone(), self.names(), run).unwrap()
    }

    fn copied(&self, reader: &mut Reader) -> TableDigest {
        let mut rows = RowReader::new(&self.readings, self.assembler(), LIMIT).unwrap();
        let mut digest = TableDigest::new(&self.names());
        let statement = copy_statement(&self.relation, &self.readings, BlockRange::ALL);
        reader
            .copy_out(&statement, |body| {
                rows.consume(body, |batch, _| {
                    digest.add(&batch);
                    Ok::<(), Failed>(())
                })
            })
            .unwrap_or_else(|error| panic!("{}: {error:?}", self.relation.name));
        if let Some((batch, _)) = rows.finish().unwrap().0 {
            digest.add(&batch);
        }
        digest
    }

    /// The columns that a table like it takes values for.
    fn insertable(&self) -> String {
        let columns = self.relation.columns.iter().filter(|column| !column.generated);
        columns.map(|column| quote(&column.name)).collect::<Vec<_>>().join(", ")
    }
}

#[derive(Debug)]
#[expect(dead_code, reason = "shown when the test fails")]
enum Failed {
    Wire(WireError),
    Row(RowError),
}

impl From<WireError> for Failed {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<RowError> for Failed {
    fn from(error: RowError) -> Self {
        Self::Row(error)
    }
}

/// The sums of a table's columns.
struct TableDigest {
    digester: Digester,
    sums: Survey,
}

impl TableDigest {
    fn new(names: &[String]) -> Self {
        let digester = Digester::new(names, &[]);
        let sums = Survey::new(1, digester.names().len());
        Self { digester, sums }
    }

    fn add(&mut self, batch: &RecordBatch) {
        let digested = self.digester.digest(batch).unwrap();
        (0..batch.num_rows()).for_each(|row| self.sums.add(&digested, row));
    }

    fn differing(&self, other: &Self) -> Vec<&String> {
        let pairs = self.sums.columns.iter().zip(&other.sums.columns);
        let named = self.digester.names().iter().zip(pairs);
        named.filter(|(_, (mine, theirs))| mine != theirs).map(|(name, _)| name).collect()
    }
}

/// Every relation of the zoo with rows in it, and its digest by COPY.
fn animals(settings: &Settings) -> Vec<(Animal, TableDigest)> {
    let (keeper, catalog) = wait(async {
        let mut keeper = Keeper::open(settings).await.unwrap();
        let catalog = keeper.catalog().await.unwrap();
        (keeper, catalog)
    });
    let mut reader = Reader::open(settings, &keeper.snapshot, Shutdown::new()).unwrap();
    let tables = catalog.relations.iter().filter(|relation| {
        relation.namespace != "zoo_copy"
            && relation.partition_of.is_none()
            && matches!(relation.kind, RelationKind::Table | RelationKind::PartitionedTable)
    });
    let read = tables.map(|relation| {
        let animal = Animal::new(relation, &catalog);
        let digest = animal.copied(&mut reader);
        (animal, digest)
    });
    let read: Vec<_> = read
        .filter(|(animal, digest)| digest.sums.rows > 0 && !animal.readings.is_empty())
        .collect();
    wait(keeper.close()).unwrap();
    read
}

/// The name of the copy of a relation.
fn copy_name(index: usize) -> String {
    format!("c{index}")
}

fn follow(database: &Database<'_>, label: &str, least: usize, server_settings: &str) {
    let settings = settings(database);
    let animals = animals(&settings);
    assert!(animals.len() >= least, "{label}: only {} relations", animals.len());
    let left_out: Vec<&String> = animals.iter().flat_map(|(animal, _)| &animal.left_out).collect();
    assert_eq!(left_out, if least == RELATIONS { LEFT_OUT } else { &[] }, "{label}");
    let mut script = "CREATE SCHEMA zoo_copy; SET row_security = off;".to_owned();
    for (index, (animal, _)) in animals.iter().enumerate() {
        let (copy, original) = (copy_name(index), animal.relation.quoted());
        script.push_str(&format!(
            "CREATE TABLE zoo_copy.{copy} (LIKE {original} INCLUDING ALL EXCLUDING INDEXES); \
             ALTER TABLE zoo_copy.{copy} REPLICA IDENTITY FULL;"
        ));
    }
    script.push_str("CREATE PUBLICATION zoo FOR ALL TABLES WITH (publish = 'insert, delete');");
    database.psql(&script);
    database.psql(server_settings);
    let name = slot(database);
    let mut stream = ReplicationStream::open(&settings, Shutdown::new()).unwrap();
    let created = stream.create_slot(&name).unwrap();
    stream.start(&name, "zoo", created.consistent_point).unwrap();
    let mut script = "SET row_security = off;".to_owned();
    for (index, (animal, _)) in animals.iter().enumerate() {
        let (copy, original) = (copy_name(index), animal.relation.quoted());
        let columns = animal.insertable();
        script.push_str(&format!(
            "INSERT INTO zoo_copy.{copy} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {original};\n\
             DELETE FROM zoo_copy.{copy};\n"
        ));
    }
    database.psql(&script);
    let (inserted, deleted) = streamed(&mut stream, &animals);
    stream.finish().unwrap();
    let mut values = 0;
    let mut wrong = Vec::new();
    for (index, (animal, copied)) in animals.iter().enumerate() {
        values += copied.sums.rows * copied.sums.columns.len() as u64;
        for (way, digests) in [("inserted", &inserted), ("deleted", &deleted)] {
            let Some(digest) = digests.get(&index) else {
                wrong.push(format!("{}: nothing {way}", animal.relation.name));
                continue;
            };
            if digest.sums.rows != copied.sums.rows {
                wrong.push(format!(
                    "{}: {} rows {way}, not {}",
                    animal.relation.name, digest.sums.rows, copied.sums.rows
                ));
            }
            for column in copied.differing(digest) {
                wrong.push(format!("{}.{column} {way}", animal.relation.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{label}: {wrong:#?}");
    eprintln!(
        "{label}: {} relations, {values} values, each copied, inserted and deleted",
        animals.len()
    );
}

type Digests = BTreeMap<usize, TableDigest>;

/// Reads one insert and one delete of every row of every relation.
fn streamed(
    stream: &mut ReplicationStream,
    animals: &[(Animal, TableDigest)],
) -> (Digests, Digests) {
    let mut readers: BTreeMap<u32, (usize, ChangeRows)> = BTreeMap::new();
    let (mut inserted, mut deleted) = (Digests::new(), Digests::new());
    let own = |op| RowMeta { op: Some(op), position: "", committed_at_microseconds: None };
    let begun = Instant::now();
    let mut commits = 0;
    while commits < 2 * animals.len() {
        assert!(begun.elapsed() < PATIENCE * 3, "the stream ended early");
        let message = match stream.next(Duration::from_secs(1)).unwrap() {
            Event::Message(message) => message,
            Event::Keepalive { .. } | Event::Idle => continue,
        };
        let (relation, op) = match &message {
            Message::Relation(relation) => {
                let index: usize = relation.name.strip_prefix('c').unwrap().parse().unwrap();
                let animal = &animals[index].0;
                for streamed in &relation.columns {
                    let planned =
                        animal.relation.columns.iter().find(|it| it.name == streamed.name);
                    let planned = planned.map(|it| (it.type_oid, it.modifier));
                    assert_eq!(
                        planned,
                        Some((streamed.type_oid, streamed.modifier)),
                        "{streamed:?}"
                    );
                }
                let rows =
                    ChangeRows::new(&animal.readings, animal.assembler(), relation, LIMIT).unwrap();
                readers.insert(relation.oid, (index, rows));
                continue;
            }
            Message::Commit { .. } => {
                commits += 1;
                continue;
            }
            Message::Insert { relation, .. } => (*relation, Op::Insert),
            Message::Delete { relation, .. } => (*relation, Op::Delete),
            Message::Begin { .. } | Message::Type { .. } => continue,
            other => panic!("{other:?}"),
        };
        let (index, rows) = readers.get_mut(&relation).unwrap();
        let pushed = match &message {
            Message::Insert { new, .. } => rows.push(new.cells(), own(op)),
            Message::Delete { old: Old::Full(old), .. } => rows.push(old.cells(), own(op)),
            other => panic!("{other:?}"),
        };
        let animal = &animals[*index].0;
        pushed.unwrap_or_else(|error| panic!("{}: {error}", animal.relation.name));
        let (batch, unknown) = rows.finish().unwrap();
        assert!(unknown.iter().all(|columns| columns.is_empty()));
        let digests = if op == Op::Insert { &mut inserted } else { &mut deleted };
        let digest = digests.entry(*index).or_insert_with(|| TableDigest::new(&animal.names()));
        digest.add(&batch);
    }
    (inserted, deleted)
}

fn zoo(name: &str) -> Option<Database<'static>> {
    let script = shared_data("type_zoo.sql")?;
    let database = PostgresServer::shared().create_database(name);
    database.file(&script, &[("toast_mb", "1")]);
    database.psql(include_str!("further.sql"));
    Some(database)
}

/// Databases that are not UTF-8: LATIN1, which the server converts, and SQL_ASCII, which it only checks (it refuses to
/// send anything that is not UTF-8 to a client of that encoding, by COPY and by the stream).
#[test]
fn the_stream_says_what_a_copy_says_in_other_encodings() {
    for (encoding, bytes) in [("LATIN1", "a\\344\\001"), ("SQL_ASCII", "a\\303\\244\\001")] {
        let database = PostgresServer::shared()
            .create_database_in(&format!("enc_{}", encoding.to_lowercase()), encoding);
        database.psql(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, t text, c char(9), l text[], n text[][], j json[][]); \
             INSERT INTO t SELECT 1, v, v, ARRAY[v, NULL, 'x y'], ARRAY[[v, 'b'], [NULL, 'd']], NULL \
             FROM (SELECT convert_from('{bytes}'::bytea, '{encoding}') AS v) s; \
             INSERT INTO t VALUES (2, NULL, NULL, '{{}}', '{{}}', ARRAY[['{{\"a\": 1}}'::json]]); \
             INSERT INTO t VALUES (3, '', '', '{{NULL}}', NULL, NULL)"
        ));
        follow(&database, encoding, 1, "SELECT 1");
    }
}

#[test]
fn the_stream_says_what_a_copy_says() {
    let Some(database) = zoo("zoo_plain") else { return };
    follow(&database, "as it is", RELATIONS, "SELECT 1");
}

#[test]
fn the_stream_says_what_a_copy_says_whatever_the_database_has_set() {
    let Some(database) = zoo("zoo_set") else { return };
    let name = database.name();
    let settings = [
        ("TimeZone", "'America/St_Johns'"),
        ("DateStyle", "'SQL, DMY'"),
        ("IntervalStyle", "'iso_8601'"),
        ("extra_float_digits", "-15"),
        ("bytea_output", "'escape'"),
        ("quote_all_identifiers", "on"),
        ("xmloption", "'document'"),
        ("search_path", "'zoo, public'"),
    ];
    let script: String = settings
        .iter()
        .map(|(setting, value)| format!("ALTER DATABASE {name} SET {setting} = {value};"))
        .collect();
    follow(&database, "the database's settings", RELATIONS, &script);
}

#[test]
fn the_stream_says_what_a_copy_says_whatever_the_role_has_set() {
    let Some(database) = zoo("zoo_role") else { return };
    let name = database.name();
    let settings = [
        ("TimeZone", "'Asia/Kathmandu'"),
        ("DateStyle", "'German'"),
        ("IntervalStyle", "'sql_standard'"),
        ("extra_float_digits", "0"),
        ("bytea_output", "'escape'"),
        ("client_encoding", "'LATIN1'"),
    ];
    let script: String = settings
        .iter()
        .map(|(setting, value)| {
            format!("ALTER ROLE ol_super IN DATABASE {name} SET {setting} = {value};")
        })
        .collect();
    follow(&database, "the role's settings", RELATIONS, &script);
}
