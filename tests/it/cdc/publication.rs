//! A publication that is gone, or that leaves something out: the changes that the server did not send are not taken for
//! changes that were not there.

use std::time::{Duration, Instant};

use ol_testkit::Running;
use ol_testkit::ledger::{Landing, Ledger};

use super::common::{DEFINITE, DONE, FEW, Follow, STOPPED, followed, new_ledger, server};
use crate::common::{PATIENCE, expect_told};

fn started(deployment: &'static str) -> (Follow, Ledger) {
    let (follow, mut ledger) = followed(deployment, Landing::Log, FEW);
    ledger.run(10);
    follow.tick(DONE);
    (follow, ledger)
}

/// What runs after a change of the publication must come to: none of them is taken for a complete one that is not, also
/// when the publication is as it was again.
#[track_caller]
fn expect_no_silent_gap(follow: &Follow, ledger: &mut Ledger, away: &str, back: &str) {
    let publication = follow.slot_name();
    follow.case.database.psql(&away.replace("{}", &publication));
    ledger.run(15);
    if !is_complete(follow) {
        follow.case.database.psql(&back.replace("{}", &publication));
    }
    ledger.run(5);
    is_complete(follow);
}

/// A run that says it is done has brought in everything; any other says what is wrong with the publication.
#[track_caller]
fn is_complete(follow: &Follow) -> bool {
    let finished = follow.case.finish(follow.until_caught_up());
    if finished.code() == DONE {
        follow.expect_complete("a run that says it is done");
        return true;
    }
    expect_told(&finished.expect_code(DEFINITE), &["publication"]);
    false
}

const ALL: &str = "ledger.accounts, ledger.entries, ledger.composite, ledger.moving, ledger.buffer";

#[test]
fn a_publication_that_was_dropped_is_named() {
    let (follow, mut ledger) = started("cdcpubdropped");
    let back = format!(
        "CREATE PUBLICATION \"{{}}\" FOR TABLE {ALL} WITH (publish_via_partition_root = true)"
    );
    expect_no_silent_gap(&follow, &mut ledger, "DROP PUBLICATION \"{}\"", &back);
}

#[test]
fn a_publication_without_a_table_is_named() {
    let (follow, mut ledger) = started("cdcpubless");
    expect_no_silent_gap(
        &follow,
        &mut ledger,
        "ALTER PUBLICATION \"{}\" DROP TABLE ledger.moving",
        &format!("ALTER PUBLICATION \"{{}}\" SET TABLE {ALL}"),
    );
}

#[test]
fn a_publication_without_deletes_is_named() {
    let (follow, mut ledger) = started("cdcpubdeletes");
    expect_no_silent_gap(
        &follow,
        &mut ledger,
        "ALTER PUBLICATION \"{}\" SET (publish = 'insert, update, truncate')",
        "ALTER PUBLICATION \"{}\" SET (publish = 'insert, update, delete, truncate')",
    );
}

#[test]
fn a_publication_of_some_rows_is_named() {
    let (follow, mut ledger) = started("cdcpubrows");
    let away = format!(
        "ALTER PUBLICATION \"{{}}\" SET TABLE {}",
        ALL.replace("ledger.moving", "ledger.moving WHERE (id > 5000)")
    );
    let back = format!("ALTER PUBLICATION \"{{}}\" SET TABLE {ALL}");
    expect_no_silent_gap(&follow, &mut ledger, &away, &back);
}

/// Waits until a stream says that the publication is another.
#[track_caller]
fn wait_until_noticed(stream: &Running) {
    let noticed = "the publication was altered";
    let started = Instant::now();
    while started.elapsed() < PATIENCE && !stream.told().contains(noticed) {
        std::thread::sleep(Duration::from_millis(500));
    }
    let said = stream.told();
    assert!(said.contains(noticed), "nobody looked: {said}");
}

#[test]
fn a_stream_ends_when_its_publication_leaves_deletes_out() {
    let (follow, mut ledger) = started("cdcpubalter");
    let mut stream = follow.stream().start();
    follow.wait_until_caught_up(&mut stream);
    let publication = follow.slot_name();
    follow
        .case
        .database
        .psql(&format!("ALTER PUBLICATION \"{publication}\" SET (publish = 'insert, update')"));
    ledger.run(15);
    let ended = follow.case.told_no_secret(stream.wait()).expect_code(DEFINITE);
    expect_told(&ended, &["publication", &publication]);
}

#[test]
fn a_table_that_was_out_of_the_publication_is_copied_again_by_the_stream_that_runs() {
    let (database, mut ledger) = new_ledger(server(), "cdcpubout", "a table out for a while");
    let follow = Follow::ledger("cdcpubout", database, Landing::Merged, FEW).judged_by(&[&ledger]);
    follow.tick(DONE);
    let mut stream = follow.stream().start();
    follow.wait_until_caught_up(&mut stream);
    let publication = follow.slot_name();
    let altered = |how: &str| {
        let how = format!("ALTER PUBLICATION \"{publication}\" {how} TABLE ledger.moving");
        follow.case.database.psql(&how);
    };
    altered("DROP");
    ledger.run(15);
    altered("ADD");
    ledger.run(5);
    wait_until_noticed(&stream);
    ledger.run(5);
    // The copy has to come to its end before the slot is acknowledged.
    follow.wait_until_caught_up(&mut stream);
    stream.signal("TERM");
    stream.wait().expect_code(STOPPED);
    follow.tick(DONE);
    follow.expect_complete("after the table was copied again");
}
