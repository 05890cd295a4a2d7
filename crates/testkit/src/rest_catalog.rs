//! A real REST catalog: Iceberg's own routes over a catalog in Postgres, with OAuth2 where a test asks for it.

use std::process::Command;
use std::time::Duration;

use reqwest::blocking::{Client, RequestBuilder};
use serde_json::Value;

use crate::install::install;
use crate::postgres::Database;
use crate::service::Service;

/// How long the server may take to start on a busy machine.
const START: Duration = Duration::from_secs(60);

/// Who may ask a server, and for how long what it gives is valid.
#[derive(Debug, Clone)]
pub struct RestCatalogClient {
    /// The client's id.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// How long a token is valid.
    pub token_seconds: u32,
}

/// A running server.
#[derive(Debug)]
pub struct RestCatalogServer {
    service: Service,
    client: Client,
}

impl RestCatalogServer {
    /// Starts a server over the tables of a database, which it makes where they are not; `properties` are Iceberg's own
    /// (`io-impl`, `s3.endpoint`, …) beside the database and the warehouse.
    ///
    /// Without `client` everybody may ask everything.
    pub fn start(
        database: &Database<'_>,
        warehouse: &str,
        properties: &[(&str, &str)],
        client: Option<&RestCatalogClient>,
    ) -> Self {
        let home = install(&["rest-catalog"]).join("rest-catalog");
        let address =
            format!("jdbc:postgresql://127.0.0.1:{}/{}", database.server().port(), database.name());
        let service = Service::start("rest-catalog", |folder, port| {
            let mut lines = vec![
                format!("port={port}"),
                "catalog.name=ol".to_owned(),
                "catalog.catalog-impl=org.apache.iceberg.jdbc.JdbcCatalog".to_owned(),
                format!("catalog.uri={address}"),
                format!("catalog.jdbc.user={}", database.server().user()),
                format!("catalog.jdbc.password={}", database.server().password()),
                "catalog.jdbc.schema-version=V1".to_owned(),
                format!("catalog.warehouse={warehouse}"),
            ];
            lines.extend(properties.iter().map(|(name, value)| format!("catalog.{name}={value}")));
            if let Some(client) = client {
                lines.push(format!("client-id={}", client.id));
                lines.push(format!("client-secret={}", client.secret));
                lines.push(format!("token-seconds={}", client.token_seconds));
            }
            let settings = folder.join("server.properties");
            std::fs::write(&settings, lines.join("\n")).expect("the settings can be written");
            let mut command = Command::new("java");
            command
                .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
                .args(["-XX:-UsePerfData", "-Duser.timezone=UTC", "-Dfile.encoding=UTF-8"])
                .arg(format!("-Djava.io.tmpdir={}", folder.display()))
                .arg("-cp")
                .arg(format!("{0}/classes:{0}/lib/*", home.display()))
                .arg("Main")
                .arg(settings);
            command
        });
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build();
        let server = Self { service, client: http.expect("a client needs nothing") };
        server.service.wait_until(START, || {
            server.client.get(server.address("v1/config")).send().is_ok_and(|answer| {
                let is_refusal = answer.status().as_u16() == 401;
                answer.status().is_success() || (is_refusal && client.is_some())
            })
        });
        server
    }

    /// Its address, as in `rest+http://…` after the plus.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.service.port())
    }

    /// Where tokens are given.
    pub fn token_url(&self) -> String {
        self.address("v1/oauth/tokens")
    }

    /// What a client is answered that asks for a token: the status and the document.
    pub fn token(&self, id: &str, secret: &str) -> (u16, Value) {
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let asked = self.client.post(self.token_url()).body(form);
        answered(asked.header("Content-Type", "application/x-www-form-urlencoded"))
    }

    /// What is answered to GET of a path (`v1/namespaces`).
    pub fn get(&self, path: &str, token: Option<&str>) -> (u16, Value) {
        answered(with_token(self.client.get(self.address(path)), token))
    }

    /// What is answered to POST of a document.
    pub fn post(&self, path: &str, token: Option<&str>, document: &Value) -> (u16, Value) {
        answered(with_token(self.client.post(self.address(path)), token).json(document))
    }

    /// What is answered to DELETE of a path.
    pub fn delete(&self, path: &str, token: Option<&str>) -> (u16, Value) {
        answered(with_token(self.client.delete(self.address(path)), token))
    }

    fn address(&self, path: &str) -> String {
        format!("{}/{path}", self.url())
    }
}

fn with_token(request: RequestBuilder, token: Option<&str>) -> RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

/// The status and the document, which is null where there is none.
#[track_caller]
fn answered(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().unwrap_or_else(|error| panic!("the REST catalog: {error}"));
    let status = answer.status().as_u16();
    let body = answer.text().unwrap_or_default();
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}
