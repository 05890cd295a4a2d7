//! Real Dagster starts our binaries: `tests/dagster`, run with pytest.

use ol_testkit::{PostgresServer, Python, Step, binary, example, workspace_root};

#[test]
fn dagster_hears_of_every_table_check_and_failure() {
    let database = PostgresServer::shared().create_database("dagster");
    let folder = tempfile::tempdir().unwrap();
    let done = Step::new(Python::Readers.path())
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .arg(workspace_root().join("tests/dagster"))
        .folder(folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("DAGSTER_HOME", folder.path())
        .env("DAGSTER_DISABLE_TELEMETRY", "1")
        .env("OL_INGEST_BINARY", binary("ol-ingest"))
        .env("OL_WEBHOOK_BINARY", binary("ol-webhook"))
        .env("OL_PIPES_CONFORMANCE", example("conformance"))
        .env("OL_TEST_SOURCE_URL", database.url())
        .env("OL_TEST_PASSWORD", database.server().password())
        .env("OL_TEST_FOLDER", folder.path())
        .run()
        .expect_code(0);
    assert!(done.stdout.contains(" passed") && !done.stdout.contains("skipped"), "{}", done.stdout);
    // A run that Dagster started told of its flow in three ways; each alone tells the same.
    let seen: Vec<serde_json::Value> = ["messages.jsonl", "spans.jsonl", "flows.jsonl"]
        .into_iter()
        .map(|told| {
            let observed = Step::new(binary("c4gen"))
                .args(["observe", "--output", "json", "--out"])
                .arg(folder.path().join(format!("{told}.observed.json")))
                .arg(folder.path().join(told))
                .arg("--root")
                .arg(workspace_root())
                .run()
                .expect_code(0);
            let document: serde_json::Value = serde_json::from_str(&observed.stdout).unwrap();
            document["flows"]["postgres_full_load"].clone()
        })
        .collect();
    for flow in &seen {
        let at = |key: &str| &flow[key];
        assert_eq!((at("runs"), at("failed"), at("rows")), (&1.into(), &0.into(), &5.into()));
        assert_eq!(at("from"), &serde_json::json!(["application_postgres"]));
        assert_eq!(at("to"), &serde_json::json!(["raw_lake"]));
        assert_eq!(at("bytes"), &seen[0]["bytes"]);
    }
}
