//! JSON lines from a file or from standard input, one at a time.

use std::io::{BufRead, BufReader, Read as _};
use std::path::PathBuf;

use tokio::sync::mpsc;

use crate::error::{Definite, Error, Result};

/// The longest line that is read: several times the largest body that MIT Learn takes.
pub const LONGEST_LINE_BYTES: usize = 16 * 1024 * 1024;

/// Reads lines into a bounded channel, as (number from 1, bytes); blank lines are left out. On a thread of its own:
/// standard input cannot be read otherwise.
///
/// # Errors
/// [`Definite::InputInvalid`] when the file cannot be read or a line is too long.
pub async fn read_lines(path: PathBuf, lines: mpsc::Sender<(u64, Vec<u8>)>) -> Result<()> {
    let reading = tokio::task::spawn_blocking(move || {
        if path.as_os_str() == "-" {
            return pump(std::io::stdin().lock(), &lines);
        }
        let file = std::fs::File::open(&path).map_err(|error| {
            Error::new(Definite::InputInvalid).with("file", path.display()).because(error)
        })?;
        pump(BufReader::with_capacity(1 << 20, file), &lines)
    });
    reading.await.map_err(|panic| Error::new(Definite::Defect).because(panic))?
}

fn pump(mut from: impl BufRead, lines: &mpsc::Sender<(u64, Vec<u8>)>) -> Result<()> {
    let failed = |number: u64| Error::new(Definite::InputInvalid).with("line", number);
    for number in 1u64.. {
        let mut line = Vec::new();
        let limit = u64::try_from(LONGEST_LINE_BYTES).unwrap_or(u64::MAX) + 1;
        let read = from
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut line)
            .map_err(|error| failed(number).because(error))?;
        if read == 0 {
            break;
        }
        if line.len() > LONGEST_LINE_BYTES {
            return Err(failed(number).with("reason", "it is longer than 16 MiB"));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        // Nobody listens any more when the run was asked to stop.
        if lines.blocking_send((number, line)).is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn read(text: &[u8]) -> (Result<()>, Vec<(u64, Vec<u8>)>) {
        let (sender, mut receiver) = mpsc::channel(100);
        let result = pump(text, &sender);
        drop(sender);
        let lines = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
        (result, lines)
    }

    #[test]
    fn lines_are_numbered_and_blank_ones_left_out() {
        let (result, lines) = read(b"{}\n\n  \r\n{\"a\":1}");
        result.unwrap();
        assert_eq!(lines, [(1, b"{}\n".to_vec()), (4, b"{\"a\":1}".to_vec())]);
        let (result, lines) = read(b"");
        result.unwrap();
        assert!(lines.is_empty());
    }
}
