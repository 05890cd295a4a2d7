//! Days of bad network in seconds: the real delivery and the real outbox, with a simulated clock and receiver.
//!
//! The clock stands still while anything can happen and jumps to the next sleeper's time when nothing does. What is
//! simulated is seeded and printed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use ol_chassis::clock::Clock;
use ol_chassis::progress::Progress;
use ol_chassis::secret::{SecretText, SecretUrl};
use ol_chassis::shutdown::Shutdown;
use tokio::sync::oneshot;
use url::Url;

use super::{Courier, Silent, Summary, Until};
use crate::config::{Config, SignatureForm, Webhook};
use crate::error::{Error, Result, Transient};
use crate::outbox::{Draft, Outbox, State};
use crate::schedule::Jitter;
use crate::signature::{ID_HEADER, Keyring, check};
use crate::target::Learn;
use crate::transport::{Request, Transport};
use crate::triage::Answer;

/// A clock that jumps from sleeper to sleeper.
#[derive(Debug)]
struct SimulatedClock {
    started: SystemTime,
    origin: Instant,
    inner: Mutex<Inner>,
    /// Counts everything that happens, so that "nothing does" can be seen.
    events: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    elapsed: Duration,
    /// By how much the wall clock is off.
    wall_offset_seconds: i64,
    sleepers: BTreeMap<(Duration, u64), oneshot::Sender<()>>,
    next: u64,
}

impl SimulatedClock {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
            origin: Instant::now(),
            inner: Mutex::default(),
            events: AtomicU64::new(0),
        })
    }

    fn elapsed(&self) -> Duration {
        self.inner.lock().unwrap().elapsed
    }

    fn jump_wall(&self, seconds: i64) {
        self.inner.lock().unwrap().wall_offset_seconds += seconds;
    }

    fn event(&self) {
        self.events.fetch_add(1, Ordering::SeqCst);
    }

    /// Wakes whoever sleeps the shortest.
    fn advance(&self) {
        let mut inner = self.inner.lock().unwrap();
        while let Some(((until, _), waker)) = inner.sleepers.pop_first() {
            // Who does not wait any more does not hold time up.
            if !waker.is_closed() {
                inner.elapsed = inner.elapsed.max(until);
                let _ = waker.send(());
                return;
            }
        }
    }

    /// Drives time until `done`: it stands still while the database works or a task has something to do.
    async fn drive(&self, outbox: &Outbox, done: &AtomicU64) {
        while done.load(Ordering::SeqCst) == 0 {
            let before = self.events.load(Ordering::SeqCst);
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
            if outbox.is_busy() {
                // Real time: the database's thread gets its turn.
                #[expect(clippy::disallowed_methods, reason = "simulated time stands still")]
                tokio::time::sleep(Duration::from_micros(50)).await;
            } else if self.events.load(Ordering::SeqCst) == before {
                self.advance();
            }
        }
    }
}

/// Turns of the runtime after which every task that can go on has gone on.
const TURNS: usize = 24;

#[async_trait]
impl Clock for SimulatedClock {
    fn now(&self) -> SystemTime {
        let inner = self.inner.lock().unwrap();
        let now = self.started + inner.elapsed;
        let offset = Duration::from_secs(inner.wall_offset_seconds.unsigned_abs());
        if inner.wall_offset_seconds < 0 { now - offset } else { now + offset }
    }

    fn monotonic(&self) -> Instant {
        self.event();
        self.origin + self.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        let (sender, receiver) = oneshot::channel();
        {
            let mut inner = self.inner.lock().unwrap();
            let until = inner.elapsed + duration;
            inner.next += 1;
            let key = (until, inner.next);
            inner.sleepers.insert(key, sender);
        }
        self.event();
        let _ = receiver.await;
        self.event();
    }
}

/// What a receiver does in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Weather {
    /// Answers after so many milliseconds.
    Well(u64),
    /// Nobody answers the connection.
    Partitioned,
    /// Answers with this status.
    Status(u16),
    /// Asks for a pause of so many seconds.
    Busy(u64),
    /// Takes the message and loses the answer.
    Forgetful,
    /// Does not answer in time.
    Hanging,
}

/// One request that a receiver took.
#[derive(Debug, Clone)]
struct Taken {
    id: String,
    entity: String,
    content: u64,
}

struct Receiver {
    clock: Arc<SimulatedClock>,
    keyring: Keyring,
    forecast: Vec<(Duration, Weather)>,
    /// Content that this receiver always fails on.
    poison: Option<u64>,
    taken: Mutex<Vec<Taken>>,
    asked: Mutex<Vec<Duration>>,
}

impl Receiver {
    fn weather(&self) -> Weather {
        let now = self.clock.elapsed();
        let past = self.forecast.iter().take_while(|(from, _)| *from <= now);
        past.last().map_or(Weather::Well(5), |(_, weather)| *weather)
    }

    fn asked_between(&self, from: Duration, until: Duration) -> usize {
        self.asked.lock().unwrap().iter().filter(|at| (from..until).contains(*at)).count()
    }
}

fn answer(status: u16, retry_after: Option<Duration>) -> Answer {
    Answer { status, retry_after, ..Answer::default() }
}

#[async_trait]
impl Transport for Receiver {
    async fn send(&self, request: Request) -> Result<Answer> {
        self.asked.lock().unwrap().push(self.clock.elapsed());
        let headers: Vec<(String, String)> = request
            .headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let since = self.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        // A signature made before a wait would be too old here.
        let believed = check(&self.keyring, &headers, &request.body, since.as_secs());
        assert!(believed.is_ok(), "{believed:?}");
        let weather = self.weather();
        let text = String::from_utf8(request.body.to_vec()).unwrap();
        let (entity, content) = text.split_once(' ').unwrap();
        let content: u64 = content.parse().unwrap();
        let take = || {
            let id = headers.iter().find(|(name, _)| name == ID_HEADER).unwrap().1.clone();
            let taken = Taken { id, entity: entity.to_owned(), content };
            self.taken.lock().unwrap().push(taken);
        };
        if self.poison == Some(content) {
            return Ok(answer(500, None));
        }
        match weather {
            Weather::Well(milliseconds) => {
                self.clock.sleep(Duration::from_millis(milliseconds)).await;
                take();
                Ok(answer(200, None))
            }
            Weather::Partitioned => Err(Error::new(Transient::HostUnreachable)),
            Weather::Status(status) => Ok(answer(status, None)),
            Weather::Busy(seconds) => Ok(answer(429, Some(Duration::from_secs(seconds)))),
            Weather::Forgetful => {
                take();
                Err(Error::new(Transient::ConnectionLost))
            }
            Weather::Hanging => {
                self.clock.sleep(Duration::from_secs(60)).await;
                Err(Error::new(Transient::TimedOut))
            }
        }
    }
}

struct World {
    clock: Arc<SimulatedClock>,
    receiver: Arc<Receiver>,
    outbox: Outbox,
    settings: Webhook,
    seed: u64,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new(forecast: Vec<(Duration, Weather)>, poison: Option<u64>) -> Self {
        let seed = ol_testkit::number_setting("OL_SEED")
            .unwrap_or_else(|| u64::from(std::process::id()).wrapping_mul(0x9e37_79b9));
        eprintln!("simulation: OL_SEED={seed}");
        let folder = tempfile::tempdir().unwrap();
        let address = format!("sqlite:{}", folder.path().join("outbox.db").display());
        let clock = SimulatedClock::new();
        let address = SecretUrl::parse(&address).unwrap();
        let outbox = Outbox::open(&address, Arc::clone(&clock) as _).await.unwrap();
        let mut settings = Config::load(None).unwrap().webhook;
        settings.delivery.rate_per_second = 0.0;
        settings.schedule.jitter = Jitter::Full;
        let keyring = Keyring::parse([&SecretText::new("secret")]).unwrap();
        let receiver = Arc::new(Receiver {
            clock: Arc::clone(&clock),
            keyring,
            forecast,
            poison,
            taken: Mutex::default(),
            asked: Mutex::default(),
        });
        Self { clock, receiver, outbox, settings, seed, _folder: folder }
    }

    async fn put(&self, entity: &str, content: u64) {
        let body = format!("{entity} {content}");
        let draft = Draft {
            target: Learn::NAME.to_owned(),
            kind: "content_files".to_owned(),
            scope: "content_files/canvas".to_owned(),
            entity: entity.to_owned(),
            identity: entity.to_owned(),
            content_hash: body.clone(),
            body: body.into_bytes(),
            is_tombstone: false,
            place: None,
        };
        self.outbox.enqueue(&[draft], false, "").await.unwrap();
    }

    fn courier(&self, shutdown: Shutdown) -> Courier {
        let keyring = Keyring::parse([&SecretText::new("secret")]).unwrap();
        let base = Url::parse("https://learn.example.org").unwrap();
        let mut random = self.seed | 1;
        Courier {
            outbox: self.outbox.clone(),
            target: Arc::new(Learn::new(base, keyring, SignatureForm::Standard)),
            transport: Arc::clone(&self.receiver) as _,
            settings: self.settings.clone(),
            clock: Arc::clone(&self.clock) as _,
            shutdown,
            progress: Progress::hidden(),
            observer: Arc::new(Silent),
            origin: String::new(),
            chance: Box::new(move || {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                f64::from(u32::try_from(random >> 32).unwrap()) / f64::from(u32::MAX)
            }),
        }
    }

    /// Delivers for up to `patience` of simulated quiet, with things that happen meanwhile.
    async fn deliver(&self, patience: Duration, meanwhile: impl AsyncFnOnce(&Self)) -> Summary {
        let done = AtomicU64::new(0);
        let delivery = async {
            let courier = self.courier(Shutdown::new());
            let summary = Box::pin(courier.run(Until::Idle(patience))).await.unwrap();
            done.store(1, Ordering::SeqCst);
            summary
        };
        let (summary, (), ()) =
            tokio::join!(delivery, self.clock.drive(&self.outbox, &done), meanwhile(self));
        summary
    }

    /// Every entity ends with its newest content, never went back, and one message has one id.
    fn judge(&self, newest: &BTreeMap<String, u64>) {
        let taken = self.receiver.taken.lock().unwrap();
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        let mut ids: BTreeMap<(&str, u64), BTreeSet<&str>> = BTreeMap::new();
        for each in taken.iter() {
            let before = last.insert(&each.entity, each.content).unwrap_or_default();
            assert!(each.content >= before, "{} went back to {}", each.entity, each.content);
            ids.entry((&each.entity, each.content)).or_default().insert(&each.id);
        }
        assert!(ids.values().all(|ids| ids.len() == 1), "a message was sent under two ids");
        for (entity, content) in newest {
            assert_eq!(last.get(entity.as_str()), Some(content), "{entity} has not arrived");
        }
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn hours(hours: f64) -> Duration {
    HOUR.mul_f64(hours)
}

#[tokio::test]
async fn everything_arrives_through_days_of_bad_weather() {
    let forecast = vec![
        // Slow enough that much is left when the storm begins.
        (hours(0.0), Weather::Well(2_000)),
        (hours(0.01), Weather::Forgetful),
        (hours(0.02), Weather::Partitioned),
        (hours(3.0), Weather::Status(503)),
        (hours(5.0), Weather::Hanging),
        (hours(8.0), Weather::Busy(1800)),
        (hours(9.0), Weather::Forgetful),
        (hours(9.5), Weather::Status(500)),
        (hours(20.0), Weather::Well(300)),
    ];
    let world = World::new(forecast, None).await;
    let mut newest = BTreeMap::new();
    for entity in 0..120u64 {
        world.put(&format!("e{entity}"), 1).await;
        newest.insert(format!("e{entity}"), 1);
    }
    let started = Instant::now();
    let summary = world
        .deliver(hours(24.0), async |world| {
            // Newer content in the middle of the storm, and a wall clock that jumps.
            for (at, content) in [(0.015, 2), (4.0, 3), (9.2, 4)] {
                world.clock.sleep(hours(at).saturating_sub(world.clock.elapsed())).await;
                for entity in 0..40u64 {
                    world.put(&format!("e{entity}"), content).await;
                }
                world.clock.jump_wall(if content == 3 { -90_000 } else { 86_400 });
            }
        })
        .await;
    for entity in 0..40u64 {
        newest.insert(format!("e{entity}"), 4);
    }
    world.judge(&newest);
    assert_eq!((summary.dead, summary.left), (0, 0), "{summary:?}");
    eprintln!(
        "simulated {:.1} h in {:.1} s: {} attempts, {} requests",
        world.clock.elapsed().as_secs_f64() / 3600.0,
        started.elapsed().as_secs_f64(),
        summary.attempts,
        world.receiver.asked.lock().unwrap().len()
    );
}

#[tokio::test]
async fn a_dead_receiver_is_asked_by_one_request_at_a_time_and_the_wave_does_not_come() {
    let dead = (hours(0.0), hours(6.0));
    let forecast = vec![(dead.0, Weather::Partitioned), (dead.1, Weather::Well(5))];
    let world = World::new(forecast, None).await;
    let mut newest = BTreeMap::new();
    for entity in 0..500u64 {
        world.put(&format!("e{entity}"), 1).await;
        newest.insert(format!("e{entity}"), 1);
    }
    let summary = world.deliver(hours(12.0), async |_world| {}).await;
    world.judge(&newest);
    assert_eq!((summary.dead, summary.left), (0, 0));
    let settings = &world.settings;
    // Closed: the threshold and what was under way; then one probe a period that doubles up to the longest.
    let first = settings.breaker.threshold as usize + settings.delivery.concurrency;
    let longest = settings.breaker.longest_open_seconds;
    let probes = (dead.1.as_secs_f64() / longest).ceil();
    let most = first + 8 + usize::try_from(format!("{probes:.0}").parse::<u64>().unwrap()).unwrap();
    let asked = world.receiver.asked_between(dead.0, dead.1);
    assert!(asked <= most, "{asked} requests to a dead receiver, at most {most} were expected");
    assert!(asked >= 20, "it was asked whether it is back: {asked}");
}

#[tokio::test]
async fn a_poisoned_message_starves_nobody_and_is_given_up_by_the_schedule() {
    let world = World::new(vec![(hours(0.0), Weather::Well(5))], Some(666)).await;
    world.put("poisoned", 666).await;
    let mut newest = BTreeMap::new();
    for entity in 0..200u64 {
        world.put(&format!("e{entity}"), 1).await;
        newest.insert(format!("e{entity}"), 1);
    }
    let summary = world.deliver(hours(48.0), async |_world| {}).await;
    world.judge(&newest);
    assert_eq!((summary.dead, summary.delivered, summary.left), (1, 200, 0));
    let dead = summary.dead_letters.first().unwrap();
    assert_eq!((dead.reason.as_str(), dead.attempts), ("given_up", 10));
    let hours = world.clock.elapsed().as_secs_f64() / 3600.0;
    assert!(hours > 5.0, "the schedule takes its time: {hours:.1} h");
}

#[tokio::test]
async fn two_workers_share_an_outbox_and_a_stop_gives_everything_back() {
    let world = World::new(vec![(hours(0.0), Weather::Well(200))], None).await;
    let mut newest = BTreeMap::new();
    for entity in 0..300u64 {
        for content in 1..=2 {
            world.put(&format!("e{entity}"), content).await;
        }
        newest.insert(format!("e{entity}"), 2);
    }
    let done = AtomicU64::new(0);
    let shutdown = Shutdown::new();
    let workers = async {
        let first = Box::pin(world.courier(shutdown.clone()).run(Until::Stopped));
        let second = Box::pin(world.courier(Shutdown::new()).run(Until::Idle(HOUR)));
        let stop = async {
            // Not at a moment: time may jump while a database call lasts.
            while world.receiver.taken.lock().unwrap().len() < 60 {
                world.clock.sleep(Duration::from_millis(200)).await;
            }
            shutdown.request();
        };
        let (first, second, ()) = tokio::join!(first, second, stop);
        done.store(1, Ordering::SeqCst);
        (first.unwrap(), second.unwrap())
    };
    let ((first, second), ()) = tokio::join!(workers, world.clock.drive(&world.outbox, &done));
    world.judge(&newest);
    assert!(first.stopped && first.delivered > 0, "{first:?}");
    assert_eq!(first.delivered + second.delivered, 300);
    assert_eq!(world.receiver.taken.lock().unwrap().len(), 300, "nothing twice");
    assert_eq!(world.outbox.counts("").await.unwrap().of(State::Leased), 0);
}
