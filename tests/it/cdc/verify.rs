//! `verify` of tables that are followed: right while source and stream go on, and a difference is told by its key.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ol_testkit::ledger::Landing;
use ol_testkit::{Readers, Unit};
use serde_json::{Value, json};

use super::common::{DEFINITE, DONE, Follow, STOPPED, TRANSIENT, followed, server};
use crate::common::{entry, expect_told};

/// Tables that are merged, marked and logged, with keys of several kinds, and a log without a key.
const TABLES: &str = "
    CREATE TABLE item (id bigint PRIMARY KEY, note text, price numeric(12,2));
    CREATE TABLE marked (id bigint PRIMARY KEY, note text);
    CREATE TABLE logged (id bigint PRIMARY KEY, note text);
    CREATE TABLE worded (site text COLLATE \"en-x-icu\", name text, n int, PRIMARY KEY (site, name));
    CREATE TABLE heap (a int, b text);
    ALTER TABLE heap REPLICA IDENTITY FULL;
    INSERT INTO item SELECT n, 'note ' || n, n / 4.0 FROM generate_series(1, 4000) n;
    INSERT INTO marked SELECT n, 'note ' || n FROM generate_series(1, 2000) n;
    INSERT INTO logged SELECT n, 'note ' || n FROM generate_series(1, 2000) n;
    INSERT INTO worded SELECT 'Ä' || n % 7, 'straße ' || n, n FROM generate_series(1, 2000) n;
    INSERT INTO heap SELECT n % 50, 'b' FROM generate_series(1, 500) n;
";

/// A transaction of the writer: rows everywhere, changed keys, deletes, and now and then an emptied table.
const CHANGES: &str = "
    INSERT INTO item SELECT max(id) + 1, 'new', 1 FROM item;
    UPDATE item SET note = note || 'x' WHERE id = 1 + (random() * 3999)::int;
    DELETE FROM item WHERE id = 1 + (random() * 3999)::int;
    INSERT INTO marked SELECT 1 + (random() * 3000)::int, 'again' ON CONFLICT (id) DO UPDATE SET note = 'again';
    DELETE FROM marked WHERE id = 1 + (random() * 2999)::int;
    INSERT INTO logged SELECT 1 + (random() * 3000)::int, 'again' ON CONFLICT (id) DO UPDATE SET note = 'again';
    DELETE FROM logged WHERE id = 1 + (random() * 2999)::int;
    UPDATE worded SET n = n + 1 WHERE n = 1 + (random() * 1999)::int;
    UPDATE worded SET name = name || '!' WHERE n = 1 + (random() * 1999)::int AND length(name) < 40;
    INSERT INTO heap VALUES (1, 'b');
    DELETE FROM heap WHERE ctid = (SELECT ctid FROM heap LIMIT 1);
    UPDATE heap SET b = 'c' WHERE ctid = (SELECT ctid FROM heap OFFSET 7 LIMIT 1);
";

/// A log that begins anew.
const EMPTIED: &str =
    "TRUNCATE logged; INSERT INTO logged SELECT n, 'anew' FROM generate_series(1, 500) n;";

fn follow(deployment: &'static str) -> Follow {
    let database = server().create_database(deployment);
    database.psql(TABLES);
    let unit = Unit::new(deployment)
        .method("cdc")
        .table("public", "item", "incremental_update")
        .with("primary_key: [id]")
        .table("public", "marked", "incremental_soft_delete")
        .with("primary_key: [id]")
        .table("public", "logged", "incremental_append")
        .table("public", "worded", "incremental_deduped_history")
        .with("primary_key: [site, name]")
        .table("public", "heap", "incremental_append");
    let follow = Follow::unit(deployment, database, &unit);
    follow.tick(DONE);
    follow
}

/// `verify`, which must end with this exit code; its document.
#[track_caller]
fn verify(follow: &Follow, more: &[&str], code: i32) -> Value {
    let step = follow.case.command("verify").args(more);
    let finished = follow.case.finish(step).expect_code(code);
    super::common::expect_no_defect(&finished);
    finished.json()
}

#[track_caller]
fn of<'a>(document: &'a Value, follow: &Follow, table: &str) -> &'a Value {
    entry(document, &follow.case.raw_table(table))
}

/// Changes a table of the lake as nobody ever should.
fn plant(follow: &Follow, table: &str, how: &[&str]) {
    let lake = &follow.case.lake;
    let step = Readers::program("tamper.py")
        .args(["--catalog", lake.catalog(), "--namespace", lake.namespace()])
        .args(["--table", &follow.case.raw_table(table)])
        .args(how);
    step.run().expect_code(0);
}

#[test]
fn source_and_lake_agree_while_both_go_on() {
    let follow = follow("cdcverifylive");
    let mut stream = follow.stream().start();
    follow.wait_until_caught_up(&mut stream);
    let writing = Arc::new(AtomicBool::new(true));
    let goes_on = Arc::clone(&writing);
    let mut session = follow.case.database.session();
    let writer = std::thread::spawn(move || {
        let mut transactions = 0;
        while goes_on.load(Ordering::Relaxed) {
            session.run(&format!("BEGIN; {CHANGES} COMMIT;")).unwrap();
            transactions += 1;
            if transactions % 100 == 0 {
                session.run(EMPTIED).unwrap();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        transactions
    });
    // One look leaves open what moves on; several settle it.
    let mut moved_on = 0;
    for _ in 0..3 {
        let one_look = follow.case.command("verify").args(["--rounds", "1"]);
        let finished = follow.case.finish(one_look);
        let document = finished.json();
        let tables = document["tables"].as_array().unwrap();
        let moved: u64 = tables.iter().filter_map(|table| table["rows_moved_on"].as_u64()).sum();
        finished.expect_code(if moved == 0 { DONE } else { TRANSIENT });
        moved_on += moved;
    }
    assert!(moved_on > 0, "nothing was changed while it was verified");
    for look in 0..3 {
        let document = verify(&follow, &["--rounds", "6"], DONE);
        for table in document["tables"].as_array().unwrap() {
            assert!(table["position"].is_string(), "look {look}: {table:#}");
            assert_eq!(table["rows_moved_on"], 0, "look {look}: {table:#}");
            assert_eq!(table["ranges_differing"], 0, "look {look}: {table:#}");
            assert!(table["ranges_compared"] == 256 && table["source_rows"] != 0, "{table:#}");
        }
    }
    writing.store(false, Ordering::Relaxed);
    let transactions = writer.join().unwrap();
    assert!(transactions > 50, "only {transactions} transactions while it was verified");
    // A row that the lake lacks could have been deleted since, but is still there at the second look.
    follow.wait_until_caught_up(&mut stream);
    let lost = follow.case.database.psql("SELECT min(id) FROM item WHERE id > 1700");
    plant(&follow, "item", &["--delete", &format!("id = {lost}")]);
    let document = verify(&follow, &[], DEFINITE);
    let item = of(&document, &follow, "item");
    let expected = json!([{"key": {"id": lost}, "on": "source"}]);
    assert_eq!(item["differing_keys"], expected, "{item:#}");
    stream.signal("TERM");
    let ended = stream.wait();
    assert!([STOPPED, TRANSIENT].contains(&ended.code()), "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn every_table_of_the_ledger_agrees_however_it_is_followed() {
    for (deployment, landing) in [
        ("cdcverifylog", Landing::Log),
        ("cdcverifymerged", Landing::Merged),
        ("cdcverifymixed", Landing::Mixed),
    ] {
        // A log has no values of a column for the rows from before its name: they differ by design.
        let (follow, mut ledger) = followed(deployment, landing, &["renamed"]);
        for _ in 0..2 {
            ledger.run(60);
            follow.tick(DONE);
            let document = verify(&follow, &["--wait", "0"], DONE);
            let tables = document["tables"].as_array().unwrap();
            let rows: u64 = tables.iter().filter_map(|table| table["source_rows"].as_u64()).sum();
            assert!(rows > 0 && tables.iter().all(|it| it["position"].is_string()), "{document:#}");
        }
    }
}

#[test]
fn what_differs_is_told_by_its_key() {
    let follow = follow("cdcverifykeys");
    follow.case.database.psql(CHANGES);
    follow.tick(DONE);
    // Nobody streams: what the slot holds says that nothing was changed since.
    let document = verify(&follow, &["--wait", "0"], DONE);
    assert!(of(&document, &follow, "heap")["position"].is_string(), "{document:#}");
    let key =
        follow.case.database.psql("SELECT site || '/' || name FROM worded ORDER BY n LIMIT 1");
    let (site, name) = key.split_once('/').unwrap();
    plant(&follow, "worded", &["--delete", &format!("name = '{name}'")]);
    plant(&follow, "item", &["--set", "note=wrong", "--delete", "id = 3000"]);
    plant(&follow, "logged", &["--set", "note=wrong", "--delete", "id = 2"]);
    let document = verify(&follow, &["--wait", "0"], DEFINITE);
    let item = of(&document, &follow, "item");
    let expected = json!([{"key": {"id": "3000"}, "on": "both"}]);
    assert_eq!(item["differing_keys"], expected, "{item:#}");
    assert_eq!(
        (&item["columns_differing"], &item["ranges_differing"]),
        (&json!(["note"]), &json!(1))
    );
    assert_eq!(item["outcome"], "blocked", "{item:#}");
    let worded = of(&document, &follow, "worded");
    let expected = json!([{"key": {"site": site, "name": name}, "on": "source"}]);
    assert_eq!(worded["differing_keys"], expected, "{worded:#}");
    let logged = of(&document, &follow, "logged");
    let expected = json!([{"key": {"id": "2"}, "on": "both"}]);
    assert_eq!(logged["differing_keys"], expected, "{logged:#}");
    for table in ["marked", "heap"] {
        let table = of(&document, &follow, table);
        assert_eq!(table["outcome"], "done", "{table:#}");
    }
}

#[test]
fn a_lake_that_is_behind_is_no_difference() {
    let follow = follow("cdcverifybehind");
    follow.case.database.psql("UPDATE item SET note = 'later' WHERE id < 10");
    let step = follow.case.command("verify").args(["--wait", "1"]);
    let finished = follow.case.finish(step).expect_code(TRANSIENT);
    expect_told(&finished, &["stream --until-caught-up", "--wait"]);
    let document = finished.json();
    for (table, outcome) in [("item", "retry"), ("marked", "done"), ("logged", "done")] {
        let table = of(&document, &follow, table);
        assert_eq!(table["outcome"], outcome, "{table:#}");
    }
    follow.tick(DONE);
    verify(&follow, &[], DONE);
}

#[test]
fn without_the_right_to_a_slot_it_is_compared_as_it_is() {
    let follow = follow("cdcverifyplain");
    follow.case.database.psql(
        "CREATE ROLE plainreader LOGIN PASSWORD 'plainsecret';
         GRANT USAGE ON SCHEMA public TO plainreader; GRANT SELECT ON ALL TABLES IN SCHEMA public TO plainreader;",
    );
    let url = follow.case.database.url_as("plainreader", "plainsecret");
    let step = || follow.case.command("verify").env(&follow.case.source_variable(), &url);
    let document = follow.case.finish(step()).expect_code(DONE).json();
    assert!(of(&document, &follow, "item")["position"].is_null(), "{document:#}");
    follow.case.database.psql("UPDATE item SET note = 'later' WHERE id = 7");
    let document = follow.case.finish(step()).expect_code(DEFINITE).json();
    let expected = json!([{"key": {"id": "7"}, "on": "both"}]);
    assert_eq!(of(&document, &follow, "item")["differing_keys"], expected);
}
