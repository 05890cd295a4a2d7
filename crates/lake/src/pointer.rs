//! A table whose pointer to its current snapshot is stale, and how it is put right.
//!
//! The destination connector of Airbyte loads into a branch of its own and makes that branch the table at the end. When it
//! is stopped in between, new snapshots are in the table and the table still shows an older one; and older versions of
//! it moved `current-snapshot-id` without `refs.main`, which makes every library that checks it refuse the table. Both
//! are repaired here as one commit:
//!
//! - *torn*: `current-snapshot-id` and `refs.main` differ. The later of the two wins if it is built on the other one.
//! - *behind*: the newest snapshot is built on the current one and is not it. It becomes the current one, unless it is
//!   younger than the caller's limit (it may be a load under way) or stands on a branch of ours, which is published by
//!   whoever makes it.
//!
//! A snapshot that is *not* built on the current one is never made current: rows would be lost. In both cases the logs
//! of snapshots and of metadata files are sorted as the specification wants it; a repair by hand has left them unsorted.
//!
//! A torn table cannot be read by the crate (it checks, too), so its metadata is taken as JSON, and checked by the crate
//! after the repair and before anything is written. A catalog that writes metadata itself checks it itself; nothing is
//! repaired there.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use iceberg::spec::TableMetadata;
use serde_json::{Map, Value, json};

use crate::catalog::{Next, Swapped};
use crate::commit::next_location;
use crate::error::{Error, ErrorKind, Result};
use crate::lake::Lake;
use crate::storage;
use crate::table::TableName;

/// Branches of this platform begin like this; nobody else publishes them.
const OUR_BRANCHES: &str = "ol-";
const CURRENT: &str = "current-snapshot-id";
const MAIN: &str = "main";

/// A pointer that is not right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StalePointer {
    /// The snapshot that the table shows.
    pub current: Option<i64>,
    /// The snapshot that its reference `main` names.
    pub main: Option<i64>,
    /// The snapshot that it should show.
    pub target: i64,
    /// How much later that one was committed.
    pub behind: Duration,
    /// Why it cannot be repaired.
    pub refusal: Option<&'static str>,
}

impl StalePointer {
    /// Whether the two places that name the current snapshot disagree: most readers refuse such a table.
    pub fn is_torn(&self) -> bool {
        self.current != self.main
    }
}

struct Raw {
    location: String,
    metadata: Map<String, Value>,
}

impl Lake {
    /// What is wrong with the pointer of a table; `None` when nothing is. A table that is behind for less than `least`
    /// is taken for one that is being loaded.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::CatalogCorrupt`] for metadata that is not JSON.
    pub async fn stale_pointer(
        &self,
        name: &TableName,
        least: Duration,
    ) -> Result<Option<StalePointer>> {
        match self.raw_metadata(name).await? {
            Some(raw) => Ok(look(&raw.metadata, least)),
            None => Ok(None),
        }
    }

    /// Puts the pointer of a table right, and says what was wrong.
    ///
    /// # Errors
    /// Those of [`Lake::stale_pointer`]; [`ErrorKind::CatalogCorrupt`] for a table that cannot be repaired, with the
    /// reason; [`ErrorKind::CommitConflict`] when somebody else committed meanwhile.
    pub async fn repair_pointer(
        &self,
        name: &TableName,
        least: Duration,
    ) -> Result<Option<StalePointer>> {
        let Some(raw) = self.raw_metadata(name).await? else { return Ok(None) };
        let Some(stale) = look(&raw.metadata, least) else { return Ok(None) };
        let damaged = |reason: &str| {
            Error::new(ErrorKind::CatalogCorrupt).with("table", name).with("reason", reason)
        };
        if let Some(reason) = stale.refusal {
            return Err(damaged(reason));
        }
        let repaired = repaired(raw.metadata, &raw.location, stale.target, self.clock().now())
            .ok_or_else(|| damaged("its metadata has not the shape of the specification"))?;
        let metadata: TableMetadata = serde_json::from_value(Value::Object(repaired))
            .map_err(|error| damaged("its metadata would still not be valid").because(error))?;
        let following = next_location(&raw.location, &metadata)?.with_new_metadata(&metadata);
        let location = following.to_string();
        metadata
            .write_to(self.file_io(), &following)
            .await
            .map_err(|error| Error::from_iceberg(ErrorKind::WarehouseUnwritable, error))?;
        storage::make_durable(vec![location.clone()]).await?;
        let next = Next {
            name,
            base: Some(&raw.location),
            location: &location,
            metadata: &metadata,
            requirements: &[],
            updates: &[],
        };
        match self.catalog().swap(next).await {
            Ok(Swapped::Done(_)) => Ok(Some(stale)),
            Ok(Swapped::Lost) => {
                self.delete(vec![location]).await;
                Err(Error::new(ErrorKind::CommitConflict).with("table", name))
            }
            Err(error) => Err(error),
        }
    }

    /// The metadata of a table as JSON; `None` where the catalog looks after it.
    async fn raw_metadata(&self, name: &TableName) -> Result<Option<Raw>> {
        if self.catalog().writes_metadata() {
            return Ok(None);
        }
        let entry = self.catalog().load(name).await?;
        let entry = entry.ok_or_else(|| Error::new(ErrorKind::NotFound).with("table", name))?;
        let location = entry.location;
        let unreadable = |error| {
            Error::from_iceberg(ErrorKind::WarehouseUnreadable, error)
                .with("table", name)
                .with("metadata", &location)
        };
        let input = self.file_io().new_input(&location).map_err(unreadable)?;
        let bytes = input.read().await.map_err(unreadable)?;
        let parsed = serde_json::from_slice(&bytes).map_err(|error| {
            Error::new(ErrorKind::CatalogCorrupt)
                .with("table", name)
                .with("metadata", &location)
                .because(error)
        })?;
        Ok(Some(Raw { location, metadata: parsed }))
    }
}

/// A snapshot as far as its place in the history goes.
struct Node {
    parent: Option<i64>,
    timestamp_ms: i64,
    sequence_number: i64,
}

fn nodes(metadata: &Map<String, Value>) -> BTreeMap<i64, Node> {
    let snapshots = metadata.get("snapshots").and_then(Value::as_array);
    let number = |snapshot: &Value, key: &str| snapshot.get(key).and_then(Value::as_i64);
    let node = |snapshot: &Value| {
        let node = Node {
            parent: number(snapshot, "parent-snapshot-id"),
            timestamp_ms: number(snapshot, "timestamp-ms")?,
            sequence_number: number(snapshot, "sequence-number").unwrap_or(0),
        };
        Some((number(snapshot, "snapshot-id")?, node))
    };
    snapshots.into_iter().flatten().filter_map(node).collect()
}

/// Whether `later` is built on `earlier`, or is it.
fn descends(nodes: &BTreeMap<i64, Node>, later: i64, earlier: i64) -> bool {
    let mut next = Some(later);
    for _step in 0..=nodes.len() {
        match next {
            Some(id) if id == earlier => return true,
            Some(id) => next = nodes.get(&id).and_then(|node| node.parent),
            None => return false,
        }
    }
    false
}

fn look(metadata: &Map<String, Value>, least: Duration) -> Option<StalePointer> {
    let nodes = nodes(metadata);
    let known = |id: &i64| nodes.contains_key(id);
    // -1 is how early writers spelled that there is none.
    let current = metadata.get(CURRENT).and_then(Value::as_i64).filter(|id| *id != -1);
    let references = metadata.get("refs").and_then(Value::as_object);
    let named = |reference: &Value| reference.get("snapshot-id").and_then(Value::as_i64);
    // Without references the current snapshot is that of the branch main.
    let main = match references {
        Some(references) => references.get(MAIN).and_then(named),
        None => current,
    };
    let stale = |target: i64, behind: i64, refusal| {
        let behind = Duration::from_millis(u64::try_from(behind).unwrap_or(0));
        Some(StalePointer { current, main, target, behind, refusal })
    };
    let time = |id: i64| nodes.get(&id).map_or(0, |node| node.timestamp_ms);
    if current != main {
        return match (current.filter(known), main.filter(known)) {
            (Some(current), Some(main)) if descends(&nodes, main, current) => {
                stale(main, time(main) - time(current), None)
            }
            (Some(current), Some(main)) if descends(&nodes, current, main) => {
                stale(current, time(current) - time(main), None)
            }
            (Some(current), Some(_main)) => stale(
                current,
                0,
                Some("its two pointers name snapshots of which neither is built on the other"),
            ),
            (Some(one), None) | (None, Some(one)) => stale(one, 0, None),
            (None, None) => None,
        };
    }
    let current = current.filter(known)?;
    let is_ours = |id: i64| {
        let ours =
            references.into_iter().flatten().filter(|(name, _at)| name.starts_with(OUR_BRANCHES));
        ours.filter_map(|(_name, reference)| named(reference))
            .any(|head| descends(&nodes, head, id))
    };
    let newer = nodes.iter().filter(|(id, _node)| **id != current && !is_ours(**id));
    let ahead = newer.filter(|(id, _node)| descends(&nodes, **id, current));
    let (target, node) =
        ahead.max_by_key(|(_id, node)| (node.sequence_number, node.timestamp_ms))?;
    let behind = node.timestamp_ms - time(current);
    let is_old = u128::try_from(behind).unwrap_or(0) >= least.as_millis();
    is_old.then(|| stale(*target, behind, None))?
}

/// The metadata with both pointers at the target and its logs in order.
fn repaired(
    mut metadata: Map<String, Value>,
    location: &str,
    target: i64,
    now: SystemTime,
) -> Option<Map<String, Value>> {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let before = metadata.get("last-updated-ms")?.as_i64()?;
    let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX).max(before);
    metadata.insert(CURRENT.to_owned(), json!(target));
    let references = metadata.entry("refs").or_insert_with(|| json!({})).as_object_mut()?;
    let main = references.entry(MAIN).or_insert_with(|| json!({"type": "branch"}));
    main.as_object_mut()?.insert("snapshot-id".to_owned(), json!(target));
    // The table shows the snapshot from now on, whenever it was made.
    append(&mut metadata, "snapshot-log", "snapshot-id", json!(target), now)?;
    append(&mut metadata, "metadata-log", "metadata-file", json!(location), before)?;
    metadata.insert("last-updated-ms".to_owned(), json!(now));
    Some(metadata)
}

/// Adds an entry to a log, takes out the earlier ones of the same file, and sorts it by time.
fn append(
    metadata: &mut Map<String, Value>,
    log: &str,
    key: &str,
    value: Value,
    timestamp_ms: i64,
) -> Option<()> {
    let entries = metadata.entry(log).or_insert_with(|| json!([])).as_array_mut()?;
    if key == "metadata-file" {
        entries.retain(|entry| entry.get(key) != Some(&value));
    }
    entries.push(json!({ "timestamp-ms": timestamp_ms, key: value }));
    entries.sort_by_key(|entry| entry.get("timestamp-ms").and_then(Value::as_i64));
    Some(())
}
