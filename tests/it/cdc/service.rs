//! A stream that goes on until it is told to stop: it brings in what is committed, stops with 75, and the next goes on.

use std::time::{Duration, Instant};

use ol_testkit::ledger::Landing;

use super::common::{DONE, STOPPED, followed};

#[test]
fn a_stream_stops_when_it_is_told_and_the_next_goes_on() {
    let (follow, ledger) = followed("cdcservice", Landing::Mixed, &[]);
    let writing = ledger.start(Duration::from_millis(5));
    for round in 0..3 {
        let mut running = follow.stream().start();
        follow.wait_until_caught_up(&mut running);
        let asked = Instant::now();
        running.signal(if round == 1 { "INT" } else { "TERM" });
        let stopped = follow.case.told_no_secret(running.wait()).expect_code(STOPPED);
        assert!(asked.elapsed() < Duration::from_secs(20), "stopping took {:?}", asked.elapsed());
        assert_ne!(stopped.json()["outcome"], "blocked", "{}", stopped.stdout);
        follow.expect_right_so_far("when it had stopped");
    }
    let ledger = writing.stop();
    follow.tick(DONE);
    follow.expect_complete("at the end");
    eprintln!("{} transactions", ledger.committed());
}

#[test]
fn a_first_copy_that_is_stopped_is_gone_on_with() {
    let (database, ledger) =
        super::common::new_ledger(super::common::server(), "cdcstopcopy", "stopped copy");
    let mut ledger = ledger.without_alterations();
    ledger.bulk(50_000);
    let follow = super::common::Follow::ledger("cdcstopcopy", database, Landing::Log, &[])
        .judged_by(&[&ledger]);
    let writing = ledger.start(Duration::from_millis(20));
    for pause in [200, 600, 1_200] {
        let mut running = follow.stream().start();
        running.wait_until_it_minds_sigterm();
        std::thread::sleep(Duration::from_millis(pause));
        running.signal("TERM");
        follow.case.told_no_secret(running.wait()).expect_code(STOPPED);
        follow.expect_right_so_far("a stopped copy");
    }
    writing.stop();
    follow.tick(DONE);
    follow.expect_complete("at the end");
}
