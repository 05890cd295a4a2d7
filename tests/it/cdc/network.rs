//! What a network does to the connections to the source: the stream goes on or says that it should be started again, and
//! when the network is well, everything is there.

use std::time::{Duration, Instant};

use ol_testkit::ledger::{Landing, Ledger};
use ol_testkit::{Fault, Proxy};

use super::common::{DONE, Follow, TRANSIENT, followed, server};

/// A unit that has been copied and reads its source through a proxy from now on.
fn through_proxy(deployment: &'static str, landing: Landing) -> (Follow, Ledger, Proxy) {
    let (mut follow, ledger) = followed(deployment, landing, &[]);
    let proxy = Proxy::before(server().port());
    let url = follow.case.database.url_through(proxy.port());
    follow.settings.push((follow.case.source_variable(), url));
    (follow, ledger, proxy)
}

/// Ticks until one comes to its end; each of the others must say that it can be tried again.
#[track_caller]
fn tick_until_done(follow: &Follow, tries: u32) {
    for _ in 0..tries {
        let finished = follow.case.finish(follow.until_caught_up());
        follow.expect_right_so_far("after a fault");
        match finished.code() {
            DONE => return,
            code => assert_eq!(code, TRANSIENT, "{}{}", finished.stdout, finished.stderr),
        }
    }
    panic!("no tick of {tries} came to its end");
}

#[test]
fn a_slow_or_choppy_network_changes_nothing() {
    let (follow, mut ledger, proxy) = through_proxy("cdcslow", Landing::Mixed);
    for fault in [Fault::Latency(Duration::from_millis(5)), Fault::Slices] {
        ledger.run(10);
        proxy.set(fault);
        follow.tick(DONE);
        follow.expect_complete("over a slow network");
    }
    assert!(proxy.connections() > 0, "nothing went through the proxy");
}

#[test]
fn a_connection_cut_after_any_number_of_bytes_loses_nothing() {
    let (follow, mut ledger, proxy) = through_proxy("cdccut", Landing::Log);
    for bytes in [1, 100, 700, 3_000, 20_000, 100_000] {
        ledger.run(15);
        proxy.set(Fault::CutAfter(bytes));
        let finished = follow.case.finish(follow.until_caught_up());
        assert!(
            [DONE, TRANSIENT].contains(&finished.code()),
            "cut after {bytes} bytes: {}{}",
            finished.stdout,
            finished.stderr
        );
        follow.expect_right_so_far("after a cut");
        proxy.set(Fault::None);
        follow.tick(DONE);
        follow.expect_complete(&format!("after a cut at {bytes} bytes"));
    }
    assert!(proxy.dropped() > 0, "nothing was cut");
}

#[test]
fn a_server_that_falls_silent_is_noticed() {
    let (follow, mut ledger, proxy) = through_proxy("cdcsilent", Landing::Log);
    ledger.run(10);
    proxy.set(Fault::HalfOpen);
    let started = Instant::now();
    let finished = follow.case.finish(follow.until_caught_up().limit(Duration::from_secs(180)));
    assert_eq!(finished.code(), TRANSIENT, "{}{}", finished.stdout, finished.stderr);
    eprintln!("the silence was noticed after {:.0} s", started.elapsed().as_secs_f64());
    proxy.set(Fault::None);
    follow.tick(DONE);
    follow.expect_complete("after the silence");
}

#[test]
fn a_walsender_ended_every_second_loses_nothing() {
    let (follow, ledger) = followed("cdcwalsender", Landing::Mixed, &[]);
    let writing = ledger.start(Duration::from_millis(5));
    let mut running = follow.stream().start();
    let (mut ended, mut restarted) = (0, 0);
    for _ in 0..8 {
        std::thread::sleep(Duration::from_secs(1));
        let count = follow.case.database.psql(
            "SELECT count(pg_terminate_backend(active_pid)) FROM pg_replication_slots
             WHERE database = current_database() AND active_pid IS NOT NULL",
        );
        ended += count.parse::<u32>().unwrap();
        if !running.lives() {
            follow.case.told_no_secret(running.wait()).expect_code(TRANSIENT);
            restarted += 1;
            running = follow.stream().start();
        }
    }
    assert!(ended > 0, "there was no walsender to end: {}", running.told());
    // The last of them may have been the stream's last try: then it ends by itself, and a tick completes it.
    if running.lives() {
        running.signal("TERM");
    }
    running.wait();
    let ledger = writing.stop();
    tick_until_done(&follow, 3);
    follow.expect_complete("after ended walsenders");
    eprintln!(
        "{ended} walsenders ended, {restarted} restarts, {} transactions",
        ledger.committed()
    );
}
