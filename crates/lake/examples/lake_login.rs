//! Makes a table with nothing but what the environment says of the warehouse, and prints how that went: the other half
//! of the tests of logins, which need a process with an environment of its own.
//!
//! `OL_LOGIN_CATALOG=sqlite:PATH OL_LOGIN_WAREHOUSE=s3://bucket/prefix lake_login`

use std::collections::BTreeMap;
use std::error::Error as _;

use ol_lake::{
    Commit, Lake, LakeColumn, LakeSchema, LakeSettings, LakeType, Operation, Result,
    TableDefinition, TableName,
};

#[tokio::main]
async fn main() {
    let outcome = match made().await {
        Ok(location) => format!("made {location}"),
        Err(error) => {
            let causes = std::iter::successors(error.source(), |cause| (*cause).source());
            let causes: Vec<String> =
                causes.map(|cause| cause.to_string().replace('\n', " ")).collect();
            format!("{:?}: {error}; {}", error.kind(), causes.join("; "))
        }
    };
    eprintln!("outcome {outcome}");
}

async fn made() -> Result<String> {
    #[expect(clippy::disallowed_methods, reason = "this program is about the environment")]
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let settings = LakeSettings::new(variable("OL_LOGIN_CATALOG"), variable("OL_LOGIN_WAREHOUSE"));
    let lake = Lake::open(settings).await?;
    lake.ensure_namespace("n").await?;
    let definition = TableDefinition {
        name: TableName::new("n", "t"),
        schema: LakeSchema { columns: vec![LakeColumn::required("id", LakeType::Long)] },
        comment: None,
        partition_by: Vec::new(),
        sort_by: Vec::new(),
        properties: BTreeMap::new(),
    };
    let table = lake.create(&definition).await?;
    // Several requests, between which keys may have to be renewed.
    let nothing = Commit::new(Operation::Append, Vec::new());
    Ok(lake.commit(&table, nothing).await?.table.location().to_owned())
}
