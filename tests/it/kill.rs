//! SIGKILL at every named point and at random moments: the lake opens and shows the old or the new table, the next run
//! completes, and what the dead run left behind is found and swept.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use ol_testkit::number_setting;
use serde_json::{Value, json};

use crate::common::{Case, PATIENCE, Random, rows, unreachable};

/// Rows of the first version of each table; `large` is read in several parts.
const TABLES: [(&str, u64); 3] = [("small", 10), ("large", 60_000), ("keyless", 1_000)];

/// A source whose tables change as a whole from version to version, and a lake that has followed to some version.
struct Followed {
    case: Case,
    version: u64,
    /// The rows each table has in the lake; `None` before it is there.
    landed: Option<u64>,
    /// How long the last run took that nobody killed.
    whole_run: Duration,
}

impl Followed {
    fn new(deployment: &'static str) -> Self {
        let case = Case::new(deployment);
        let mut script = String::new();
        for (name, _) in TABLES {
            let key = if name == "keyless" { "" } else { "PRIMARY KEY" };
            write!(script, "CREATE TABLE {name} (id bigint {key}, version int, note text, amount numeric(20,4));").unwrap();
        }
        case.database.psql(&script);
        let mut followed = Self { case, version: 0, landed: None, whole_run: Duration::ZERO };
        followed.change();
        followed.case.discover();
        followed
    }

    /// Every row gets a new content, and every table as many rows more as there were versions.
    fn change(&mut self) {
        self.version += 1;
        let mut script = String::new();
        for (name, rows) in TABLES {
            write!(
                script,
                "TRUNCATE {name}; INSERT INTO {name} SELECT n, {version}, md5(n::text || {version}), n * {version} / 7.0 \
                 FROM generate_series(1, {rows} + {version}) n;",
                version = self.version
            )
            .unwrap();
        }
        self.case.database.psql(&script);
    }

    /// What both readers see is, table by table, all of the old version or all of the new one.
    #[track_caller]
    fn expect_old_or_new(&self, state: &Value, when: &str) {
        for (name, base) in TABLES {
            let seen = rows(state, &self.case.raw_table(name));
            let old = self.landed.map(|version| base + version);
            // A table that was made and has no snapshot yet is empty, which is what it was before.
            let fits = seen == Some(base + self.version)
                || seen == old
                || (old.is_none() && seen == Some(0));
            assert!(
                fits,
                "{when}: {name} has {seen:?} rows, before {old:?}, at the source {}",
                base + self.version
            );
        }
    }

    /// A run to the end lands the present version, exactly.
    #[track_caller]
    fn complete(&mut self) {
        let started = Instant::now();
        let document = self.case.run(0);
        self.whole_run = started.elapsed();
        let unit = self.case.inventory.path().join(format!("units/{}.yml", self.case.deployment));
        self.case.compare(&unit, &document).expect_equal();
        self.landed = Some(self.version);
    }

    /// After a sweep every file of the warehouse is needed by a table, and none is missing; the count of swept files.
    #[track_caller]
    fn sweep(&self) -> usize {
        let leftovers = unreachable(&self.case.state()).len();
        let sweep = [
            "maintain",
            "--orphan-days",
            "0",
            "--output",
            "json",
            "--namespace",
            self.case.lake.namespace(),
        ];
        self.case.finish(self.case.ingest().args(sweep)).expect_code(0);
        let state = self.case.state();
        assert_eq!(unreachable(&state), Vec::<String>::new(), "files that nothing needs stay");
        assert_eq!(state.get("absent"), Some(&json!([])), "files that a table needs are gone");
        self.expect_old_or_new(&state, "after the sweep");
        leftovers
    }
}

/// Points inside the lake's own steps, where a table is made and where a file or a commit is half done.
///
/// They leave no marker, so the run is killed when it has stood still for a while.
const POINTS_OF_THE_LAKE: &[&str] = &[
    "lake.create.before_insert",
    "lake.write.file_closed",
    "lake.commit.manifest_written",
    "lake.commit.staged",
    "lake.commit.before_swap",
    "lake.commit.after_swap",
];

/// Kills a run while it stands at a failpoint.
#[track_caller]
fn kill_at(followed: &Followed, point: &str) {
    let marker = followed.case.lake.folder().join("reached");
    let _ = std::fs::remove_file(&marker);
    let mut running = followed
        .case
        .command("run")
        .env("FAILPOINTS", format!("{point}=pause"))
        .env("OL_FAILPOINT_MARKER", &marker)
        .start();
    if POINTS_OF_THE_LAKE.contains(&point) {
        let still = running.wait_until_quiet(PATIENCE, Duration::from_millis(1_500));
        assert!(still, "the run never came to {point}");
    } else {
        assert!(running.wait_until(PATIENCE, || marker.exists()), "the run never came to {point}");
        // What goes on beside the thread that stands still gets a moment to do harm.
        thread::sleep(Duration::from_millis(100));
    }
    running.signal("KILL");
    let finished = followed.case.told_no_secret(running.wait());
    assert_eq!(finished.code(), -1, "the run at {point} ended by itself: {}", finished.stderr);
}

/// A first load that is killed, and a later one; the count of files they left behind.
#[track_caller]
fn kill_twice_at(point: &str) -> usize {
    let mut followed = Followed::new("kill");
    kill_at(&followed, point);
    followed.expect_old_or_new(&followed.case.state(), point);
    followed.complete();
    // A table is made once.
    if point != "lake.create.before_insert" {
        followed.change();
        kill_at(&followed, point);
        followed.expect_old_or_new(&followed.case.state(), point);
        followed.complete();
    }
    let leftovers = followed.sweep();
    eprintln!("killed at {point}: {leftovers} files were left");
    leftovers
}

#[test]
fn a_kill_at_any_point_of_a_run_leaves_the_old_or_the_new_table() {
    let leftovers: usize =
        ol_ingest::failpoints::ALL.iter().map(|point| kill_twice_at(point)).sum();
    assert!(leftovers > 0, "no kill left a file, so nothing shows that the sweep finds any");
}

#[test]
fn a_kill_inside_a_commit_leaves_the_old_or_the_new_table() {
    let leftovers: usize = POINTS_OF_THE_LAKE.iter().map(|point| kill_twice_at(point)).sum();
    assert!(leftovers > 0, "no kill left a file, so nothing shows that the sweep finds any");
}

/// `OL_KILLS` random kills (default 4), for `make kill`; one JSON line at the end.
#[test]
fn kills_at_random_moments_lose_and_double_nothing() {
    let kills = number_setting("OL_KILLS").unwrap_or(4);
    let mut random = Random::seeded("random kills");
    let seed = random.0;
    let started = Instant::now();
    let mut followed = Followed::new("killrandom");
    followed.complete();
    let (mut killed, mut attempts) = (0, 0);
    while killed < kills {
        // A run that was faster than the last one ends before its kill, and is no kill.
        assert!(
            attempts < 4 * kills,
            "only {killed} of {attempts} runs lived long enough to be killed"
        );
        attempts += 1;
        followed.change();
        let share = u32::try_from(random.below(1_000)).unwrap();
        let running = followed.case.command("run").start();
        thread::sleep(followed.whole_run * share / 1_000);
        running.signal("KILL");
        if !running.wait().status.success() {
            killed += 1;
        }
        let when = format!("kill {killed} after {share}‰ of a run");
        followed.expect_old_or_new(&followed.case.state(), &when);
        followed.complete();
    }
    followed.sweep();
    eprintln!(
        "{}",
        json!({"source": "postgres-full", "kills": killed, "points": attempts, "lost": 0, "doubled": 0, "altered": 0,
               "seed": seed, "seconds": started.elapsed().as_secs()})
    );
}
