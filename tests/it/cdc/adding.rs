//! A table that comes into the unit later: it is copied and caught up while the others stream, and misses nothing.

use std::time::Duration;

use ol_testkit::ledger::{self, Landing};

use super::common::{DONE, FEW, STOPPED, followed};

/// The tables that a unit begins with leave these out.
const LATER: &[&str] = &["keyless", "parted", "bulk", "wide_full"];

#[test]
fn a_table_added_to_a_unit_is_copied_while_the_others_go_on() {
    for (deployment, landing) in [("cdcaddlog", Landing::Log), ("cdcaddmix", Landing::Mixed)] {
        let (follow, mut ledger) = followed(deployment, landing, LATER);
        ledger.bulk(20_000);
        let writing = ledger.start(Duration::from_millis(5));
        follow.tick(DONE);
        for count in 1..=LATER.len() {
            let mut without =
                vec!["insert_only", if landing == Landing::Log { "wide" } else { "renamed" }];
            without.extend(LATER.iter().skip(count));
            follow.case.inventory.unit(&ledger::unit(deployment, landing, &without));
            // As a tick, and as a stream that is stopped before or after the copy is complete.
            if count % 2 == 0 {
                follow.tick(DONE);
            } else {
                let running = follow.stream().start();
                std::thread::sleep(Duration::from_secs(2));
                running.signal("TERM");
                follow.case.told_no_secret(running.wait()).expect_code(STOPPED);
            }
            follow.expect_right_so_far("with one table more");
        }
        let mut ledger = writing.stop();
        ledger.run(10);
        follow.tick(DONE);
        follow.expect_complete("with all tables");
    }
}

#[test]
fn a_table_taken_out_of_a_unit_leaves_the_others_alone() {
    let (follow, mut ledger) = followed("cdctakeout", Landing::Log, FEW);
    ledger.run(10);
    follow.tick(DONE);
    let mut without = vec!["insert_only", "wide", "moving"];
    without.extend(FEW);
    follow.case.inventory.unit(&ledger::unit("cdctakeout", Landing::Log, &without));
    ledger.run(10);
    follow.tick(DONE);
    follow.expect_complete("with one table less");
}
