//! What a server must be for its changes to be followed, what happens when it has forgotten, and what it does to collections.

use ol_testkit::{MongoServer, Proxy};

use super::Follow;
use crate::common::{PATIENCE, expect_told};

const FIRST: &str = r#"{"insert": "t", "documents": [{"_id": 1, "a": 1}, {"_id": 2, "a": 2}]}
                       {"insert": "log", "documents": [{"_id": 0}]}"#;
const MODES: &[(&str, &str)] = &[("t", "incremental_update"), ("log", "incremental_append")];

#[test]
fn a_server_that_keeps_no_log_is_refused_with_the_cure() {
    let follow = Follow::on(MongoServer::shared(), "mongoalone", FIRST, MODES);
    expect_told(&follow.tick(2), &["not a member of a replica set", "rs.initiate()"]);
}

#[test]
fn refusals_of_a_stream_are_told_by_their_numbers() {
    let follow = Follow::on(MongoServer::start_leaked_member(), "mongorights", FIRST, MODES);
    for (code, wanted) in [
        (13, ["may not open a change stream", "the role read"]),
        (40573, ["not a member of a replica set", "rs.initiate()"]),
    ] {
        follow.fail("aggregate", 1, &format!(r#""errorCode": {code}"#));
        expect_told(&follow.tick(2), &wanted);
    }
    follow.tick(0);
    let insert = |number: u32| {
        let document = format!(r#"{{"insert": "log", "documents": [{{"_id": {number}}}]}}"#);
        follow.database.run(&document);
    };
    for (number, command, code, wanted) in [
        (1, "aggregate", 260, ["does not take the place", "ol-ingest reset"]),
        (2, "getMore", 10334, ["larger than the 16 MB", "excluded_columns"]),
    ] {
        insert(number);
        follow.fail(command, 1, &format!(r#""errorCode": {code}"#));
        expect_told(&follow.tick(2), &wanted);
    }
    // Weather: the stream is opened again behind what was received.
    for (number, fault) in
        [(3, r#""errorCode": 11602"#), (4, r#""errorCode": 43"#), (5, r#""closeConnection": true"#)]
    {
        insert(number);
        follow.fail("getMore", 1, fault);
        expect_told(&follow.tick(0), &["the stream failed"]);
    }
    assert_eq!(follow.happened("log"), lines(&["r 0", "i 1", "i 2", "i 3", "i 4", "i 5"]));
}

/// Letters and whole numbers as keys, as a log has them.
fn lines(told: &[&str]) -> Vec<String> {
    let line = |told: &&str| {
        let (letter, key) = told.split_once(' ').unwrap();
        format!("{letter}\t{{\"$numberInt\":\"{key}\"}}")
    };
    told.iter().map(line).collect()
}

#[test]
fn a_log_that_is_gone_is_told_and_a_reset_copies_again() {
    let follow = Follow::on(MongoServer::start_leaked_member(), "mongolost", FIRST, MODES);
    follow.tick(0);
    follow.database.run(
        r#"{"update": "t", "updates": [{"q": {}, "u": {"$set": {"a": 5}}, "multi": true}]}
           {"insert": "log", "documents": [{"_id": 1}]}"#,
    );
    follow.database.admin(r#"{"forget": 1}"#);
    let wanted = ["lacks changes that the source no longer has", "ol-ingest reset", "oplog"];
    expect_told(&follow.tick(2), &wanted);
    assert!(follow.phase("t").starts_with("blocked since"), "{}", follow.phase("t"));
    expect_told(&follow.tick(2), &wanted);
    follow.case.finish(follow.case.command("reset")).expect_code(0);
    follow.tick(0);
    assert_eq!(follow.expect_equal("t")["documents"], 2);
    assert_eq!(follow.phase("t"), "streaming");
    let letters = "SELECT _ol_op, count(*) FROM lake GROUP BY 1 ORDER BY 1";
    // Both documents are there, so no row says that one is gone.
    assert_eq!(follow.case.lines("log", letters), ["r\t3"]);
    // While it is followed, too.
    follow.database.run(r#"{"insert": "log", "documents": [{"_id": 2}]}"#);
    follow.fail("getMore", 1, r#""errorCode": 286"#);
    expect_told(&follow.tick(2), &["no longer has"]);
    // The server has what comes behind the place after all.
    follow.tick(0);
    assert_eq!(follow.phase("t"), "streaming");
}

#[test]
fn an_idle_unit_records_its_place_so_that_the_log_may_go() {
    let follow = Follow::on(MongoServer::start_leaked_member(), "mongoidle", FIRST, MODES);
    follow.tick(0);
    let noise = follow.database.server().create_database("noise");
    for _ in 0..3 {
        noise.run(r#"{"insert": "noise", "documents": [{}, {}]}"#);
        follow.tick(0);
        follow.database.admin(r#"{"forget": 1}"#);
    }
    follow
        .database
        .run(r#"{"update": "t", "updates": [{"q": {"_id": 1}, "u": {"$set": {"a": 4}}}]}"#);
    follow.tick(0);
    follow.expect_equal("t");
}

#[test]
fn collections_that_go_or_get_another_name_are_read_again() {
    let follow = Follow::new("mongoremade", FIRST, MODES);
    let name = follow.database.name();
    follow.tick(0);
    follow.database.run(
        r#"{"update": "t", "updates": [{"q": {"_id": 1}, "u": {"$set": {"a": 9}}}]}
           {"drop": "t"}
           {"insert": "t", "documents": [{"_id": 7, "b": "new"}]}"#,
    );
    let finished = follow.tick(0);
    expect_told(&finished, &["the collection was dropped", "a table is copied again"]);
    assert_eq!(follow.expect_equal("t")["documents"], 1);
    // One that stays away is told; the others go on.
    follow.database.admin(&format!(r#"{{"renameCollection": "{name}.t", "to": "{name}.u"}}"#));
    follow.database.run(r#"{"insert": "log", "documents": [{"_id": 1}]}"#);
    let finished = follow.tick(2);
    assert!(finished.stdout.contains("does not exist at the source"), "{}", finished.stdout);
    assert_eq!(follow.happened("log"), lines(&["r 0", "i 1"]));
    assert!(follow.phase("t").starts_with("blocked since"), "{}", follow.phase("t"));
    // Another one takes the name.
    follow.database.admin(&format!(r#"{{"renameCollection": "{name}.u", "to": "{name}.t"}}"#));
    follow.database.run(r#"{"insert": "t", "documents": [{"_id": 8}]}"#);
    expect_told(&follow.tick(0), &["a table is copied again"]);
    assert_eq!(follow.expect_equal("t")["documents"], 2);
    // What went is gone, and the stream goes on behind its end.
    follow.database.run(r#"{"dropDatabase": 1}"#);
    follow.database.run(
        r#"{"insert": "log", "documents": [{"_id": 3}]}
                           {"insert": "t", "documents": [{"_id": 3}]}"#,
    );
    expect_told(&follow.tick(0), &["dropped"]);
    assert_eq!(follow.expect_equal("t")["documents"], 1);
    let letters = "SELECT _ol_op, count(*) FROM lake GROUP BY 1 ORDER BY 1";
    assert_eq!(follow.case.lines("log", letters), ["d\t2", "i\t1", "r\t2"]);
}

#[test]
fn two_processes_that_follow_one_unit_double_nothing() {
    let follow = Follow::new("mongotwice", FIRST, MODES);
    follow.tick(0);
    let start = || follow.stream().env("OL_INGEST__ATTEMPTS", "1000").start();
    let mut running = [start(), start()];
    let mut expected = vec!["r 0".to_owned()];
    for number in 1..=12 {
        follow.database.run(&format!(
            r#"{{"insert": "log", "documents": [{{"_id": {number}}}]}}
               {{"update": "t", "updates": [{{"q": {{"_id": 1}}, "u": {{"$set": {{"a": {number}}}}}}}]}}"#
        ));
        expected.push(format!("i {number}"));
    }
    let expected = lines(&expected.iter().map(String::as_str).collect::<Vec<_>>());
    let arrived = || follow.happened("log").len() >= expected.len();
    assert!(running[0].wait_until(PATIENCE, arrived), "{}", running[0].told());
    for running in running {
        running.signal("TERM");
        assert_eq!(running.wait().code(), 75);
    }
    follow.tick(0);
    assert_eq!(follow.happened("log"), expected);
    follow.expect_equal("t");
}

#[test]
fn a_connection_that_is_cut_is_made_anew() {
    let mut follow = Follow::new("mongocut", FIRST, MODES);
    let proxy = Proxy::before(follow.database.server().port());
    follow.case.url = follow.database.url_through(proxy.port());
    follow.tick(0);
    let mut running = follow.stream().env("OL_INGEST__ATTEMPTS", "50").start();
    let mut expected = vec!["r 0".to_owned()];
    for number in 1..=4 {
        follow.database.run(&format!(r#"{{"insert": "log", "documents": [{{"_id": {number}}}]}}"#));
        expected.push(format!("i {number}"));
        let arrived = || follow.happened("log").len() > number;
        assert!(running.wait_until(PATIENCE, arrived), "{}", running.told());
        if number < 4 {
            proxy.cut();
        }
    }
    running.signal("TERM");
    assert_eq!(running.wait().code(), 75);
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    assert_eq!(follow.happened("log"), lines(&expected));
}
