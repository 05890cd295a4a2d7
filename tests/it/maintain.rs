//! `ol-ingest maintain` beside runs, killed, stopped, and told nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ol_testkit::Readers;
use serde_json::{Value, json};

use crate::common::{Case, Random, expect_told, rows, unreachable};

const DONE: i32 = 0;
const DEFINITE: i32 = 2;

/// Two tables that are replaced by every run, so that each leaves a snapshot and files behind.
struct Kept {
    case: Case,
    unit: PathBuf,
}

impl Kept {
    fn new(deployment: &'static str) -> Self {
        let case = Case::new(deployment);
        case.database.psql(
            "CREATE TABLE t (id int PRIMARY KEY, note text); CREATE TABLE u (id int PRIMARY KEY)",
        );
        let (unit, _draft) = case.discover();
        for round in 0..4 {
            case.database.psql(&format!(
                "TRUNCATE t, u; INSERT INTO t SELECT n, 'round {round}' FROM generate_series(1, 200) n;
                 INSERT INTO u SELECT n + {round} FROM generate_series(1, 50) n"
            ));
            case.run(DONE);
        }
        Self { case, unit }
    }

    fn step(&self, flags: &[&str]) -> ol_testkit::Step {
        let namespace = self.case.lake.namespace();
        let step =
            self.case.ingest().args(["maintain", "--output", "json", "--namespace", namespace]);
        step.args(flags.iter().copied())
    }

    #[track_caller]
    fn maintain(&self, flags: &[&str]) -> Value {
        self.case.finish(self.step(flags)).expect_code(DONE).json()
    }

    #[track_caller]
    fn expect_equal(&self) {
        let document = self.case.run(DONE);
        self.case.compare(&self.unit, &document).expect_equal();
    }

    /// What a script prints that works on the catalog with PyIceberg, as another engine would.
    #[track_caller]
    fn python(&self, script: &str) -> String {
        const CATALOG: &str = "import sys
from pyiceberg.catalog.sql import SqlCatalog
catalog = SqlCatalog('ol', uri='sqlite:///' + sys.argv[1], warehouse='file://' + sys.argv[2])
raw = catalog.load_table((sys.argv[3], sys.argv[4]))
";
        let question = Readers::script(&format!("{CATALOG}{script}"))
            .arg(self.case.lake.catalog_file())
            .arg(self.case.lake.warehouse())
            .args([self.case.lake.namespace(), &self.case.raw_table("t")]);
        question.run().expect_code(0).stdout.trim().to_owned()
    }
}

#[test]
fn nothing_is_done_that_was_not_asked_for() {
    let kept = Kept::new("maintshow");
    let stray = kept.case.lake.warehouse().join(kept.case.lake.namespace()).join("stray.parquet");
    std::fs::write(&stray, b"stray").unwrap();
    let nowhere = kept.case.ingest().args(["maintain", "--namespace", "no_such_namespace"]);
    expect_told(&kept.case.finish(nowhere).expect_code(DEFINITE), &["no_such_namespace"]);
    let shown = kept.maintain(&[]);
    assert_eq!(shown["tables_scanned"], json!(2));
    assert_eq!((&shown["snapshots_expired"], &shown["deleted"]), (&json!(0), &json!(false)));
    assert_eq!(shown["files"], json!(0), "a stray file is young: {shown:#}");
    let table = &shown["tables"][0];
    assert_eq!((&table["pointer"], &table["snapshots_expirable"]), (&json!("sound"), &json!(0)));
    let expired = kept.maintain(&["--expire-days", "0", "--orphan-days", "0"]);
    assert_eq!(expired["snapshots_expired"], json!(6), "{expired:#}");
    assert_eq!(expired["orphans_removed"], json!(1), "{expired:#}");
    assert!(!stray.exists());
    let again = kept.maintain(&["--expire-days", "0", "--orphan-days", "0", "--compact"]);
    assert_eq!((&again["snapshots_expired"], &again["outcome"]), (&json!(0), &json!("done")));
    kept.expect_equal();
}

#[test]
fn a_file_that_any_table_refers_to_is_not_swept() {
    let kept = Kept::new("maintclaim");
    // As an engine adds a file where it stands, here to a table of another namespace.
    let path = kept.python(
        "import pyarrow.parquet
catalog.create_namespace('elsewhere')
other = catalog.create_table('elsewhere.mine', schema=raw.schema())
path = raw.location().removeprefix('file://') + '/data/mine.parquet'
pyarrow.parquet.write_table(raw.scan().to_arrow(), path)
other.add_files(['file://' + path])
print(path)",
    );
    let swept = kept.maintain(&["--expire-days", "0", "--orphan-days", "0"]);
    assert!(Path::new(&path).is_file(), "{path} went: {swept:#}");
    kept.expect_equal();
    // A table that nobody can read may refer to anything.
    let metadata = kept.python(
        "print(catalog.load_table('elsewhere.mine').metadata_location.removeprefix('file://'))",
    );
    let text = std::fs::read(&metadata).unwrap();
    std::fs::remove_file(&metadata).unwrap();
    let stray = Path::new(&path).with_file_name("stray.parquet");
    std::fs::write(&stray, b"stray").unwrap();
    let finished = kept.case.finish(kept.step(&["--orphan-days", "0"])).expect_code(DEFINITE);
    expect_told(&finished, &["Nothing was swept", "ingest-maintenance"]);
    assert!(stray.is_file());
    std::fs::write(&metadata, text).unwrap();
    kept.maintain(&["--orphan-days", "0"]);
    assert!(!stray.exists() && Path::new(&path).is_file());
}

#[test]
fn runs_and_maintenance_beside_each_other_lose_nothing() {
    let kept = Kept::new("maintbeside");
    for round in 0..6 {
        kept.case.database.psql(&format!("INSERT INTO t VALUES ({}, 'more')", 1_000 + round));
        let running = kept.case.command("run").start();
        kept.maintain(&["--expire-days", "0", "--compact", "--orphan-days", "1"]);
        kept.case.told_no_secret(running.wait()).expect_code(DONE);
    }
    kept.expect_equal();
    kept.maintain(&["--expire-days", "0", "--orphan-days", "0"]);
    kept.expect_equal();
}

/// Where maintenance may die, in the order it comes there. Commits of compaction and of expiry pass the same places.
const POINTS: [&str; 8] = [
    "lake.write.file_closed",
    "lake.commit.staged",
    "lake.commit.manifest_written",
    "lake.commit.before_swap",
    "lake.commit.after_swap",
    "lake.expire.committed",
    "lake.sweep.decided",
    "lake.sweep.deleted",
];
/// All that maintenance does.
const ALL: [&str; 5] = ["--expire-days", "0", "--orphan-days", "0", "--compact"];
/// All that it may do beside a run, whose files nobody refers to yet.
const BESIDE: [&str; 5] = ["--expire-days", "0", "--orphan-days", "1", "--compact"];

/// A table whose every run adds a file, so that there is something to compact.
struct Growing {
    kept: Kept,
    /// Rows at the source, one more for every run: a table that has not changed is not read again.
    at_source: u64,
    /// Rows in the lake.
    rows: u64,
}

impl Growing {
    fn new(deployment: &'static str) -> Self {
        let case = Case::new(deployment);
        case.database.psql("CREATE TABLE t (id int, note text)");
        case.database.psql("INSERT INTO t SELECT n, 'note' FROM generate_series(1, 50) n");
        let unit = ol_testkit::Unit::new(deployment).table("public", "t", "full_refresh_append");
        let unit = case.inventory.unit(&unit);
        Self { kept: Kept { case, unit }, at_source: 50, rows: 0 }
    }

    /// One file more.
    #[track_caller]
    fn grow(&mut self, files: u64) {
        for _ in 0..files {
            self.change();
            self.kept.case.run(DONE);
            self.rows += self.at_source;
        }
    }

    fn change(&mut self) {
        self.kept.case.database.psql("INSERT INTO t VALUES (0, 'more')");
        self.at_source += 1;
    }

    /// No file that a table needs is gone, and no row.
    #[track_caller]
    fn expect_whole(&self, when: &str) {
        let state = self.kept.case.state();
        assert_eq!(state.get("absent"), Some(&json!([])), "{when}: a table needs what is gone");
        let seen = rows(&state, &self.kept.case.raw_table("t"));
        assert_eq!(seen, Some(self.rows), "{when}");
    }

    /// Maintenance that nobody kills leaves nothing behind that is not needed.
    #[track_caller]
    fn expect_clean(&self) {
        self.kept.maintain(&ALL);
        assert_eq!(unreachable(&self.kept.case.state()), Vec::<String>::new());
        self.expect_whole("at the end");
    }
}

#[test]
fn killed_at_any_point_it_leaves_only_orphans() {
    let mut growing = Growing::new("maintkill");
    growing.grow(1);
    for point in POINTS {
        // As many files as are worth a compaction, and a file that nobody needs.
        growing.grow(6);
        let folder = growing.kept.case.lake.warehouse().join(growing.kept.case.lake.namespace());
        std::fs::write(folder.join("stray.parquet"), b"stray").unwrap();
        let mut running =
            growing.kept.step(&ALL).env("FAILPOINTS", format!("{point}=pause")).start();
        let quiet = Duration::from_millis(500);
        assert!(
            running.wait_until_quiet(Duration::from_secs(60), quiet),
            "{point} was not reached"
        );
        assert!(running.lives(), "{point} was not reached");
        running.signal("KILL");
        drop(running.wait());
        growing.expect_whole(point);
    }
    growing.expect_clean();
}

#[test]
fn killed_at_random_beside_a_run_it_loses_nothing() {
    let mut random = Random::seeded("maintain");
    let mut growing = Growing::new("maintrandom");
    growing.grow(6);
    let mut whole_milliseconds = 400;
    for round in 0..12 {
        growing.change();
        let loading = growing.kept.case.command("run").start();
        let started = std::time::Instant::now();
        let mut running = growing.kept.step(&BESIDE).start();
        let delay = Duration::from_millis(random.below(whole_milliseconds));
        running.wait_until(delay, || false);
        if running.lives() {
            running.signal("KILL");
        } else {
            whole_milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap().max(50);
        }
        drop(running.wait());
        growing.kept.case.told_no_secret(loading.wait()).expect_code(DONE);
        growing.rows += growing.at_source;
        growing.expect_whole(&format!("round {round}"));
    }
    growing.expect_clean();
}

#[test]
fn a_part_of_the_tables_and_the_rest_after_it() {
    let kept = Kept::new("maintpart");
    let part = kept.maintain(&["--table", "*__t", "--expire-days", "0"]);
    assert_eq!((&part["tables_scanned"], &part["snapshots_expired"]), (&json!(1), &json!(3)));
    let after = kept.case.raw_table("t");
    let rest = kept.maintain(&["--after", &after, "--expire-days", "0", "--keep-snapshots", "2"]);
    assert_eq!((&rest["tables_scanned"], &rest["snapshots_expired"]), (&json!(1), &json!(2)));
    let of_table = kept.maintain(&["--expire-days"]);
    assert_eq!(of_table["snapshots_expired"], json!(0), "seven days, as the tables say");
}

#[test]
fn a_pointer_that_another_loader_left_behind_is_repaired_when_asked() {
    let kept = Kept::new("maintpointer");
    let rows = kept.python(
        "import json
path = raw.metadata_location.removeprefix('file://')
metadata = json.load(open(path))
metadata['current-snapshot-id'] = raw.current_snapshot().parent_snapshot_id
json.dump(metadata, open(path, 'w'))
print(raw.scan().to_arrow().num_rows)",
    );
    // Without the flag the table is named, and what can be done about it.
    let finished = kept.case.finish(kept.step(&[])).expect_code(DEFINITE);
    let table = kept.case.raw_table("t");
    expect_told(&finished, &[&table, "stale"]);
    let repaired = kept.maintain(&["--repair-pointers"]);
    assert_eq!(repaired["pointers_repaired"], json!(1), "{repaired:#}");
    assert_eq!(kept.python("print(raw.scan().to_arrow().num_rows)"), rows);
    kept.expect_equal();
}
