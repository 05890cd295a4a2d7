//! What the tests of change capture share: a ledger, a unit that follows it, and the judgement of the checker.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use ol_testkit::ledger::{self, Landing, Ledger};
use ol_testkit::{Database, Finished, Lake, PostgresServer, Question, Readers, Running, Step};
use serde_json::Value;

use crate::common::{Case, PATIENCE, Random, told};

pub(super) const DONE: i32 = 0;
pub(super) const TRANSIENT: i32 = 1;
pub(super) const DEFINITE: i32 = 2;
pub(super) const STOPPED: i32 = 75;

/// Tables enough to see a transaction torn, a delete, a changed key and a truncate, where a test needs no more.
pub(super) const FEW: &[&str] = &[
    "keyless",
    "wide",
    "wide_full",
    "parted",
    "generated",
    "indexed",
    "insert_only",
    "buffer_too",
    "shape",
    "renamed",
    "bulk",
    "idle",
];

/// Tables that no unit follows unless a test is about them: one that cannot be followed, since updates of it would fail
/// if it were published, and one of which a log cannot have all values.
fn without(landing: Landing, more: &[&'static str]) -> Vec<&'static str> {
    let mut left_out = vec!["insert_only"];
    if landing == Landing::Log {
        left_out.push("wide");
    } else {
        // A merged row under an old name of a column is a case of its own.
        left_out.push("renamed");
    }
    left_out.extend(more);
    left_out
}

/// What was answered is in the log, also after a crash of the server; one test is about commits that are not.
const COMMITS: &str = "synchronous_commit=on";

/// The server of these tests: its log holds nothing of other tests, which a slot would have to read.
pub(super) fn server() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(|| PostgresServer::start_with(&[COMMITS]))
}

/// A server that a test changes, stops or copies. It ends with the test binary.
pub(super) fn own_server(settings: &[&str]) -> &'static PostgresServer {
    let settings: Vec<&str> = [COMMITS].iter().chain(settings).copied().collect();
    Box::leak(Box::new(PostgresServer::start_with(&settings)))
}

/// A unit over a database, its lake, and what wrote the database.
pub(super) struct Follow {
    pub(super) case: Case,
    pub(super) unit: PathBuf,
    journals: Vec<PathBuf>,
    /// Logs that a test had copied anew, as a person may.
    pub(super) renewed: Vec<&'static str>,
    /// What a test sets for every run, such as another address of the source.
    pub(super) settings: Vec<(String, String)>,
}

impl Follow {
    /// A unit over the tables of a ledger without those named.
    pub(super) fn ledger(
        deployment: &'static str,
        database: Database<'static>,
        landing: Landing,
        left_out: &[&'static str],
    ) -> Self {
        let unit = ledger::unit(deployment, landing, &without(landing, left_out));
        Self::unit(deployment, database, &unit)
    }

    /// A unit written by the test.
    pub(super) fn unit(
        deployment: &'static str,
        database: Database<'static>,
        unit: &ol_testkit::Unit,
    ) -> Self {
        let case = Case::of(deployment, database);
        let unit = case.inventory.unit(unit);
        Self::over(case, unit)
    }

    /// A unit whose file the test has written.
    pub(super) fn written(
        deployment: &'static str,
        database: Database<'static>,
        yaml: &str,
    ) -> Self {
        let case = Case::of(deployment, database);
        let unit = case.inventory.write(deployment, yaml);
        Self::over(case, unit)
    }

    fn over(case: Case, unit: PathBuf) -> Self {
        Self { case, unit, journals: Vec::new(), renewed: Vec::new(), settings: Vec::new() }
    }

    /// Tells whose journals the lake is held against.
    pub(super) fn judged_by(mut self, writers: &[&Ledger]) -> Self {
        self.journals = writers.iter().map(|writer| writer.journal().to_owned()).collect();
        self
    }

    /// Puts another catalog under the lake.
    pub(super) fn with_lake(mut self, lake: Lake) -> Self {
        self.case.lake = lake;
        self
    }

    /// `ol-ingest stream` of the unit.
    pub(super) fn stream(&self) -> Step {
        let mut step = self
            .case
            .command("stream")
            .args(["--unit", &format!("{}/app_postgres", self.case.deployment)])
            .env("OL_STREAM__COMMIT_SECONDS", "0.3")
            .env("OL_STREAM__RECORD_SECONDS", "0.5")
            .env("OL_INGEST__RETRY_SECONDS", "0.2");
        for (name, value) in &self.settings {
            step = step.env(name, value);
        }
        step
    }

    /// The same until it has caught up.
    pub(super) fn until_caught_up(&self) -> Step {
        self.stream().arg("--until-caught-up")
    }

    /// Catches up, which must end with this exit code.
    #[track_caller]
    pub(super) fn tick(&self, code: i32) -> Finished {
        let finished = self.case.finish(self.until_caught_up()).expect_code(code);
        let outcome = match code {
            DONE => "done",
            DEFINITE => "blocked",
            _ => "retry",
        };
        assert_eq!(finished.json()["outcome"], outcome, "{}", finished.stdout);
        finished
    }

    /// Demands that a run is refused for good, and that a person is told each of these.
    #[track_caller]
    pub(super) fn expect_blocked(&self, wanted: &[&str]) -> Finished {
        let finished = self.tick(DEFINITE);
        crate::common::expect_told(&finished, wanted);
        finished
    }

    /// Runs the checker: for a unit that is to be complete, or against what the source was told by us.
    fn judge(&self, complete: bool, acknowledged: Option<&str>) -> Value {
        self.judged(Readers::program("ledger.py"), complete, acknowledged)
    }

    fn judged(&self, checker: Question, complete: bool, acknowledged: Option<&str>) -> Value {
        let mut question = checker
            .args(["--source", &self.case.database.url(), "--catalog", self.case.lake.catalog()])
            .args(["--namespace", self.case.lake.namespace(), "--unit"])
            .arg(&self.unit);
        for journal in &self.journals {
            question = question.arg("--journal").arg(journal);
        }
        for table in &self.renewed {
            question = question.args(["--renewed", table]);
        }
        if complete {
            question = question.arg("--complete");
        }
        if let Some(position) = acknowledged {
            question = question.args(["--acknowledged", position]);
        }
        question.run().json()
    }

    /// The lake is right as far as it goes, and goes as far as the source was told.
    #[track_caller]
    pub(super) fn expect_right_so_far(&self, when: &str) {
        let found = self.judge(false, self.acknowledged().as_deref());
        assert!(found["clean"] == true, "{when}: {}", shown(&found));
    }

    /// The lake is right as far as it goes, whatever somebody else has done to the slot.
    #[track_caller]
    pub(super) fn expect_right_in_itself(&self, when: &str) {
        let found = self.judge(false, None);
        assert!(found["clean"] == true, "{when}: {}", shown(&found));
    }

    /// Everything that was committed is in the lake, once, as it is at the source.
    #[track_caller]
    pub(super) fn expect_complete(&self, when: &str) {
        expect_nothing_found(&self.judge(true, self.acknowledged().as_deref()), when);
    }

    /// The same in all readers, Spark included.
    #[track_caller]
    pub(super) fn expect_complete_in_all(&self, when: &str) {
        let checker = Readers::program_of_all("ledger.py");
        let found = self.judged(checker, true, self.acknowledged().as_deref());
        expect_nothing_found(&found, when);
        for reader in Readers::ALL {
            let tables = found["tables"].as_array().unwrap().iter();
            assert!(tables.filter(|table| table["reader"] == *reader).count() > 10, "{reader}");
        }
    }

    /// What the unit's slot has acknowledged, as `X/Y`; `None` without a slot.
    pub(super) fn acknowledged(&self) -> Option<String> {
        Some(self.slot("confirmed_flush_lsn")).filter(|position| !position.is_empty())
    }

    /// A column of the unit's slot; empty without a slot.
    pub(super) fn slot(&self, column: &str) -> String {
        self.case.database.psql(&format!(
            "SELECT {column} FROM pg_replication_slots WHERE slot_name = '{}'",
            self.slot_name()
        ))
    }

    /// The name of the unit's slot, which is also that of its publication.
    pub(super) fn slot_name(&self) -> String {
        format!("ol_{}_app_postgres", self.case.deployment)
    }

    /// Ends whatever streams from the slot and drops it.
    pub(super) fn drop_slot(&self) {
        self.case.database.psql(&format!(
            "SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots WHERE slot_name = '{0}'
                 AND active_pid IS NOT NULL;
             SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{0}';",
            self.slot_name()
        ));
    }

    /// Waits until a stream that runs has brought in what is committed now; panics when it ends or takes too long.
    #[track_caller]
    pub(super) fn wait_until_caught_up(&self, running: &mut Running) {
        let end = self.case.database.psql("SELECT pg_current_wal_insert_lsn()");
        let acknowledged = format!(
            "SELECT coalesce(bool_or(confirmed_flush_lsn >= '{end}'), false) FROM pg_replication_slots
             WHERE slot_name = '{}'",
            self.slot_name()
        );
        let database = &self.case.database;
        let reached = running.wait_until(PATIENCE, || {
            std::thread::sleep(Duration::from_millis(200));
            // A log that nobody writes ends where it is; a record more lets the server tell.
            database.psql("SELECT pg_logical_emit_message(false, 'test', '')");
            database.psql(&acknowledged) == "t"
        });
        assert!(reached, "the stream does not come to {end}: {}{}", running.said(), running.told());
    }
}

/// A ledger in a new database of a server, with a folder for its journal.
pub(super) fn new_ledger(
    server: &'static PostgresServer,
    name: &str,
    what: &str,
) -> (Database<'static>, Ledger) {
    let database = server.create_database(name);
    let folder = journal_folder(name);
    let ledger = Ledger::new(&database, &folder, Random::seeded(what));
    (database, ledger)
}

/// A folder that lasts as long as the test binary.
fn journal_folder(name: &str) -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The folder that a ledger's journals lie in.
pub(super) fn folder_of(ledger: &Ledger) -> &Path {
    ledger.journal().parent().unwrap()
}

/// A ledger and a unit that follows it, which has copied it and is quiet.
#[track_caller]
pub(super) fn followed(
    deployment: &'static str,
    landing: Landing,
    left_out: &[&'static str],
) -> (Follow, Ledger) {
    let (database, ledger) = new_ledger(server(), deployment, deployment);
    let follow = Follow::ledger(deployment, database, landing, left_out).judged_by(&[&ledger]);
    follow.tick(DONE);
    (follow, ledger)
}

impl Drop for Follow {
    fn drop(&mut self) {
        // A slot that stays would hold back the log of the other tests; a server that a test stopped has none to drop.
        if !std::thread::panicking() {
            self.drop_slot();
        }
    }
}

#[track_caller]
fn expect_nothing_found(found: &Value, when: &str) {
    assert!(found["clean"] == true, "{when}: {}", shown(found));
    let counts = ["missing", "extra", "altered"].map(|kind| found[kind].as_u64());
    assert_eq!(counts, [Some(0); 3], "{when}");
}

/// The tables of a finding in which something was found.
fn shown(found: &Value) -> String {
    let tables = found["tables"].as_array().into_iter().flatten();
    let unclean = tables.filter(|table| {
        ["missing", "extra", "altered"].iter().any(|kind| table[kind] != 0)
            || table["faults"].as_array().is_some_and(|faults| !faults.is_empty())
    });
    // One reader's account of a table is enough to read.
    let mut told = std::collections::BTreeSet::new();
    let unclean = unclean.filter(|table| told.insert(table["table"].to_string()));
    unclean.map(|table| format!("\n{table}")).collect()
}

/// The outcome of a table and what a person is told of it.
#[track_caller]
pub(super) fn outcome<'a>(document: &'a Value, follow: &Follow, table: &str) -> (&'a str, &'a str) {
    let entry = crate::common::entry(document, &follow.case.raw_table(table));
    (crate::common::text(entry, "outcome"), entry["advice"].as_str().unwrap_or_default())
}

/// Demands that a run says nothing of a fault in our own program.
#[track_caller]
pub(super) fn expect_no_defect(finished: &Finished) {
    let said = told(finished);
    assert!(!said.contains("panicked at") && !said.contains("ingest-defect"), "{said}");
}

/// The lake's answer to a query of a table, called `lake` in it, on which both readers agree: one value, as text.
#[track_caller]
pub(super) fn lake_answer(follow: &Follow, table: &str, query: &str) -> String {
    let rows = Readers::rows(&follow.case.lake, &follow.case.raw_table(table), query);
    let value = rows.into_iter().flatten().flatten().next();
    value.unwrap_or_else(|| panic!("no value answers {query}"))
}
