//! `xmin` over the life of a server: ids that wrap around, frozen rows, a standby, a promotion, another server.

use ol_testkit::{PostgresServer, Step, Stop};

use super::{Followed, say};
use crate::common::expect_told;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');";

fn own(settings: &[&str]) -> &'static PostgresServer {
    Box::leak(Box::new(PostgresServer::start_with(settings)))
}

/// Stops the server, sets its next transaction id, and starts it.
fn set_next_id(server: &PostgresServer, database: &Followed, epoch: u32, id: u32) {
    let data = database.sql("SHOW data_directory");
    // The commit log of the new ids must be there: its page is made of zeros, as the server would make it.
    let segment = id / (8192 * 4 * 32);
    server.stop(Stop::Fast);
    let file = std::path::Path::new(&data).join(format!("pg_xact/{segment:04X}"));
    if !file.exists() {
        std::fs::write(&file, vec![0; 8192 * 32]).unwrap();
    }
    let owner = Step::new("stat").args(["-c", "%U:%G", &data]).run().stdout.trim().to_owned();
    Step::new("chown").arg(&owner).arg(&file).run().expect_code(0);
    let program = server.psql_program().parent().unwrap().join("pg_resetwal");
    let (user, group) = owner.split_once(':').unwrap();
    Step::new("setpriv")
        .args(["--reuid", user, "--regid", group, "--clear-groups", "--"])
        .arg(program)
        .args(["-f", "-e", &epoch.to_string(), "-x", &id.to_string(), &data])
        .run()
        .expect_code(0);
    server.start_again();
}

#[test]
fn ids_that_wrap_around_lose_nothing() {
    let server = own(&["autovacuum=off"]);
    let table = Followed::on(server, "wrapped", "xmin", "incremental_append", TABLE);
    table.sql("VACUUM FREEZE");
    // Every database's rows must be frozen before ids are moved this far.
    for database in ["postgres", "template1"] {
        let url = table.case.database.url();
        let (head, _) = url.rsplit_once('/').unwrap();
        let done = Step::new(server.psql_program())
            .args(["-X", "-d", &format!("{head}/{database}"), "-c", "VACUUM FREEZE"])
            .run();
        done.expect_code(0);
    }
    set_next_id(server, &table, 0, u32::MAX - 200);
    assert_eq!(table.run(), 3, "frozen rows are read at first");
    let mut running = table.session();
    say(
        &mut running,
        "BEGIN; INSERT INTO t VALUES (50, 'before the wrap'); SAVEPOINT s; INSERT INTO t VALUES (51, 's');",
    );
    table.sql("UPDATE t SET note = 'A' WHERE id = 1");
    assert_eq!(table.run(), 1);
    // Over the edge: three hundred transactions more.
    let mut busy = String::from("CREATE TABLE other (n int);");
    (0..300).for_each(|n| busy.push_str(&format!("INSERT INTO other VALUES ({n});")));
    table.sql(&busy);
    assert_eq!(
        table.sql("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::numeric > 4294967296"),
        "t"
    );
    table.sql("UPDATE t SET note = 'B' WHERE id = 2; INSERT INTO t VALUES (4, 'after the wrap');");
    let sent = table.run();
    assert!((2..=3).contains(&sent), "{sent} rows");
    say(&mut running, "COMMIT;");
    table.sql("UPDATE t SET note = 'C' WHERE id = 3");
    table.run();
    let latest = "SELECT DISTINCT ON (id) id, note FROM lake ORDER BY id, _ol_position DESC, _ol_extracted_at DESC";
    assert_eq!(table.lines(latest), table.sql("SELECT id, note FROM t ORDER BY id"));
    assert_eq!(table.run(), 0);
}

#[test]
fn freezing_and_rewriting_a_table_is_no_change() {
    let table = Followed::new("frozen", "xmin", "incremental_append", TABLE);
    table.run();
    table.sql("UPDATE t SET note = 'B' WHERE id = 2;");
    table.sql("VACUUM FREEZE t;");
    assert_eq!(table.run(), 1, "a row that was frozen before it was sent is sent all the same");
    table.sql("VACUUM FULL t;");
    table.sql("CLUSTER t USING t_pkey;");
    table.sql("VACUUM FREEZE t;");
    assert_eq!(table.run(), 0);
    table.sql("INSERT INTO t VALUES (4, 'd')");
    assert_eq!(table.run(), 1);
    assert_eq!(table.ids(), "1 2 3 2 4");
}

#[test]
fn a_standby_that_lists_no_running_transaction_loses_none() {
    let primary = own(&[]);
    let table = Followed::on(primary, "standby", "xmin", "incremental_append", TABLE);
    let standby = primary.standby();
    let replayed = |table: &Followed| {
        let target = table.sql("SELECT pg_current_wal_insert_lsn()");
        let on_standby = table.case.database.on(&standby);
        for _ in 0..600 {
            if on_standby.psql(&format!("SELECT pg_last_wal_replay_lsn() >= '{target}'")) == "t" {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("the standby does not follow");
    };
    let run = |table: &Followed| {
        let url = table.case.database.on(&standby).url();
        let step = table.command("run").env(&table.case.source_variable(), url);
        table.case.finish(step).expect_code(0).json()["tables"][0]["rows"].as_u64().unwrap()
    };
    let mut running = table.session();
    say(
        &mut running,
        "BEGIN; INSERT INTO t VALUES (10, 'running'); SAVEPOINT s; INSERT INTO t VALUES (11, 'in s');",
    );
    table.sql("INSERT INTO t VALUES (4, 'beside')");
    replayed(&table);
    let seen = table.case.database.on(&standby).psql("SELECT pg_current_snapshot()::text");
    assert!(
        seen.ends_with(':'),
        "the premise does not hold: the standby lists transactions: {seen}"
    );
    assert_eq!(run(&table), 4);
    table.sql("INSERT INTO t VALUES (5, 'beside')");
    replayed(&table);
    assert_eq!(run(&table), 1);
    say(&mut running, "COMMIT;");
    table.sql("SELECT pg_switch_wal()");
    replayed(&table);
    assert_eq!(run(&table), 2);
    assert_eq!(table.ids(), "1 2 3 4 5 10 11");
    // The primary is ahead or level; a standby that is behind what the lake has would find rows gone that exist.
    table.sql("INSERT INTO t VALUES (6, 'ahead')");
    assert_eq!(table.run(), 1);
    table.case.database.on(&standby).psql("SELECT pg_wal_replay_pause()");
    table.sql("INSERT INTO t VALUES (7, 'further ahead')");
    assert_eq!(table.run(), 1);
    let url = table.case.database.on(&standby).url();
    let late = table
        .case
        .finish(table.command("run").env(&table.case.source_variable(), url))
        .expect_code(1);
    expect_told(&late, &["behind", "caught up"]);
}

#[test]
fn a_promotion_reads_all_rows_again_and_another_server_is_refused() {
    let primary = own(&[]);
    let table = Followed::on(primary, "promoted", "xmin", "incremental_append", TABLE);
    let standby = primary.standby();
    assert_eq!(table.run(), 3);
    standby.promote();
    let promoted = table.case.database.on(&standby);
    promoted.psql("INSERT INTO t VALUES (4, 'on the next timeline')");
    let step = table.command("run").env(&table.case.source_variable(), promoted.url());
    let rows = table.case.finish(step).expect_code(0).json()["tables"][0]["rows"].clone();
    assert_eq!(rows, 4);
    let other = own(&[]).create_database("promoted");
    other.psql(TABLE);
    let step = table.command("run").env(&table.case.source_variable(), other.url());
    let refused = table.case.finish(step).expect_code(2);
    expect_told(&refused, &["is not the one", "reset"]);
    // A person has looked and says so.
    let step = table.command("reset").env(&table.case.source_variable(), other.url());
    table.case.finish(step).expect_code(0);
    let step = table.command("run").env(&table.case.source_variable(), other.url());
    let rows = table.case.finish(step).expect_code(0).json()["tables"][0]["rows"].clone();
    assert_eq!(rows, 3);
}
