//! The server restarts, in good order and by a crash, while it is followed.

use std::time::Duration;

use ol_testkit::Stop;
use ol_testkit::ledger::Landing;

use super::common::{DONE, Follow, TRANSIENT, new_ledger, own_server};

#[test]
fn a_server_that_restarts_is_followed_again() {
    // The writer asks for commits that are in the log before they are answered.
    let server = own_server(&[]);
    let (database, ledger) = new_ledger(server, "cdcrestart", "server restarts");
    let follow = Follow::ledger("cdcrestart", database, Landing::Mixed, &[]).judged_by(&[&ledger]);
    follow.tick(DONE);
    let writing = ledger.start(Duration::from_millis(5));
    for how in [Stop::Fast, Stop::Immediate, Stop::Fast] {
        let mut running = follow.stream().start();
        follow.wait_until_caught_up(&mut running);
        server.restart(how);
        if running.wait_until(Duration::from_secs(3), || false) || !running.lives() {
            follow.case.told_no_secret(running.wait()).expect_code(TRANSIENT);
        } else {
            follow.wait_until_caught_up(&mut running);
            running.signal("TERM");
            running.wait();
        }
        follow.expect_right_so_far(&format!("after a restart ({how:?})"));
    }
    let ledger = writing.stop();
    follow.tick(DONE);
    follow.expect_complete("after three restarts");
    eprintln!("{} transactions", ledger.committed());
}

#[test]
fn a_server_that_is_down_is_transient() {
    let server = own_server(&[]);
    let (database, mut ledger) = new_ledger(server, "cdcdown", "server down");
    let follow = Follow::ledger("cdcdown", database, Landing::Log, &[]).judged_by(&[&ledger]);
    follow.tick(DONE);
    ledger.run(10);
    server.stop(Stop::Fast);
    let finished = follow.tick(TRANSIENT);
    crate::common::expect_told(&finished, &["127.0.0.1", &server.port().to_string()]);
    server.start_again();
    follow.tick(DONE);
    follow.expect_complete("when it is back");
}
