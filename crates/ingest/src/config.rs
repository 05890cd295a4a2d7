//! The settings of `ol-ingest`; `config.default.toml` is their manual.

use std::num::NonZero;
use std::path::Path;
use std::time::Duration;

use ol_lake::{S3Addressing, S3Encryption, S3Options, WriteOptions};
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
    /// How tables are maintained.
    pub maintain: Maintain,
    /// How a warehouse on S3 is reached.
    pub s3: S3,
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

/// How tables are maintained.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintain {
    /// Tables at the same time.
    pub tables: usize,
    /// Tables that are begun in a second, at most.
    pub tables_per_second: f64,
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

/// How a warehouse on S3 is reached.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// The encryption that is asked for each object.
    pub sse: Sse,
    /// The key of KMS; empty for the account's own.
    pub kms_key_id: String,
    /// Whether the bucket's name stands in the path of a request.
    pub path_style: PathStyle,
    /// Seconds that connecting may take.
    pub connect_timeout_seconds: f64,
    /// Seconds that a request may take.
    pub request_timeout_seconds: f64,
    /// How often a request is repeated.
    pub retries: usize,
    /// Size of the parts of a large object, in bytes.
    pub part_bytes: usize,
}

/// The encryption that is asked for each object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Sse {
    /// What the bucket says.
    #[serde(rename = "bucket")]
    Bucket,
    /// Keys of S3.
    #[serde(rename = "AES256")]
    S3,
    /// A key of KMS.
    #[serde(rename = "aws:kms")]
    Kms,
    /// A key of KMS, twice.
    #[serde(rename = "aws:kms:dsse")]
    DualKms,
}

/// Whether the bucket's name stands in the path of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathStyle {
    /// Where an endpoint is set.
    Auto,
    /// In the path.
    Always,
    /// In the name of the host.
    Never,
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
        for (key, value) in [
            ("s3.connect_timeout_seconds", self.s3.connect_timeout_seconds),
            ("s3.request_timeout_seconds", self.s3.request_timeout_seconds),
        ] {
            if !(0.1..=3600.0).contains(&value) {
                return refuse(key, "must be from 0.1 to 3600");
            }
        }
        // S3 takes no smaller part than 5 MiB and at most 10,000 of them, each held in memory.
        if !(8 << 20..=1 << 30).contains(&self.s3.part_bytes) {
            return refuse("s3.part_bytes", "must be from 8388608 (8 MiB) to 1073741824 (1 GiB)");
        }
        if !self.s3.kms_key_id.is_empty() && !matches!(self.s3.sse, Sse::Kms | Sse::DualKms) {
            return refuse("s3.kms_key_id", "has a meaning with s3.sse = \"aws:kms\" alone");
        }
        if !(0.01..=10_000.0).contains(&self.maintain.tables_per_second) {
            return refuse("maintain.tables_per_second", "must be from 0.01 to 10000");
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
            ("maintain.tables", self.maintain.tables),
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

    /// How a warehouse on S3 is reached.
    #[must_use]
    pub fn s3_options(&self) -> S3Options {
        let key_id = (!self.s3.kms_key_id.is_empty()).then(|| self.s3.kms_key_id.clone());
        S3Options {
            encryption: match self.s3.sse {
                Sse::Bucket => None,
                Sse::S3 => Some(S3Encryption::S3),
                Sse::Kms => Some(S3Encryption::Kms { key_id }),
                Sse::DualKms => Some(S3Encryption::DualKms { key_id }),
            },
            addressing: match self.s3.path_style {
                PathStyle::Auto => S3Addressing::Auto,
                PathStyle::Always => S3Addressing::Path,
                PathStyle::Never => S3Addressing::Host,
            },
            connect_timeout: Duration::from_secs_f64(self.s3.connect_timeout_seconds),
            request_timeout: Duration::from_secs_f64(self.s3.request_timeout_seconds),
            retries: self.s3.retries,
            part_bytes: self.s3.part_bytes,
            ..S3Options::default()
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
        assert_eq!(config.s3_options(), S3Options::default());
    }
}
