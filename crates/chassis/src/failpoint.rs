//! Places where a crash matters. Without the feature `failpoints` they are nothing at all.
//!
//! Each crate lists its own points as constants. A test arms them in one of two ways:
//! - `FAILPOINTS="load.files-complete=pause"`: the process stands still there, and
//!   `OL_FAILPOINT_MARKER` names a file that is written when it does, so that the test knows and
//!   kills it from outside;
//! - `OL_FAILPOINT_KILL="deliver.answered:3"`: at the third arrival the process sends itself a real
//!   SIGKILL, so that no destructor helps and nothing runs on. Cheap enough for hundreds of kills.

/// Stands or dies here if the point is armed.
#[cfg(feature = "failpoints")]
pub fn hit(name: &'static str) {
    kill_if_armed(name);
    if fail::list().iter().any(|(armed, _)| armed == name)
        && let Ok(Some(marker)) = crate::config::variable("OL_FAILPOINT_MARKER")
    {
        std::fs::write(marker, name).expect("the test's marker file can be written");
    }
    fail::eval(name, |_| ());
}

/// Nothing: the feature is off.
#[cfg(not(feature = "failpoints"))]
pub fn hit(_name: &'static str) {}

#[cfg(feature = "failpoints")]
fn kill_if_armed(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static ARMED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| {
        let text = crate::config::variable("OL_FAILPOINT_KILL").ok().flatten()?;
        let (point, count) = text.rsplit_once(':')?;
        Some((point.to_owned(), AtomicU64::new(count.parse().ok()?)))
    });
    let Some((point, left)) = armed else { return };
    if point == name && left.fetch_sub(1, Ordering::SeqCst) == 1 {
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}
