//! Whatever is wrong with the input: a sentence with the cure, the right exit code, the other tables unharmed.

use std::time::Duration;

use ol_testkit::{Fault, MongoServer, MongoStandIn, Proxy};

use super::{MongoCase, outcome};
use crate::common::{entry, expect_told, rows, text};

/// A run of a stand-in's collection must end so, with these words said.
#[track_caller]
fn expect_run(url: &str, code: i32, words: &[&str]) {
    let case = MongoCase::of("mongobad", url.to_owned());
    let unit = ol_testkit::Unit::mongodb(case.deployment);
    case.inventory.unit(&unit.table("public", "small", "full_refresh_overwrite"));
    let finished = case.finish(case.command("run")).expect_code(code);
    expect_told(&finished, words);
    let document = finished.json();
    assert_eq!(document["tables"].as_array().map(Vec::len), Some(1), "{document:#}");
    if code == 0 {
        assert_eq!(rows(&case.state(), &case.raw_table("small")), Some(250));
    }
}

#[test]
fn a_login_of_either_kind_is_taken_and_what_is_not_one_is_told_with_its_cure() {
    let server = MongoServer::start_ferretdb(None);
    let database = server.create_database("logins");
    let documents: Vec<String> = (0..250).map(|n| format!(r#"{{"_id": {n}}}"#)).collect();
    database.run(&format!(r#"{{"insert": "small", "documents": [{}]}}"#, documents.join(",")));
    database.run(
        r#"{"createUser": "reader", "pwd": "open-sesame é", "roles": [], "mechanisms": ["SCRAM-SHA-1", "SCRAM-SHA-256"]}
           {"createUser": "old", "pwd": "open-sesame", "roles": [], "mechanisms": ["SCRAM-SHA-1"]}"#,
    );
    let reader = "reader:open-sesame%20%C3%A9@";
    for (login, options) in [
        (reader, ""),
        (reader, "?authMechanism=SCRAM-SHA-256"),
        (reader, "?authMechanism=SCRAM-SHA-1"),
        ("old:open-sesame@", ""),
    ] {
        expect_run(&database.url_of(login, options), 0, &[]);
    }
    for (login, options) in [
        ("reader:open-sesame@", ""),
        ("somebody:open-sesame@", ""),
        (reader, "?authSource=elsewhere"),
        ("old:open-sesame@", "?authMechanism=SCRAM-SHA-256"),
    ] {
        expect_run(&database.url_of(login, options), 2, &["refused the login", "authSource"]);
    }
    expect_run(&database.url_of("", ""), 2, &["may not read", "role read", "user:password@"]);
}

#[test]
fn a_login_is_proven_by_both_sides_and_an_old_server_knows_one_kind() {
    // FerretDB knows no such name again.
    let account = ["--user", "re,ad=er", "--password", "open-sesame é"];
    let server = MongoStandIn::start(&account);
    let known = "re%2Cad%3Der:open-sesame%20%C3%A9@127.0.0.1";
    expect_run(&server.url().replace("127.0.0.1", known), 0, &[]);
    let old = MongoStandIn::start(&[&account[..], &["--old"]].concat());
    expect_run(&old.url().replace("127.0.0.1", known), 0, &[]);
    let asked = format!("{}?authMechanism=SCRAM-SHA-256", old.url().replace("127.0.0.1", known));
    expect_run(&asked, 2, &["refused the login"]);
    let liar = MongoStandIn::start(&[&account[..], &["--lie"]].concat());
    expect_run(&liar.url().replace("127.0.0.1", known), 2, &["refused the login", "is the server"]);
}

#[test]
fn addresses_that_lead_nowhere_are_told_by_whose_turn_it_is() {
    expect_run(
        "mongodb://u:open-sesame@no-such-host.invalid/x?tls=false",
        1,
        &["no-such-host.invalid"],
    );
    expect_run("mongodb://127.0.0.1:1/x", 1, &["cannot be reached"]);
    expect_run("mongodb+srv://u:open-sesame@forum.example.org/x", 3, &["mongodb://host1"]);
    expect_run("mongodb://127.0.0.1/x?replicaset=a&oops=1", 3, &["oops"]);
    let server = MongoStandIn::start(&[
        "--hello",
        r#"{"setName": "rs1", "secondary": true, "isWritablePrimary": false}"#,
    ]);
    expect_run(&format!("{}?replicaSet=rs2", server.url()), 3, &["rs2"]);
    expect_run(&server.url(), 1, &["cannot be reached"]);
    expect_run(&format!("{}?readPreference=secondary", server.url()), 0, &[]);
    expect_run(&format!("{}?directConnection=true", server.url()), 0, &[]);
    let old = MongoStandIn::start(&["--hello", r#"{"maxWireVersion": 5}"#]);
    expect_run(&old.url(), 2, &["too old", "MongoDB 3.6"]);
}

#[test]
fn the_primary_is_found_behind_a_member_that_is_not() {
    let primary = MongoStandIn::start(&["--hello", r#"{"setName": "rs"}"#]);
    let hello = format!(
        r#"{{"setName": "rs", "secondary": true, "isWritablePrimary": false, "hosts": ["127.0.0.1:1", "127.0.0.1:{}"]}}"#,
        primary.port()
    );
    let secondary = MongoStandIn::start(&["--hello", &hello, "--refuse", "find=13435"]);
    expect_run(&format!("{}?replicaSet=rs", secondary.url()), 0, &[]);
}

#[test]
fn refusals_of_the_server_are_told_by_their_numbers() {
    for (refusal, code, words) in [
        ("find=13", 2, "may not read"),
        ("find=26", 2, "does not exist"),
        ("find=50", 1, "took too long"),
        ("find=11600", 1, "starting or shutting down"),
        ("find=9999", 2, "refused a statement"),
        ("listCollections=13", 2, "may not read"),
        ("getMore=43", 1, "is gone"),
    ] {
        let server = MongoStandIn::start(&["--refuse", refusal]);
        expect_run(&server.url(), code, &[words]);
    }
}

#[test]
fn a_connection_is_encrypted_and_the_server_is_checked_as_far_as_the_url_asks() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = crate::mysql::certificate(folder.path());
    let server = MongoStandIn::start(&["--certificate", &certificate, "--key", &key]);
    let with = |options: &str| format!("{}?{options}", server.url());
    expect_run(&with(&format!("tls=true&tlsCAFile={certificate}")), 0, &[]);
    expect_run(&with("tls=true&tlsInsecure=true"), 0, &[]);
    expect_run(&with("tls=true"), 2, &["encrypted connection"]);
    let plain = MongoStandIn::start(&[]);
    expect_run(&format!("{}?tls=true&tlsInsecure=true", plain.url()), 2, &["encrypted connection"]);
}

#[test]
fn a_connection_that_breaks_is_told_and_leaves_nothing_half_read() {
    // The seventh answer of every connection is cut in two.
    let server = MongoStandIn::start(&["--drop-after", "6", "--batch", "20"]);
    expect_run(&server.url(), 1, &["connection to the source broke"]);
    let insert: Vec<String> =
        (0..2000).map(|n| format!(r#"{{"_id": {n}, "note": "{}"}}"#, "x".repeat(500))).collect();
    let (mut case, database) = MongoCase::new(
        "mongobroken",
        &format!(r#"{{"insert": "t", "documents": [{}]}}"#, insert.join(",")),
    );
    case.discover();
    let proxy = Proxy::before(MongoServer::shared().port());
    case.url = database.url_through(proxy.port());
    proxy.set(Fault::CutAfter(700_000));
    assert_eq!(text(entry(&case.run(1), &case.raw_table("t")), "outcome"), "retry");
    assert_eq!(rows(&case.state(), &case.raw_table("t")), None);
    proxy.set(Fault::Latency(Duration::from_millis(5)));
    let document = case.run(0);
    assert_eq!(entry(&document, &case.raw_table("t"))["rows"], 2000);
    assert_eq!(rows(&case.state(), &case.raw_table("t")), Some(2000));
}

#[test]
fn one_collection_that_is_missing_does_not_stop_the_others() {
    let insert = r#"{"insert": "good", "documents": [{"_id": 1}]}"#;
    let (case, database) = MongoCase::new("mongomissing", insert);
    let unit = ol_testkit::Unit::mongodb(case.deployment)
        .table("public", "good", "full_refresh_overwrite")
        .table("public", "gone", "full_refresh_overwrite");
    case.inventory.unit(&unit);
    let document = case.run(2);
    assert_eq!(outcome(&document, &case.raw_table("good")), "done", "{document:#}");
    let gone = entry(&document, &case.raw_table("gone"));
    assert!(text(gone, "advice").contains(&format!("{}.gone", database.name())), "{gone:#}");
    // Dropped, and there again under the same name, it is the same table.
    database.run(r#"{"drop": "good"}"#);
    assert_eq!(outcome(&case.run(2), &case.raw_table("good")), "blocked");
    assert_eq!(rows(&case.state(), &case.raw_table("good")), Some(1), "the lake keeps what it has");
    database.run(r#"{"insert": "good", "documents": [{"_id": 2}, {"_id": 3}]}"#);
    assert_eq!(outcome(&case.run(2), &case.raw_table("good")), "done");
    assert_eq!(rows(&case.state(), &case.raw_table("good")), Some(2));
}
