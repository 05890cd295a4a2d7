//! Two copies of one unit at once: one goes on, the other yields or waits for its turn, and nothing is doubled.

use std::time::Duration;

use ol_testkit::ledger::Landing;

use super::common::{DONE, Follow, STOPPED, TRANSIENT, followed, new_ledger, server};

#[test]
fn two_streams_of_one_unit_double_nothing() {
    let (follow, ledger) = followed("cdccopies", Landing::Log, &[]);
    let writing = ledger.start(Duration::from_millis(5));
    let mut first = follow.stream().start();
    follow.wait_until_caught_up(&mut first);
    let second = follow.until_caught_up().start();
    let second = follow.case.told_no_secret(second.wait());
    assert!([DONE, TRANSIENT].contains(&second.code()), "{}{}", second.stdout, second.stderr);
    assert!(first.lives(), "the first copy ended: {}", first.told());
    first.signal("TERM");
    first.wait().expect_code(STOPPED);
    writing.stop();
    follow.tick(DONE);
    follow.expect_complete("after two copies");
}

#[test]
fn ticks_at_the_same_moment_double_nothing() {
    let (follow, ledger) = followed("cdcrace", Landing::Mixed, &[]);
    let writing = ledger.start(Duration::from_millis(2));
    for round in 0..5 {
        let all: Vec<_> = (0..3).map(|_| follow.until_caught_up().start()).collect();
        let codes: Vec<_> =
            all.into_iter().map(|one| follow.case.told_no_secret(one.wait()).code()).collect();
        assert!(codes.contains(&DONE), "round {round}: none came to an end: {codes:?}");
        assert!(
            codes.iter().all(|code| [DONE, TRANSIENT].contains(code)),
            "round {round}: a race is weather, not a fault: {codes:?}"
        );
        follow.expect_right_so_far("after a race");
    }
    writing.stop();
    follow.tick(DONE);
    follow.expect_complete("after five races");
}

#[test]
fn first_copies_at_the_same_moment_double_nothing() {
    let (database, mut ledger) = new_ledger(server(), "cdcfirstrace", "race of first copies");
    let follow = Follow::ledger("cdcfirstrace", database, Landing::Log, &[]).judged_by(&[&ledger]);
    let all: Vec<_> = (0..2).map(|_| follow.until_caught_up().start()).collect();
    for one in all {
        let finished = follow.case.told_no_secret(one.wait());
        assert!(
            [DONE, TRANSIENT].contains(&finished.code()),
            "{}{}",
            finished.stdout,
            finished.stderr
        );
    }
    ledger.run(20);
    follow.tick(DONE);
    follow.expect_complete("after a race of first copies");
    let slots = follow
        .case
        .database
        .psql("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()");
    assert_eq!(slots, "1", "a slot that nobody reads was left");
}
