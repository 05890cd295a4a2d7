//! What the orchestrator tells the process about the step it runs in.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::asset_key::AssetKey;

/// The step this process runs for.
///
/// Of a session outside Dagster every field is empty and [`run_id`](Self::run_id) is `""`.
/// Fields the protocol may add later are ignored.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Context {
    /// The assets the step targets; empty when it targets none.
    #[serde(default, deserialize_with = "null_as_default")]
    pub asset_keys: Vec<AssetKey>,
    /// The code version declared for each asset, where one is.
    #[serde(default, deserialize_with = "null_as_default")]
    pub code_version_by_asset_key: BTreeMap<AssetKey, Option<String>>,
    /// What the newest materialization of each asset was made from, where there is one.
    #[serde(default, deserialize_with = "null_as_default")]
    pub provenance_by_asset_key: BTreeMap<AssetKey, Option<Provenance>>,
    /// The partition, when the step runs for exactly one. See [`Context::partition_key_parts`].
    #[serde(default)]
    pub partition_key: Option<String>,
    /// The partitions, first and last.
    #[serde(default)]
    pub partition_key_range: Option<PartitionKeyRange>,
    /// The interval of time, when the partitions have exactly one dimension and it is time.
    #[serde(default)]
    pub partition_time_window: Option<PartitionTimeWindow>,
    /// The run.
    pub run_id: String,
    /// The job, when the run has one.
    #[serde(default)]
    pub job_name: Option<String>,
    /// How many times the step has been tried before; 0 the first time.
    #[serde(default)]
    pub retry_number: u32,
    /// What the launching code passed as `extras`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub extras: Map<String, Value>,
}

impl Context {
    /// The asset, when the step targets exactly one.
    #[must_use]
    pub fn single_asset_key(&self) -> Option<&AssetKey> {
        match self.asset_keys.as_slice() {
            [key] => Some(key),
            _ => None,
        }
    }

    /// The partition key by dimension; one part when there is one dimension.
    ///
    /// The parts stand in the alphabetical order of the dimensions' names, which the protocol does
    /// not send: the caller must know them.
    #[must_use]
    pub fn partition_key_parts(&self) -> Vec<&str> {
        self.partition_key.as_deref().map(|key| key.split('|').collect()).unwrap_or_default()
    }
}

/// What a materialization was made from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Provenance {
    /// The version of the code that made it.
    pub code_version: String,
    /// The data version of each input.
    #[serde(default)]
    pub input_data_versions: BTreeMap<String, String>,
    /// Whether user code reported it, as opposed to Dagster deriving it.
    #[serde(default)]
    pub is_user_provided: bool,
}

/// Partition keys `[start, end]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct PartitionKeyRange {
    /// The first partition.
    pub start: String,
    /// The last partition, included.
    pub end: String,
}

/// An interval of time `[start, end)`, each end in ISO 8601 as Dagster wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct PartitionTimeWindow {
    /// The start, included.
    pub start: String,
    /// The end, excluded.
    pub end: String,
}

/// Reads `null` as the empty value: the protocol writes `null` where nothing applies.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::Context;

    #[test]
    fn a_full_context_is_read() {
        let context: Context = serde_json::from_str(
            r#"{"asset_keys": ["raw/a\\/b"], "code_version_by_asset_key": {"raw/a\\/b": null},
                "provenance_by_asset_key": {"raw/a\\/b": {"code_version": "7",
                  "input_data_versions": {"up": "x"}, "is_user_provided": true}},
                "partition_key": "2024-01-01|eu", "partition_key_range":
                  {"start": "2024-01-01|eu", "end": "2024-01-01|eu"},
                "partition_time_window": {"start": "2024-01-01T00:00:00+00:00",
                  "end": "2024-01-02T00:00:00+00:00"},
                "run_id": "r", "job_name": "j", "retry_number": 2, "extras": {"k": [1]},
                "added_later": true}"#,
        )
        .unwrap();
        let key = context.single_asset_key().unwrap();
        assert_eq!(key.parts(), ["raw", "a/b"]);
        assert_eq!(context.code_version_by_asset_key.get(key), Some(&None));
        let provenance = context.provenance_by_asset_key.get(key).unwrap().as_ref().unwrap();
        assert_eq!((provenance.code_version.as_str(), provenance.is_user_provided), ("7", true));
        assert_eq!(context.partition_key_parts(), ["2024-01-01", "eu"]);
        assert_eq!(context.partition_time_window.unwrap().end, "2024-01-02T00:00:00+00:00");
        assert_eq!(context.retry_number, 2);
    }

    #[test]
    fn nulls_stand_for_nothing_and_the_run_is_required() {
        let context: Context = serde_json::from_str(
            r#"{"asset_keys": null, "code_version_by_asset_key": null,
                "provenance_by_asset_key": null, "partition_key": null,
                "partition_key_range": null, "partition_time_window": null, "run_id": "r",
                "job_name": null, "retry_number": 0, "extras": {}}"#,
        )
        .unwrap();
        assert_eq!(context, Context { run_id: "r".to_owned(), ..Context::default() });
        assert!(serde_json::from_str::<Context>("{}").is_err());
    }
}
