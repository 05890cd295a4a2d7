//! The settings of `ol-ingest`; `config.default.toml` is their manual.

use std::num::NonZero;
use std::path::Path;

use ol_lake::WriteOptions;
use serde::Deserialize;

/// All settings of this binary.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How sources are read.
    pub ingest: Ingest,
    /// How changes are followed.
    pub stream: Stream,
    /// How tables are followed by queries.
    pub incremental: Incremental,
    /// When a replace is refused.
    pub replace: Replace,
    /// How files are written.
    pub lake: Files,
}

/// How sources are read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    /// Connections a source; 0 for the default.
    pub streams: usize,
    /// The smallest range of a table that a connection reads by itself, in bytes.
    pub range_bytes: u64,
    /// Units at the same time.
    pub units: usize,
    /// Tries of a table within a run.
    pub attempts: u32,
    /// Seconds before the second try.
    pub retry_seconds: f64,
    /// Rows of a full batch.
    pub batch_rows: usize,
    /// Bytes of a full batch.
    pub batch_bytes: usize,
}

/// How changes are followed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// The greatest age of a change that is not committed, in seconds.
    pub commit_seconds: f64,
    /// The most bytes of changes that are not committed.
    pub commit_bytes: u64,
    /// Seconds between two records of an idle source's place.
    pub record_seconds: f64,
    /// Log of the source that failed tables may hold back, in bytes.
    pub hold_bytes: u64,
    /// The size of a chunk of a table that is copied, in bytes.
    pub chunk_bytes: u64,
    /// Log that the source may keep for a slot, in bytes; 0 for what follows from the server's limit.
    pub cap_bytes: u64,
}

/// How tables are followed by queries (replication methods `xmin` and `cursor`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incremental {
    /// Hours between two comparisons of all keys; 0 for every run.
    pub sweep_hours: u64,
    /// Keys that are compared at the same time.
    pub sweep_keys: u64,
    /// Seconds that a cursor looks back.
    pub lookback_seconds: u64,
}

/// When a replace is refused.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    /// The least part of the rows that must be left.
    pub keep_ratio: f64,
}

/// How files are written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Size of a data file, in bytes.
    pub target_file_bytes: u64,
    /// Encoded size of a row group, in bytes.
    pub row_group_bytes: u64,
    /// The zstd level.
    pub compression_level: i32,
}

impl Config {
    /// The defaults, the file at `path` and the variables, in that order.
    ///
    /// # Errors
    /// A key that does not exist, a value of the wrong type, or one out of its range.
    pub fn load(path: Option<&Path>) -> Result<Self, ol_chassis::Error> {
        let config: Self = ol_chassis::config::load(include_str!("../config.default.toml"), path)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ol_chassis::Error> {
        let refuse = |key, rule: &str| {
            Err(ol_chassis::Error::configuration(format!("A setting {rule}"))
                .with("key", key)
                .advise("Correct the setting; config.default.toml describes each"))
        };
        if !(0.0..=1.0).contains(&self.replace.keep_ratio) {
            return refuse("replace.keep_ratio", "must be from 0 to 1");
        }
        if !(1..=22).contains(&self.lake.compression_level) {
            return refuse("lake.compression_level", "must be from 1 to 22");
        }
        if !(0.0..=3600.0).contains(&self.ingest.retry_seconds) {
            return refuse("ingest.retry_seconds", "must be from 0 to 3600");
        }
        for (key, value) in [
            ("stream.commit_seconds", self.stream.commit_seconds),
            ("stream.record_seconds", self.stream.record_seconds),
        ] {
            if !(0.0..=3600.0).contains(&value) {
                return refuse(key, "must be from 0 to 3600");
            }
        }
        if self.incremental.sweep_keys == 0 {
            return refuse("incremental.sweep_keys", "must be at least 1");
        }
        // A longer time than this has no date to look back to.
        if self.incremental.lookback_seconds > 100 * 366 * 86_400 {
            return refuse("incremental.lookback_seconds", "must be at most a hundred years");
        }
        for (key, value) in [
            ("ingest.range_bytes", self.ingest.range_bytes),
            ("stream.chunk_bytes", self.stream.chunk_bytes),
        ] {
            if value == 0 {
                return refuse(key, "must be at least 1");
            }
        }
        for (key, value) in [
            ("ingest.units", self.ingest.units),
            ("ingest.batch_rows", self.ingest.batch_rows),
            ("ingest.batch_bytes", self.ingest.batch_bytes),
            ("ingest.attempts", self.ingest.attempts as usize),
        ] {
            if value == 0 {
                return refuse(key, "must be at least 1");
            }
        }
        Ok(())
    }

    /// Connections a source.
    #[must_use]
    pub fn streams(&self) -> usize {
        match self.ingest.streams {
            0 => std::thread::available_parallelism().map_or(1, NonZero::get).min(2),
            streams => streams,
        }
    }

    /// How the lake's files are written.
    #[must_use]
    pub fn write_options(&self) -> WriteOptions {
        WriteOptions {
            target_file_bytes: self.lake.target_file_bytes,
            row_group_bytes: self.lake.row_group_bytes,
            compression_level: self.lake.compression_level,
            ..WriteOptions::default()
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn the_manual_is_complete_and_valid() {
        let config = Config::load(None).unwrap();
        assert!(config.streams() >= 1);
    }
}
