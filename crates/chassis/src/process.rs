//! What other processes may see of this one, and whether another is still there.
//!
//! A process that holds secrets leaves no core file and lets nobody but root attach a debugger:
//! [`seal`] sets the limit of core files to zero and takes away the "dumpable" attribute (prctl(2),
//! `PR_SET_DUMPABLE`), which also keeps `/proc/PID/environ` and `/proc/PID/mem` from other processes
//! of the same user.
//!
//! [`Identity`] names a process for as long as it lives and never again: a process id comes back,
//! the same id with the same start time on the same boot of the same machine does not.

use std::fmt;
use std::path::Path;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Keeps the memory of this process to itself. What the kernel refuses is logged and is no failure.
pub fn seal() {
    let limit = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let dumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    for (what, result) in [("core files", limit), ("debuggers", dumpable)] {
        if let Err(error) = result {
            tracing::warn!(what, %error, "the memory of this process may be seen by others");
        }
    }
}

/// Which process, in which namespace of process ids, on which boot of which machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    machine: String,
    process: u32,
    started: u64,
}

impl Identity {
    /// This process.
    #[must_use]
    pub fn current() -> Self {
        let process = std::process::id();
        Self { machine: machine(), process, started: start_time(process).unwrap_or_default() }
    }

    /// Reads what [`Identity`] prints; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, started) = text.rsplit_once('/')?;
        let (machine, process) = rest.rsplit_once('/')?;
        Some(Self {
            machine: machine.to_owned(),
            process: process.parse().ok()?,
            started: started.parse().ok()?,
        })
    }

    /// True when it certainly has ended. False when it lives, or lives where we cannot look.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.machine == machine() && start_time(self.process) != Some(self.started)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.machine, self.process, self.started)
    }
}

/// The host's name, its boot and our namespace of process ids: where all three are equal, a process
/// id means the same process.
fn machine() -> String {
    let read = |path: &str| {
        std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    let host = read("/proc/sys/kernel/hostname");
    let boot = read("/proc/sys/kernel/random/boot_id");
    let namespace = std::fs::read_link(Path::new("/proc/self/ns/pid"))
        .map(|link| link.to_string_lossy().chars().filter(char::is_ascii_digit).collect::<String>())
        .unwrap_or_default();
    format!("{host}.{}.{namespace}", boot.get(..8).unwrap_or(&boot))
}

/// When a process started, in ticks since boot (proc(5), `stat`, field 22); `None` when there is none,
/// or it has ended and waits for its parent.
fn start_time(process: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in brackets, may hold anything; what follows it starts with the third field.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next(), None | Some("Z" | "X")) {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_one_that_ended_does_not() {
        let current = Identity::current();
        assert!(!current.has_ended());
        assert_eq!(Identity::parse(&current.to_string()).unwrap(), current);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let ended = Identity { process: child.id(), started: 1, ..current.clone() };
        assert!(ended.has_ended(), "the id lives with another start time");
        child.wait().unwrap();
        let elsewhere = Identity { machine: "other.0.0".to_owned(), ..ended };
        assert!(!elsewhere.has_ended(), "nobody can look there");
        assert_eq!(Identity::parse("nonsense"), None);
    }
}
