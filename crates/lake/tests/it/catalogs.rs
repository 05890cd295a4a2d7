//! What every catalog must do, said once: SQLite, Postgres, a REST server (Iceberg's own) and Glue (moto, made to check
//! versions as AWS does).

use std::collections::BTreeMap;

use ol_chassis::secret::SecretText;
use ol_lake::{
    Commit, ErrorKind, ExpireOptions, Lake, LakeColumn, LakeSettings, LakeType, Operation,
    POSITION_KEY, ReplaceGuard, S3Credentials,
};
use ol_testkit::{
    Database, Fault, GlueServer, PostgresServer, Proxy, RestCatalogClient, RestCatalogServer,
};

use crate::support::{
    NAMESPACE, Place, batch, commit_rows, definition, identifiers, name, now, two_columns, write,
};

/// A catalog with what must live as long as it.
struct Setup {
    place: Place,
    settings: LakeSettings,
    /// Between us and the server, where there is one.
    proxy: Option<Proxy>,
    /// What a request that commits holds.
    mark: &'static [u8],
    /// What the server may answer to such a request: status and body.
    answers: &'static [(u16, &'static str)],
    /// The answer to one who may not.
    refusal: (u16, &'static str),
    _servers: (Option<Database<'static>>, Option<RestCatalogServer>, Option<GlueServer>),
}

impl Setup {
    fn sqlite() -> Self {
        let place = Place::new();
        let settings = place.settings();
        Self {
            place,
            settings,
            proxy: None,
            mark: b"",
            answers: &[],
            refusal: NO_REFUSAL,
            _servers: (None, None, None),
        }
    }

    fn postgres() -> Self {
        let place = Place::new();
        let database = PostgresServer::shared().create_database("lakecatalog");
        let proxy = Proxy::before(database.server().port());
        let server = database.server();
        let catalog = format!(
            "postgres://{}:{}@127.0.0.1:{}/{}",
            server.user(),
            server.password(),
            proxy.port(),
            database.name()
        );
        let settings = LakeSettings { catalog: catalog.into(), ..place.settings() };
        let mark = b".metadata.json";
        let (answers, refusal): (&[_], _) = (&[], NO_REFUSAL);
        let servers = (Some(database), None, None);
        Self { place, settings, proxy: Some(proxy), mark, answers, refusal, _servers: servers }
    }

    fn rest() -> Self {
        let place = Place::new();
        let database = PostgresServer::shared().create_database("lakerest");
        let warehouse = format!("file://{}", place.path("warehouse").display());
        let client = RestCatalogClient {
            id: "ada".to_owned(),
            secret: "love/lace+".to_owned(),
            token_seconds: 2,
        };
        let server = RestCatalogServer::start(&database, &warehouse, &[], Some(&client));
        let port: u16 = server.url().rsplit(':').next().unwrap().parse().unwrap();
        let proxy = Proxy::before(port);
        let catalog = format!("rest+http://ada:love%2Flace%2B@127.0.0.1:{}", proxy.port());
        let settings = LakeSettings { catalog: catalog.into(), ..place.settings() };
        let mark = b"add-snapshot";
        let (answers, refusal) = (REST_ANSWERS, REST_REFUSAL);
        let servers = (Some(database), Some(server), None);
        Self { place, settings, proxy: Some(proxy), mark, answers, refusal, _servers: servers }
    }

    fn glue() -> Self {
        let place = Place::new();
        let server = GlueServer::start();
        let port: u16 = server.url().rsplit(':').next().unwrap().parse().unwrap();
        let proxy = Proxy::before(port);
        let catalog = format!("glue:?endpoint=http://127.0.0.1:{}", proxy.port());
        let mut settings = LakeSettings { catalog: catalog.into(), ..place.settings() };
        settings.s3.region = Some(GlueServer::REGION.to_owned());
        settings.s3.credentials = S3Credentials::Keys {
            access_key_id: "ada".to_owned(),
            secret_access_key: SecretText::new("lovelace"),
            session_token: None,
        };
        let servers = (None, None, Some(server));
        let (mark, answers, refusal) = (b"UpdateTable", GLUE_ANSWERS, GLUE_REFUSAL);
        Self { place, settings, proxy: Some(proxy), mark, answers, refusal, _servers: servers }
    }

    async fn open(&self) -> Lake {
        let lake = Lake::open(self.settings.clone()).await.unwrap();
        lake.ensure_namespace(NAMESPACE).await.unwrap();
        lake
    }
}

/// What a REST catalog says (its specification's `IcebergErrorResponse`); 500 and above leave open what was done.
const REST_ANSWERS: &[(u16, &str)] = &[
    (409, r#"{"error":{"message":"moved","type":"CommitFailedException","code":409}}"#),
    (429, r#"{"error":{"message":"slowly","type":"TooManyRequestsException","code":429}}"#),
    (500, r#"{"error":{"message":"oh","type":"CommitStateUnknownException","code":500}}"#),
    (502, "<html>bad gateway</html>"),
    (503, r#"{"error":{"message":"busy","type":"SlowDownException","code":503}}"#),
    (504, ""),
];
const REST_REFUSAL: (u16, &str) =
    (403, r#"{"error":{"message":"no","type":"ForbiddenException","code":403}}"#);
/// What Glue says to UpdateTable (AWS Glue API reference, `UpdateTable`).
const GLUE_ANSWERS: &[(u16, &str)] = &[
    (400, r#"{"__type":"ConcurrentModificationException","Message":"moved"}"#),
    (400, r#"{"__type":"ThrottlingException","Message":"Rate exceeded"}"#),
    (429, r#"{"__type":"TooManyRequestsException","Message":"slowly"}"#),
    (500, r#"{"__type":"InternalServiceException","Message":"oh"}"#),
    (503, r#"{"__type":"ServiceUnavailable","Message":"busy"}"#),
];
const GLUE_REFUSAL: (u16, &str) = (
    400,
    r#"{"__type":"AccessDeniedException","Message":"is not authorized to perform: glue:UpdateTable"}"#,
);
/// No catalog of ours speaks HTTP here.
const NO_REFUSAL: (u16, &str) = (0, "");

/// The suite as one test a catalog: the servers take seconds to start.
macro_rules! conforms {
    ($($test:ident: $setup:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            let setup = tokio::task::spawn_blocking(Setup::$setup).await.unwrap();
            names_are_listed_and_created_once(&setup).await;
            commits_are_seen_by_everybody(&setup).await;
            many_writers_lose_nothing(&setup).await;
            a_table_that_moved_is_not_taken_for_what_it_was(&setup).await;
            lost_requests_and_answers_change_nothing(&setup).await;
            whatever_the_server_answers_rows_are_there_once(&setup).await;
            history_and_leftovers_go(&setup).await;
            assert!(setup.place.path("warehouse").is_dir());
            tokio::task::spawn_blocking(move || drop(setup)).await.unwrap();
        }
    )*};
}

conforms! {
    sqlite_conforms: sqlite,
    postgres_conforms: postgres,
    rest_conforms: rest,
    glue_conforms: glue,
}

async fn names_are_listed_and_created_once(setup: &Setup) {
    let lake = setup.open().await;
    lake.ensure_namespace(NAMESPACE).await.unwrap();
    assert_eq!(lake.list("no_such_namespace").await.unwrap(), Vec::new());
    assert!(lake.load(&name("none")).await.unwrap().is_none());
    let mut lost = definition("t", two_columns());
    lost.name.namespace = "no_such_namespace".to_owned();
    assert_eq!(lake.create(&lost).await.unwrap_err().kind(), &ErrorKind::NotFound);
    let columns = || {
        let types = [
            LakeType::Boolean,
            LakeType::Date,
            LakeType::Timestamp,
            LakeType::Timestamptz,
            LakeType::Uuid,
            LakeType::Binary,
            LakeType::Decimal { precision: 38, scale: 9 },
        ];
        let columns = types.into_iter().enumerate();
        columns.map(|(index, of)| LakeColumn::optional(format!("c{index}"), of)).collect::<Vec<_>>()
    };
    let mut first = definition("types", columns());
    first.comment = Some("all kinds".to_owned());
    let created = lake.create(&first).await.unwrap();
    assert_eq!(created.schema().columns, columns());
    // Somebody else is slower.
    let other = setup.open().await;
    let theirs = other.create(&first).await.unwrap();
    assert_eq!(theirs.metadata_location(), created.metadata_location());
    assert_eq!(theirs.properties().get("comment").map(String::as_str), Some("all kinds"));
    lake.create(&definition("also", two_columns())).await.unwrap();
    assert_eq!(lake.list(NAMESPACE).await.unwrap(), [name("also"), name("types")]);
    assert!(lake.drop_table(&name("also")).await.unwrap());
    assert!(!lake.drop_table(&name("also")).await.unwrap());
    assert!(lake.load(&name("also")).await.unwrap().is_none());
}

async fn commits_are_seen_by_everybody(setup: &Setup) {
    let (lake, other) = (setup.open().await, setup.open().await);
    let table = lake.create(&definition("seen", two_columns())).await.unwrap();
    let table = commit_rows(&lake, &table, Operation::Append, 0..10).await.table;
    let table = commit_rows(&lake, &table, Operation::Overwrite, 10..20).await.table;
    assert_eq!(identifiers(&other, &name("seen")).await, (10..20).collect::<Vec<_>>());
    // A column, a property and rows in one step.
    let mut schema = table.schema().clone();
    schema.columns.push(LakeColumn::optional("more", LakeType::String));
    let change = lake.evolve(&table, &schema).await.unwrap();
    let mut commit = Commit::new(Operation::Append, Vec::new());
    commit.schema_change = Some(change);
    commit.state.insert(POSITION_KEY.to_owned(), "7".to_owned());
    commit.table_properties.insert("ol.mark".to_owned(), "set".to_owned());
    let committed = lake.commit(&table, commit).await.unwrap();
    let seen = other.load(&name("seen")).await.unwrap().unwrap();
    assert_eq!(seen.schema(), &schema);
    assert_eq!(seen.state().get(POSITION_KEY).map(String::as_str), Some("7"));
    assert_eq!(seen.properties().get("ol.mark").map(String::as_str), Some("set"));
    assert_eq!(seen.metadata_location(), committed.table.metadata_location());
    // A branch is nothing to readers until it is published.
    let files = write(&seen, vec![more_rows(100..110)]).await;
    let mut commit = Commit::new(Operation::Append, files);
    commit.branch = Some("ol-copy".to_owned());
    let table = lake.commit(&seen, commit).await.unwrap().table;
    assert_eq!(identifiers(&other, &name("seen")).await, (10..20).collect::<Vec<_>>());
    let none = BTreeMap::new();
    lake.publish_branch(&table, "ol-copy", None, ReplaceGuard::Off, &none).await.unwrap();
    assert_eq!(identifiers(&other, &name("seen")).await, (100..110).collect::<Vec<_>>());
}

/// Rows of a table that has one column more; what is missing is null.
fn more_rows(ids: std::ops::Range<i64>) -> arrow_array::RecordBatch {
    let ids: arrow_array::ArrayRef =
        std::sync::Arc::new(arrow_array::Int64Array::from_iter_values(ids));
    arrow_array::RecordBatch::try_from_iter([("id", ids)]).unwrap()
}

async fn many_writers_lose_nothing(setup: &Setup) {
    const WRITERS: i64 = 6;
    const COMMITS: i64 = 4;
    let lake = setup.open().await;
    lake.create(&definition("busy", two_columns())).await.unwrap();
    let writers = (0..WRITERS).map(|writer| {
        let settings = setup.settings.clone();
        tokio::spawn(async move {
            let lake = Lake::open(settings).await.unwrap();
            let mut table = lake.load(&name("busy")).await.unwrap().unwrap();
            for commit in 0..COMMITS {
                let first = (writer * COMMITS + commit) * 10;
                table =
                    commit_rows(&lake, &table, Operation::Append, first..first + 10).await.table;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let expected: Vec<i64> = (0..WRITERS * COMMITS * 10).collect();
    assert_eq!(identifiers(&lake, &name("busy")).await, expected);
    // And one writer on many tables, at the same time.
    let tables = (0..8_i64).map(|index| {
        let lake = lake.clone();
        tokio::spawn(async move {
            let of = format!("many_{index}");
            let table = lake.create(&definition(&of, two_columns())).await.unwrap();
            commit_rows(&lake, &table, Operation::Append, index..index + 3).await;
            assert_eq!(
                identifiers(&lake, &name(&of)).await,
                (index..index + 3).collect::<Vec<_>>()
            );
        })
    });
    for table in tables.collect::<Vec<_>>() {
        table.await.unwrap();
    }
}

async fn a_table_that_moved_is_not_taken_for_what_it_was(setup: &Setup) {
    let (lake, other) = (setup.open().await, setup.open().await);
    let table = lake.create(&definition("moved", two_columns())).await.unwrap();
    let stale = other.load(&name("moved")).await.unwrap().unwrap();
    let with_position = |files, position: &str, expected: Option<&str>| {
        let mut commit = Commit::new(Operation::Append, files);
        commit.state.insert(POSITION_KEY.to_owned(), position.to_owned());
        commit.expected = Some((POSITION_KEY.to_owned(), expected.map(str::to_owned)));
        commit
    };
    let files = write(&table, vec![batch(&table, 0..10)]).await;
    lake.commit(&table, with_position(files, "1", None)).await.unwrap();
    let files = write(&stale, vec![batch(&stale, 10..20)]).await;
    let error = other.commit(&stale, with_position(files.clone(), "1", None)).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::StateMoved, "{error}");
    assert_eq!(identifiers(&lake, &name("moved")).await, (0..10).collect::<Vec<_>>());
    let current = other.load(&name("moved")).await.unwrap().unwrap();
    other.commit(&current, with_position(files, "2", Some("1"))).await.unwrap();
    assert_eq!(identifiers(&lake, &name("moved")).await, (0..20).collect::<Vec<_>>());
    // A table that was dropped and made again is another table.
    let old = lake.load(&name("moved")).await.unwrap().unwrap();
    lake.drop_table(&name("moved")).await.unwrap();
    lake.create(&definition("moved", two_columns())).await.unwrap();
    let files = write(&old, vec![batch(&old, 90..99)]).await;
    let commit = Commit::new(Operation::Append, files);
    let error = other.commit(&old, commit).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::CommitConflict | ErrorKind::NotFound), "{error}");
    assert_eq!(identifiers(&lake, &name("moved")).await, Vec::<i64>::new());
}

async fn lost_requests_and_answers_change_nothing(setup: &Setup) {
    let Some(proxy) = &setup.proxy else { return };
    let lake = setup.open().await;
    let mut table = lake.create(&definition("lossy", two_columns())).await.unwrap();
    let mark = setup.mark.to_vec();
    let faults = [
        Fault::DropAnswer(mark.clone()),
        Fault::DropRequest(mark.clone()),
        Fault::DropAnswer(mark),
    ];
    let before = proxy.dropped();
    for (index, fault) in (0_i64..).zip(faults) {
        proxy.set(fault);
        let rows = index * 10..index * 10 + 10;
        let committed = commit_rows(&lake, &table, Operation::Append, rows).await;
        proxy.set(Fault::None);
        table = committed.table;
        let expected: Vec<i64> = (0..index * 10 + 10).collect();
        assert_eq!(identifiers(&lake, &name("lossy")).await, expected);
        assert_eq!(lake.load(&name("lossy")).await.unwrap().unwrap().state(), table.state());
    }
    assert_eq!(proxy.dropped() - before, 3, "the faults did not happen");
    // All that is left over is what tries wrote that did not reach the catalog.
    let orphans = lake.orphans(&name("lossy"), std::time::Duration::ZERO, now()).await.unwrap();
    assert!(orphans.iter().all(|orphan| orphan.path.contains("/metadata/")), "{orphans:?}");
    // A server that answers nothing at all is away, and nothing is said to be done.
    proxy.set(Fault::CutAfter(0));
    let error = lake.load(&name("lossy")).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    proxy.set(Fault::None);
    assert_eq!(identifiers(&lake, &name("lossy")).await.len(), 30);
}

/// Each answer once before the server has done anything and once after: what is said must not matter to what is there.
async fn whatever_the_server_answers_rows_are_there_once(setup: &Setup) {
    let Some(proxy) = &setup.proxy else { return };
    let lake = setup.open().await;
    let mut table = lake.create(&definition("answered", two_columns())).await.unwrap();
    let mut rows = 0_i64;
    for (status, body) in setup.answers {
        for is_carried_out in [false, true] {
            let before = proxy.dropped();
            proxy.set(Fault::status(setup.mark, *status, body, is_carried_out));
            let committed = commit_rows(&lake, &table, Operation::Append, rows..rows + 10).await;
            assert_eq!(proxy.dropped() - before, 1, "{status} was not answered");
            table = committed.table;
            rows += 10;
            let expected: Vec<i64> = (0..rows).collect();
            let told = format!("{status} {body}, carried out: {is_carried_out}");
            assert_eq!(identifiers(&lake, &name("answered")).await, expected, "{told}");
        }
    }
    let (status, body) = setup.refusal;
    if status != 0 {
        let files = write(&table, vec![batch(&table, 900..910)]).await;
        proxy.set(Fault::status(setup.mark, status, body, false));
        let error = lake.commit(&table, Commit::new(Operation::Append, files)).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::CatalogRefused, "{error}");
        assert!(!error.is_transient(), "{error}");
        assert_eq!(identifiers(&lake, &name("answered")).await, (0..rows).collect::<Vec<_>>());
    }
}

async fn history_and_leftovers_go(setup: &Setup) {
    let lake = setup.open().await;
    let mut table = lake.create(&definition("aged", two_columns())).await.unwrap();
    for index in 0..5_i64 {
        let rows = index * 10..index * 10 + 10;
        table = commit_rows(&lake, &table, Operation::Overwrite, rows).await.table;
    }
    let all = ExpireOptions { older_than: Some(std::time::Duration::ZERO), keep: Some(2) };
    let expired = lake.expire(&table, all).await.unwrap();
    assert_eq!(expired.snapshots, 3);
    assert_eq!(identifiers(&lake, &name("aged")).await, (40..50).collect::<Vec<_>>());
    let table = lake.load(&name("aged")).await.unwrap().unwrap();
    write(&table, vec![batch(&table, 900..910)]).await;
    let later = now() + std::time::Duration::from_secs(60);
    let sweep = lake.sweep(NAMESPACE, std::time::Duration::ZERO, later).await.unwrap();
    let looked = sweep.look(&name("aged")).await.unwrap();
    let data = looked.orphans.iter().filter(|orphan| orphan.path.contains("/data/"));
    assert_eq!(data.count(), 1, "{looked:?}");
    lake.delete_orphans(&looked.orphans).await.unwrap();
    assert_eq!(identifiers(&lake, &name("aged")).await, (40..50).collect::<Vec<_>>());
    commit_rows(&lake, &table, Operation::Append, 50..60).await;
    assert_eq!(identifiers(&lake, &name("aged")).await, (40..60).collect::<Vec<_>>());
}
