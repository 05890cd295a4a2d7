//! The catalog commits and its answer is lost: the run finds out, and the changes are in the table once.

use std::time::Duration;

use ol_testkit::ledger::Landing;
use ol_testkit::{Fault, Lake, Proxy};

use super::common::{DONE, Follow, TRANSIENT, new_ledger, server};

/// Every commit of the catalog carries the place of the new metadata.
const COMMIT: &[u8] = b".metadata.json";

/// A unit whose catalog is a Postgres behind a proxy.
fn behind_proxy(
    deployment: &'static str,
    landing: Landing,
) -> (Follow, ol_testkit::ledger::Ledger, Proxy) {
    let proxy = Proxy::before(server().port());
    let catalog = server().create_database("catalog").url_through(proxy.port());
    let (database, ledger) = new_ledger(server(), deployment, deployment);
    let follow = Follow::ledger(deployment, database, landing, &[])
        .with_lake(Lake::with_catalog(&catalog))
        .judged_by(&[&ledger]);
    (follow, ledger, proxy)
}

/// One tick with a fault; whatever it comes to, what is in the lake is right, and the next tick completes it.
fn tick_with(follow: &Follow, proxy: &Proxy, fault: Fault, when: &str) {
    let before = proxy.dropped();
    proxy.set(fault);
    let finished = follow.case.finish(follow.until_caught_up());
    assert!(
        [DONE, TRANSIENT].contains(&finished.code()),
        "{when}: {}{}",
        finished.stdout,
        finished.stderr
    );
    assert_eq!(proxy.dropped(), before + 1, "{when}: nothing was dropped");
    proxy.set(Fault::None);
    follow.expect_right_so_far(when);
    follow.tick(DONE);
    follow.expect_complete(when);
}

#[test]
fn a_commit_whose_answer_is_lost_is_taken_once() {
    for (deployment, landing) in
        [("cdcunknownlog", Landing::Log), ("cdcunknownmix", Landing::Mixed)]
    {
        let (follow, mut ledger, proxy) = behind_proxy(deployment, landing);
        tick_with(
            &follow,
            &proxy,
            Fault::DropAnswer(COMMIT.to_vec()),
            "the answer to the first commit is lost",
        );
        ledger.run(10);
        let when = "the answer to a commit is lost";
        tick_with(&follow, &proxy, Fault::DropAnswer(COMMIT.to_vec()), when);
        ledger.run(10);
        let when = "a commit is lost";
        tick_with(&follow, &proxy, Fault::DropRequest(COMMIT.to_vec()), when);
    }
}

#[test]
fn answers_lost_under_a_stream_double_nothing() {
    let (follow, ledger, proxy) = behind_proxy("cdcunknownstream", Landing::Log);
    follow.tick(DONE);
    let writing = ledger.start(Duration::from_millis(10));
    let mut running = follow.stream().start();
    let mut ended = 0;
    for _ in 0..4 {
        let before = proxy.dropped();
        proxy.set(Fault::DropAnswer(COMMIT.to_vec()));
        running.wait_until(crate::common::PATIENCE, || proxy.dropped() > before);
        assert!(proxy.dropped() > before, "no commit came: {}", running.told());
        // It goes on by itself, or says that it should be started again.
        if running.wait_until(Duration::from_secs(2), || false) || !running.lives() {
            follow.case.told_no_secret(running.wait()).expect_code(TRANSIENT);
            running = follow.stream().start();
            ended += 1;
        }
    }
    running.signal("KILL");
    running.wait();
    writing.stop();
    follow.tick(DONE);
    follow.expect_complete("after lost answers");
    eprintln!("four answers were lost; the stream ended {ended} times");
}
