//! Slots that are in use, gone, lost or not to be had.

use ol_chassis::shutdown::Shutdown;
use ol_ingest::error::{Definite, Doing, Transient};
use ol_ingest::source::postgres::replication::error::SlotError;
use ol_ingest::source::postgres::replication::stream::{ReplicationStream, SystemIdentity};
use ol_ingest::source::postgres::settings::Settings;
use ol_testkit::{Database, PostgresServer};

use crate::common::{Follower, control, database, explained, failure, parse, settings, slot};

fn prepared(name: &str) -> Database<'static> {
    let database = database(name);
    database.psql("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t");
    database
}

fn open(settings: &Settings) -> ReplicationStream {
    ReplicationStream::open(settings, Shutdown::new()).unwrap()
}

#[test]
fn the_server_says_who_it_is_and_what_it_allows() {
    let database = database("identify");
    let settings = settings(&database);
    let identity = open(&settings).identify().unwrap();
    assert_eq!(
        identity.system_identifier,
        database.psql("SELECT system_identifier FROM pg_control_system()")
    );
    assert_eq!((identity.timeline, identity.database.as_str()), (1, database.name()));
    assert_eq!(identity.check(&identity.source()), Ok(()));
    let later = SystemIdentity { timeline: 2, ..identity.clone() }.check(&identity.source());
    assert_eq!(failure(later.unwrap_err(), Doing::Reading), Definite::TimelineChanged.into());
    let facts = control(&settings, async |control| control.server().await).unwrap();
    assert_eq!(facts.check(true), Ok(()));
    assert!(facts.position >= identity.position && facts.free_slots > 0, "{facts:?}");
    assert_eq!((facts.wal_level.as_str(), facts.max_slot_wal_keep_bytes), ("logical", None));
}

#[test]
fn a_slot_streams_to_one_and_is_free_when_that_one_has_finished() {
    let database = prepared("two");
    let (settings, name) = (settings(&database), slot(&database));
    let follower = Follower::new(&database, "p");
    let refused = open(&settings).start(&name, "p", 0).unwrap_err();
    assert_eq!(failure(refused, Doing::StartingStream), Transient::SlotInUse.into());
    let facts = control(&settings, async |control| control.slot(&name).await).unwrap().unwrap();
    assert!(matches!(facts.check(database.name()), Err(SlotError::InUse { .. })));
    let kept = control(&settings, async |control| control.drop_slot(&name).await).unwrap_err();
    assert_eq!(failure(kept, Doing::Reading), Transient::SlotInUse.into());
    let again = open(&settings).create_slot(&name).unwrap_err();
    assert_eq!(failure(again, Doing::CreatingSlot), Transient::SlotInUse.into());
    // At once, with no time between: twenty times the slot is free when finish returns.
    let mut stream = follower.stream;
    for _ in 0..20 {
        stream.finish().unwrap();
        stream = open(&settings);
        stream.start(&name, "p", 0).unwrap();
    }
    stream.finish().unwrap();
    assert!(control(&settings, async |control| control.drop_slot(&name).await).unwrap());
    assert!(!control(&settings, async |control| control.drop_slot(&name).await).unwrap());
}

#[test]
fn what_was_not_acknowledged_comes_again_and_what_was_does_not() {
    let database = prepared("acknowledge");
    let (settings, name) = (settings(&database), slot(&database));
    let mut follower = Follower::new(&database, "p");
    database.psql("INSERT INTO t VALUES (1)");
    database.psql("INSERT INTO t VALUES (2)");
    assert_eq!(follower.transaction().last().unwrap(), "+ t 1");
    let first = follower.end;
    assert_eq!(follower.transaction(), ["+ t 2"]);
    let second = follower.end;
    follower.stream.acknowledge(second, first).unwrap();
    // It never goes back.
    follower.stream.acknowledge(0, 0).unwrap();
    follower.stream.finish().unwrap();
    let facts = control(&settings, async |control| control.slot(&name).await).unwrap().unwrap();
    assert_eq!(facts.confirmed_flush_lsn, Some(first));
    assert_eq!(facts.check(database.name()), Ok(()));
    assert_eq!(facts.check_not_moved(first), Ok(()));
    let moved = facts.check_not_moved(first - 1).unwrap_err();
    assert_eq!(failure(moved, Doing::Reading), Definite::SlotMoved.into());
    let mut again = Follower::again(&database, "p", 0);
    assert_eq!(again.transaction().last().unwrap(), "+ t 2", "from the slot's own place");
    again.stream.finish().unwrap();
    let mut later = Follower::again(&database, "p", second);
    database.psql("INSERT INTO t VALUES (3)");
    assert_eq!(later.transaction().last().unwrap(), "+ t 3", "from the place we ask for");
}

#[test]
fn a_slot_that_is_gone_and_one_of_somebody_else_are_named() {
    let database = prepared("gone");
    let (settings, name) = (settings(&database), slot(&database));
    let missing = open(&settings).start(&name, "p", 0).unwrap_err();
    assert_eq!(failure(missing, Doing::StartingStream), Definite::SlotMissing.into());
    let facts = || control(&settings, async |control| control.slot(&name).await).unwrap();
    assert_eq!(facts(), None);
    database.psql(&format!("SELECT pg_create_logical_replication_slot('{name}', 'test_decoding')"));
    let foreign = facts().unwrap().check(database.name()).unwrap_err();
    assert_eq!(failure(foreign, Doing::Reading), Definite::SlotMoved.into());
}

#[test]
fn a_slot_that_the_server_gave_up_is_lost() {
    let server = PostgresServer::start_with(&[
        "max_slot_wal_keep_size=1MB",
        "max_wal_size=32MB",
        "min_wal_size=32MB",
    ]);
    let database = server.create_database("lost");
    database.psql("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t");
    let (settings, name) = (settings(&database), slot(&database));
    let mut stream = open(&settings);
    stream.create_slot(&name).unwrap();
    stream.finish().unwrap();
    for _ in 0..4 {
        database.psql("CREATE TABLE w (a int); DROP TABLE w; SELECT pg_switch_wal()");
    }
    database.psql("CHECKPOINT");
    let facts = control(&settings, async |control| control.slot(&name).await).unwrap().unwrap();
    let lost = facts.check(database.name()).unwrap_err();
    assert_eq!(failure(lost, Doing::Reading), Definite::SlotLost.into());
    let refused = open(&settings).start(&name, "p", 0).unwrap_err();
    assert_eq!(failure(refused, Doing::StartingStream), Definite::SlotLost.into());
    let facts = control(&settings, async |control| control.server().await).unwrap();
    assert_eq!(facts.max_slot_wal_keep_bytes, Some(1 << 20));
}

#[test]
fn a_slot_that_nobody_reads_says_what_it_holds_back() {
    let database = prepared("behind");
    let (settings, name) = (settings(&database), slot(&database));
    let mut stream = open(&settings);
    stream.create_slot(&name).unwrap();
    stream.finish().unwrap();
    database.psql("CREATE TABLE w AS SELECT repeat('x', 1000) FROM generate_series(1, 2000)");
    let facts = control(&settings, async |control| control.slot(&name).await).unwrap().unwrap();
    assert!(facts.retained_bytes > 2_000_000, "{facts:?}");
    assert_eq!(facts.check_retained(facts.retained_bytes), Ok(()));
    let too_far = facts.check_retained(2_000_000).unwrap_err();
    assert_eq!(failure(too_far, Doing::Reading), Definite::SlotTooFarBehind.into());
}

#[test]
fn a_server_that_does_not_log_enough_and_one_without_a_free_slot_are_named() {
    let server = PostgresServer::start_with(&["wal_level=replica", "max_replication_slots=0"]);
    let database = server.create_database("replica");
    let settings = settings(&database);
    let facts = control(&settings, async |control| control.server().await).unwrap();
    let error = explained(facts.check(false).unwrap_err(), Doing::Reading);
    assert_eq!(error.failure(), Definite::ReplicationUnavailable.into());
    assert_eq!(error.fact("reason"), Some("wal_level is replica, not logical"));
    let refused = open(&settings).create_slot("s").unwrap_err();
    assert_eq!(failure(refused, Doing::CreatingSlot), Definite::ReplicationUnavailable.into());

    let server = PostgresServer::start_with(&["max_replication_slots=1"]);
    let database = server.create_database("full");
    let settings = crate::common::settings(&database);
    let mut stream = open(&settings);
    stream.create_slot("only").unwrap();
    let refused = stream.create_slot("another").unwrap_err();
    assert_eq!(failure(refused, Doing::CreatingSlot), Definite::ReplicationUnavailable.into());
    let facts = control(&settings, async |control| control.server().await).unwrap();
    assert_eq!(facts.check(false), Ok(()));
    assert!(matches!(facts.check(true), Err(SlotError::Unavailable { .. })));
}

#[test]
fn a_role_without_the_right_is_named() {
    let database = prepared("role");
    database.psql("CREATE ROLE reader_without LOGIN PASSWORD 'x'");
    let settings = parse(&database.url_as("reader_without", "x"));
    let facts = control(&settings, async |control| control.server().await).unwrap();
    assert!(!facts.may_replicate);
    assert!(matches!(facts.check(false), Err(SlotError::Unavailable { .. })));
    let refused = ReplicationStream::open(&settings, Shutdown::new()).err().unwrap();
    assert_eq!(failure(refused, Doing::StartingStream), Definite::ReplicationUnavailable.into());
}

#[test]
fn senders_that_are_all_taken_are_weather() {
    let server = PostgresServer::start_with(&["max_wal_senders=1"]);
    let database = server.create_database("senders");
    let settings = settings(&database);
    let _only = open(&settings);
    let refused = ReplicationStream::open(&settings, Shutdown::new()).err().unwrap();
    assert_eq!(failure(refused, Doing::StartingStream), Transient::TooManyConnections.into());
}

#[test]
fn a_sender_that_is_ended_or_a_server_that_stops_is_never_the_end_of_the_changes() {
    let database = prepared("ended");
    let mut follower = Follower::new(&database, "p");
    database.psql(&format!(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{}'",
        slot(&database)
    ));
    let error = explained(follower.error(), Doing::Streaming);
    assert!(error.is_transient(), "{error}");
}

#[test]
fn a_publication_that_is_dropped_under_the_stream_is_named() {
    let database = prepared("dropped");
    let mut follower = Follower::new(&database, "p");
    database.psql("DROP PUBLICATION p; INSERT INTO t VALUES (1)");
    assert_eq!(failure(follower.error(), Doing::Streaming), Definite::PublicationMissing.into());
}
