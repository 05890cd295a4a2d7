//! The secret is changed: at one side, at the other, in the middle of everything. What can be delivered is; what cannot
//! waits for a person, and is not spent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ol_testkit::{Running, Step};
use serde_json::{Value, json};

use super::common::{Receiver, SECRET, Sender, course, requests, told_no_secret};
use super::django::faults;
use crate::common::{PATIENCE, text};

/// What the secret is changed to.
const NEXT: &str = "the-secret-that-comes-after-it";

const ONE_AT_A_TIME: (&str, &str) = ("OL_WEBHOOK__DELIVERY__CONCURRENCY", "1");

/// Both sides with the secret in a file.
struct Sides {
    receiver: Receiver,
    sender: Sender,
    at_receiver: PathBuf,
    at_sender: PathBuf,
    /// Courses that were sent.
    sent: u64,
}

impl Sides {
    /// The receiver with the present secret, the sender with these.
    fn new(of_sender: &str, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        let (at_receiver, at_sender) = (folder.join("receiver"), folder.join("sender"));
        put(&at_receiver, SECRET);
        put(&at_sender, of_sender);
        let receiver = Receiver::django(&["--secret-file", at_receiver.to_str().unwrap()]);
        let mut sender = Sender::to(&receiver.base_url)
            .with("OL_WEBHOOK__DELIVERY__POLL_SECONDS", "0.05")
            .with("OL_WEBHOOK__DELIVERY__GATE_SECONDS", "0.1");
        for (name, value) in settings {
            sender = sender.with(name, value);
        }
        Self { receiver, sender, at_receiver, at_sender, sent: 0 }
    }

    /// A command that reads the secret from its file.
    fn step<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Step {
        self.sender
            .step(arguments)
            .env_remove("MIT_LEARN_WEBHOOK_SECRET")
            .env("MIT_LEARN_WEBHOOK_SECRET_FILE", &self.at_sender)
    }

    #[track_caller]
    fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>, code: i32) -> Value {
        told_neither_secret(self.step(arguments).run()).expect_code(code).json()
    }

    /// Puts this many more courses into the outbox.
    fn send(&mut self, count: u64) {
        let lines: Vec<String> =
            (self.sent..self.sent + count).map(|number| course(number, 1)).collect();
        self.sender.send_lines("content_files", &lines.join("\n"), &[], 0);
        self.sent += count;
    }

    /// Waits until every course that was sent has been delivered by this command.
    #[track_caller]
    fn wait_for_all(&self, delivery: &mut Running) {
        self.wait_for(delivery, self.sent);
    }

    #[track_caller]
    fn wait_for(&self, delivery: &mut Running, count: u64) {
        let arrived = || u64::try_from(arrived(&self.receiver.requests()).len()).unwrap() >= count;
        let have_arrived = delivery.wait_until(PATIENCE, arrived);
        assert!(have_arrived, "not all messages arrived; the delivery says: {}", delivery.told());
    }

    /// Demands that every course arrived exactly once, as a message of its own.
    #[track_caller]
    fn all_arrived_once(&self) {
        let arrived = arrived(&self.receiver.requests());
        assert_eq!(u64::try_from(arrived.len()).unwrap(), self.sent);
        let ids: BTreeSet<&String> = arrived.values().flatten().collect();
        assert!(arrived.values().all(|ids| ids.len() == 1) && ids.len() == arrived.len());
    }
}

impl Drop for Sides {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.at_sender.parent().unwrap());
    }
}

/// Demands that what a command said shows neither secret.
#[track_caller]
fn told_neither_secret(finished: ol_testkit::Finished) -> ol_testkit::Finished {
    assert!(!finished.stdout.contains(NEXT) && !finished.stderr.contains(NEXT));
    told_no_secret(finished)
}

/// Puts a secret into its file at one go, as a secret store does.
fn put(path: &Path, secret: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, format!("{secret}\n")).unwrap();
    std::fs::rename(beside, path).unwrap();
}

/// The ids under which each course was accepted.
fn arrived(requests: &[Value]) -> BTreeMap<String, Vec<String>> {
    let mut arrived: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in requests.iter().filter(|request| request["status"] == 200) {
        let id = text(request, "webhook_id").to_owned();
        arrived.entry(text(request, "course_id").to_owned()).or_default().push(id);
    }
    arrived
}

fn exchanges(requests: &[Value]) -> Vec<String> {
    let exchange = |request: &Value| {
        let is_probe = request["webhook_id"].as_str().is_some_and(|id| id.starts_with("probe_"));
        let method = if is_probe { "PROBE" } else { text(request, "method") };
        format!("{method} {}", request["status"])
    };
    requests.iter().map(exchange).collect()
}

#[test]
fn a_secret_that_changes_at_both_sides_in_mid_flight_fails_nothing() {
    let mut sides = Sides::new(SECRET, &[]);
    faults(&sides.receiver, &["delay:0.02"]);
    let mut forever = sides.step(["deliver", "--forever"]).start();
    let mut refused_before = 0;
    for after in [NEXT, SECRET, NEXT] {
        let sent_before = sides.sent;
        sides.send(30);
        sides.wait_for(&mut forever, sent_before + 10);
        // What is under way was signed before and is judged after.
        sides.receiver.running.signal("STOP");
        put(&sides.at_receiver, after);
        put(&sides.at_sender, after);
        sides.receiver.running.signal("CONT");
        sides.send(30);
        sides.wait_for_all(&mut forever);
        let requests = sides.receiver.requests();
        let refused = requests.iter().filter(|request| request["status"] == 405).count();
        assert!(refused > refused_before, "no request met the change");
        refused_before = refused;
    }
    forever.signal("TERM");
    let finished = told_neither_secret(forever.wait()).expect_code(75);
    assert!(finished.stderr.contains("the secrets were changed"), "{}", finished.stderr);
    let delivery = finished.json();
    assert_eq!((&delivery["delivered"], &delivery["dead"]), (&json!(sides.sent), &json!(0)));
    assert_eq!(delivery["attempts"], sides.sent, "asking for the secret is part of the attempt");
    sides.all_arrived_once();
}

#[test]
fn a_rotation_by_the_book_fails_nothing_however_long_it_takes() {
    let mut sides = Sides::new(SECRET, &[]);
    let mut forever = sides.step(["deliver", "--forever"]).start();
    let steps: [&dyn Fn(&Sides); 4] = [
        &|_| {},
        &|sides| put(&sides.at_sender, &format!("{NEXT}\n{SECRET}")),
        &|sides| put(&sides.at_receiver, NEXT),
        &|sides| put(&sides.at_sender, NEXT),
    ];
    for step in steps {
        sides.send(10);
        step(&sides);
        sides.send(10);
        sides.wait_for_all(&mut forever);
    }
    forever.signal("TERM");
    let delivery = told_neither_secret(forever.wait()).expect_code(75).json();
    assert_eq!((&delivery["delivered"], &delivery["dead"]), (&json!(sides.sent), &json!(0)));
    sides.all_arrived_once();
}

#[test]
fn while_the_receiver_still_has_the_previous_secret_messages_arrive_by_it_with_a_warning() {
    let mut sides =
        Sides::new(NEXT, &[ONE_AT_A_TIME, ("MIT_LEARN_WEBHOOK_SECRET_PREVIOUS", SECRET)]);
    sides.send(3);
    let finished = told_neither_secret(sides.step(["deliver"]).run()).expect_code(0);
    let warning = "the receiver knows another of our secrets";
    assert!(
        finished.stderr.contains("WARN") && finished.stderr.contains(warning),
        "{}",
        finished.stderr
    );
    let delivery = finished.json();
    assert_eq!((&delivery["delivered"], &delivery["dead"]), (&json!(3), &json!(0)));
    let requests = sides.receiver.requests();
    let expected = ["POST 405", "PROBE 405", "PROBE 400", "POST 200", "POST 200", "POST 200"];
    assert_eq!(exchanges(&requests), expected);
    for request in &requests {
        let signatures = text(&request["headers"], "webhook-signature");
        assert_eq!(signatures.split(' ').count(), 2, "one by each secret");
        assert_eq!(request["standard_valid"], true, "{request:#}");
    }
    let dead = sides.sender.list("dead");
    assert_eq!(dead.len(), 0);
    for message in sides.sender.list("delivered") {
        let shown = sides.run(["show", text(&message, "id")], 0);
        assert_eq!(shown["attempts_made"].as_array().unwrap().len(), 1);
    }

    put(&sides.at_receiver, NEXT);
    sides.send(3);
    let finished = told_neither_secret(sides.step(["deliver"]).run()).expect_code(0);
    assert!(!finished.stderr.contains(warning), "{}", finished.stderr);
    assert_eq!(exchanges(&sides.receiver.requests()[6..]), ["POST 200"; 3]);
    sides.all_arrived_once();
}

#[test]
fn a_wrong_secret_costs_one_message_and_leaves_the_others_untouched() {
    let mut sides = Sides::new(NEXT, &[ONE_AT_A_TIME]);
    sides.send(10);
    let delivery = sides.run(["deliver"], 2);
    assert_eq!(delivery["outcome"], "blocked");
    let counted = ["attempts", "delivered", "dead", "left"].map(|key| delivery[key].clone());
    assert_eq!(counted, [1, 0, 1, 9].map(|count| json!(count)));
    assert_eq!(exchanges(&sides.receiver.requests()), ["POST 405", "PROBE 405", "GET 405"]);
    let dead = sides.sender.list("dead");
    let [letter] = &dead[..] else { panic!("{dead:#?}") };
    assert_eq!(
        (&letter["class"], &letter["reason"]),
        (&json!("needs_person"), &json!("secret_wrong"))
    );
    assert_eq!(text(letter, "entity"), "content_files/mitxonline/course-v1:MITx+0");
    let queued = sides.sender.list("queued");
    assert_eq!(queued.len(), 9);
    for message in &queued {
        assert_eq!((&message["attempts"], &message["reason"]), (&json!(0), &Value::Null));
    }
    let shown = sides.run(["show", text(&queued[0], "id")], 0);
    assert_eq!(shown["attempts_made"], json!([]));

    put(&sides.at_sender, SECRET);
    let replay = sides.run(["replay", "--filter", "class=needs_person", "--deliver"], 0);
    assert_eq!(replay["counts"], json!({"queued": 1}));
    assert_eq!(sides.sender.list("dead").len(), 0);
    let last = sides.receiver.requests();
    assert_eq!(last.last().unwrap()["webhook_id"], letter["id"]);
    sides.run(["deliver"], 0);
    assert_eq!(sides.sender.list("delivered").len(), 10);
    sides.all_arrived_once();
}

#[test]
fn between_the_changes_of_both_sides_messages_wait_and_then_go_on_by_themselves() {
    let mut sides = Sides::new(SECRET, &[ONE_AT_A_TIME]);
    let mut forever = sides.step(["deliver", "--forever"]).start();
    sides.send(5);
    sides.wait_for_all(&mut forever);
    put(&sides.at_receiver, NEXT);
    sides.send(10);
    assert!(forever.wait_until(PATIENCE, || sides.sender.list("dead").len() == 1));
    // The gate is asked again and again, and stays closed.
    let asked = sides.receiver.requests().len();
    let journal = sides.receiver.journal.clone();
    assert!(sides.receiver.running.wait_until(PATIENCE, || requests(&journal).len() > asked + 4));
    let queued = sides.sender.list("queued");
    assert!(queued.len() == 9 && queued.iter().all(|message| message["attempts"] == 0));

    put(&sides.at_sender, NEXT);
    sides.send(5);
    sides.wait_for(&mut forever, sides.sent - 1);
    forever.signal("TERM");
    let delivery = told_neither_secret(forever.wait()).expect_code(2).json();
    assert_eq!((&delivery["delivered"], &delivery["dead"]), (&json!(19), &json!(1)));
    let refused = sides.receiver.requests();
    let refused = refused.iter().filter(|one| one["status"] == 405 && one["course_id"].is_string());
    assert_eq!(refused.count(), 1, "one message was spent");
    sides.run(["replay", "--filter", "class=needs_person", "--deliver"], 0);
    sides.all_arrived_once();
}
