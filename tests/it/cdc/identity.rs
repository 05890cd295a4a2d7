//! Tables whose changes do not name their rows: refused by name before anything is published, because publishing them would
//! make the application's own updates fail.

use ol_testkit::ledger::{self, Landing};

use super::common::{DEFINITE, Follow, new_ledger, outcome, server};

#[test]
fn a_table_without_replica_identity_is_refused_and_stays_writable() {
    let (database, mut ledger) = new_ledger(server(), "cdcidentity", "replica identities");
    database.psql(
        "CREATE TABLE ledger.anonymous (n int, note text); INSERT INTO ledger.anonymous VALUES (1, 'a');",
    );
    let mode = "incremental_append";
    let unit = ledger::unit("cdcidentity", Landing::Log, &["wide", "insert_only"])
        .table("ledger", "insert_only", mode)
        .table("ledger", "anonymous", mode);
    let follow = Follow::unit("cdcidentity", database, &unit).judged_by(&[&ledger]);
    for _ in 0..2 {
        ledger.run(10);
        let finished = follow.tick(DEFINITE);
        let document = finished.json();
        for table in ["insert_only", "anonymous"] {
            let (became, advice) = outcome(&document, &follow, table);
            assert!(["blocked", "refused"].contains(&became), "{document:#}");
            assert!(advice.contains("REPLICA IDENTITY") && advice.contains(table), "{advice}");
        }
        assert_eq!(outcome(&document, &follow, "accounts").0, "done", "{document:#}");
        // The application is not harmed.
        follow.case.database.psql(
            "UPDATE ledger.anonymous SET note = 'b'; DELETE FROM ledger.anonymous WHERE n = 7;
             UPDATE ledger.insert_only SET note = note WHERE id = -1;",
        );
    }
}
