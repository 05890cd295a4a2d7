//! What an outbox promises, on both databases: every test runs on a SQLite file and on a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ol_chassis::clock::{SystemClock, TestClock};
use ol_chassis::process::Identity;
use ol_chassis::secret::SecretUrl;
use ol_testkit::PostgresServer;

use super::*;
use crate::error::{Definite, Error, Failure, Transient};

const LEASE: Duration = Duration::from_secs(300);

struct Case {
    outbox: Outbox,
    clock: Arc<TestClock>,
    worker: Identity,
}

/// A worker elsewhere, of which nobody can say whether it lives.
fn worker(name: &str) -> Identity {
    Identity::parse(&format!("{name}/1/1")).unwrap()
}

/// Runs a test on both databases.
fn on_both(test: impl AsyncFn(Case)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("outbox.db").display());
    let database = PostgresServer::shared().create_database("outbox");
    for address in [file, database.url()] {
        runtime.block_on(async {
            let clock = Arc::new(TestClock::new(
                SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
            ));
            let address = SecretUrl::parse(&address).unwrap();
            let outbox = Outbox::open(&address, Arc::clone(&clock) as _).await.unwrap();
            test(Case { outbox, clock, worker: worker("a") }).await;
        });
    }
}

fn draft(entity: &str, content: &str) -> Draft {
    Draft {
        target: "learn".to_owned(),
        kind: "ovs_videos".to_owned(),
        scope: "ovs_videos".to_owned(),
        entity: entity.to_owned(),
        identity: entity.to_owned(),
        body: content.as_bytes().to_vec(),
        content_hash: content.to_owned(),
        is_tombstone: false,
        place: None,
    }
}

impl Case {
    async fn put(&self, entity: &str, content: &str) -> Option<String> {
        let accepted = self.outbox.enqueue(&[draft(entity, content)], false, "").await.unwrap();
        match accepted.into_iter().next().unwrap() {
            Accepted::Message { id, .. } => Some(id),
            Accepted::Unchanged { .. } | Accepted::StillDead { .. } => None,
        }
    }

    async fn claim(&self) -> Vec<Leased> {
        self.outbox.claim("learn", &self.worker, LEASE, 100, &[], "").await.unwrap()
    }

    async fn claim_one(&self) -> Leased {
        let claimed = self.claim().await;
        assert_eq!(claimed.len(), 1, "{claimed:?}");
        claimed.into_iter().next().unwrap()
    }

    async fn settle(&self, message: Leased, outcome: Outcome) -> bool {
        let result = settlement(message, outcome);
        self.outbox.settle(&[result], "a").await.unwrap() == [true]
    }

    async fn state(&self, id: &str) -> String {
        self.outbox.message(id).await.unwrap().state
    }

    fn now_ms(&self) -> i64 {
        self.outbox.now_ms()
    }
}

fn settlement(message: Leased, outcome: Outcome) -> Settlement {
    Settlement {
        message,
        outcome,
        started_at_ms: 0,
        milliseconds: 1,
        status: Some(200),
        response: b"{}".to_vec(),
        response_truncated: false,
        body_sha256: "x".to_owned(),
    }
}

fn dead() -> Outcome {
    Outcome::Dead { error: Error::new(Definite::PayloadRefused) }
}

fn retry(due_at_ms: i64) -> Outcome {
    Outcome::Retry { due_at_ms, not_before_ms: None, error: Error::new(Transient::TimedOut) }
}

#[test]
fn one_message_of_an_entity_at_a_time_and_the_newest_next() {
    on_both(async |case| {
        let first = case.put("v", "1").await.unwrap();
        let leased = case.claim_one().await;
        let second = case.put("v", "2").await.unwrap();
        let third = case.put("v", "3").await.unwrap();
        assert_eq!(case.claim().await, [], "the first is on its way");
        assert_eq!(case.state(&second).await, "superseded");
        assert_eq!(case.state(&third).await, "waiting");
        assert!(case.settle(leased, Outcome::Delivered).await);
        assert_eq!(case.state(&first).await, "delivered");
        let next = case.claim_one().await;
        assert_eq!((next.id, next.attempts), (third, 1));
    });
}

#[test]
fn unchanged_is_skipped_and_what_died_or_was_dropped_may_come_again() {
    on_both(async |case| {
        let first = case.put("v", "1").await.unwrap();
        assert_eq!(case.put("v", "1").await, None, "while it is queued");
        let leased = case.claim_one().await;
        assert_eq!(case.put("v", "1").await, None, "while it is on its way");
        case.settle(leased, Outcome::Delivered).await;
        assert_eq!(case.put("v", "1").await, None, "when it has arrived");
        let forced = case.outbox.enqueue(&[draft("v", "1")], true, "").await.unwrap();
        let Accepted::Message { id: forced, .. } = forced.into_iter().next().unwrap() else {
            unreachable!("force sends what is unchanged")
        };
        assert_ne!(forced, first, "another message, another id");
        let leased = case.claim_one().await;
        case.settle(leased, Outcome::Dead { error: Error::new(Definite::SecretWrong) }).await;
        let again = case.put("v", "1").await.unwrap();
        let leased = case.claim_one().await;
        case.settle(leased, dead()).await;
        let still = case.outbox.enqueue(&[draft("v", "1")], false, "").await.unwrap();
        assert_eq!(still, [Accepted::StillDead { id: again.clone() }], "it would be refused again");
        case.outbox.drop_message(&again, "test").await.unwrap();
        assert!(case.put("v", "1").await.is_some());
    });
}

#[test]
fn content_that_comes_back_is_a_new_message() {
    on_both(async |case| {
        let mut ids = Vec::new();
        for content in ["a", "b", "a"] {
            ids.push(case.put("v", content).await.unwrap());
            let leased = case.claim_one().await;
            case.settle(leased, Outcome::Delivered).await;
        }
        assert_ne!(ids.first(), ids.last());
    });
}

#[test]
fn a_failed_attempt_is_tried_again_under_its_id_unless_something_newer_waits() {
    on_both(async |case| {
        let first = case.put("v", "1").await.unwrap();
        let leased = case.claim_one().await;
        let due = case.now_ms() + 5_000;
        case.settle(leased, retry(due)).await;
        assert_eq!(case.claim().await, []);
        assert_eq!(case.outbox.next_due_ms("learn", &[], "").await.unwrap(), Some(due));
        assert_eq!(case.outbox.next_due_ms("learn", &["ovs_videos"], "").await.unwrap(), None);
        case.clock.advance(Duration::from_secs(5));
        let leased = case.claim_one().await;
        assert_eq!((leased.id.as_str(), leased.attempts), (first.as_str(), 2));
        let second = case.put("v", "2").await.unwrap();
        case.settle(leased, retry(due)).await;
        assert_eq!(case.state(&first).await, "superseded");
        assert_eq!(case.claim_one().await.id, second);
        let attempts = case.outbox.attempts(&first).await.unwrap();
        assert_eq!(attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(attempts.first().unwrap().reason.as_deref(), Some("timed_out"));
    });
}

#[test]
fn a_lease_that_ran_out_is_taken_back_and_its_owner_is_fenced() {
    on_both(async |case| {
        let id = case.put("v", "1").await.unwrap();
        let stale = case.claim_one().await;
        let other = worker("b");
        assert_eq!(case.outbox.recover(&other, 10).await.unwrap(), 0, "the lease holds");
        case.clock.advance(LEASE + Duration::from_secs(1));
        assert_eq!(case.outbox.recover(&case.worker, 10).await.unwrap(), 0, "not one's own");
        assert_eq!(case.outbox.recover(&other, 10).await.unwrap(), 1);
        let fresh = case.outbox.claim("learn", &other, LEASE, 1, &[], "").await.unwrap();
        assert_eq!(fresh.first().unwrap().id, id);
        assert!(!case.settle(stale, dead()).await, "its word does not count any more");
        assert_eq!(case.state(&id).await, "leased");
        let lost = case.outbox.attempts(&id).await.unwrap();
        assert_eq!(lost.first().unwrap().reason.as_deref(), Some("worker_lost"));
    });
}

#[test]
fn what_a_dead_process_held_is_taken_back_at_once() {
    on_both(async |case| {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let here = Identity::current().to_string();
        let (machine, _) = here.rsplit_once('/').unwrap().0.rsplit_once('/').unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let started = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap();
        let owner = Identity::parse(&format!("{machine}/{}/{started}", child.id())).unwrap();
        case.put("v", "1").await.unwrap();
        case.outbox.claim("learn", &owner, LEASE, 1, &[], "").await.unwrap();
        assert_eq!(case.outbox.recover(&case.worker, 10).await.unwrap(), 0, "it lives");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(case.outbox.recover(&case.worker, 10).await.unwrap(), 1);
        assert_eq!(case.claim().await.len(), 1);
    });
}

#[test]
fn a_batch_is_sent_in_order_and_its_end_only_when_all_parts_arrived() {
    on_both(async |case| {
        let part = |index| Draft {
            entity: "source".to_owned(),
            place: Some(Place { id: "batch".to_owned(), index, total: 3 }),
            ..draft("source", &format!("part {index}"))
        };
        let drafts: Vec<Draft> = (0..4).map(part).collect();
        let accepted = case.outbox.enqueue(&drafts, false, "").await.unwrap();
        let ids: Vec<String> = accepted
            .into_iter()
            .filter_map(|accepted| match accepted {
                Accepted::Message { id, superseded: 0 } => Some(id),
                Accepted::Message { .. }
                | Accepted::Unchanged { .. }
                | Accepted::StillDead { .. } => None,
            })
            .collect();
        let [one, two, three, end] = ids.as_slice() else { unreachable!("{ids:?}") };
        assert!(case.outbox.is_latest_batch("learn", "source", "batch").await.unwrap());
        for (id, outcome) in [(one, Outcome::Delivered), (two, dead()), (three, Outcome::Delivered)]
        {
            let leased = case.claim_one().await;
            assert_eq!(&leased.id, id);
            case.settle(leased, outcome).await;
        }
        assert_eq!(case.claim().await, [], "a part is dead");
        assert_eq!(case.state(end).await, "dead");
        assert!(!case.outbox.is_latest_batch("learn", "source", "batch").await.unwrap());
        assert_eq!(case.outbox.replay(end, false, "").await.unwrap(), Replayed::Queued);
        let leased = case.claim_one().await;
        case.settle(leased, dead()).await;
        for id in [two, end] {
            assert_eq!(case.outbox.replay(id, false, "").await.unwrap(), Replayed::Queued, "{id}");
            let leased = case.claim_one().await;
            assert_eq!(&leased.id, id);
            case.settle(leased, Outcome::Delivered).await;
        }
        // A newer batch takes the place of what is left of an older one.
        let newer = Draft {
            place: Some(Place { id: "newer".to_owned(), index: 0, total: 1 }),
            ..draft("source", "newer")
        };
        case.outbox.enqueue(&drafts, true, "").await.unwrap();
        let accepted = case.outbox.enqueue(&[newer], false, "").await.unwrap();
        assert!(matches!(accepted.as_slice(), [Accepted::Message { superseded: 4, .. }]));
    });
}

#[test]
fn a_replay_keeps_the_id_and_never_puts_old_over_new() {
    on_both(async |case| {
        let old = case.put("v", "old").await.unwrap();
        let leased = case.claim_one().await;
        case.settle(leased, dead()).await;
        assert_eq!(case.outbox.replay(&old, false, "").await.unwrap(), Replayed::Queued);
        assert_eq!(case.outbox.replay(&old, false, "").await.unwrap(), Replayed::Queued, "due now");
        let leased = case.claim_one().await;
        assert_eq!(
            (leased.id.as_str(), leased.attempts, leased.total_attempts),
            (old.as_str(), 1, 2)
        );
        assert_eq!(case.outbox.replay(&old, false, "").await.unwrap(), Replayed::Unsettled);
        case.settle(leased, dead()).await;
        let new = case.put("v", "new").await.unwrap();
        assert_eq!(case.outbox.replay(&old, false, "").await.unwrap(), Replayed::Overtaken);
        let leased = case.claim_one().await;
        assert_eq!(leased.id, new);
        assert_eq!(case.outbox.replay(&old, true, "").await.unwrap(), Replayed::Queued, "by force");
        assert_eq!(case.state(&old).await, "waiting", "behind the one on its way");
        assert_eq!(case.outbox.replay("msg_none", false, "").await.unwrap(), Replayed::Missing);
        assert_eq!(case.outbox.drop_message(&new, "r").await.unwrap(), Replayed::Leased);
        case.settle(leased, Outcome::Delivered).await;
        assert_eq!(case.outbox.drop_message(&old, "r").await.unwrap(), Replayed::Dropped);
        assert_eq!(case.claim().await, []);
    });
}

#[test]
fn a_run_answers_for_its_own_messages_and_adopts_what_it_would_have_sent() {
    on_both(async |case| {
        case.put("other", "1").await.unwrap();
        let mine = case.outbox.enqueue(&[draft("mine", "1")], false, "run1").await.unwrap();
        let claim = async |origin: &str| {
            case.outbox.claim("learn", &case.worker, LEASE, 10, &[], origin).await.unwrap()
        };
        let leased = claim("run1").await.into_iter().next().unwrap();
        assert!(matches!(mine.as_slice(), [Accepted::Message { id, .. }] if *id == leased.id));
        let later = case.now_ms() + 1_000_000;
        case.settle(leased, retry(later)).await;
        assert_eq!(claim("run2").await, []);
        // The next run finds it unchanged, on its way: it is its own now, and tried at once.
        let again = case.outbox.enqueue(&[draft("mine", "1")], false, "run2").await.unwrap();
        assert!(matches!(again.as_slice(), [Accepted::Unchanged { is_delivered: false, .. }]));
        let leased = claim("run2").await.into_iter().next().unwrap();
        case.settle(leased, Outcome::Delivered).await;
        let again = case.outbox.enqueue(&[draft("mine", "1")], false, "run3").await.unwrap();
        assert!(matches!(again.as_slice(), [Accepted::Unchanged { is_delivered: true, .. }]));
        assert_eq!(case.outbox.counts("run2").await.unwrap().of(State::Delivered), 1);
        assert_eq!(case.outbox.counts("").await.unwrap().unsettled(), 1);
    });
}

#[test]
fn lists_are_pages_and_what_is_old_is_forgotten() {
    on_both(async |case| {
        for number in 0..25 {
            case.put(&format!("v{number:02}"), "1").await.unwrap();
        }
        for message in case.claim().await {
            let outcome = if message.entity == "v07" { dead() } else { Outcome::Delivered };
            case.settle(message, outcome).await;
        }
        let mut filter = Filter { entity: Some("v1?".to_owned()), ..Filter::default() };
        let first = case.outbox.list(&filter, 6).await.unwrap();
        filter.after = first.last().map(|message| message.sequence);
        let second = case.outbox.list(&filter, 6).await.unwrap();
        assert_eq!((first.len(), second.len()), (6, 4));
        let letters = Filter { state: Some(State::Dead), ..Filter::default() };
        let letters = case.outbox.list(&letters, 100).await.unwrap();
        let reasons: Vec<_> = letters.iter().map(|letter| letter.reason.as_deref()).collect();
        assert_eq!(reasons, [Some("payload_refused")]);
        assert!(letters.first().unwrap().sentence.as_deref().unwrap().contains("runbook"));
        let later = case.now_ms() + 1;
        assert_eq!(case.outbox.forget(later, 0).await.unwrap(), 24);
        assert_eq!(case.outbox.forget(later, later).await.unwrap(), 1);
        assert_eq!(case.put("v01", "1").await, None, "what arrived is still known");
        assert!(matches!(
            case.outbox.message("msg_none").await.unwrap_err().failure(),
            Failure::Definite(Definite::MessageMissing)
        ));
    });
}

/// Random life of twenty entities, with two workers, deaths of workers, retries and replays.
#[test]
fn whatever_happens_nothing_is_lost_and_no_entity_goes_back() {
    let seed = ol_testkit::number_setting("OL_SEED")
        .unwrap_or_else(|| u64::from(std::process::id()) * 2_654_435_761);
    eprintln!("outbox: OL_SEED={seed}");
    on_both(async |case| {
        let mut random = seed;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let workers = [worker("a"), worker("b")];
        let mut held: Vec<Leased> = Vec::new();
        let mut contents: BTreeMap<String, u64> = BTreeMap::new();
        let mut arrived: BTreeMap<String, u64> = BTreeMap::new();
        let mut arrives = |message: &Leased| {
            let content: u64 = message.content_hash.parse().unwrap();
            let before = arrived.insert(message.entity.clone(), content).unwrap_or_default();
            assert!(content >= before, "{} went back from {before} to {content}", message.entity);
        };
        for step in 0..600u64 {
            match next(10) {
                0..=3 => {
                    let entity = format!("e{}", next(20));
                    contents.insert(entity.clone(), step);
                    case.put(&entity, &step.to_string()).await;
                }
                4..=6 => {
                    let worker = if next(2) == 0 { &workers[0] } else { &workers[1] };
                    let claimed =
                        case.outbox.claim("learn", worker, LEASE, 3, &[], "").await.unwrap();
                    held.extend(claimed);
                }
                7 | 8 => {
                    if held.is_empty() {
                        continue;
                    }
                    let place = usize::try_from(next(held.len() as u64)).unwrap();
                    let message = held.swap_remove(place);
                    match next(4) {
                        // It arrived, and its worker died before it could say so.
                        0 => arrives(&message),
                        1 => {
                            case.settle(message, retry(case.now_ms())).await;
                        }
                        _ => {
                            arrives(&message);
                            case.settle(message, Outcome::Delivered).await;
                        }
                    }
                }
                _ => {
                    // Workers that live hold no message for longer than its lease: what they hold now they lose.
                    held.clear();
                    case.clock.advance(LEASE + Duration::from_secs(1));
                    case.outbox.recover(&worker("c"), 1000).await.unwrap();
                }
            }
        }
        case.clock.advance(LEASE + Duration::from_secs(1));
        case.outbox.recover(&worker("c"), 1000).await.unwrap();
        loop {
            let claimed = case.claim().await;
            if claimed.is_empty() {
                break;
            }
            for message in claimed {
                arrives(&message);
                case.settle(message, Outcome::Delivered).await;
            }
        }
        assert_eq!(case.outbox.counts("").await.unwrap().unsettled(), 0);
        assert_eq!(arrived, contents, "the newest content of every entity has arrived");
    });
}

#[tokio::test]
async fn processes_that_make_one_file_at_the_same_time_wait_for_each_other() {
    for _round in 0..50 {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("sqlite:{}", folder.path().join("outbox.db").display());
        let mut opened = tokio::task::JoinSet::new();
        for _process in 0..6 {
            let address = SecretUrl::parse(&address).unwrap();
            opened.spawn(async move { Outbox::open(&address, Arc::new(SystemClock)).await });
        }
        let instances: BTreeSet<String> =
            opened.join_all().await.into_iter().map(|outbox| outbox.unwrap().instance).collect();
        assert_eq!(instances.len(), 1, "all of them have opened the same outbox");
    }
}

#[tokio::test]
async fn a_database_that_is_no_outbox_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    std::fs::write(
        &path,
        "this is no database, and longer than a header of one hundred bytes; \
        SQLite looks at the first sixteen and says so",
    )
    .unwrap();
    let clock = Arc::new(TestClock::new(SystemTime::UNIX_EPOCH));
    let open = async |address: String| {
        Outbox::open(&SecretUrl::parse(&address).unwrap(), Arc::clone(&clock) as _).await
    };
    let error = open(format!("sqlite:{}", path.display())).await.unwrap_err();
    assert_eq!(error.failure(), Definite::OutboxForeign.into());
    let error = open("mysql://x/y".to_owned()).await.unwrap_err();
    assert_eq!(error.failure(), Definite::Configuration.into());
    let error = open("postgres://nobody:hunter2@127.0.0.1:1/x".to_owned()).await.unwrap_err();
    assert_eq!(error.failure(), Transient::OutboxUnreachable.into());
    assert!(!format!("{error:?}").contains("hunter2"));
}
