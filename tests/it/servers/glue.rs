//! Glue: of those who update from one version of a table only one is let through, as on AWS.

use ol_testkit::GlueServer;
use serde_json::{Value, json};

fn update(version: Option<&str>, location: &str) -> Value {
    let mut document = json!({
        "DatabaseName": "raw",
        "TableInput": {"Name": "t", "Parameters": {"metadata_location": location}},
        "SkipArchive": true,
    });
    if let Some(version) = version {
        document["VersionId"] = version.into();
    }
    document
}

fn table(glue: &GlueServer) -> (String, String) {
    let (status, found) = glue.glue("GetTable", &json!({"DatabaseName": "raw", "Name": "t"}));
    assert_eq!(status, 200, "{found}");
    let text = |path: &str| found.pointer(path).and_then(Value::as_str).unwrap().to_owned();
    (text("/Table/VersionId"), text("/Table/Parameters/metadata_location"))
}

#[test]
fn glue_lets_one_update_of_a_version_through() {
    let glue = GlueServer::start();
    let made = glue.glue("CreateDatabase", &json!({"DatabaseInput": {"Name": "raw"}}));
    assert_eq!(made.0, 200, "{}", made.1);
    let first = json!({"Name": "t", "Parameters": {"metadata_location": "0"}});
    let made = glue.glue("CreateTable", &json!({"DatabaseName": "raw", "TableInput": first}));
    assert_eq!(made.0, 200, "{}", made.1);
    let (version, _) = table(&glue);
    let answers: Vec<(u16, Value)> = std::thread::scope(|scope| {
        let asked: Vec<_> = (1..=8)
            .map(|writer| {
                let document = update(Some(&version), &writer.to_string());
                scope.spawn(|| glue.glue("UpdateTable", &{ document }))
            })
            .collect();
        asked.into_iter().map(|answer| answer.join().unwrap()).collect()
    });
    let done = answers.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(done, 1, "{answers:?}");
    for (status, refused) in answers.iter().filter(|(status, _)| *status != 200) {
        assert_eq!(*status, 400, "{refused}");
        assert_eq!(refused["__type"], "ConcurrentModificationException", "{refused}");
    }
    let (next, location) = table(&glue);
    assert_ne!((next.as_str(), location.as_str()), (version.as_str(), "0"));
    assert_eq!(glue.glue("UpdateTable", &update(None, "last")).0, 200, "a version is optional");
    assert_eq!(table(&glue).1, "last");
}

#[test]
fn a_service_account_is_given_credentials() {
    let glue = GlueServer::start();
    let role = "arn:aws:iam::123456789012:role/ol-ingest";
    let (status, answer) = glue.assume_role_with_web_identity(role, "a-token");
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("<SessionToken>"), "{answer}");
}
