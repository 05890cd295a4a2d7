//! Publications: ours, somebody else's, and the harm that they must not do.

use ol_ingest::error::{Definite, Doing};
use ol_ingest::source::postgres::error::SourceError;
use ol_ingest::source::postgres::replication::error::SlotError;
use ol_ingest::source::postgres::replication::message::ReplicaIdentity;
use ol_ingest::source::postgres::replication::publication::Wanted;
use ol_testkit::Database;

use crate::common::{Follower, control, database, explained, failure, parse, settings};

fn wanted(database: &Database<'_>, name: &str, columns: &[&str], excluded: &[&str]) -> Wanted {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Wanted {
        oid: database.psql(&format!("SELECT '{name}'::regclass::oid")).parse().unwrap(),
        namespace: "public".into(),
        name: name.into(),
        columns: owned(columns),
        key: Vec::new(),
        excluded: owned(excluded),
    }
}

fn ensure(database: &Database<'_>, tables: &[Wanted]) -> Result<(), SourceError> {
    control(&settings(database), async |control| control.ensure_publication("p", tables).await)
}

#[test]
fn our_publication_is_made_extended_and_then_left_alone() {
    let database = database("ensure");
    database.psql(
        "CREATE TABLE a (id int PRIMARY KEY, x text); \
         CREATE TABLE root (id int PRIMARY KEY) PARTITION BY RANGE (id); \
         CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (9)",
    );
    let a = wanted(&database, "a", &["id", "x"], &[]);
    let root = wanted(&database, "root", &["id"], &[]);
    ensure(&database, std::slice::from_ref(&a)).unwrap();
    let both = [a, root];
    ensure(&database, &both).unwrap();
    let facts = |database: &Database<'_>| {
        control(&settings(database), async |control| control.publication("p").await)
            .unwrap()
            .unwrap()
    };
    let before = facts(&database);
    assert_eq!(before.check(&both, 150_000), Ok(()));
    let names: Vec<_> = before.tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["a", "root"]);
    ensure(&database, &both).unwrap();
    assert_eq!(facts(&database), before);
    // Taken out and put in again, a table has another entry: its changes between were not sent.
    database.psql("ALTER PUBLICATION p DROP TABLE a");
    let gap = facts(&database).check(&both, 150_000).unwrap_err();
    let gap = explained(gap, Doing::Reading);
    assert_eq!(gap.failure(), Definite::PublicationMissing.into());
    let cure = gap.fact("statement").unwrap().to_owned();
    database.psql(&cure);
    let after = facts(&database);
    assert_eq!(after.check(&both, 150_000), Ok(()));
    assert_ne!(after.tables[0].entry, before.tables[0].entry);
    assert_eq!(after.tables[1].entry, before.tables[1].entry);
    assert!(
        control(&settings(&database), async |control| control.drop_publication("p").await).unwrap()
    );
    assert!(
        !control(&settings(&database), async |control| control.drop_publication("p").await)
            .unwrap()
    );
}

#[test]
fn excluded_columns_do_not_leave_the_server() {
    let database = database("excluded");
    database.psql("CREATE TABLE t (id int PRIMARY KEY, secret text, note text)");
    ensure(&database, &[wanted(&database, "t", &["id", "secret", "note"], &[])]).unwrap();
    ensure(&database, &[wanted(&database, "t", &["id", "note"], &["secret"])]).unwrap();
    let mut follower = Follower::new(&database, "p");
    database
        .psql("INSERT INTO t VALUES (1, 'hush', 'n'); UPDATE t SET secret = 'hushhush', id = 2");
    assert_eq!(follower.transaction(), ["= t DEFAULT (id* note)", "+ t 1|n"]);
    assert_eq!(follower.transaction(), ["~ t key(1|NULL) → 2|n"]);
    follower.stream.finish().unwrap();
    ensure(&database, &[wanted(&database, "t", &["id", "secret", "note"], &[])]).unwrap();
    database.psql("INSERT INTO t VALUES (3, 'open', 'n')");
    let mut follower = Follower::again(&database, "p", follower.end);
    assert_eq!(follower.transaction().last().unwrap(), "+ t 3|open|n");
}

/// The server refuses updates and deletes of a published table that it could not log. No act of ours may bring an
/// application there.
#[test]
fn no_table_is_published_whose_updates_the_server_would_then_refuse() {
    let database = database("harmless");
    database.psql(
        "CREATE TABLE good (id int PRIMARY KEY, x int); \
         CREATE TABLE keyless (x int); \
         CREATE TABLE nothing (id int PRIMARY KEY, x int); ALTER TABLE nothing REPLICA IDENTITY NOTHING; \
         CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE, x int); \
         CREATE TABLE whole (id int PRIMARY KEY, x int); ALTER TABLE whole REPLICA IDENTITY FULL; \
         CREATE TABLE root (id int, x int) PARTITION BY RANGE (id); ALTER TABLE root REPLICA IDENTITY FULL; \
         CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (9); \
         CREATE UNLOGGED TABLE light (id int PRIMARY KEY, x int); \
         CREATE TABLE parent (id int PRIMARY KEY, x int); CREATE TABLE child () INHERITS (parent)",
    );
    let columns = &["id", "x"][..];
    let refused = [
        (wanted(&database, "keyless", &["x"], &[]), Definite::ReplicaIdentityInsufficient),
        (wanted(&database, "nothing", columns, &[]), Definite::ReplicaIdentityInsufficient),
        (wanted(&database, "deferred", columns, &[]), Definite::ReplicaIdentityInsufficient),
        (wanted(&database, "whole", &["id"], &["x"]), Definite::ReplicaIdentityInsufficient),
        (wanted(&database, "good", &["x"], &["id"]), Definite::ReplicaIdentityInsufficient),
        (wanted(&database, "root", columns, &[]), Definite::ReplicaIdentityInsufficient),
        (wanted(&database, "light", columns, &[]), Definite::ReplicationUnavailable),
        (wanted(&database, "parent", columns, &[]), Definite::ReplicationUnavailable),
    ];
    let good = wanted(&database, "good", columns, &[]);
    for (table, kind) in refused {
        let name = table.name.clone();
        let error = ensure(&database, &[good.clone(), table]).unwrap_err();
        assert_eq!(failure(error, Doing::Reading), kind.into(), "{name}");
    }
    assert_eq!(database.psql("SELECT count(*) FROM pg_publication"), "0", "nothing was published");
    for table in ["keyless", "nothing", "deferred", "whole", "root", "light", "parent"] {
        database.psql(
            &format!(
                "INSERT INTO {table} (x) VALUES (1); UPDATE {table} SET x = 2; DELETE FROM {table}"
            )
            .replace(
                "(x) VALUES (1)",
                if table == "keyless" { "(x) VALUES (1)" } else { "(id, x) VALUES (1, 1)" },
            ),
        );
    }
    database.psql("ALTER TABLE leaf REPLICA IDENTITY FULL");
    ensure(&database, &[wanted(&database, "root", columns, &[])]).unwrap();
    database.psql("INSERT INTO root VALUES (1, 1); UPDATE root SET x = 2; DELETE FROM root");
}

#[test]
fn a_key_that_is_not_in_the_log_and_an_exclusion_that_an_old_server_cannot_keep_are_refused() {
    let database = database("key");
    database.psql(
        "CREATE TABLE t (id int PRIMARY KEY, code int NOT NULL UNIQUE, x int); \
         ALTER TABLE t REPLICA IDENTITY USING INDEX t_code_key",
    );
    let table = |key: &str, excluded: &[&str]| Wanted {
        key: vec![key.to_owned()],
        ..wanted(&database, "t", &["id", "code"], excluded)
    };
    let check = |table: Wanted, version: Option<i32>| {
        control(&settings(&database), async |control| {
            control.version = version.unwrap_or(control.version);
            control.check_tables(&[table]).await
        })
    };
    check(table("code", &["x"]), None).unwrap();
    let not_logged = check(table("id", &[]), None).unwrap_err();
    assert_eq!(failure(not_logged, Doing::Reading), Definite::ReplicaIdentityInsufficient.into());
    let old_server = check(table("code", &["x"]), Some(140_000)).unwrap_err();
    let old_server = explained(old_server, Doing::Reading);
    assert_eq!(old_server.failure(), Definite::ReplicationUnavailable.into());
    assert_eq!(old_server.fact("table"), Some("public.t"));
}

#[test]
fn the_identity_of_each_table_is_known() {
    let database = database("identities");
    database.psql(
        "CREATE TABLE d (b int, a int, c int, PRIMARY KEY (a, b) INCLUDE (c)); \
         CREATE TABLE x (a int NOT NULL, b int NOT NULL); CREATE UNIQUE INDEX xi ON x (b); \
         ALTER TABLE x REPLICA IDENTITY USING INDEX xi; \
         CREATE TABLE f (a int, b int, c int); ALTER TABLE f DROP COLUMN b; ALTER TABLE f REPLICA IDENTITY FULL",
    );
    let oids = ["d", "x", "f"].map(|name| wanted(&database, name, &[], &[]).oid);
    let facts =
        control(&settings(&database), async |control| control.identities(&oids).await).unwrap();
    let shown: Vec<_> = facts
        .iter()
        .map(|facts| (facts.table.as_str(), facts.identity, facts.columns.join(" ")))
        .collect();
    assert_eq!(
        shown,
        [
            ("public.d", ReplicaIdentity::Default, "a b".to_owned()),
            ("public.x", ReplicaIdentity::Index, "b".to_owned()),
            ("public.f", ReplicaIdentity::Full, "a c".to_owned()),
        ]
    );
}

#[test]
fn a_publication_of_somebody_else_is_only_looked_at() {
    let database = database("foreign");
    database.psql(
        "CREATE TABLE t (id int PRIMARY KEY, x int, y int); CREATE TABLE u (id int PRIMARY KEY); \
         CREATE PUBLICATION p FOR TABLE t (id, x) WHERE (x > 0) WITH (publish = 'insert, update, delete')",
    );
    let tables =
        [wanted(&database, "t", &["id", "x", "y"], &[]), wanted(&database, "u", &["id"], &[])];
    let found = control(&settings(&database), async |control| {
        control.check_publication("p", &tables).await
    });
    let Err(SourceError::Slot(SlotError::Publication { reason, statement, .. })) = found else {
        panic!("{found:?}");
    };
    assert_eq!(
        reason,
        "it does not publish truncates; it does not publish via the partition root; it publishes only some rows of \
         public.t; it leaves out y of public.t; it does not publish public.u"
    );
    assert_eq!(statement, "ALTER PUBLICATION \"p\" ADD TABLE \"public\".\"u\"");
    let missing = control(&settings(&database), async |control| {
        control.check_publication("q", &tables).await
    });
    let missing = explained(missing.unwrap_err(), Doing::Reading);
    assert_eq!(missing.failure(), Definite::PublicationMissing.into());
    database.psql(missing.fact("statement").unwrap());
    control(&settings(&database), async |control| control.check_publication("q", &tables).await)
        .unwrap();
}

#[test]
fn a_role_that_may_not_publish_gets_the_statement_for_one_that_may() {
    let database = database("owner");
    database.psql(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE ROLE follower LOGIN REPLICATION PASSWORD 'x'; \
         GRANT SELECT ON t TO follower",
    );
    let settings = parse(&database.url_as("follower", "x"));
    let tables = [wanted(&database, "t", &["id"], &[])];
    let refused =
        control(&settings, async |control| control.ensure_publication("p", &tables).await)
            .unwrap_err();
    let error = explained(refused, Doing::Reading);
    assert_eq!(error.failure(), Definite::PublicationMissing.into());
    database.psql(error.fact("statement").unwrap());
    control(&settings, async |control| control.ensure_publication("p", &tables).await).unwrap();
    let facts = control(&settings, async |control| control.server().await).unwrap();
    assert!(facts.may_replicate);
}
