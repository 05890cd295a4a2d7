//! The example binary as a process: signals, exit codes, what is printed where, what leaves over
//! the network.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![expect(clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use support::HttpServer;

/// The example `service`, built beside this test.
fn service(arguments: &[&str]) -> Command {
    let this = std::env::current_exe().unwrap();
    let folder = this.parent().and_then(|folder| folder.parent()).unwrap();
    let binary: PathBuf = folder.join("examples/service");
    assert!(binary.exists(), "build it with `cargo build -p ol-chassis --examples`");
    let mut command = Command::new(binary);
    for name in ["OL_LOG", "RUST_LOG", "OL_CONFIG", "OL_METRICS_ADDRESS", "OTEL_SDK_DISABLED"] {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn finished(arguments: &[&str]) -> (Output, String) {
    let output = service(arguments).output().unwrap();
    let stderr = text(&output.stderr);
    (output, stderr)
}

/// A started service; killed when a test ends before it does.
struct Service {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Service {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr }
    }

    /// Starts one and waits until it says that it is ready.
    fn ready(command: &mut Command) -> Self {
        let mut service = Self::start(command);
        await_line(&mut service.stderr, "ready");
        service
    }

    fn send(&self, signal: &str) {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
    }

    /// The exit code, which must come within ten seconds.
    fn exit_code(&mut self) -> Option<i32> {
        let patience = Instant::now() + Duration::from_secs(10);
        while Instant::now() < patience {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the service still runs");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself; both calls then change nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn await_line(stderr: &mut impl BufRead, wanted: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "ended before saying {wanted}");
        if line.contains(wanted) {
            return line;
        }
    }
}

#[test]
fn a_signal_stops_at_a_safe_point_with_75() {
    for signal in ["-TERM", "-INT"] {
        let mut service = Service::ready(&mut service(&["wait"]));
        service.send(signal);
        assert_eq!(service.exit_code(), Some(75));
    }
}

#[test]
fn a_second_signal_stops_at_once_with_75() {
    let mut service = Service::ready(&mut service(&["stubborn"]));
    service.send("-TERM");
    await_line(&mut service.stderr, "stopping at the next safe point");
    assert!(service.child.try_wait().unwrap().is_none(), "the first signal only asks");
    service.send("-TERM");
    assert_eq!(service.exit_code(), Some(75));
}

#[test]
fn a_failure_is_told_in_one_sentence_with_the_cure() {
    let (output, stderr) = finished(&["fail"]);
    assert_eq!(output.status.code(), Some(2));
    let sentence = "error: Cannot read the table (table: users_user): permission denied\n";
    let advice = "Advice: GRANT SELECT ON users_user TO reader\n";
    assert!(stderr.ends_with(&format!("{sentence}{advice}")), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_panic_is_a_definite_failure() {
    let (output, stderr) = finished(&["panic"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("a state nobody thought of"), "{stderr}");
    assert!(stderr.contains("Advice: This is a defect"), "{stderr}");
}

#[test]
fn mistakes_on_the_command_line_are_configuration() {
    for (arguments, named) in [
        (vec!["wait", "--no-such-flag"], "--no-such-flag"),
        (vec!["wait", "--log-level", "ol_lake=loud"], "--log-level"),
        (vec!["wait", "--metrics-address", "nowhere"], "--metrics-address"),
        (vec!["wait", "--metrics-address", "192.0.2.1:9464"], "192.0.2.1:9464"),
    ] {
        let (output, stderr) = finished(&arguments);
        assert_eq!(output.status.code(), Some(3), "{stderr}");
        assert!(stderr.contains(named), "{stderr}");
    }
    assert_eq!(finished(&["--help"]).0.status.code(), Some(0));
}

#[test]
fn stdout_is_for_the_result() {
    let (output, _) = finished(&["completion", "bash"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).starts_with("_service()"), "{}", text(&output.stdout));
}

#[test]
fn log_lines_are_json_for_machines_and_text_when_asked() {
    let line = await_line(&mut Service::start(&mut service(&["wait"])).stderr, "ready");
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(object["message"], "ready");
    assert_eq!(object["level"], "INFO");
    assert_eq!(object["span"]["name"], "work");

    let mut command = service(&["wait", "--log-format", "text"]);
    let line = await_line(&mut Service::start(&mut command).stderr, "ready");
    assert!(line.contains(" INFO ") && !line.starts_with('{'), "{line}");
    assert!(!line.contains('\u{1b}'), "colours in a pipe: {line}");
}

#[test]
fn metrics_are_served_and_traces_leave_when_the_run_ends() {
    let collector = HttpServer::start(|_| (200, String::new()));
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let mut command = service(&["wait", "--metrics-address", &address]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.address);
    let mut service = Service::ready(&mut command);

    let mut connection = TcpStream::connect(&address).unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    connection.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    connection.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");

    service.send("-TERM");
    assert_eq!(service.exit_code(), Some(75));
    let sent = collector.asked();
    assert!(collector.count("POST /v1/traces") >= 1);
    let traces = sent.iter().find(|asked| asked.line == "POST /v1/traces").unwrap();
    assert!(traces.body.windows(7).any(|window| window == b"service"));
}

#[test]
fn a_missing_collector_does_not_fail_the_run() {
    let mut command = service(&["completion", "bash"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("OTEL_EXPORTER_OTLP_ENDPOINT"),
        "{}",
        text(&output.stderr)
    );
}
