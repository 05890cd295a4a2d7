//! What becomes of changes in each mode, and what does not leave the server.

use super::{Follow, unit};
use crate::common::{entry, expect_told};

const MODES: &[(&str, &str)] = &[
    ("merged", "incremental_update"),
    ("deduped", "incremental_deduped_history"),
    ("marked", "incremental_soft_delete"),
    ("told", "incremental_append"),
];

/// The same commands for every collection.
fn each(commands: &[&str]) -> String {
    let of = |(table, _): &(&str, &str)| {
        commands.iter().map(|command| command.replace("TABLE", table)).collect::<Vec<_>>()
    };
    MODES.iter().flat_map(of).collect::<Vec<_>>().join("\n")
}

const FIRST: &[&str] = &[
    r#"{"insert": "TABLE", "documents": [{"_id": "a", "n": 1}, {"_id": "b", "n": 2}, {"_id": "c", "n": 3}, {"_id": 4, "n": 4}]}"#,
];
const CHANGES: &[&str] = &[
    r#"{"update": "TABLE", "updates": [{"q": {"_id": "a"}, "u": {"$set": {"n": "eleven", "new": true}}}]}"#,
    r#"{"update": "TABLE", "updates": [{"q": {"_id": "b"}, "u": {"other": 1.5}}]}"#,
    r#"{"delete": "TABLE", "deletes": [{"q": {"_id": "c"}, "limit": 1}]}"#,
    r#"{"insert": "TABLE", "documents": [{"_id": "d", "n": {"$numberLong": "5"}}, {"_id": "e", "n": 6}]}"#,
    r#"{"update": "TABLE", "updates": [{"q": {"_id": "e"}, "u": {"$set": {"n": 7}}}]}"#,
    r#"{"delete": "TABLE", "deletes": [{"q": {"_id": "e"}, "limit": 1}]}"#,
];

#[test]
fn changes_come_to_every_kind_of_table() {
    // Where others write, the time of the cluster moves on, which is recorded; so nobody does.
    let server = ol_testkit::MongoServer::start_leaked_member();
    let follow = Follow::on(server, "mongomodes", &each(FIRST), MODES);
    let planned = follow.case.finish(follow.case.command("plan")).expect_code(0);
    assert!(planned.stdout.contains("_ol_document"), "{}", planned.stdout);
    follow.tick(0);
    assert_eq!(follow.phase("merged"), "streaming");
    follow.database.run(&each(CHANGES));
    let document = follow.tick(0).json();
    assert_eq!(entry(&document, &follow.case.raw_table("told"))["rows"], 5, "{document:#}");
    for table in ["merged", "deduped"] {
        assert_eq!(follow.expect_equal(table)["documents"], 4);
    }
    // A value of another type than the column's.
    let odd = "SELECT _id, n, _ol_odd['n'] FROM lake WHERE _id = 'a'";
    assert_eq!(follow.case.lines("merged", odd), ["a\tNULL\t\"eleven\""]);
    let marks = "SELECT _id, _ol_deleted_at IS NULL FROM lake ORDER BY _id";
    assert_eq!(
        follow.case.lines("marked", marks),
        ["a\tTrue", "b\tTrue", "c\tFalse", "d\tTrue", "e\tFalse", r#"{"$numberInt":"4"}	True"#]
    );
    let told = "SELECT _ol_op, _id, _ol_document IS NULL FROM lake WHERE _ol_op <> 'r' ORDER BY _ol_position";
    let lines = [
        "u\ta\tFalse",
        "u\tb\tFalse",
        "d\tc\tTrue",
        "i\td\tFalse",
        "i\te\tFalse",
        // Gone when the server looked it up.
        "u\te\tTrue",
        "d\te\tTrue",
    ];
    assert_eq!(follow.case.lines("told", told), lines);
    let verified = follow.case.finish(follow.case.command("verify")).expect_code(0).json();
    assert_eq!(entry(&verified, &follow.case.raw_table("merged"))["outcome"], "done");
    // Nothing has happened, so nothing is written.
    let before = follow.case.state();
    let document = follow.tick(0).json();
    assert!(document["tables"].as_array().unwrap().iter().all(|table| table["rows"] == 0));
    assert_eq!(follow.case.state(), before);
}

#[test]
fn what_a_copy_cannot_bring_back_is_told_by_a_comparison_of_keys() {
    let follow = Follow::new("mongokeys", &each(FIRST), &MODES[2..]);
    follow.tick(0);
    follow
        .database
        .run(&each(&[r#"{"delete": "TABLE", "deletes": [{"q": {"_id": "a"}, "limit": 1}]}"#]));
    follow.tick(0);
    let marks =
        "SELECT _id, _ol_deleted_at FROM lake WHERE _ol_deleted_at IS NOT NULL ORDER BY _id";
    let marked = follow.case.lines("marked", marks);
    // Nobody follows while these go and come.
    follow.case.finish(follow.case.command("reset")).expect_code(0);
    follow.database.run(&each(&[
        r#"{"delete": "TABLE", "deletes": [{"q": {"_id": "b"}, "limit": 1}]}"#,
        r#"{"insert": "TABLE", "documents": [{"_id": "f", "n": 9}]}"#,
    ]));
    follow.tick(0);
    let marked_now = follow.case.lines("marked", marks);
    assert_eq!(marked_now.first(), marked.first(), "a mark stays what it was");
    let kept = "SELECT _id, _ol_deleted_at IS NULL FROM lake ORDER BY _id";
    assert_eq!(
        follow.case.lines("marked", kept),
        ["a\tFalse", "b\tFalse", "c\tTrue", "f\tTrue", r#"{"$numberInt":"4"}	True"#]
    );
    let told = "SELECT _ol_op, _id FROM lake WHERE _ol_op <> 'r' ORDER BY _ol_position";
    assert_eq!(follow.case.lines("told", told), ["d\ta", "d\tb"]);
}

#[test]
fn what_differs_is_told_by_verify() {
    // The time of a server that others write to goes on, and no tick comes to it.
    let server = ol_testkit::MongoServer::start_leaked_member();
    let follow = Follow::on(server, "mongodiffers", &each(FIRST), &MODES[..1]);
    follow.tick(0);
    // A change that the log does not have.
    let other = Follow::empty(server, "mongodiffers", &each(FIRST));
    other.database.run(&each(CHANGES));
    follow.tick(0);
    let step = follow.case.command("verify").args(["--wait", "5", "--rounds", "2"]);
    let step = step.env(&follow.case.source_variable(), other.database.url());
    let finished = follow.case.finish(step).expect_code(2);
    expect_told(&finished, &["does not hold what the source holds"]);
}

#[test]
fn a_field_that_comes_later_is_in_the_document_and_in_a_column_that_is_declared() {
    let first = r#"{"insert": "t", "documents": [{"_id": 1, "n": 1, "hat": "no"}]}
                   {"create": "empty"}"#;
    let modes = [("empty", "incremental_update"), ("t", "incremental_update")];
    let follow = Follow::new("mongolater", first, &modes);
    follow.tick(0);
    let grown = r#"{"update": "TABLE", "updates": [{"q": {"_id": 1}, "u": {"$set": {"new": {"$numberLong": "5"}}}, "upsert": true}]}"#;
    follow.database.run(&format!(
        "{}\n{}",
        grown.replace("TABLE", "t"),
        grown.replace("TABLE", "empty")
    ));
    for _ in 0..2 {
        expect_told(&follow.tick(0), &["it came after the copy"]);
        let document = r#"{"_id":{"$numberInt":"1"},"n":{"$numberInt":"1"},"hat":"no","new":{"$numberLong":"5"}}"#;
        assert_eq!(follow.case.lines("t", "SELECT _ol_document FROM lake"), [document]);
        let columns = follow.case.lines("t", "SELECT * EXCLUDE (_ol_document, _ol_extracted_at, _ol_run_id, _ol_position, _ol_committed_at, _ol_odd) FROM lake");
        assert_eq!(columns, ["{\"$numberInt\":\"1\"}\t1\tno"]);
    }
    follow
        .case
        .inventory
        .unit(&unit("mongolater", &modes).overriding("t:\n  columns: {new: long}"));
    expect_told(
        &follow.tick(0),
        &["a column that its rows do not have", "a table is copied again"],
    );
    assert_eq!(follow.case.lines("t", "SELECT new FROM lake"), ["5"]);
    follow.expect_equal("t");
}

#[test]
fn changes_of_one_time_are_told_apart_whatever_is_followed() {
    let follow = Follow::new("mongotogether", &each(FIRST), &MODES[..2]);
    follow.tick(0);
    follow.database.admin(r#"{"together": true}"#);
    follow.database.run(&each(CHANGES));
    follow.database.admin(r#"{"together": false}"#);
    // One table has the first of them when the run dies, and another one joins the unit.
    let step = follow.until_caught_up().env("OL_FAILPOINT_KILL", "capture.table-committed:1");
    assert_eq!(follow.case.finish(step).code(), -1);
    follow.case.inventory.unit(&unit("mongotogether", MODES));
    follow.tick(0);
    follow.database.admin(r#"{"together": true}"#);
    follow
        .database
        .run(r#"{"update": "told", "updates": [{"q": {"_id": "a"}, "u": {"$set": {"n": 20}}}]}"#);
    follow
        .database
        .run(r#"{"update": "told", "updates": [{"q": {"_id": "a"}, "u": {"$set": {"n": 21}}}]}"#);
    follow.database.admin(r#"{"together": false}"#);
    follow.tick(0);
    for table in ["merged", "deduped"] {
        follow.expect_equal(table);
    }
    let told = "SELECT _ol_op, _id, n FROM lake WHERE _ol_op <> 'r' ORDER BY _ol_position";
    assert_eq!(follow.case.lines("told", told), ["u\ta\t21", "u\ta\t21"]);
}

#[test]
fn masks_hold_in_changes_and_excluded_fields_do_not_leave_the_server() {
    let documents = r#"{"insert": "users", "documents": [{"_id": 1, "name": "n", "email": "open-sesame-1", "secret": "open-sesame-2", "note": "open-sesame-3"}]}
                       {"insert": "beside", "documents": [{"_id": 1, "secret": "shown"}]}"#;
    let follow =
        Follow::empty(ol_testkit::MongoServer::start_leaked_member(), "mongomasks", documents);
    let modes = [("beside", "incremental_update"), ("users", "incremental_update")];
    let unit = unit("mongomasks", &modes)
        .with("excluded_columns: [secret]")
        .overriding("users:\n  masked_columns: {email: sha256_salted, note: nulled}");
    follow.case.inventory.unit(&unit);
    let tick = || follow.case.finish(follow.until_caught_up().env("OL_MASK_SALT", "a".repeat(40)));
    tick().expect_code(0);
    let columns = "SELECT name, email, note, _ol_document FROM lake";
    let copied = follow.case.lines("users", columns);
    follow.database.run(
        r#"{"update": "users", "updates": [{"q": {"_id": 1}, "u": {"$set": {"secret": "open-sesame-4", "note": "open-sesame-5"}}}]}
           {"update": "beside", "updates": [{"q": {"_id": 1}, "u": {"$set": {"secret": "shown, too"}}}]}
           {"insert": "users", "documents": [{"_id": 2, "email": "open-sesame-1", "secret": {"deep": "open-sesame-6"}}]}
           {"insert": "neither", "documents": [{"_id": 2, "any": "open-sesame-7"}]}"#,
    );
    tick().expect_code(0);
    let found = follow.case.lines("users", &format!("{columns} ORDER BY _id"));
    assert_eq!(found.len(), 2);
    assert_eq!(found.first(), copied.first(), "neither the hash nor the document has changed");
    assert!(!found.join("\n").contains("open-sesame"), "{found:?}");
    assert_eq!(follow.case.lines("beside", "SELECT secret FROM lake"), ["shown, too"]);
    let sent = follow.database.admin(r#"{"sent": 1}"#);
    for hidden in 2..=7 {
        assert!(!sent.contains(&format!("open-sesame-{hidden}")), "{sent}");
    }
    assert!(sent.contains("shown, too") && sent.contains("open-sesame-1"), "{sent}");
}

#[test]
fn units_that_no_stream_can_serve_are_refused() {
    let follow = Follow::empty(ol_testkit::MongoServer::member(), "mongorefused", &each(FIRST));
    let merged = |lines: &str| {
        ol_testkit::Unit::mongodb("mongorefused")
            .method("cdc")
            .table("public", "merged", "incremental_update")
            .with(lines)
    };
    for (unit, wanted) in [
        (merged("primary_key: [n]"), "merged by _id"),
        (merged("primary_key: [_id]\nexcluded_columns: [_id]"), "_id"),
        (
            ol_testkit::Unit::mongodb("mongorefused").method("cdc").table(
                "elsewhere",
                "merged",
                "incremental_append",
            ),
            "of one database",
        ),
    ] {
        follow.case.inventory.unit(&unit);
        let finished = follow.case.finish(follow.until_caught_up());
        assert!(matches!(finished.code(), 2 | 3), "{}", finished.stderr);
        expect_told(&finished, &[wanted]);
    }
}
