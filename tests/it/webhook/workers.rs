//! Several workers share one outbox on Postgres: every message once, in order, also when workers are killed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use ol_testkit::PostgresServer;

use super::common::{Receiver, Sender, course, told_no_secret};
use crate::common::{PATIENCE, Random};

const COURSES: u64 = 400;

fn versions(receiver: &Receiver) -> BTreeMap<String, Vec<String>> {
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in receiver.requests() {
        if request["status"] == 200 {
            let body: serde_json::Value =
                serde_json::from_str(request["body"].as_str().unwrap()).unwrap();
            let course = body["course_id"].as_str().unwrap().to_owned();
            let path = body["content_path"].as_str().unwrap().to_owned();
            seen.entry(course).or_default().push(path);
        }
    }
    seen
}

#[test]
fn four_workers_deliver_each_message_once_and_in_order() {
    let database = PostgresServer::shared().create_database("webhook");
    let receiver = Receiver::ours(&["--fault", "delay:0.02"]);
    let mut sender = Sender::to(&receiver.base_url);
    sender.outbox = database.url();
    let workers: Vec<_> = (0..4).map(|_| sender.step(["deliver", "--forever"]).start()).collect();
    for version in 1..=3 {
        let lines: String = (0..COURSES).fold(String::new(), |mut lines, number| {
            writeln!(lines, "{}", course(number, version)).unwrap();
            lines
        });
        sender.send_lines("content_files", &lines, &[], 0);
    }
    let started = Instant::now();
    loop {
        let counts = sender.run(["list", "--limit", "1"], 0)["counts"]["states"].clone();
        if ["waiting", "queued", "leased"].iter().all(|state| counts[state] == 0) {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "not everything was delivered: {counts}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let shares: Vec<u64> = workers
        .into_iter()
        .map(|worker| {
            worker.signal("TERM");
            let finished = told_no_secret(worker.wait()).expect_code(75);
            finished.json()["delivered"].as_u64().unwrap()
        })
        .collect();
    // Who claims how much is a race; that nobody claims for all the others is not.
    assert!(shares.iter().filter(|share| **share > 0).count() > 1, "one did it all: {shares:?}");
    let delivered: u64 = shares.iter().sum();
    let seen = versions(&receiver);
    assert_eq!(seen.len() as u64, COURSES);
    for (course, paths) in &seen {
        assert!(paths.is_sorted(), "{course} went back: {paths:?}");
        let mut once = paths.clone();
        once.dedup();
        assert_eq!(&once, paths, "{course} arrived twice without need");
        assert!(paths.last().unwrap().contains(&format!("{:064x}", 3)), "{course}: {paths:?}");
    }
    let requests: usize = seen.values().map(Vec::len).sum();
    assert_eq!(requests as u64, delivered, "what was delivered is what arrived");
}

#[test]
fn workers_that_are_killed_lose_nothing_to_the_others() {
    let database = PostgresServer::shared().create_database("webhookkill");
    let receiver = Receiver::ours(&["--fault", "delay:0.002"]);
    let mut sender = Sender::to(&receiver.base_url);
    sender.outbox = database.url();
    let mut random = Random::seeded("killed workers");
    let lines: String = (0..COURSES).fold(String::new(), |mut lines, number| {
        writeln!(lines, "{}", course(number, 1)).unwrap();
        lines
    });
    sender.send_lines("content_files", &lines, &[], 0);
    for _ in 0..10 {
        let workers: Vec<_> = (0..3).map(|_| sender.step(["deliver"]).start()).collect();
        std::thread::sleep(Duration::from_millis(30 + random.below(60)));
        for worker in workers {
            worker.signal("KILL");
            worker.wait();
        }
    }
    // The dead lived on this machine, so nobody has to wait for their leases to run out.
    let rest = sender.run(["deliver"], 0);
    assert_eq!(rest["left"], 0);
    let seen = versions(&receiver);
    assert_eq!(seen.len() as u64, COURSES, "every course has arrived");
    let lost = sender.run(["list", "--state", "dead"], 0);
    assert_eq!(lost["messages"].as_array().map(Vec::len), Some(0));
}
