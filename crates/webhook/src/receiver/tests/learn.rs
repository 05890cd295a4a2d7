//! The receiver against a recording of Learn.
//!
//! `learn.jsonl` was recorded from the `webhooks` package of mit-learn (commit 2f304af0) under
//! Django 4.2.30 and Django REST framework 3.17.0, its database and Celery left out.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Case {
    method: String,
    path: String,
    body: String,
    #[serde(default, deserialize_with = "given")]
    signature: Option<Option<String>>,
    status: u16,
    allow: Option<String>,
    location: Option<String>,
    r#type: String,
    answer: Option<String>,
}

/// Tells a null from an absent field.
fn given<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Characters as bytes, as Python's servers read a header.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect()
}

#[tokio::test]
async fn the_receiver_answers_as_learn_was_recorded_to() {
    let receiver = Running::start(settings()).await;
    let mut client = receiver.client().await;
    let (mut cases, mut accepted) = (0, 0);
    for line in include_str!("learn.jsonl").lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let signature = case.signature.map(|signature| signature.map(|text| latin1(&text)));
        let request = Request {
            method: &case.method,
            path: &case.path,
            body: case.body.as_bytes(),
            signature: signature.as_ref().map(|signature| signature.as_deref()),
            headers: Vec::new(),
        };
        client.send(&request.bytes()).await;
        let reply = client.reply(&case.method).await.unwrap();
        assert_eq!(reply.status, case.status, "{line}");
        assert_eq!(reply.header("allow"), case.allow.as_deref(), "{line}");
        assert_eq!(reply.header("location"), case.location.as_deref(), "{line}");
        assert_eq!(reply.header("content-type"), Some(case.r#type.as_str()), "{line}");
        // Half a surrogate pair fails here as well, for being a null character.
        let answer = case.answer.filter(|answer| !answer.contains("Surrogate characters"));
        if let Some(answer) = answer.filter(|_| case.method != "HEAD") {
            assert_eq!(reply.text(), answer, "{line}");
        }
        cases += 1;
        accepted += u64::from(case.method == "POST" && case.status == 200);
    }
    drop(client);
    let summary = receiver.stop().await;
    assert_eq!((summary.requests, summary.accepted), (cases, accepted));
    assert_eq!(summary.refused, cases - accepted);
    assert_eq!((cases, summary.connections), (523, 1));
}

#[tokio::test]
async fn the_route_that_learn_has_not_got_can_be_switched_on() {
    let receiver =
        Running::start(ReceiverSettings { with_learning_resources: true, ..settings() }).await;
    let full = r#"{"readable_id":"a","etl_source":"oll","resource_type":"course","topics":[]}"#;
    for (body, status, answer) in [
        (r#"{"resources":[]}"#.to_owned(), 200, "Webhook received"),
        (format!(r#"{{"resources":[{full},{full}]}}"#), 200, "Webhook received"),
        (
            r#"{"prune":{"etl_source":"oll","batch_id":"a","batch_total":3}}"#.to_owned(),
            200,
            "Webhook received",
        ),
        (
            r#"{"prune":{"etl_source":"oll","batch_id":"a"}}"#.to_owned(),
            400,
            r#"{"prune":{"batch_total":["This field is required."]},"#,
        ),
        ("{".to_owned(), 400, "Invalid JSON format"),
        ("{}".to_owned(), 400, r#"{"resources":["This field is required."],"#),
        ("[]".to_owned(), 400, "Expected a dictionary, but got list."),
        (
            r#"{"resources":{}}"#.to_owned(),
            400,
            r#"Expected a list of items but got type \"dict\"."#,
        ),
        (
            format!(r#"{{"resources":[{full},{{"readable_id":"","etl_source":null}},3]}}"#),
            400,
            r#"{"resources":[{},{"readable_id":["This field may not be blank."],"etl_source":["This field may not be null."],"resource_type":["This field is required."]},{"non_field_errors":["Invalid data. Expected a dictionary, but got int."]}],"error_type":"ValidationError"}"#,
        ),
    ] {
        let reply = receiver.post(LEARNING_RESOURCES, body.as_bytes()).await.unwrap();
        assert_eq!(reply.status, status, "{body}");
        assert!(reply.text().contains(answer), "{body}: {}", reply.text());
    }
}

#[tokio::test]
async fn a_body_that_is_not_text_makes_learn_crash_and_any_active_secret_is_believed() {
    let two = Keyring::parse([&SecretText::new("other\nsupersecret")]).unwrap();
    let receiver = Running::start(ReceiverSettings { keyring: two, ..settings() }).await;
    let reply = receiver.post(CONTENT_FILES, b"{\"source\":\"\xff\"}").await.unwrap();
    assert_eq!((reply.status, reply.header("allow")), (500, None));
    assert_eq!(receiver.post(CONTENT_FILES, GOOD).await.unwrap().status, 200);
}

#[tokio::test]
async fn two_signatures_are_one_that_is_wrong() {
    let receiver = Running::start(settings()).await;
    let mut request = Request::post(CONTENT_FILES, GOOD);
    request.headers.push((LEGACY_HEADER, keyring().legacy(0, GOOD).unwrap()));
    assert_eq!(receiver.ask(request).await.unwrap().status, 405);
}
