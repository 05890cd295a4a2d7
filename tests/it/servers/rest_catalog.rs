//! The REST catalog: what it answers to a client, and to Trino, with and without tokens.

use ol_testkit::{
    GlueServer, Lake, PostgresServer, RestCatalogClient, RestCatalogServer, TrinoCatalog,
    TrinoServer,
};
use serde_json::{Value, json};

use crate::common::Case;

fn server(lake: &Lake, client: Option<&RestCatalogClient>) -> RestCatalogServer {
    let database = PostgresServer::shared().create_database("rest");
    let warehouse = format!("file://{}", lake.warehouse().display());
    RestCatalogServer::start(&database, &warehouse, &[], client)
}

/// A commit that demands to be the second one and sets a property.
fn commit(uuid: &Value, last_assigned: u64) -> Value {
    json!({
        "requirements": [{"type": "assert-table-uuid", "uuid": uuid},
                         {"type": "assert-last-assigned-field-id", "last-assigned-field-id": last_assigned}],
        "updates": [{"action": "set-properties", "updates": {"owner": "us"}}],
    })
}

#[test]
fn a_rest_catalog_keeps_tables_for_a_client_and_for_trino() {
    let lake = Lake::new();
    let catalog = server(&lake, None);
    assert_eq!(catalog.get("v1/config", None).0, 200);
    let namespace = json!({"namespace": ["raw"], "properties": {}});
    assert_eq!(catalog.post("v1/namespaces", None, &namespace).0, 200);
    assert_eq!(catalog.post("v1/namespaces", None, &namespace).0, 409);
    let field = json!({"id": 1, "name": "id", "required": false, "type": "long"});
    let table =
        json!({"name": "t", "schema": {"type": "struct", "schema-id": 0, "fields": [field]}});
    let (status, created) = catalog.post("v1/namespaces/raw/tables", None, &table);
    assert_eq!(status, 200, "{created}");
    let uuid = &created["metadata"]["table-uuid"];
    let path = "v1/namespaces/raw/tables/t";
    assert_eq!(catalog.post(path, None, &commit(uuid, 1)).0, 200);
    assert_eq!(catalog.post(path, None, &commit(uuid, 7)).0, 409, "a requirement that is not met");
    let trino = TrinoServer::shared();
    trino.add(&TrinoCatalog::of_rest("rest", &catalog.url(), "").with_local_files());
    trino.query("INSERT INTO rest.raw.t VALUES (1), (2)");
    assert_eq!(trino.query("SELECT sum(id) FROM rest.raw.t").rows, [json!([3])]);
    let (_, loaded) = catalog.get(path, None);
    assert_eq!(loaded["metadata"]["snapshots"].as_array().map(Vec::len), Some(1), "{loaded}");
    assert_eq!(loaded["metadata"]["properties"]["owner"], "us");
    assert_eq!(
        catalog.get("v1/namespaces/raw/tables", None).1["identifiers"],
        json!([{"namespace": ["raw"], "name": "t"}])
    );
    assert!([200, 204].contains(&catalog.delete(path, None).0));
    assert_eq!(catalog.get(path, None).0, 404);
}

#[test]
fn a_rest_catalog_with_oauth2_answers_nobody_without_a_valid_token() {
    let lake = Lake::new();
    let client =
        RestCatalogClient { id: "ol".into(), secret: "not-for-logs".into(), token_seconds: 2 };
    let catalog = server(&lake, Some(&client));
    assert_eq!(catalog.get("v1/config", None).0, 401);
    assert_eq!(catalog.token(&client.id, "wrong").0, 401);
    let (status, given) = catalog.token(&client.id, &client.secret);
    assert_eq!((status, &given["expires_in"]), (200, &json!(2)), "{given}");
    let token = given["access_token"].as_str();
    assert_eq!(catalog.get("v1/namespaces", token).0, 200);
    assert_eq!(catalog.get("v1/namespaces", Some("made-up")).0, 401);
    std::thread::sleep(std::time::Duration::from_secs(2));
    let (status, refused) = catalog.get("v1/namespaces", token);
    assert_eq!(status, 401, "a token that has expired");
    assert_eq!(refused["error"]["type"], "NotAuthorizedException");
    let trino = TrinoServer::shared();
    let known = TrinoCatalog::of_rest("guarded", &catalog.url(), "").with_local_files();
    trino.add(&known.with_oauth2(&catalog.token_url(), &client.id, &client.secret));
    trino.query("CREATE SCHEMA guarded.raw");
    assert_eq!(trino.query("SHOW SCHEMAS FROM guarded LIKE 'raw'").rows, [json!(["raw"])]);
}

#[test]
fn a_rest_catalog_and_trino_keep_tables_in_s3() {
    let (key, secret) = ("test", "not-for-logs");
    let aws = GlueServer::start();
    aws.make_bucket("lake");
    let database = PostgresServer::shared().create_database("rest");
    let properties = [
        ("io-impl", "org.apache.iceberg.aws.s3.S3FileIO"),
        ("client.region", GlueServer::REGION),
        ("s3.endpoint", &aws.url()),
        ("s3.path-style-access", "true"),
        ("s3.access-key-id", key),
        ("s3.secret-access-key", secret),
        ("http-client.type", "urlconnection"),
    ];
    let catalog = RestCatalogServer::start(&database, "s3://lake/warehouse", &properties, None);
    let trino = TrinoServer::shared();
    let known = TrinoCatalog::of_rest("s3", &catalog.url(), "");
    trino.add(&known.with_s3(&aws.url(), GlueServer::REGION, key, secret));
    trino.query("CREATE SCHEMA s3.raw");
    trino.query(
        "CREATE TABLE s3.raw.t AS SELECT * FROM (VALUES (1, 'é'), (2, NULL)) AS v (id, note)",
    );
    trino.query("DELETE FROM s3.raw.t WHERE id = 2");
    assert_eq!(trino.query("SELECT * FROM s3.raw.t").rows, [json!([1, "é"])]);
    let (_, loaded) = catalog.get("v1/namespaces/raw/tables/t", None);
    let location = loaded["metadata-location"].as_str().unwrap_or_default();
    assert!(location.starts_with("s3://lake/warehouse/"), "{location}");
}

#[test]
fn a_rest_catalog_over_a_lakes_database_has_the_lakes_tables() {
    let mut case = Case::new("restover");
    let database = PostgresServer::shared().create_database("catalog");
    case.lake = Lake::with_catalog(&database.url());
    case.database.psql("CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1), (2)");
    case.discover();
    case.run(0);
    let warehouse = format!("file://{}", case.lake.warehouse().display());
    let catalog = RestCatalogServer::start(&database, &warehouse, &[], None);
    let path = format!("v1/namespaces/{}/tables/{}", case.lake.namespace(), case.raw_table("kept"));
    let (status, loaded) = catalog.get(&path, None);
    assert_eq!(status, 200, "{loaded}");
    let state = case.state();
    let snapshot = state["tables"][case.raw_table("kept")]["snapshot_id"].as_u64().unwrap();
    assert_eq!(loaded["metadata"]["current-snapshot-id"], snapshot);
}
