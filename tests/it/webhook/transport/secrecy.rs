//! What the sender shows of its secrets: nothing, to nobody.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::time::Duration;

use ol_testkit::{Step, binary};

use super::authority::Authority;
use super::{CA_FILE, CLIENT_FILE, LOG_EVERYTHING, TlsReceiver, put};
use crate::webhook::common::{Receiver, SECRET, Sender, course, told_no_secret};

/// Another secret, which the receiver does not know.
const OTHER: &str = "another-secret-that-nobody-must-see";

/// Runs a command that logs all there is and shows none of these secrets; its log.
#[track_caller]
fn told_nothing(sender: &Sender, arguments: &[&str], code: i32, secrets: &[&str]) -> String {
    let finished = told_no_secret(sender.step(arguments.iter().copied()).run()).expect_code(code);
    for said in [&finished.stdout, &finished.stderr] {
        for secret in secrets {
            assert!(!said.contains(secret), "{arguments:?} shows a secret:\n{said}");
        }
    }
    finished.stderr
}

#[test]
fn no_secret_is_logged_or_kept_while_a_message_fails_dies_and_is_replayed() {
    let receiver = Receiver::ours(&["--fault", "status:503:1"]);
    let mut sender = Sender::to(&receiver.base_url)
        .with("OL_LOG", LOG_EVERYTHING)
        .with("OL_WEBHOOK__SCHEDULE__WAITS_SECONDS", "[0.001, 3600.0]")
        .with("MIT_LEARN_WEBHOOK_SECRET", OTHER)
        .with("MIT_LEARN_WEBHOOK_SECRET_PREVIOUS", "a-third-secret-that-nobody-must-see");
    let secrets = [OTHER, "a-third-secret-that-nobody-must-see"];
    sender.send_lines("content_files", &course(1, 1), &[], 0);
    // The receiver fails once; then it knows none of our secrets.
    sender = sender.with("OL_WEBHOOK__DELIVERY__PATIENCE_SECONDS", "1");
    told_nothing(&sender, &["deliver"], 2, &secrets);
    told_nothing(&sender, &["probe"], 2, &secrets);
    let dead = sender.list("dead");
    assert_eq!(dead[0]["reason"], "secret_wrong");
    told_nothing(&sender, &["list"], 0, &secrets);
    told_nothing(&sender, &["show", dead[0]["id"].as_str().unwrap()], 0, &secrets);
    // The right one, from a file.
    let file = sender.folder.path().join("secret");
    std::fs::write(&file, SECRET).unwrap();
    let mut mended = sender.with("MIT_LEARN_WEBHOOK_SECRET_FILE", file.to_str().unwrap());
    mended.settings.remove("MIT_LEARN_WEBHOOK_SECRET");
    let arguments = ["replay", "--filter", "class=needs_person", "--deliver"];
    let step = mended.step(arguments).env_remove("MIT_LEARN_WEBHOOK_SECRET");
    let finished = told_no_secret(step.run()).expect_code(0);
    assert!(finished.stderr.contains("\"TRACE\""), "it logs all there is");
    let statuses: Vec<_> = receiver.requests().iter().map(|one| one["status"].clone()).collect();
    assert_eq!((&statuses[0], statuses.last().unwrap()), (&503.into(), &200.into()));
    std::fs::remove_file(file).unwrap();
    for entry in std::fs::read_dir(mended.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let kept = std::fs::read(&path).unwrap();
        for secret in secrets.iter().chain([&SECRET]) {
            let is_kept = kept.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
            assert!(!is_kept, "a secret is kept in {}", path.display());
        }
    }
}

#[test]
fn no_secret_is_logged_while_a_message_goes_over_http_2_or_by_our_certificate() {
    let authority = Authority::new();
    let certificate = authority.issue("localhost");
    let client = authority.issue("client");
    let pem = std::fs::read_to_string(&client).unwrap();
    let key = pem.split_once("PRIVATE KEY-----\n").unwrap().1.lines().next().unwrap();
    let ca = authority.file().to_str().unwrap().to_owned();
    for flags in [["--http2"].as_slice(), &["--client-authority", &ca]] {
        let receiver = TlsReceiver::start(&certificate, flags);
        let sender = Sender::to(&receiver.url("localhost"))
            .with("OL_LOG", LOG_EVERYTHING)
            .with(CA_FILE, &ca)
            .with(CLIENT_FILE, client.to_str().unwrap());
        put(&sender, 3);
        let log = told_nothing(&sender, &["deliver"], 0, &[key]);
        assert!(log.contains("\"TRACE\""), "it logs all there is");
        assert_eq!(receiver.requests().len(), 3);
    }
}

/// A user without rights: for a test that is run by root, who may see everything.
const NOBODY: u32 = 65_534;

/// `PROGRAM`, or the same as a user without rights where we are root.
fn as_user(is_root: bool, program: &Path) -> Step {
    if !is_root {
        return Step::new(program);
    }
    let user = format!("--reuid={NOBODY}");
    let group = format!("--regid={NOBODY}");
    Step::new(Path::new("setpriv")).args([&user, &group, "--clear-groups"]).arg(program)
}

#[test]
fn a_running_delivery_shows_its_variables_to_nobody_of_its_user_and_leaves_no_core() {
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let receiver = Receiver::ours(&[]);
    let sender = Sender::to(&receiver.base_url);
    let folder = sender.folder.path();
    let program = folder.join("ol-webhook");
    if std::fs::hard_link(binary("ol-webhook"), &program).is_err() {
        std::fs::copy(binary("ol-webhook"), &program).unwrap();
    }
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    if is_root {
        chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut running = as_user(is_root, &program)
        .args(["deliver", "--forever", "--output", "json"])
        .folder(folder)
        .env("MIT_LEARN_BASE_URL", &receiver.base_url)
        .env("MIT_LEARN_WEBHOOK_SECRET", SECRET)
        .env("OL_OUTBOX", &sender.outbox)
        .start();
    let read = |process: u32, file: &str| {
        let path = format!("/proc/{process}/{file}");
        as_user(is_root, Path::new("cat")).arg(path).run()
    };
    let outbox = folder.join("outbox.db");
    assert!(running.wait_until(Duration::from_secs(60), || outbox.exists()), "it works");
    for file in ["environ", "mem", "maps"] {
        let seen = read(running.id(), file);
        assert!(seen.code() != 0 && seen.stdout.is_empty(), "{file}: {seen:?}");
        assert!(seen.stderr.contains("ermission denied"), "{file}: {seen:?}");
    }
    // Another process of the same user hides nothing: it is the sender who does.
    let mut plain = as_user(is_root, Path::new("sleep")).arg("60").env("SHOWN", "x").start();
    let id = plain.id();
    let shown = || read(id, "environ").stdout.contains("SHOWN=x");
    assert!(plain.wait_until(Duration::from_secs(60), shown), "the control");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    running.signal("TERM");
    told_no_secret(running.wait()).expect_code(75);
}
