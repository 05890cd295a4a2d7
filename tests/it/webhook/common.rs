//! What the tests of the sender share: an outbox of its own, a receiver of its own, and the demand that nothing
//! `ol-webhook` says shows a secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ol_testkit::{Finished, Python, Running, Step, binary, workspace_root};
use serde_json::Value;

/// The secret of a case, unless it says otherwise.
pub(crate) const SECRET: &str = "a-secret-that-nobody-must-see";

/// Long enough for a receiver to start on two busy cores.
const PATIENCE: Duration = Duration::from_secs(60);

/// A sender with an outbox of its own, that calls one receiver.
pub(crate) struct Sender {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) outbox: String,
    pub(crate) base_url: String,
    pub(crate) settings: BTreeMap<String, String>,
}

impl Sender {
    /// A sender to this receiver, with an outbox in a file, not slowed down and without patience.
    pub(crate) fn to(base_url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let outbox = format!("sqlite:{}", folder.path().join("outbox.db").display());
        let settings = [
            ("OL_WEBHOOK__DELIVERY__RATE_PER_SECOND", "0"),
            ("OL_WEBHOOK__DELIVERY__PATIENCE_SECONDS", "0"),
        ];
        let settings =
            settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
        Self { folder, outbox, base_url: base_url.to_owned(), settings }
    }

    /// The same with another setting.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// `ol-webhook ARGUMENTS --output json`.
    pub(crate) fn step<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Step {
        let mut step = Step::new(binary("ol-webhook"))
            .args(arguments)
            .args(["--output", "json"])
            .folder(self.folder.path())
            .env("MIT_LEARN_BASE_URL", &self.base_url)
            .env("MIT_LEARN_WEBHOOK_SECRET", SECRET)
            .env("OL_OUTBOX", &self.outbox);
        for (name, value) in &self.settings {
            step = step.env(name, value);
        }
        step
    }

    /// Runs a command, demands its exit code and that it shows no secret, and returns its document.
    #[track_caller]
    pub(crate) fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>, code: i32) -> Value {
        told_no_secret(self.step(arguments).run()).expect_code(code).json()
    }

    /// Puts JSON lines of a kind into the outbox.
    #[track_caller]
    pub(crate) fn send_lines(&self, kind: &str, lines: &str, flags: &[&str], code: i32) -> Value {
        let arguments =
            ["send", "--kind", kind, "--lines", "-"].into_iter().chain(flags.iter().copied());
        let step = self.step(arguments).input(lines);
        told_no_secret(step.run()).expect_code(code).json()
    }

    /// The messages of a state.
    #[track_caller]
    pub(crate) fn list(&self, state: &str) -> Vec<Value> {
        let document = self.run(["list", "--state", state, "--limit", "100000"], 0);
        document["messages"].as_array().unwrap().clone()
    }
}

/// Demands that what a command said shows no secret.
#[track_caller]
pub(crate) fn told_no_secret(finished: Finished) -> Finished {
    for said in [&finished.stdout, &finished.stderr] {
        assert!(!said.contains(SECRET), "the secret stands in:\n{said}");
    }
    finished
}

/// A receiver under way; it ends with this.
pub(crate) struct Receiver {
    pub(crate) running: Running,
    pub(crate) base_url: String,
    pub(crate) journal: PathBuf,
    _folder: tempfile::TempDir,
}

impl Receiver {
    /// `ol-webhook listen` with these flags.
    pub(crate) fn ours(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.jsonl");
        let mut running = Step::new(binary("ol-webhook"))
            .args(["listen", "--address", "127.0.0.1:0", "--output", "json", "--journal"])
            .arg(&journal)
            .args(flags)
            .env("MIT_LEARN_WEBHOOK_SECRET", SECRET)
            .limit(Duration::from_secs(3600))
            .start();
        let line: Value = serde_json::from_str(&running.first_line(PATIENCE)).unwrap();
        let base_url = format!("http://{}", line["address"].as_str().unwrap());
        Self { running, base_url, journal, _folder: folder }
    }

    /// `tests/receivers`: Django and DRF, arranged as MIT Learn arranges them.
    pub(crate) fn django(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.jsonl");
        let mut running = Step::new(Python::Receivers.path())
            .arg(workspace_root().join("tests/receivers/learn_receiver.py"))
            .args(["--port", "0", "--secret", SECRET, "--journal"])
            .arg(&journal)
            .args(flags)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .open_input()
            .limit(Duration::from_secs(3600))
            .start();
        let line: Value = serde_json::from_str(&running.first_line(PATIENCE)).unwrap();
        let base_url = format!("http://127.0.0.1:{}", line["port"]);
        Self { running, base_url, journal, _folder: folder }
    }

    /// Every request so far, in the order of arrival.
    pub(crate) fn requests(&self) -> Vec<Value> {
        requests(&self.journal)
    }
}

/// The requests of a journal, in the order of arrival.
pub(crate) fn requests(journal: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(journal).unwrap_or_default();
    // The last line may be half written.
    let mut requests: Vec<Value> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    requests.sort_by_key(|request| request["sequence"].as_u64());
    requests
}

/// A JSON line of `content_files` for a course of MITx Online; the version is in the path.
pub(crate) fn course(course: u64, version: u64) -> String {
    let id = format!("course-v1:MITx+{course}");
    let path = format!("mitxonline/openedx/raw_data/course_xml/{id}/{version:064x}.xml.tar.gz");
    serde_json::json!({"course_id": id, "content_path": path, "source": "mitxonline"}).to_string()
}
