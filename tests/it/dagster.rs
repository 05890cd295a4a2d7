//! Real Dagster starts our binaries: `tests/dagster`, run with pytest.

use ol_testkit::{PostgresServer, Readers, Step, binary, example, workspace_root};

#[test]
fn dagster_hears_of_every_table_check_and_failure() {
    let database = PostgresServer::shared().create_database("dagster");
    let folder = tempfile::tempdir().unwrap();
    let done = Step::new(Readers::python())
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
}
