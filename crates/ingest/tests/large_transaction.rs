//! One transaction of 200,000 rows, in memory that does not grow with it. Alone in its process, whose memory is measured.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use ol_chassis::secret::SecretUrl;
use ol_chassis::shutdown::Shutdown;
use ol_ingest::source::postgres::replication::message::Message;
use ol_ingest::source::postgres::replication::stream::{Event, ReplicationStream};
use ol_ingest::source::postgres::settings::Settings;
use ol_testkit::PostgresServer;

const ROWS: u64 = 200_000;
/// The transaction is about 200 MB; the read buffer is half of one.
const MOST_GROWTH_KILOBYTES: u64 = 8 * 1024;

fn resident_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_transaction_of_two_hundred_thousand_rows_is_read_in_bounded_memory() {
    let database = PostgresServer::shared().create_database("large");
    database
        .psql("CREATE TABLE t (id int PRIMARY KEY, note text); CREATE PUBLICATION p FOR TABLE t");
    let settings = Settings::parse(&SecretUrl::parse(&database.url()).unwrap()).unwrap();
    let mut stream = ReplicationStream::open(&settings, Shutdown::new()).unwrap();
    stream.create_slot("large").unwrap();
    stream.start("large", "p", 0).unwrap();
    database.psql(&format!(
        "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, {ROWS}) i"
    ));
    let (mut rows, mut bytes, mut most) = (0u64, 0, 0);
    let mut before = None;
    loop {
        match stream.next(Duration::from_secs(30)).unwrap() {
            Event::Message(Message::Insert { new, .. }) => {
                rows += 1;
                bytes += new.bytes();
            }
            Event::Message(Message::Commit { .. }) => break,
            Event::Message(_) | Event::Keepalive { .. } | Event::Idle => {}
        }
        if rows % 1000 == 1 {
            let now = resident_kilobytes();
            most = most.max(now.saturating_sub(*before.get_or_insert(now)));
        }
    }
    assert_eq!(rows, ROWS);
    assert!(bytes > 200_000_000, "{bytes} bytes");
    assert!(most < MOST_GROWTH_KILOBYTES, "grew by {most} kB");
    println!("{rows} rows, {bytes} bytes, {most} kB more memory");
    stream.finish().unwrap();
}
