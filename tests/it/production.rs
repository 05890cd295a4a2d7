//! The lake as it is in production: Glue and S3, with everything said by the environment.

use ol_testkit::{GlueServer, Lake, S3Server, Step};
use serde_json::{Value, json};

use crate::common::{Case, entry, expect_told, text};

const DONE: i32 = 0;
const DEFINITE: i32 = 2;

/// A case whose catalog is Glue and whose warehouse is a bucket.
struct Production {
    case: Case,
    glue: GlueServer,
    s3: S3Server,
}

impl Production {
    fn new(deployment: &'static str) -> Self {
        let mut case = Case::new(deployment);
        case.lake = Lake::with_catalog("glue:");
        Self { case, glue: GlueServer::start(), s3: S3Server::start() }
    }

    fn told(&self, step: Step) -> Step {
        let warehouse = format!("s3://{}/raw", S3Server::BUCKET);
        let step =
            step.env("OL_WAREHOUSE", warehouse).env("AWS_ENDPOINT_URL_GLUE", self.glue.url());
        let step = step.env("AWS_EC2_METADATA_DISABLED", "true");
        self.s3.variables().into_iter().fold(step, |step, (name, value)| step.env(name, value))
    }

    #[track_caller]
    fn command(&self, command: &str, code: i32) -> Value {
        let step = self.told(self.case.command(command));
        self.case.finish(step).expect_code(code).json()
    }

    #[track_caller]
    fn maintain(&self, flags: &[&str], code: i32) -> Value {
        let step = self.case.ingest().args(["maintain", "--output", "json", "--namespace"]);
        let step = step.arg(self.case.lake.namespace()).args(flags.iter().copied());
        self.case.finish(self.told(step)).expect_code(code).json()
    }
}

#[test]
fn tables_in_glue_and_s3_are_loaded_followed_verified_and_maintained() {
    let production = Production::new("gluelake");
    let database = &production.case.database;
    database.psql(
        "CREATE TABLE t (id int PRIMARY KEY, note text, at timestamptz DEFAULT now(), d numeric(12, 3));
         INSERT INTO t SELECT n, 'note ' || n, now(), n FROM generate_series(1, 5000) n",
    );
    let draft = production.told(production.case.ingest().args([
        "discover",
        "--deployment",
        "gluelake",
        "--layer",
        "app_postgres",
    ]));
    let draft = production.case.finish(draft).expect_code(DONE).stdout;
    production.case.inventory.write("gluelake", &draft);
    for round in 0..3 {
        production.command("run", DONE);
        production.command("verify", DONE);
        database.psql(&format!(
            "DELETE FROM t WHERE id = {round}; UPDATE t SET note = 'x' WHERE id % 7 = {round}"
        ));
    }
    let document = production.command("run", DONE);
    let table = production.case.raw_table("t");
    assert_eq!(text(entry(&document, &table), "outcome"), "done");
    // As Athena and the platform's tools see the entry.
    let asked = json!({"DatabaseName": production.case.lake.namespace(), "Name": table});
    let (status, answer) = production.glue.glue("GetTable", &asked);
    assert_eq!(status, 200, "{answer:#}");
    let (parameters, storage) =
        (&answer["Table"]["Parameters"], &answer["Table"]["StorageDescriptor"]);
    assert_eq!(parameters["table_type"], "ICEBERG");
    for place in ["metadata_location", "previous_metadata_location"] {
        assert!(text(parameters, place).starts_with("s3://"), "{parameters:#}");
    }
    let columns = storage["Columns"].as_array().unwrap();
    let kind = |name: &str| {
        let column = columns.iter().find(|column| column["Name"] == name).unwrap();
        text(column, "Type").to_owned()
    };
    assert_eq!((kind("at").as_str(), kind("d").as_str()), ("timestamp", "decimal(12,3)"));
    let maintained =
        production.maintain(&["--expire-days", "0", "--compact", "--orphan-days", "0"], DONE);
    assert_eq!(maintained["snapshots_expired"], json!(3), "{maintained:#}");
    production.command("verify", DONE);
}

#[test]
fn what_stands_in_the_way_is_said_with_its_cure() {
    let production = Production::new("gluebad");
    let namespace = production.case.lake.namespace();
    let step = || production.case.ingest().args(["maintain", "--namespace", namespace]);
    // Nobody says who we are.
    let nobody = step()
        .env("OL_WAREHOUSE", "s3://lake/raw")
        .env("AWS_ENDPOINT_URL_GLUE", production.glue.url())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_REGION", GlueServer::REGION)
        .env("HOME", "/nonexistent");
    expect_told(
        &production.case.finish(nobody).expect_code(DEFINITE),
        &["catalog: glue", "credentials"],
    );
    // Nobody says where.
    let nowhere = step().env("OL_WAREHOUSE", "s3://lake/raw").env("HOME", "/nonexistent");
    let finished = production.case.finish(nowhere);
    expect_told(&finished, &["AWS_REGION"]);
    // A bucket that is not there.
    let missing = production.told(step()).env("OL_WAREHOUSE", "s3://not-there/raw");
    let finished = production.case.finish(missing.env("OL_S3__RETRIES", "0"));
    expect_told(&finished.expect_code(DEFINITE), &["bucket", "not-there"]);
}
