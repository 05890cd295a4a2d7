//! Progress bars for people, and nothing for machines.
//!
//! Bars are drawn on stderr when it is a terminal. Elsewhere (Dagster, Kubernetes, a pipe) every
//! call is a no-op and the log tells the story. Log lines go through [`LogWriter`], which lifts the
//! bars, prints the line above them and lets them down again, so that neither tears the other.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

/// What a bar counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Rows of a table.
    Rows,
    /// Bytes, shown as KiB, MiB …
    Bytes,
    /// Whole tables.
    Tables,
    /// Messages to other systems.
    Messages,
}

/// The bars of a process. Clones are the same bars.
#[derive(Clone, Debug)]
pub struct Progress {
    bars: MultiProgress,
    visible: bool,
}

impl Progress {
    /// Bars on stderr when it is a terminal, none otherwise.
    pub fn for_stderr() -> Self {
        if io::stderr().is_terminal() {
            Self { bars: MultiProgress::new(), visible: true }
        } else {
            Self::hidden()
        }
    }

    /// Bars nobody sees.
    pub fn hidden() -> Self {
        Self { bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()), visible: false }
    }

    /// True when somebody watches.
    pub fn is_visible(&self) -> bool {
        self.visible
    }

    /// Adds a bar labelled `label`. Without a `total` it is a spinner that counts.
    pub fn bar(&self, label: &str, total: Option<u64>, unit: Unit) -> Bar {
        if !self.visible {
            return Bar(ProgressBar::hidden());
        }
        let bar = self.bars.add(total.map_or_else(ProgressBar::new_spinner, ProgressBar::new));
        let style = ProgressStyle::with_template(template(total.is_some(), unit));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸ "));
        bar.set_prefix(label.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar(bar)
    }

    /// A writer for log lines that does not tear the bars.
    pub fn log_writer(&self) -> LogWriter {
        LogWriter(self.clone())
    }
}

fn template(bounded: bool, unit: Unit) -> &'static str {
    match (bounded, unit) {
        (true, Unit::Bytes) => {
            "{prefix:32!} {bar:24} {bytes:>10} of {total_bytes} {bytes_per_sec} {msg}"
        }
        (false, Unit::Bytes) => "{prefix:32!} {spinner} {bytes:>10} {bytes_per_sec} {msg}",
        (true, Unit::Rows) => {
            "{prefix:32!} {bar:24} {human_pos:>12} of {human_len} rows {per_sec} {msg}"
        }
        (false, Unit::Rows) => "{prefix:32!} {spinner} {human_pos:>12} rows {per_sec} {msg}",
        (true, Unit::Messages) => {
            "{prefix:32!} {bar:24} {human_pos:>12} of {human_len} messages {per_sec} {msg}"
        }
        (false, Unit::Messages) => {
            "{prefix:32!} {spinner} {human_pos:>12} messages {per_sec} {msg}"
        }
        (true, Unit::Tables) => {
            "{prefix:32!} {bar:24} {human_pos:>4} of {human_len} tables, {elapsed} {msg}"
        }
        (false, Unit::Tables) => "{prefix:32!} {spinner} {human_pos:>4} tables, {elapsed} {msg}",
    }
}

/// One bar; it disappears when dropped or finished.
#[derive(Clone, Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// Counts `amount` more.
    pub fn add(&self, amount: u64) {
        self.0.inc(amount);
    }

    /// How much was counted.
    pub fn position(&self) -> u64 {
        self.0.position()
    }

    /// Says what is being done, behind the figures. Never a cell value.
    pub fn say(&self, message: &str) {
        self.0.set_message(message.to_owned());
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// Prints log lines on stderr, above the bars.
#[derive(Clone, Debug)]
pub struct LogWriter(Progress);

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LineWriter;

    fn make_writer(&'a self) -> Self::Writer {
        LineWriter { progress: self.0.clone(), line: Vec::new() }
    }
}

/// Collects one log event and prints it whole when dropped.
#[derive(Debug)]
pub struct LineWriter {
    progress: Progress,
    line: Vec<u8>,
}

impl Write for LineWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.line.is_empty() {
            return Ok(());
        }
        let line = std::mem::take(&mut self.line);
        let print = || io::stderr().lock().write_all(&line);
        if self.progress.visible { self.progress.bars.suspend(print) } else { print() }
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        // A log line that cannot be printed has nowhere to be complained about.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_bars_still_count() {
        let progress = Progress::hidden();
        assert!(!progress.is_visible());
        let bar = progress.bar("users_user", Some(10), Unit::Rows);
        bar.add(3);
        bar.add(4);
        bar.say("copying");
        assert_eq!(bar.position(), 7);
        bar.finish();
    }

    #[test]
    fn every_template_is_valid() {
        for unit in [Unit::Rows, Unit::Bytes, Unit::Tables, Unit::Messages] {
            for bounded in [true, false] {
                assert!(ProgressStyle::with_template(template(bounded, unit)).is_ok());
            }
        }
    }

    #[test]
    fn an_event_is_written_whole_and_once() {
        let writer = Progress::hidden().log_writer();
        let mut line = writer.make_writer();
        line.write_all(b"a line of ").expect("memory takes it");
        line.write_all(b"two parts\n").expect("memory takes it");
        assert_eq!(line.line, b"a line of two parts\n");
        line.flush().expect("stderr takes it");
        assert!(line.line.is_empty());
    }
}
