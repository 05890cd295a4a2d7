//! The contract decides every type that a server has, and says of every row of the catalog what becomes of it.

use crate::common::Case;

#[test]
fn no_type_of_the_server_is_undecided() {
    let case = Case::new("contract");
    let document =
        case.finish(case.ingest().args(["plan", "--contract", "postgres"])).expect_code(0).stdout;
    let decided: Vec<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .filter_map(|line| line.split(" | ").next())
        .map(|shown| shown.trim_matches('"'))
        .collect();
    let known = case.database.psql(
        "SELECT t.typname FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem
         WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype = 'b' AND e.typarray IS DISTINCT FROM t.oid",
    );
    let undecided: Vec<&str> = known.lines().filter(|name| !decided.contains(name)).collect();
    assert!(known.lines().count() > 50, "{known}");
    assert!(
        undecided.is_empty(),
        "the server has types that the contract does not decide: {undecided:?}"
    );
}

#[test]
fn status_and_reset_tell_and_forget_where_a_table_stands() {
    let case = Case::new("status");
    case.database.psql("CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1), (2)");
    case.discover();
    let status = |case: &Case, command: &str| -> serde_json::Value {
        let done = case.finish(case.command(command)).expect_code(0);
        serde_json::from_str(&done.stdout).unwrap()
    };
    assert!(status(&case, "status")["tables"][0]["snapshot_id"].is_null());
    case.run(0);
    let before = status(&case, "status")["tables"][0].clone();
    assert_eq!(before["rows"], 2);
    assert_eq!(before["position"].as_str().unwrap().len(), 16);
    let unchanged = case.run(0);
    assert_eq!(unchanged["tables"][0]["snapshot_id"], before["snapshot_id"]);
    let after = status(&case, "reset")["tables"][0].clone();
    assert_eq!(after["rows"], 2);
    assert!(after["position"].is_null());
    let again = case.run(0);
    assert_eq!(again["tables"][0]["rows"], 2, "a table that was reset is loaded anew");
    case.finish(case.command("verify")).expect_code(0);
    case.database.psql("UPDATE kept SET id = 9 WHERE id = 1");
    let done = case.finish(case.command("verify")).expect_code(2);
    let document: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(document["tables"][0]["columns_differing"], serde_json::json!(["id"]));
}
