//! Whatever is wrong with the input: a sentence with the cure, the right exit code, the other tables unharmed, and no
//! secret shown.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use ol_testkit::{Finished, Lake, Python, Unit};
use serde_json::Value;

use crate::common::{Case, entry, expect_told, rows, text};

const DONE: i32 = 0;
const TRANSIENT: i32 = 1;
const DEFINITE: i32 = 2;
const CONFIGURATION: i32 = 3;

/// A source with two tables, a unit that lists both, and no run yet.
fn two_tables(deployment: &'static str) -> Case {
    let case = Case::new(deployment);
    case.database.psql(
        "CREATE TABLE good (id int PRIMARY KEY, note text); INSERT INTO good VALUES (1, 'a'), (2, 'b');
         CREATE TABLE other (id int PRIMARY KEY, note text); INSERT INTO other VALUES (1, 'a'), (2, 'b'), (3, 'c');",
    );
    case.discover();
    case
}

/// A run against another address of the source.
#[track_caller]
fn run_with_source(case: &Case, url: &str) -> Finished {
    case.finish(case.command("run").env(&case.source_variable(), url))
}

/// Every table of the document has this outcome and an advice.
#[track_caller]
fn expect_all(document: &Value, outcome: &str) {
    let tables = document.get("tables").and_then(Value::as_array).unwrap();
    assert_eq!(tables.len(), 2, "{document:#}");
    for table in tables {
        assert_eq!(text(table, "outcome"), outcome, "{table:#}");
        assert!(!text(table, "advice").is_empty(), "{table:#}");
    }
}

#[test]
fn a_wrong_password_is_definite_and_not_shown() {
    let case = two_tables("wrongpassword");
    let url = case.database.url_as("ol_super", "open-sesame");
    let done = run_with_source(&case, &url).expect_code(DEFINITE);
    assert_eq!(text(&done.json(), "outcome"), "blocked");
    expect_all(&done.json(), "blocked");
    expect_told(&done, &["password", &case.source_variable()]);
    assert!(
        !done.stdout.contains("open-sesame") && !done.stderr.contains("open-sesame"),
        "the password is shown"
    );
}

#[test]
fn an_unknown_database_is_definite() {
    let case = two_tables("unknowndatabase");
    let url = case.database.url().replace(case.database.name(), "not_there");
    let done = run_with_source(&case, &url).expect_code(DEFINITE);
    expect_all(&done.json(), "blocked");
    expect_told(&done, &["not_there"]);
}

#[test]
fn an_unknown_host_names_the_host() {
    let case = two_tables("unknownhost");
    let done = run_with_source(&case, "postgres://u:open-sesame@no-such-host.invalid/x");
    // A name server that does not answer looks the same as a name that is not there.
    assert!(
        [TRANSIENT, DEFINITE].contains(&done.code()),
        "exit code {}: {}",
        done.code(),
        done.stderr
    );
    expect_told(&done, &["no-such-host.invalid"]);
    assert!(
        !done.stdout.contains("open-sesame") && !done.stderr.contains("open-sesame"),
        "the password is shown"
    );
}

#[test]
fn a_closed_port_is_transient() {
    let case = two_tables("closedport");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let done = run_with_source(&case, &format!("postgres://u:open-sesame@127.0.0.1:{port}/x"))
        .expect_code(TRANSIENT);
    assert_eq!(text(&done.json(), "outcome"), "retry");
    expect_all(&done.json(), "retry");
    expect_told(&done, &[&port.to_string()]);
}

#[test]
fn a_table_without_the_right_to_read_blocks_itself_only() {
    let case = two_tables("noright");
    case.database.psql(
        "CREATE ROLE reader_noright LOGIN PASSWORD 'open-sesame'; GRANT SELECT ON good TO reader_noright;
         REVOKE ALL ON other FROM PUBLIC;",
    );
    let url = case.database.url_as("reader_noright", "open-sesame");
    let document = run_with_source(&case, &url).expect_code(DEFINITE).json();
    assert_eq!(text(entry(&document, &case.raw_table("good")), "outcome"), "done");
    let other = entry(&document, &case.raw_table("other"));
    assert_eq!(text(other, "outcome"), "blocked");
    let advice = text(other, "advice");
    assert!(advice.contains("GRANT SELECT") && advice.contains("other"), "{advice}");
    assert_eq!(rows(&case.state(), &case.raw_table("good")), Some(2));
}

#[test]
fn a_table_dropped_between_plan_and_run_blocks_itself_only() {
    let case = two_tables("dropped");
    case.run(DONE);
    case.finish(case.command("plan")).expect_code(DONE);
    case.database.psql("DROP TABLE other; INSERT INTO good VALUES (3, 'c')");
    let document = case.run(DEFINITE);
    assert_eq!(text(entry(&document, &case.raw_table("good")), "outcome"), "done");
    let other = entry(&document, &case.raw_table("other"));
    assert_eq!(text(other, "outcome"), "blocked");
    let advice = text(other, "advice");
    assert!(
        advice.contains("public.other") && advice.contains("remove it from the unit"),
        "{advice}"
    );
    let state = case.state();
    assert_eq!(rows(&state, &case.raw_table("good")), Some(3));
    assert_eq!(rows(&state, &case.raw_table("other")), Some(3), "what was in the lake stays");
}

#[test]
fn a_table_that_became_empty_is_not_replaced_without_a_word() {
    let case = two_tables("shrunk");
    case.database.psql("INSERT INTO good SELECT n, 'x' FROM generate_series(10, 1000) n");
    case.run(DONE);
    case.database.psql("TRUNCATE good; INSERT INTO other VALUES (4, 'd')");
    let document = case.run(DEFINITE);
    let good = entry(&document, &case.raw_table("good"));
    assert_eq!(text(good, "outcome"), "blocked");
    assert!(!text(good, "advice").is_empty());
    let state = case.state();
    assert_eq!(rows(&state, &case.raw_table("good")), Some(993), "the guard keeps what was there");
    assert_eq!(rows(&state, &case.raw_table("other")), Some(4));
}

#[test]
fn an_unknown_field_is_named_with_file_and_place() {
    let case = two_tables("unknownfield");
    let unit = Unit::new(case.deployment)
        .table("public", "good", "full_refresh_overwrite")
        .with("primary_kye: [id]")
        .table("public", "other", "full_refresh_overwrite");
    case.inventory.unit(&unit);
    let done = case.finish(case.command("run")).expect_code(CONFIGURATION);
    expect_told(&done, &["units/unknownfield.yml", "tables[0]", "primary_kye", "primary_key"]);
}

#[test]
fn a_raw_table_listed_twice_is_refused() {
    let case = two_tables("twice");
    let raw_table = case.raw_table("good");
    let unit = Unit::new(case.deployment)
        .table_as("public", "good", &raw_table, "full_refresh_overwrite")
        .table_as("public", "other", &raw_table, "full_refresh_overwrite");
    case.inventory.unit(&unit);
    let done = case.finish(case.command("run")).expect_code(CONFIGURATION);
    expect_told(&done, &["units/twice.yml", &raw_table, "tables[0]", "tables[1]"]);
}

#[test]
fn an_inventory_that_is_not_there_and_a_filter_that_selects_nothing() {
    let case = two_tables("nothing");
    let step = case.ingest().args(["run", "--output", "json", "--inventory", "/not/there"]);
    expect_told(&case.finish(step).expect_code(CONFIGURATION), &["/not/there"]);
    let done =
        case.finish(case.command("run").args(["--table", "goood"])).expect_code(CONFIGURATION);
    expect_told(&done, &["goood"]);
    let done = case
        .finish(case.command("run").args(["--unit", "elsewhere/app_postgres"]))
        .expect_code(CONFIGURATION);
    expect_told(&done, &["elsewhere/app_postgres"]);
}

#[test]
fn a_missing_source_variable_is_named() {
    let case = two_tables("nosource");
    let done = case
        .finish(case.command("run").env_remove(&case.source_variable()))
        .expect_code(CONFIGURATION);
    expect_told(&done, &[&case.source_variable()]);
}

#[test]
fn a_source_of_another_kind_and_one_that_is_no_address() {
    let case = two_tables("oddsource");
    let done =
        run_with_source(&case, "mysql://u:open-sesame@127.0.0.1/x").expect_code(CONFIGURATION);
    expect_told(&done, &["mysql", &case.source_variable()]);
    let done = run_with_source(&case, "open-sesame@nowhere").expect_code(CONFIGURATION);
    expect_told(&done, &[&case.source_variable()]);
    assert!(
        !done.stdout.contains("open-sesame") && !done.stderr.contains("open-sesame"),
        "the address is shown"
    );
}

#[test]
fn a_warehouse_that_cannot_be_written_is_named() {
    let mut case = two_tables("unwritable");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "in the way").unwrap();
    // The permissions of a folder do not stop root; a file in the way stops everyone.
    case.lake = Lake::with_warehouse(&file.join("warehouse"));
    let done = case.finish(case.command("run"));
    assert!(
        [DEFINITE, CONFIGURATION].contains(&done.code()),
        "exit code {}: {}",
        done.code(),
        done.stderr
    );
    expect_told(&done, &["warehouse", &file.display().to_string()]);
}

/// A small file system in memory, unmounted when dropped; `None` where mounting is not permitted.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(folder: &'a Path, size: &str) -> Option<Self> {
        let option = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &option, "tmpfs"])
            .arg(folder)
            .output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy"]).arg(self.0).status();
    }
}

#[test]
fn a_full_disk_blocks_what_does_not_fit_and_the_rest_stays_readable() {
    let mut case = two_tables("fulldisk");
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(folder.path(), "6m") else {
        eprintln!("mounting is not permitted here: a full disk is not tested");
        return;
    };
    case.lake = Lake::with_warehouse(&folder.path().join("warehouse"));
    case.run(DONE);
    case.database.psql(
        "TRUNCATE other; INSERT INTO other SELECT n, (SELECT string_agg(md5((n * 1000 + m)::text), '') \
         FROM generate_series(1, 20) m) FROM generate_series(1, 40000) n;",
    );
    let done = case.finish(case.command("run"));
    assert!(
        [TRANSIENT, DEFINITE].contains(&done.code()),
        "exit code {}: {}",
        done.code(),
        done.stderr
    );
    let document = done.json();
    assert_eq!(text(entry(&document, &case.raw_table("good")), "outcome"), "done");
    expect_told(&done, &["space"]);
    let state = case.state();
    assert_eq!(rows(&state, &case.raw_table("good")), Some(2));
    assert_eq!(rows(&state, &case.raw_table("other")), Some(3), "the old table stays");
    case.database.psql("DELETE FROM other WHERE id > 5");
    // Less than the guard's threshold would let pass; what matters is that the disk has room again.
    let swept = case.ingest().args([
        "maintain",
        "--orphan-days",
        "0",
        "--namespace",
        case.lake.namespace(),
    ]);
    case.finish(swept).expect_code(DONE);
    case.run(DONE);
    assert_eq!(rows(&case.state(), &case.raw_table("other")), Some(5));
}

#[test]
fn a_locked_catalog_is_transient_and_named() {
    let case = two_tables("locked");
    case.run(DONE);
    case.database.psql("INSERT INTO good VALUES (3, 'c')");
    let holds = "import sqlite3, sys\n\
                 connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                 connection.execute('BEGIN EXCLUSIVE')\n\
                 print('held', flush=True)\n\
                 sys.stdin.read()";
    let mut holder = Command::new(Python::Readers.path())
        .args(["-c", holds])
        .arg(case.lake.catalog_file())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    let done = case.finish(case.command("run"));
    holder.stdin.take().unwrap().flush().unwrap();
    holder.wait().unwrap();
    let done = done.expect_code(TRANSIENT);
    expect_told(&done, &["catalog", "locked"]);
    assert!(done.seconds < 120.0, "it took {:.0} s to say so", done.seconds);
    case.run(DONE);
    assert_eq!(rows(&case.state(), &case.raw_table("good")), Some(3));
}
