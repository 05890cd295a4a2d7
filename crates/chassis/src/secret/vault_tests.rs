//! Vault's protocol, spoken over a real connection.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![expect(clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use super::*;
use crate::clock::TestClock;
use crate::error::{ErrorKind, chain};
use crate::secret::SecretSource;
use crate::support::{Asked, HttpServer};

/// A Vault that waits for nothing and is logged in to by a token.
fn vault(server: &HttpServer) -> Arc<Vault> {
    connect(&[("VAULT_ADDR", &server.address), ("VAULT_TOKEN", "s.root-token")], impatient())
}

fn connect(variables: &[(&str, &str)], clock: Arc<TestClock>) -> Arc<Vault> {
    Vault::from_variables(&variables.iter().copied().collect(), clock).unwrap()
}

fn impatient() -> Arc<TestClock> {
    Arc::new(TestClock::impatient(SystemTime::UNIX_EPOCH))
}

fn source(reference: &str) -> SecretSource {
    SecretSource::parse("OL_SOURCE_X_URL", reference).unwrap()
}

fn denied() -> (u16, String) {
    (403, json!({"errors": ["permission denied"]}).to_string())
}

fn missing() -> (u16, String) {
    (404, json!({"errors": []}).to_string())
}

/// `sys/internal/ui/mounts` of two engines and their secrets.
fn two_engines(asked: &Asked) -> (u16, String) {
    if asked.header("x-vault-token") != Some("s.root-token") {
        return denied();
    }
    let reply = match asked.line.trim_start_matches("GET /v1/") {
        "sys/internal/ui/mounts/team/kv1/app" => {
            json!({"data": {"path": "team/kv1/", "type": "kv", "options": null}})
        }
        "team/kv1/app" => json!({"data": {"password": "first-version", "port": 5432}}),
        "sys/internal/ui/mounts/kv2/shared_hmac" => {
            json!({"data": {"path": "kv2/", "type": "kv", "options": {"version": "2"}}})
        }
        "kv2/data/shared_hmac" => json!({"data": {
            "data": {"learn": {"token": "second-version", "url": "https://learn"}, "empty": ""},
            "metadata": {"version": 3},
        }}),
        "sys/internal/ui/mounts/kv2/deleted" => {
            json!({"data": {"path": "kv2/", "type": "kv", "options": {"version": "2"}}})
        }
        "sys/internal/ui/mounts/database/creds/app" => {
            json!({"data": {"path": "database/", "type": "database", "options": null}})
        }
        _ => return missing(),
    };
    (200, reply.to_string())
}

#[tokio::test]
async fn both_key_value_versions_are_told_apart() {
    let server = HttpServer::start(two_engines);
    let vault = vault(&server);
    let first = source("vault:team/kv1/app#password").read_from(&vault).await.unwrap();
    assert_eq!(first.expose(), "first-version");
    let number = source("vault:team/kv1/app#port").read_from(&vault).await.unwrap();
    assert_eq!(number.expose(), "5432");
    let second = source("vault:kv2/shared_hmac#learn.token").read_from(&vault).await.unwrap();
    assert_eq!(second.expose(), "second-version");
}

#[tokio::test]
async fn versions_are_told_apart_where_a_policy_hides_the_mounts() {
    let server = HttpServer::start(|asked| {
        let reply = match asked.line.trim_start_matches("GET /v1/") {
            "kv1/app" => json!({"data": {"password": "first-version"}}),
            "kv2/data/app" => json!({"data": {"data": {"password": "second-version"}}}),
            _ => return denied(),
        };
        (200, reply.to_string())
    });
    let vault = vault(&server);
    for (reference, secret) in
        [("vault:kv1/app#password", "first-version"), ("vault:kv2/app#password", "second-version")]
    {
        assert_eq!(source(reference).read_from(&vault).await.unwrap().expose(), secret);
    }
    let error = source("vault:kv3/app#password").read_from(&vault).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Definite);
}

#[tokio::test]
async fn what_is_not_there_is_named_without_its_neighbours_values() {
    let server = HttpServer::start(two_engines);
    let vault = vault(&server);
    for (reference, named) in [
        ("vault:kv2/shared_hmac#learn.key", "learn.key"),
        ("vault:kv2/shared_hmac#learn", "learn"),
        ("vault:kv2/shared_hmac#empty", "empty"),
        ("vault:kv2/deleted#x", "kv2/deleted"),
        ("vault:database/creds/app#x", "database"),
    ] {
        let error = source(reference).read_from(&vault).await.unwrap_err();
        let text = format!("{} {error:?}", chain(&error));
        assert_eq!(error.kind(), ErrorKind::Configuration, "{text}");
        assert!(text.contains(named) && text.contains("OL_SOURCE_X_URL"), "{text}");
        assert!(error.advice().is_some(), "{text}");
        for secret in ["second-version", "s.root-token"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_definite_and_says_who_must_allow_what() {
    let server = HttpServer::start(|_| denied());
    let error = source("vault:kv2/app#x").read_from(&vault(&server)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Definite);
    let advice = error.advice().unwrap();
    assert!(advice.contains("VAULT_TOKEN") && advice.contains("kv2/app"), "{advice}");
    assert!(!format!("{error:?}").contains("s.root-token"));
}

#[tokio::test]
async fn weather_is_waited_out_then_reported_as_transient() {
    let failures = AtomicUsize::new(3);
    let server = HttpServer::start(move |asked| {
        let left =
            failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            (503, "{\"errors\":[\"Vault is sealed\"]}".to_owned())
        } else {
            two_engines(asked)
        }
    });
    let secret = source("vault:team/kv1/app#password").read_from(&vault(&server)).await.unwrap();
    assert_eq!(secret.expose(), "first-version");

    let sealed = HttpServer::start(|_| (503, String::new()));
    let error = source("vault:kv2/app#x").read_from(&vault(&sealed)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.to_string().contains("503") && error.advice().unwrap().contains("sealed"));
    assert_eq!(sealed.asked().len(), 1 + WAITS.len());

    let closed =
        connect(&[("VAULT_ADDR", "http://127.0.0.1:1"), ("VAULT_TOKEN", "t")], impatient());
    let error = source("vault:kv2/app#x").read_from(&closed).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.to_string().contains("http://127.0.0.1:1"), "{error}");
}

/// Issues `v-app-1`, `v-app-2`, … for one hour, and renews with what `granted_seconds` says.
fn database(
    granted_seconds: impl Fn(usize) -> Result<u64, u16> + Send + Sync + 'static,
) -> HttpServer {
    let issued = AtomicUsize::new(0);
    let renewed = AtomicUsize::new(0);
    HttpServer::start(move |asked| match asked.line.as_str() {
        "GET /v1/postgres-mitxonline/creds/readonly" => {
            let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
            let reply = json!({
                "lease_id": format!("postgres-mitxonline/creds/readonly/{number}"),
                "lease_duration": 3600,
                "renewable": true,
                "data": {"username": format!("v-app-{number}"), "password": "is/sued@now"},
            });
            (200, reply.to_string())
        }
        "PUT /v1/sys/leases/renew" => {
            let body: Value = serde_json::from_slice(&asked.body).unwrap();
            assert_eq!(body["lease_id"], "postgres-mitxonline/creds/readonly/1");
            assert_eq!(body["increment"], 3600);
            match granted_seconds(renewed.fetch_add(1, Ordering::SeqCst)) {
                Ok(seconds) => (200, json!({"lease_duration": seconds}).to_string()),
                Err(status) => (status, json!({"errors": ["not renewed"]}).to_string()),
            }
        }
        _ => missing(),
    })
}

const DATABASE: &str = "vault-db:postgres-mitxonline/creds/readonly#postgres://db:5432/mitxonline";
const RENEW: &str = "PUT /v1/sys/leases/renew";

async fn until(condition: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < patience, "it never happened");
        SystemClock.sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn database_credentials_are_issued_at_each_connection_and_renewed_while_held() {
    let server = database(|_| Ok(3600));
    let clock = Arc::new(TestClock::new(SystemTime::UNIX_EPOCH));
    let vault =
        connect(&[("VAULT_ADDR", &server.address), ("VAULT_TOKEN", "t")], Arc::clone(&clock));
    let url = source(DATABASE).read_url_from(&vault).await.unwrap();
    assert_eq!(url.expose(), "postgres://v-app-1:is%2Fsued%40now@db:5432/mitxonline");
    assert_eq!(url.to_string(), "postgres://v-app-1:***@db:5432/mitxonline");

    clock.sleeping(1).await;
    clock.advance(Duration::from_secs(2399));
    tokio::task::yield_now().await;
    assert_eq!(server.count(RENEW), 0, "renewed before two thirds of the lease");
    for renewals in 1..=3 {
        clock.advance(Duration::from_secs(2400));
        until(|| server.count(RENEW) == renewals).await;
        clock.sleeping(1).await;
    }
    let clone = url.clone();
    drop(url);
    clock.advance(Duration::from_secs(2400));
    until(|| server.count(RENEW) == 4).await;
    clock.sleeping(1).await;

    drop(clone);
    until(|| Arc::weak_count(&vault) == 0).await;
    clock.advance(Duration::from_secs(7200));
    SystemClock.sleep(Duration::from_millis(50)).await;
    assert_eq!(server.count(RENEW), 4, "renewed after the last clone was dropped");

    let second = source(DATABASE).read_url_from(&vault).await.unwrap();
    assert!(second.expose().contains("v-app-2"));
}

#[tokio::test]
async fn renewal_ends_when_the_lease_does() {
    for end in [Ok(1), Err(400)] {
        let server = database(move |renewal| if renewal == 0 { Ok(300) } else { end });
        let clock = Arc::new(TestClock::new(SystemTime::UNIX_EPOCH));
        let vault =
            connect(&[("VAULT_ADDR", &server.address), ("VAULT_TOKEN", "t")], Arc::clone(&clock));
        let _url = source(DATABASE).read_url_from(&vault).await.unwrap();
        for (wait_seconds, renewals) in [(2400, 1), (200, 2)] {
            clock.sleeping(1).await;
            clock.advance(Duration::from_secs(wait_seconds));
            until(|| server.count(RENEW) == renewals).await;
        }
        until(|| Arc::weak_count(&vault) == 0).await;
        assert_eq!(server.count(RENEW), 2);
    }
}

#[tokio::test]
async fn a_lease_outlives_a_vault_that_is_away_for_a_while() {
    let server = database(|renewal| if renewal < 6 { Err(503) } else { Ok(3600) });
    let clock = Arc::new(TestClock::new(SystemTime::UNIX_EPOCH));
    let vault =
        connect(&[("VAULT_ADDR", &server.address), ("VAULT_TOKEN", "t")], Arc::clone(&clock));
    let _url = source(DATABASE).read_url_from(&vault).await.unwrap();
    while server.count(RENEW) < 7 {
        clock.sleeping(1).await;
        clock.advance(Duration::from_secs(10));
        SystemClock.sleep(Duration::from_millis(1)).await;
    }
    let elapsed = clock.elapsed();
    assert!(elapsed > Duration::from_secs(2400) && elapsed < Duration::from_secs(3600));
    clock.sleeping(1).await;
    assert_eq!(Arc::weak_count(&vault), 1, "the renewal goes on");
}

#[tokio::test]
async fn a_field_may_refer_to_database_credentials() {
    let server = HttpServer::start(|asked| {
        let reply = match asked.line.as_str() {
            "GET /v1/secret/data/sources/mitxonline/app" => {
                json!({"data": {"data": {"url": DATABASE}}})
            }
            "GET /v1/postgres-mitxonline/creds/readonly" => json!({
                "lease_id": "", "lease_duration": 0, "renewable": false,
                "data": {"username": "u", "password": "p"},
            }),
            _ => return denied(),
        };
        (200, reply.to_string())
    });
    let url =
        source("vault:secret/sources/mitxonline/app#url").read_url_from(&vault(&server)).await;
    assert_eq!(url.unwrap().expose(), "postgres://u:p@db:5432/mitxonline");
}

#[tokio::test]
async fn a_pod_logs_in_with_its_service_account_and_again_when_its_token_ends() {
    let logins = AtomicUsize::new(0);
    let server = HttpServer::start(move |asked| match asked.line.as_str() {
        "POST /v1/auth/k8s-data/login" => {
            let body: Value = serde_json::from_slice(&asked.body).unwrap();
            assert_eq!(body, json!({"role": "dagster", "jwt": "service-account"}));
            let number = logins.fetch_add(1, Ordering::SeqCst) + 1;
            let auth = json!({"client_token": format!("s.{number}"), "lease_duration": 1000});
            (200, json!({"auth": auth}).to_string())
        }
        "POST /v1/auth/token/renew-self" => denied(),
        // The second token is revoked behind our back, as an operator may do.
        _ if asked.header("x-vault-token") == Some("s.2") => denied(),
        "GET /v1/kv/data/app" => (200, json!({"data": {"data": {"key": "value"}}}).to_string()),
        _ => missing(),
    });
    let folder = tempfile::tempdir().unwrap();
    let account = folder.path().join("token");
    crate::fs::write(&account, "service-account\n").unwrap();
    let clock = Arc::new(TestClock::new(SystemTime::UNIX_EPOCH));
    let variables = [
        ("VAULT_ADDR", server.address.as_str()),
        ("DAGSTER_VAULT_ROLE", "dagster"),
        ("VAULT_K8S_TOKEN_FILE", account.to_str().unwrap()),
    ];
    let vault = connect(&variables, Arc::clone(&clock));
    let login = "POST /v1/auth/k8s-data/login";
    let key = source("vault:kv/app#key");
    assert_eq!(key.read_from(&vault).await.unwrap().expose(), "value");
    key.read_from(&vault).await.unwrap();
    assert_eq!(server.count(login), 1, "the token is kept");

    clock.advance(Duration::from_secs(900));
    assert_eq!(key.read_from(&vault).await.unwrap().expose(), "value");
    assert_eq!(server.count("POST /v1/auth/token/renew-self"), 1);
    assert_eq!(server.count(login), 3, "once as the token ends, once as Vault refuses the new one");
}

#[tokio::test]
async fn a_live_token_that_lacks_a_right_is_kept() {
    let server = HttpServer::start(|asked| match asked.line.as_str() {
        "POST /v1/auth/k8s-data/login" => {
            let auth = json!({"client_token": "s.1", "lease_duration": 1000});
            (200, json!({"auth": auth}).to_string())
        }
        "GET /v1/auth/token/lookup-self" => (200, json!({"data": {}}).to_string()),
        "GET /v1/kv/data/app" => (200, json!({"data": {"data": {"key": "value"}}}).to_string()),
        _ => denied(),
    });
    let folder = tempfile::tempdir().unwrap();
    let account = folder.path().join("token");
    crate::fs::write(&account, "service-account").unwrap();
    let variables = [
        ("VAULT_ADDR", server.address.as_str()),
        ("VAULT_ROLE", "flows"),
        ("VAULT_K8S_TOKEN_FILE", account.to_str().unwrap()),
    ];
    let vault = connect(&variables, impatient());
    source("vault:kv/app#key").read_from(&vault).await.unwrap();
    let error = source("vault:kv/payroll#key").read_from(&vault).await.unwrap_err();
    assert!(error.advice().unwrap().contains("the role flows of auth/k8s-data"), "{error:?}");
    assert_eq!(server.count("POST /v1/auth/k8s-data/login"), 1);
}

#[tokio::test]
async fn a_token_in_its_last_part_is_renewed() {
    let server = HttpServer::start(|asked| match asked.line.as_str() {
        "POST /v1/auth/other/login" | "POST /v1/auth/token/renew-self" => {
            let auth = json!({"client_token": "s.1", "lease_duration": 1000});
            (200, json!({"auth": auth}).to_string())
        }
        "GET /v1/kv/data/app" => (200, json!({"data": {"data": {"key": "value"}}}).to_string()),
        _ => missing(),
    });
    let folder = tempfile::tempdir().unwrap();
    let account = folder.path().join("token");
    crate::fs::write(&account, "service-account").unwrap();
    let clock = Arc::new(TestClock::new(SystemTime::UNIX_EPOCH));
    let variables = [
        ("VAULT_ADDR", server.address.as_str()),
        ("VAULT_ROLE", "flows"),
        ("VAULT_K8S_MOUNT", "other"),
        ("VAULT_K8S_TOKEN_FILE", account.to_str().unwrap()),
    ];
    let vault = connect(&variables, Arc::clone(&clock));
    for _ in 0..4 {
        source("vault:kv/app#key").read_from(&vault).await.unwrap();
        assert_eq!(vault.token_left().await, Some(Duration::from_secs(1000)));
        clock.advance(Duration::from_secs(700));
    }
    assert_eq!(server.count("POST /v1/auth/other/login"), 1);
}

#[tokio::test]
async fn a_token_file_is_read_again_when_vault_refuses_its_token() {
    let server = HttpServer::start(|asked| match asked.header("x-vault-token") {
        Some("s.new") if asked.line == "GET /v1/kv/data/app" => {
            (200, json!({"data": {"data": {"key": "value"}}}).to_string())
        }
        Some("s.new") => missing(),
        _ => denied(),
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    crate::fs::write(&path, "s.old").unwrap();
    let variables =
        [("VAULT_ADDR", server.address.as_str()), ("VAULT_TOKEN_FILE", path.to_str().unwrap())];
    let vault = connect(&variables, impatient());
    assert!(source("vault:kv/app#key").read_from(&vault).await.is_err());
    crate::fs::write(&path, "s.new\n").unwrap();
    let secret = source("vault:kv/app#key").read_from(&vault).await.unwrap();
    assert_eq!(secret.expose(), "value");
}

#[test]
fn settings_that_lead_nowhere_name_the_variable() {
    for (variables, named) in [
        (vec![], "VAULT_ADDR"),
        (vec![("VAULT_ADDR", "vault:8200")], "VAULT_ADDR"),
        (vec![("VAULT_ADDR", "https://u:hunter2@vault")], "VAULT_ADDR"),
        (vec![("VAULT_ADDR", "https://vault"), ("HOME", "/nonexistent")], "VAULT_TOKEN"),
        (
            vec![("VAULT_ADDR", "https://vault"), ("VAULT_CACERT", "/nonexistent.pem")],
            "VAULT_CACERT",
        ),
    ] {
        let variables = variables.into_iter().collect();
        let error = Vault::from_variables(&variables, impatient()).unwrap_err();
        let text = format!("{error} {:?}", error.advice());
        assert!(text.contains(named) && !text.contains("hunter2"), "{text}");
    }
}
