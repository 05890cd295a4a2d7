//! A real Trino server, and what it answers.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use reqwest::blocking::Client;
use serde_json::{Value, json};

use crate::install::{install, java};
use crate::postgres::Database;
use crate::service::Service;

/// The version that `tests/servers/trino` names.
const VERSION: &str = "476";

/// What the server may use; a test's queries are small.
const MEMORY: &str = "-Xmx1200m";

/// Small, quick to start, and nothing sent anywhere.
const SETTINGS: &[&str] = &[
    "node.environment=test",
    "node.internal-address=127.0.0.1",
    "coordinator=true",
    "node-scheduler.include-coordinator=true",
    "catalog.management=dynamic",
    "catalog.store=memory",
    "query.max-memory=300MB",
    "query.max-memory-per-node=300MB",
    "memory.heap-headroom-per-node=200MB",
    "web-ui.enabled=false",
];

/// The same for its Java: small files of a test are read before a better compiler is done, and Trino's plugins look at
/// their own objects.
const JAVA: &[&str] = &[
    MEMORY,
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Duser.timezone=UTC",
    "-Dfile.encoding=UTF-8",
    "-Djdk.attach.allowAttachSelf=true",
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
];

/// How long the server may take to start on a busy machine, and a query to end.
const START: Duration = Duration::from_secs(180);
const QUERY: Duration = Duration::from_secs(180);

/// How often a request is made when the server cannot be reached or asks to be asked later.
const TRIES: u32 = 5;

/// A running server.
#[derive(Debug)]
pub struct TrinoServer {
    service: Service,
    client: Client,
}

/// What a query gave.
#[derive(Debug, Clone, PartialEq)]
pub struct TrinoAnswer {
    /// The names of the columns and their types, as Trino writes them.
    pub columns: Vec<(String, String)>,
    /// The rows, each an array of the protocol's JSON values.
    pub rows: Vec<Value>,
}

/// A catalog of Trino's Iceberg connector: which tables it has, and where their files are.
#[derive(Debug, Clone)]
pub struct TrinoCatalog {
    /// The name of the catalog in queries.
    pub name: String,
    /// The connector's properties.
    pub properties: Vec<(String, String)>,
}

impl TrinoCatalog {
    /// The tables of a lake whose catalog is a database of Postgres, with files on this machine.
    pub fn of_postgres(name: &str, database: &Database<'_>, warehouse: &Path) -> Self {
        let address = format!("127.0.0.1:{}/{}", database.server().port(), database.name());
        Self::of_type(name, "jdbc")
            .with("iceberg.jdbc-catalog.driver-class", "org.postgresql.Driver")
            .with("iceberg.jdbc-catalog.connection-url", &format!("jdbc:postgresql://{address}"))
            .with("iceberg.jdbc-catalog.connection-user", database.server().user())
            .with("iceberg.jdbc-catalog.connection-password", database.server().password())
            .with("iceberg.jdbc-catalog.schema-version", "V1")
            .with("iceberg.jdbc-catalog.catalog-name", "ol")
            .with(
                "iceberg.jdbc-catalog.default-warehouse-dir",
                &format!("file://{}", warehouse.display()),
            )
            .with_local_files()
    }

    /// The tables of a REST catalog; where its files are is to be added.
    pub fn of_rest(name: &str, address: &str, warehouse: &str) -> Self {
        Self::of_type(name, "rest")
            .with("iceberg.rest-catalog.uri", address)
            .with("iceberg.rest-catalog.warehouse", warehouse)
    }

    /// The same of a REST catalog that gives tokens to those who know a secret.
    #[must_use]
    pub fn with_oauth2(self, token_address: &str, id: &str, secret: &str) -> Self {
        self.with("iceberg.rest-catalog.security", "OAUTH2")
            .with("iceberg.rest-catalog.oauth2.server-uri", token_address)
            .with("iceberg.rest-catalog.oauth2.credential", &format!("{id}:{secret}"))
    }

    /// The files of this machine, under the addresses that tables give them (`file:///…`).
    #[must_use]
    pub fn with_local_files(self) -> Self {
        self.with("fs.native-local.enabled", "true").with("local.location", "/")
    }

    /// The files of a server that speaks S3 under `endpoint`.
    #[must_use]
    pub fn with_s3(self, endpoint: &str, region: &str, key: &str, secret: &str) -> Self {
        self.with("fs.native-s3.enabled", "true")
            .with("s3.endpoint", endpoint)
            .with("s3.region", region)
            .with("s3.path-style-access", "true")
            .with("s3.aws-access-key", key)
            .with("s3.aws-secret-key", secret)
    }

    /// One property more.
    #[must_use]
    pub fn with(mut self, property: &str, value: &str) -> Self {
        self.properties.push((property.to_owned(), value.to_owned()));
        self
    }

    fn of_type(name: &str, kind: &str) -> Self {
        Self { name: name.to_owned(), properties: Vec::new() }.with("iceberg.catalog.type", kind)
    }

    fn statement(&self) -> String {
        let properties: Vec<_> = self
            .properties
            .iter()
            .map(|(name, value)| format!("\"{name}\" = '{}'", value.replace('\'', "''")))
            .collect();
        format!("CREATE CATALOG {} USING iceberg WITH ({})", self.name, properties.join(", "))
    }
}

impl TrinoServer {
    /// Trino's version.
    pub const VERSION: &'static str = VERSION;

    /// The server of this test binary, started at the first call.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<TrinoServer> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    /// Starts a server of one's own, without catalogs.
    pub fn start() -> Self {
        let cache = install(&["trino"]);
        let home = cache.join("trino");
        let service = Service::start("trino", |folder, port| {
            let settings = folder.join("config.properties");
            let mut lines: Vec<String> = SETTINGS.iter().map(|line| (*line).to_owned()).collect();
            lines.push(format!("http-server.http.port={port}"));
            lines.push(format!("discovery.uri=http://127.0.0.1:{port}"));
            lines.push(format!("plugin.dir={}", home.join("plugin").display()));
            std::fs::write(&settings, lines.join("\n")).expect("the settings can be written");
            let mut command = Command::new(java(&cache));
            command
                .args(JAVA)
                .arg(format!("-Djava.io.tmpdir={}", folder.display()))
                .arg(format!("-Dconfig={}", settings.display()))
                .arg("-cp")
                .arg(format!("{0}/classes:{0}/lib/*", home.display()))
                .args(["Main", VERSION]);
            command
        });
        let client = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .expect("a client needs nothing");
        let server = Self { service, client };
        server.service.wait_until(START, || server.has_started());
        server
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.service.port())
    }

    /// Makes a catalog known.
    #[track_caller]
    pub fn add(&self, catalog: &TrinoCatalog) {
        self.query(&catalog.statement());
    }

    /// Runs a statement and returns all its rows; panics with Trino's sentence when it fails.
    #[track_caller]
    pub fn query(&self, sql: &str) -> TrinoAnswer {
        self.try_query(sql).unwrap_or_else(|error| panic!("Trino refuses `{sql}`: {error}"))
    }

    /// The same, with Trino's sentence where it fails.
    ///
    /// # Errors
    ///
    /// The name of the error and what Trino says of it.
    pub fn try_query(&self, sql: &str) -> Result<TrinoAnswer, String> {
        let started = Instant::now();
        let statement = format!("{}/v1/statement", self.url());
        let mut page = self.page(|| self.client.post(&statement).body(sql.to_owned()))?;
        let mut answer = TrinoAnswer { columns: Vec::new(), rows: Vec::new() };
        loop {
            if let Some(error) = page.get("error") {
                return Err(told(error));
            }
            if let (true, Some(columns)) = (answer.columns.is_empty(), page.get("columns")) {
                answer.columns = named_types(columns);
            }
            if let Some(Value::Array(rows)) = page.get_mut("data").map(Value::take) {
                answer.rows.extend(rows);
            }
            let Some(next) = page.get("nextUri").and_then(Value::as_str).map(str::to_owned) else {
                return Ok(answer);
            };
            if started.elapsed() > QUERY {
                // What is abandoned must not go on; a query that has just ended cannot be cancelled.
                let _ = self.client.delete(&next).send();
                return Err(format!("it did not end within {QUERY:?}"));
            }
            page = self.page(|| self.client.get(&next))?;
        }
    }

    fn page(
        &self,
        request: impl Fn() -> reqwest::blocking::RequestBuilder,
    ) -> Result<Value, String> {
        let mut failure = String::new();
        for _ in 0..TRIES {
            // Without the second one a client is taken for an old one that knows milliseconds alone.
            let request = request()
                .header("X-Trino-User", "test")
                .header("X-Trino-Client-Capabilities", "PARAMETRIC_DATETIME");
            match request.send() {
                Ok(answer) if answer.status().is_success() => {
                    return answer.json().map_err(|error| error.to_string());
                }
                // Trino says so when it is busy, and means that one should ask again.
                Ok(answer) if [429, 502, 503, 504].contains(&answer.status().as_u16()) => {
                    failure = answer.status().to_string();
                }
                Ok(answer) => return Err(answer.status().to_string()),
                Err(error) => failure = error.to_string(),
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Err(format!("{failure}; the server's log ends with\n{}", self.service.log_end()))
    }

    fn has_started(&self) -> bool {
        let info = self.client.get(format!("{}/v1/info", self.url())).send();
        let info = info.and_then(reqwest::blocking::Response::json::<Value>);
        info.is_ok_and(|info| info.get("starting") == Some(&json!(false)))
            && self.try_query("SELECT 1").is_ok()
    }
}

fn told(error: &Value) -> String {
    let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    format!("{}: {}", part("errorName"), part("message"))
}

fn named_types(columns: &Value) -> Vec<(String, String)> {
    let text = |column: &Value, name: &str| {
        column.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let columns = columns.as_array().into_iter().flatten();
    columns.map(|column| (text(column, "name"), text(column, "type"))).collect()
}
