//! How collections are read: modes, inferred and declared types, masks, excluded fields, other databases.

use ol_testkit::{MongoDatabase, MongoServer, Readers, Step, Unit};
use serde_json::Value;

use super::{MongoCase, outcome};
use crate::common::{entry, expect_told, rows, text};

/// A forum as Open edX has it, small.
const FORUM: &str = r#"
{"insert": "contents", "documents": [
    {"_id": {"$oid": "5f0000000000000000000001"}, "_type": "CommentThread", "votes": {"up": ["1"], "count": {"$numberInt": "1"}}, "title": "Hello", "course_id": "course-v1:MITx+1", "anonymous": false, "created_at": {"$date": {"$numberLong": "1600000000123"}}, "comment_count": {"$numberInt": "2"}, "author_id": "7"},
    {"_id": {"$oid": "5f0000000000000000000002"}, "_type": "Comment", "votes": {"up": [], "count": {"$numberInt": "0"}}, "body": "Hi", "course_id": "course-v1:MITx+1", "anonymous": true, "created_at": {"$date": {"$numberLong": "1600000001000"}}, "parent_ids": [{"$oid": "5f0000000000000000000001"}], "author_id": "8"}]}
{"insert": "users", "documents": [{"_id": "7", "username": "one", "email": "somebody.in.particular@example.org", "read_states": []}, {"_id": "8", "username": "two", "email": null}]}
{"insert": "subscriptions", "documents": [{"_id": {"$oid": "5f0000000000000000000003"}, "subscriber_id": "7", "source_id": "5f0000000000000000000001"}]}
{"insert": "notifications", "documents": [{"_id": {"$oid": "5f0000000000000000000004"}, "notification_type": "post_topic", "seq": {"$numberLong": "9007199254740993"}}]}
"#;

/// The commands with each document list on one line, as the client takes them.
fn commands(text: &str) -> String {
    let joined = text.replace("[\n", "[").replace(",\n    {\"_id\"", ", {\"_id\"");
    joined
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .fold(String::new(), |all, line| all + line + "\n")
}

#[test]
fn a_forum_lands_under_the_platforms_names_as_it_is() {
    a_forum_lands(MongoServer::shared(), "mongoforum", |database| database.url());
}

#[test]
fn a_forum_of_a_server_with_logins_and_tls_lands_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = crate::mysql::certificate(folder.path());
    let server = MongoServer::start_ferretdb(Some((&certificate, &key)));
    a_forum_lands(&server, "mongoferret", |database| {
        database.run(r#"{"createUser": "reader", "pwd": "open-sesame", "roles": [], "mechanisms": ["SCRAM-SHA-256"]}"#);
        database.url_of("reader:open-sesame@", &format!("?tls=true&tlsCAFile={certificate}"))
    });
}

fn a_forum_lands(
    server: &MongoServer,
    deployment: &'static str,
    url: impl Fn(&MongoDatabase<'_>) -> String,
) {
    let database = server.create_database(deployment);
    database.run(&commands(FORUM));
    let case = MongoCase::of(deployment, url(&database));
    let (_, draft) = case.discover();
    assert!(
        draft.contains("\\\"votes\\\" (object 2)") || draft.contains("\"votes\" (object 2)"),
        "{draft}"
    );
    let document = case.run(0);
    for table in ["contents", "users", "subscriptions", "notifications"] {
        let raw_table = case.raw_table(table);
        assert_eq!(outcome(&document, &raw_table), "done", "{document:#}");
        let server = database.server_url();
        let of = ["--url", &server, "--database", database.name(), "--collection", table];
        let compared = Readers::compare_documents(&of, &case.lake, &raw_table);
        let count = entry(&document, &raw_table)["rows"].as_u64();
        assert_eq!(compared["documents"].as_u64(), count, "{compared:#}");
    }
    let query = "SELECT _id, anonymous, comment_count, votes, parent_ids FROM lake ORDER BY _id";
    assert_eq!(
        case.lines("contents", query),
        [
            "5f0000000000000000000001\tFalse\t2\t{\"up\":[\"1\"],\"count\":1}\tNULL",
            "5f0000000000000000000002\tTrue\tNULL\t{\"up\":[],\"count\":0}\t[{\"$oid\":\"5f0000000000000000000001\"}]",
        ]
    );
    let verified = case.finish(case.command("verify")).expect_code(0).json();
    assert_eq!(verified["tables"].as_array().map(Vec::len), Some(4));
    let status = case.finish(case.command("status")).expect_code(0).json();
    assert!(
        status["tables"].as_array().unwrap().iter().all(|table| table["rows"] != 0),
        "{status:#}"
    );
    case.finish(case.command("reset")).expect_code(0);
    assert_eq!(
        entry(&case.run(0), &case.raw_table("users"))["rows"],
        2,
        "what was reset is loaded anew"
    );
}

#[test]
fn a_collection_can_be_added_to_replaced_and_merged() {
    let modes = [
        ("full_refresh_overwrite", "replaced"),
        ("full_refresh_append", "added"),
        ("full_refresh_update", "merged"),
        ("full_refresh_overwrite_deduped", "deduped"),
    ];
    let on_each = |line: &str| modes.map(|(_, name)| line.replace("NAME", name)).join("\n");
    let insert =
        r#"{"insert": "NAME", "documents": [{"_id": 1, "note": "a"}, {"_id": 2, "note": "b"}]}"#;
    let (case, database) = MongoCase::new("mongomodes", &on_each(insert));
    let mut unit = Unit::mongodb(case.deployment);
    for (mode, name) in modes {
        unit = unit.table("public", name, mode).with("primary_key: [_id]");
    }
    case.inventory.unit(&unit);
    case.run(0);
    let change = on_each(r#"{"delete": "NAME", "deletes": [{"q": {"_id": 1}, "limit": 1}]}"#)
        + "\n"
        + &on_each(
            r#"{"insert": "NAME", "documents": [{"_id": 3, "note": "c"}, {"_id": 4, "note": "d"}]}"#,
        );
    database.run(&change);
    case.run(0);
    let keys = case.lines("merged", "SELECT _id FROM lake ORDER BY _id");
    assert_eq!(keys, [1, 2, 3, 4].map(|key| format!("{{\"$numberInt\":\"{key}\"}}")));
    let state = case.state();
    let found = modes.map(|(_, name)| rows(&state, &case.raw_table(name)));
    assert_eq!(found, [Some(3), Some(5), Some(4), Some(3)]);
    let verified = case.finish(case.command("verify")).expect_code(2).json();
    let of = |name: &str| outcome(&verified, &case.raw_table(name)).to_owned();
    assert_eq!(
        ["replaced", "added", "merged", "deduped"].map(of),
        ["done", "blocked", "blocked", "done"]
    );
}

#[test]
fn a_column_keeps_its_type_and_what_does_not_fit_is_beside_it() {
    let first = r#"{"insert": "t", "documents": [{"_id": "a", "n": 1, "at": {"$date": {"$numberLong": "0"}}}]}"#;
    let (case, database) = MongoCase::new("mongokeeps", first);
    case.inventory.unit(&Unit::mongodb(case.deployment).table(
        "public",
        "t",
        "full_refresh_overwrite",
    ));
    case.run(0);
    // Nobody has a number any more, and there is a field nobody had.
    let second = r#"{"delete": "t", "deletes": [{"q": {"_id": "a"}, "limit": 1}]}
{"insert": "t", "documents": [{"_id": "b", "n": "one", "at": "later", "new": true}, {"_id": "c"}]}"#;
    database.run(second);
    case.run(0);
    let query =
        "SELECT _id, n, \"at\", new, CAST(_ol_odd AS VARCHAR), _ol_document FROM lake ORDER BY _id";
    let found = case.lines("t", query);
    assert!(found[0].starts_with("b\tNULL\tNULL\tTrue\t"), "{found:?}");
    assert!(found[0].contains("\"one\"") && found[0].contains("\"later\""), "{found:?}");
    assert_eq!(found[1], "c\tNULL\tNULL\tNULL\tNULL\t{\"_id\":\"c\"}");
    // Who wants the texts in the column says so, under a new table.
    case.finish(case.command("verify")).expect_code(0);
}

#[test]
fn declared_types_hold_what_fits_and_keep_the_rest_beside_it() {
    let documents = r#"{"insert": "t", "documents": [
        {"_id": "1", "price": {"$numberDecimal": "1.50"}, "count": 5, "code": 7, "flag": true, "rare": {"a": 1}},
        {"_id": "2", "price": {"$numberDecimal": "1.505"}, "count": {"$numberLong": "3000000000"}, "code": "x", "flag": "yes"},
        {"_id": "3", "price": {"$numberDecimal": "NaN"}, "count": 2.0, "flag": null},
        {"_id": "4", "price": 3, "count": 2.5}]}"#
        .replace("\n       ", "");
    let (case, _database) = MongoCase::new("mongodeclared", &documents);
    let columns =
        "{price: \"decimal(12,2)\", count: int, code: string, flag: boolean, never: long}";
    let unit = Unit::mongodb(case.deployment)
        .table("public", "t", "full_refresh_overwrite")
        .overriding(&format!("t:\n  columns: {columns}"));
    case.inventory.unit(&unit);
    case.run(0);
    let query =
        "SELECT _id, price, count, code, flag, never, cardinality(_ol_odd) FROM lake ORDER BY _id";
    assert_eq!(
        case.lines("t", query),
        [
            "1\t1.50\t5\t7\tTrue\tNULL\tNULL",
            "2\tNULL\tNULL\tx\tNULL\tNULL\t3",
            "3\tNULL\t2\tNULL\tNULL\tNULL\t1",
            "4\t3.00\tNULL\tNULL\tNULL\tNULL\t1",
        ]
    );
    let impossible =
        unit.overriding("  masked_columns: {}").yaml().replace("flag: boolean", "flag: uuid");
    case.inventory.write(case.deployment, &impossible);
    let refused = case.run(2);
    assert_eq!(outcome(&refused, &case.raw_table("t")), "refused", "{refused:#}");
}

#[test]
fn masked_and_excluded_fields_leave_nothing_behind_in_the_document_either() {
    const SALT: &str = "a salt that stays the same";
    const SECRET: &str = "somebody.in.particular@example.org";
    let documents = format!(
        r#"{{"insert": "t", "documents": [{{"_id": "1", "email": "{SECRET}", "born": "{SECRET}", "secret": "{SECRET}", "a.b": "{SECRET}", "n": 1}}, {{"_id": "2", "email": null, "n": 2}}]}}"#
    );
    let (case, database) = MongoCase::new("mongomasked", &documents);
    let unit = Unit::mongodb(case.deployment)
        .table("public", "t", "full_refresh_overwrite")
        .with("excluded_columns: [secret, a.b]")
        .overriding("t:\n  masked_columns: {email: sha256_salted, born: nulled}");
    case.inventory.unit(&unit);
    let refused = case.finish(case.command("run")).expect_code(3);
    expect_told(&refused, &["OL_MASK_SALT"]);
    let salted = || case.command("run").env("OL_MASK_SALT", SALT);
    let finished = case.finish(salted()).expect_code(0);
    assert!(!finished.stdout.contains(SECRET) && !finished.stderr.contains(SECRET));
    let digest =
        Step::new("sha256sum").input(format!("{SALT}{SECRET}")).run().expect_code(0).stdout;
    let hash = digest.split(' ').next().unwrap();
    let query = "SELECT email, born, _ol_document FROM lake ORDER BY _id";
    assert_eq!(
        case.lines("t", query),
        [
            format!(
                "{hash}\tNULL\t{{\"_id\":\"1\",\"email\":\"{hash}\",\"n\":{{\"$numberInt\":\"1\"}}}}"
            ),
            "NULL\tNULL\t{\"_id\":\"2\",\"email\":null,\"n\":{\"$numberInt\":\"2\"}}".to_owned(),
        ]
    );
    let held = Step::new("grep").args(["-rlaF", SECRET]).arg(case.lake.folder()).run();
    assert_eq!(held.stdout, "");
    // A change of what is not stored is none.
    let changed = documents.replace(&format!("\"born\": \"{SECRET}\""), "\"born\": \"x\"");
    let changed = changed.replace(&format!("\"secret\": \"{SECRET}\""), "\"secret\": \"y\"");
    assert_ne!(changed, documents);
    database.run(&format!("{}\n{changed}", r#"{"drop": "t"}"#));
    let again = case.finish(salted()).expect_code(0).json();
    assert_eq!(entry(&again, &case.raw_table("t"))["files"], 0, "{again:#}");
    // A name that nobody has would let what was meant leave.
    let mistyped = unit.yaml().replace("[secret, a.b]", "[secrets, a.b]");
    case.inventory.write(case.deployment, &mistyped);
    let refused = case.finish(salted()).expect_code(3);
    expect_told(&refused, &["secrets"]);
}

#[test]
fn a_unit_can_name_another_database_and_metadata_of_other_loaders() {
    let insert = r#"{"insert": "here", "documents": [{"_id": 1}]}"#;
    let (case, database) = MongoCase::new("mongoother", insert);
    let other = database.server().create_database("mongoelse");
    other.run(r#"{"insert": "there", "documents": [{"_id": 1}, {"_id": 2}]}"#);
    let unit = Unit::mongodb(case.deployment)
        .table("public", "here", "full_refresh_overwrite")
        .table(other.name(), "there", "full_refresh_overwrite")
        .yaml();
    let unit = unit.replace("metadata_columns: native", "metadata_columns: airbyte");
    case.inventory.write(case.deployment, &unit);
    case.run(0);
    let state = case.state();
    let found = ["here", "there"].map(|name| rows(&state, &case.raw_table(name)));
    assert_eq!(found, [Some(1), Some(2)]);
    let count = "SELECT count(DISTINCT _airbyte_raw_id), count(_airbyte_extracted_at) FROM lake";
    assert_eq!(case.lines("there", count), ["2\t2"]);
}

#[test]
fn a_mode_that_is_not_read_so_is_refused_with_those_that_are() {
    let insert = r#"{"insert": "t", "documents": [{"_id": 1}]}"#;
    let (case, _database) = MongoCase::new("mongoincremental", insert);
    let unit = Unit::mongodb(case.deployment).method("cursor");
    let unit = unit.table("public", "t", "incremental_deduped_history");
    case.inventory.unit(&unit.with("primary_key: [_id]").with("cursor_field: [_id]"));
    let document = case.run(2);
    let table: &Value = entry(&document, &case.raw_table("t"));
    assert_eq!(text(table, "outcome"), "blocked");
    for word in ["full_refresh_soft_delete", "replication_method: cdc", "incremental_soft_delete"] {
        assert!(text(table, "advice").contains(word), "no {word} in {table:#}");
    }
    assert_eq!(rows(&case.state(), &case.raw_table("t")), None);
}

#[test]
fn documents_that_are_gone_are_marked_by_a_full_refresh() {
    let insert = r#"{"insert": "t", "documents": [{"_id": 1, "n": 1}, {"_id": "b", "n": 2}, {"_id": "c", "n": 3}]}"#;
    let (case, database) = MongoCase::new("mongosoft", insert);
    let unit = Unit::mongodb(case.deployment).table("public", "t", "full_refresh_soft_delete");
    case.inventory.unit(&unit.with("primary_key: [_id]"));
    case.run(0);
    // Nothing has changed, so nothing is written.
    let again = case.run(0);
    assert_eq!(entry(&again, &case.raw_table("t"))["files"], 0, "{again:#}");
    database.run(
        r#"{"delete": "t", "deletes": [{"q": {"_id": "b"}, "limit": 1}]}
           {"update": "t", "updates": [{"q": {"_id": "c"}, "u": {"$set": {"n": 30}}}]}
           {"insert": "t", "documents": [{"_id": "d", "n": 4}]}"#,
    );
    let document = case.run(0);
    assert_eq!(entry(&document, &case.raw_table("t"))["deletes"], 1, "{document:#}");
    let marks = "SELECT _id, n, _ol_deleted_at IS NULL FROM lake ORDER BY _id";
    let wanted = ["b\t2\tFalse", "c\t30\tTrue", "d\t4\tTrue", "{\"$numberInt\":\"1\"}\t1\tTrue"];
    assert_eq!(case.lines("t", marks), wanted);
    // One that comes again is none that is gone, and a mark stays.
    database.run(r#"{"delete": "t", "deletes": [{"q": {"_id": "d"}, "limit": 1}]}"#);
    database.run(r#"{"insert": "t", "documents": [{"_id": "b", "n": 5}]}"#);
    case.run(0);
    let wanted = ["b\t5\tTrue", "c\t30\tTrue", "d\t4\tFalse", "{\"$numberInt\":\"1\"}\t1\tTrue"];
    assert_eq!(case.lines("t", marks), wanted);
    case.finish(case.command("verify")).expect_code(0);
}
