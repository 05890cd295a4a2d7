//! Silence: a server that is quiet is asked, one that does not answer is lost.

use std::process::Command;
use std::time::{Duration, Instant};

use ol_chassis::shutdown::Shutdown;
use ol_ingest::error::{Doing, Transient};
use ol_ingest::source::postgres::error::SourceError;
use ol_ingest::source::postgres::replication::stream::{Event, ReplicationStream};
use ol_ingest::source::postgres::wire::WireError;
use ol_testkit::Database;

use crate::common::{PATIENCE, database, failure, settings, slot};

const LIMIT: Duration = Duration::from_secs(2);

fn stream(database: &Database<'_>) -> ReplicationStream {
    database.psql("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t");
    let mut settings = settings(database);
    settings.stall_limit = LIMIT;
    let mut stream = ReplicationStream::open(&settings, Shutdown::new()).unwrap();
    stream.create_slot(&slot(database)).unwrap();
    stream.start(&slot(database), "p", 0).unwrap();
    stream
}

#[test]
fn a_server_with_nothing_to_say_is_asked_and_answers() {
    let database = database("answers");
    let mut stream = stream(&database);
    let begun = Instant::now();
    let mut answers = 0;
    while begun.elapsed() < 3 * LIMIT {
        match stream.next(Duration::from_millis(100)).unwrap() {
            Event::Keepalive { .. } => answers += 1,
            Event::Idle => {}
            Event::Message(message) => panic!("{message:?}"),
        }
    }
    assert!(answers >= 3, "{answers} answers in six seconds of silence");
    stream.finish().unwrap();
}

/// A process of the server's that stands still.
struct Frozen(String);

impl Frozen {
    fn new(process: String) -> Self {
        signal("-STOP", &process);
        Self(process)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("-CONT", &self.0);
    }
}

fn signal(name: &str, process: &str) {
    assert!(Command::new("kill").args([name, process]).status().unwrap().success());
}

#[test]
fn a_server_that_does_not_answer_is_lost() {
    let database = database("frozen");
    let mut stream = stream(&database);
    let process = database.psql(&format!(
        "SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{}'",
        slot(&database)
    ));
    let frozen = Frozen::new(process);
    let begun = Instant::now();
    let lost = loop {
        assert!(begun.elapsed() < PATIENCE, "silence was never noticed");
        match stream.next(Duration::from_millis(100)) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(begun.elapsed() >= LIMIT);
    assert!(matches!(lost, SourceError::Wire(WireError::Stalled(_))), "{lost}");
    assert_eq!(failure(lost, Doing::Streaming), Transient::ConnectionLost.into());
    drop(frozen);
}
