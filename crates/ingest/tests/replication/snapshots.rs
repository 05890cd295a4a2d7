//! Where the snapshot ends, the stream begins.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ol_chassis::shutdown::Shutdown;
use ol_ingest::error::{Doing, Transient};
use ol_ingest::source::postgres::replication::message::{Cell, Message};
use ol_ingest::source::postgres::replication::stream::{Event, ReplicationStream};
use ol_ingest::source::postgres::snapshot::{Keeper, Reader};
use ol_ingest::source::postgres::wire::WireError;

use crate::common::{PATIENCE, database, failure, settings, slot, wait};

/// Rows are inserted without a pause, in transactions that are open while the slot is made, and each is in exactly one of
/// the two.
#[test]
fn every_row_is_in_the_snapshot_or_in_the_stream_and_never_in_both() {
    let database = database("once");
    database.psql("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t");
    let settings = settings(&database);
    let name = slot(&database);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers = (0..2).map(|writer| {
            let (database, done) = (&database, &done);
            scope.spawn(move || {
                for round in 0..200 {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let last = round * 10 + writer;
                    // Two rows a transaction, with time between them.
                    database.psql(&format!(
                        "BEGIN; INSERT INTO t VALUES ({last}); SELECT pg_sleep(0.003); INSERT INTO t VALUES ({}); COMMIT",
                        last + 5
                    ));
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        while database.psql("SELECT count(*) > 8 FROM t") != "t" {}
        let mut stream = ReplicationStream::open(&settings, Shutdown::new()).unwrap();
        let created = stream.create_slot(&name).unwrap();
        let keeper =
            wait(Keeper::open_at(&settings, &created.snapshot, created.consistent_point)).unwrap();
        stream.start(&name, "p", created.consistent_point).unwrap();
        assert_eq!(keeper.position, ol_ingest::position::Position::Lsn(created.consistent_point));
        // The stream has begun, the slot's own snapshot is gone, the keeper's is not.
        let mut copied = BTreeSet::new();
        let mut reader = Reader::open(&settings, &keeper.snapshot, Shutdown::new()).unwrap();
        reader
            .copy_out("COPY t TO STDOUT", |line| {
                copied.insert(std::str::from_utf8(line).unwrap().trim().parse::<i32>().unwrap());
                Ok::<(), WireError>(())
            })
            .unwrap();
        std::thread::sleep(Duration::from_millis(300));
        done.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let all: BTreeSet<i32> =
            database.psql("SELECT id FROM t").lines().map(|line| line.parse().unwrap()).collect();
        let mut streamed = BTreeSet::new();
        let begun = Instant::now();
        while copied.len() + streamed.len() < all.len() {
            assert!(begun.elapsed() < PATIENCE, "rows are missing");
            if let Event::Message(Message::Insert { new, .. }) =
                stream.next(Duration::from_secs(1)).unwrap()
            {
                let Some(Cell::Text(id)) = new.cells().next() else {
                    panic!("a row without an id")
                };
                let id = std::str::from_utf8(id).unwrap().parse().unwrap();
                assert!(streamed.insert(id), "{id} was streamed twice");
            }
        }
        assert!(copied.len() > 8 && !streamed.is_empty(), "the slot was made in the middle");
        assert_eq!(copied.intersection(&streamed).next(), None);
        assert_eq!(&copied | &streamed, all);
        wait(keeper.close()).unwrap();
        stream.finish().unwrap();
    });
}

#[test]
fn a_snapshot_of_a_slot_that_went_on_is_weather() {
    let database = database("stale");
    database.psql("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t");
    let settings = settings(&database);
    let mut stream = ReplicationStream::open(&settings, Shutdown::new()).unwrap();
    let created = stream.create_slot(&slot(&database)).unwrap();
    stream.identify().unwrap();
    let gone = wait(Keeper::open_at(&settings, &created.snapshot, created.consistent_point));
    let gone = gone.err().unwrap();
    assert_eq!(failure(gone, Doing::JoiningSnapshot), Transient::SnapshotLost.into());
}
