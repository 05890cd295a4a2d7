//! `ol-ingest status` and `ol-ingest reset`: what the lake knows of each table.

use std::collections::BTreeMap;

use ol_chassis::config::Platform;
use ol_lake::{LakeTable, TableName};

use crate::cli::Selection;
use crate::config::Config;
use crate::error::{Doing, Error};
use crate::inventory::{SourceKind, Table, Unit};
use crate::load::state;
use crate::report::documents::{Follows, SlotStatus, StatusReport, TableStatus};
use crate::run::capture::cap::Cap;
use crate::run::capture::forget;
use crate::run::capture::phase::Phase;
use crate::run::open_lake;
use crate::source::mysql::incremental as mysql;
use crate::source::postgres::error::SourceError;
use crate::source::postgres::incremental::Known;
use crate::source::postgres::replication::publication::default_name;
use crate::source::postgres::replication::slot::Control;
use crate::source::postgres::settings::SourceAddress;

/// Where each selected table stands.
pub(super) async fn status(selection: &Selection, config: &Config) -> Result<StatusReport, Error> {
    let inventory = super::select(selection)?;
    let platform = Platform::from_environment().await?;
    let lake = open_lake(&platform, config).await?;
    let mut tables = Vec::new();
    for unit in &inventory.units {
        for table in &unit.tables {
            let found =
                lake.load(&TableName::new(platform.raw_namespace(), &table.raw_table)).await?;
            tables.push(row(unit, table, found.as_ref()));
        }
    }
    let mut slots = Vec::new();
    for unit in &inventory.units {
        let is_followed = unit.tables.iter().any(|table| unit.follows(table));
        if !is_followed || unit.source_kind != SourceKind::Postgres {
            continue;
        }
        // What the lake knows is told also while a source is down.
        match slot(unit, config).await {
            Ok(found) => slots.extend(found),
            Err(error) => {
                let cause = ol_chassis::error::chain(&error);
                tracing::warn!(unit = %unit.id, error = %cause, "the source was not asked for its slot");
            }
        }
    }
    Ok(StatusReport { tables, slots })
}

/// What the source says of a unit's slot.
async fn slot(unit: &Unit, config: &Config) -> Result<Option<SlotStatus>, Error> {
    let (_url, settings) = SourceAddress::of(&unit.id).resolve().await?;
    let opened = Control::open(&settings).await;
    let mut control = opened.map_err(|error| error.into_error(Doing::Connecting))?;
    let read = |error: SourceError| error.into_error(Doing::Reading);
    let server = control.server().await.map_err(read)?;
    let name = default_name(&unit.id);
    let Some(facts) = control.slot(&name).await.map_err(read)? else { return Ok(None) };
    let cap = Cap::new(config.stream.cap_bytes, server.max_slot_wal_keep_bytes);
    Ok(Some(SlotStatus {
        unit: unit.id.to_string(),
        slot: name,
        is_active: facts.active_pid.is_some(),
        wal_status: facts.wal_status,
        retained_bytes: facts.retained_bytes,
        cap_bytes: cap.bytes(),
        safe_wal_size_bytes: facts.safe_wal_size,
    }))
}

/// Adds, to each selected table, a snapshot that changes no row and whose position is empty: no state is read past it.
pub(super) async fn reset(selection: &Selection, config: &Config) -> Result<StatusReport, Error> {
    let inventory = super::select(selection)?;
    let platform = Platform::from_environment().await?;
    let lake = open_lake(&platform, config).await?;
    let mut tables = Vec::new();
    for unit in &inventory.units {
        for table in &unit.tables {
            let name = TableName::new(platform.raw_namespace(), &table.raw_table);
            let found = match lake.load(&name).await? {
                Some(found) if found.current_snapshot().is_some() => {
                    Some(forget(&lake, &found).await?)
                }
                found => found,
            };
            tables.push(row(unit, table, found.as_ref()));
        }
    }
    Ok(StatusReport { tables, slots: Vec::new() })
}

fn row(unit: &Unit, table: &Table, found: Option<&LakeTable>) -> TableStatus {
    let snapshot = found.and_then(LakeTable::current_snapshot);
    let known = found.map(LakeTable::state).unwrap_or_default();
    TableStatus {
        unit: unit.id.to_string(),
        raw_table: table.raw_table.clone(),
        mode: table.sync_mode,
        rows: snapshot.as_ref().map(|snapshot| snapshot.records),
        snapshot_id: snapshot.as_ref().map(|snapshot| snapshot.snapshot_id),
        position: known.get(state::POSITION).filter(|position| !position.is_empty()).cloned(),
        phase: unit.follows(table).then(|| Phase::of(found).to_string()),
        follows: follows(&known),
        committed_at: snapshot.as_ref().map(|snapshot| instant(snapshot.timestamp_ms)),
    }
}

/// What a table that is followed by queries has come to, for people: the snapshot, the bound of the cursor, the sweep.
fn follows(known: &BTreeMap<String, String>) -> Option<Follows> {
    if let Some(known) = mysql::Known::read(known, &BTreeMap::new()) {
        return Some(Follows {
            snapshot: known.position.to_string(),
            cursor: Some(known.watermarks.column.clone()),
            searched_from: known.bound().map(str::to_owned),
            swept_at: instant(known.swept_at),
            source: known.source,
        });
    }
    let known = Known::read(known)?;
    Some(Follows {
        source: known.identity.to_string(),
        snapshot: known.horizon.snapshot.to_string(),
        cursor: known.watermarks.as_ref().map(|marks| marks.column.clone()),
        searched_from: known.watermarks.and_then(|marks| marks.settled),
        swept_at: instant(known.swept_at),
    })
}

/// Milliseconds since 1970 as `2026-11-23T15:44:05.123Z`.
fn instant(milliseconds: i64) -> String {
    use crate::source::postgres::moment;
    let mut text = String::new();
    moment::timestamp_text(moment::from_unix(milliseconds.saturating_mul(1000)), "Z", &mut text);
    text.replacen(' ', "T", 1)
}
