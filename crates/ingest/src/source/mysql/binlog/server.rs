//! What a server says of its log: whether it holds what is needed, where it ends, which files there are.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::super::error::SourceError;
use super::super::session::{Flavor, Session};
use super::gtid::GtidSet;

/// What a server is, for a log that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Which server it is: the numbers of files and bytes are of it alone.
    pub identity: String,
    /// What the names of its files begin with, and how many digits they end with at least.
    pub base: String,
    /// The number of the first file that it has.
    pub first_file: u32,
    /// Where its log ends.
    pub end: (u32, u64),
    /// What it has committed up to there; `None` where transactions have no ids.
    pub gtids: Option<GtidSet>,
    /// Whether events have a checksum.
    pub has_checksum: bool,
}

/// What must hold, and what to do where it does not.
struct Demand {
    query: &'static str,
    wanted: &'static str,
    reason: &'static str,
    cure: &'static str,
}

const DEMANDS: &[Demand] = &[
    Demand {
        query: "SELECT @@log_bin",
        wanted: "1",
        reason: "the server writes no binary log",
        cure: "Start the server with log_bin (on RDS: switch automated backups on), or read the unit by replication_method \
               cursor or full.",
    },
    Demand {
        query: "SELECT @@global.binlog_format",
        wanted: "ROW",
        reason: "the server does not log rows (binlog_format is not ROW)",
        cure: "SET GLOBAL binlog_format = 'ROW' and in the server's settings; sessions that are open go on as before.",
    },
    Demand {
        query: "SELECT @@global.binlog_row_image",
        wanted: "FULL",
        reason: "the server does not log whole rows (binlog_row_image is not FULL)",
        cure: "SET GLOBAL binlog_row_image = 'FULL' and in the server's settings.",
    },
    Demand {
        query: "SELECT @@global.server_id <> 0",
        wanted: "1",
        reason: "the server has no id (server_id is 0)",
        cure: "Give the server a server_id that no other server of the group has.",
    },
];

impl Server {
    /// Asks a server, and demands that its log can be followed.
    ///
    /// # Errors
    /// It cannot, with what to change; the account may not read the log; the connection is lost.
    pub fn ask(session: &mut Session, databases: &[String]) -> Result<Self, SourceError> {
        for demand in DEMANDS {
            let found = session.scalar(demand.query)?.unwrap_or_default();
            if !found.eq_ignore_ascii_case(demand.wanted) {
                return Err(SourceError::Log {
                    reason: demand.reason.to_owned(),
                    cure: demand.cure,
                });
            }
        }
        check_replica(session)?;
        let (file, offset, executed) = end(session, databases)?;
        let files = session.rows("SHOW BINARY LOGS").map_err(rights)?;
        let first = files.into_iter().next().and_then(|row| row.into_iter().next()).flatten();
        let (base, number) = split(&file)?;
        let first_file = match first {
            Some(first) => split(&first)?.1,
            None => number,
        };
        let checksum = session.scalar("SELECT @@global.binlog_checksum")?.unwrap_or_default();
        let server_id = session.scalar("SELECT @@global.server_id")?.unwrap_or_default();
        let (identity, gtids) = match session.flavor {
            Flavor::MariaDb => {
                let at = gtid_at(session, &file, offset)?;
                (format!("mariadb:{server_id}"), Some(at.unwrap_or(GtidSet::MariaDb([].into()))))
            }
            Flavor::MySql => {
                let uuid = session.scalar("SELECT @@global.server_uuid")?.unwrap_or_default();
                let mode = session.scalar("SELECT @@global.gtid_mode")?.unwrap_or_default();
                let gtids = match mode.as_str() {
                    // Told together with the place, so that it is of the very same moment.
                    "ON" => Some(executed.parse().map_err(|_| SHAPE)?),
                    _ => None,
                };
                (format!("mysql:{uuid}"), gtids)
            }
        };
        Ok(Self {
            identity,
            base: base.to_owned(),
            first_file,
            end: (number, offset),
            gtids,
            has_checksum: checksum.eq_ignore_ascii_case("CRC32"),
        })
    }

    /// The name of a file.
    #[must_use]
    pub fn file(&self, number: u32) -> String {
        format!("{}.{number:06}", self.base)
    }
}

const SHAPE: SourceError = SourceError::Protocol("an answer about the log");

/// `name.000042`: the server counts on to more digits when six are not enough.
fn split(file: &str) -> Result<(&str, u32), SourceError> {
    let (base, number) = file.rsplit_once('.').ok_or(SHAPE)?;
    Ok((base, number.parse().map_err(|_| SHAPE)?))
}

/// The number of a file.
///
/// # Errors
/// It has none.
pub fn file_number(file: &str) -> Result<u32, SourceError> {
    split(file).map(|(_, number)| number)
}

/// The transactions before a place of MariaDB's log; `None` where no transaction ends there.
///
/// # Errors
/// The server's.
pub fn gtid_at(
    session: &mut Session,
    file: &str,
    offset: u64,
) -> Result<Option<GtidSet>, SourceError> {
    let file = super::super::catalog::literal(file);
    let found = session.scalar(&format!("SELECT BINLOG_GTID_POS({file}, {offset})"))?;
    // The empty text is the beginning of the log: nothing was committed.
    let text = found.map(|text| if text.is_empty() { "-".to_owned() } else { text });
    text.map(|text| text.parse().map_err(|_| SHAPE)).transpose()
}

/// A replica logs what it applies only when it is told to.
fn check_replica(session: &mut Session) -> Result<(), SourceError> {
    let logs = match session.scalar("SELECT @@log_slave_updates") {
        // A later MySQL may know only the other name ("Unknown system variable").
        Err(SourceError::Server { code: 1193, .. }) => {
            session.scalar("SELECT @@log_replica_updates")?
        }
        logs => logs?,
    };
    if logs.as_deref() == Some("1") {
        return Ok(());
    }
    let source = match session.flavor {
        Flavor::MariaDb => "SELECT @@gtid_slave_pos = ''",
        Flavor::MySql => {
            "SELECT COUNT(*) = 0 FROM performance_schema.replication_connection_configuration"
        }
    };
    match session.scalar(source) {
        Ok(alone) if alone.as_deref() == Some("1") => return Ok(()),
        // Whether it is a replica is not told to everybody; a server that is none is by far the likelier.
        Err(SourceError::Server { .. }) => return Ok(()),
        Ok(_) => {}
        Err(error) => return Err(error),
    }
    Err(SourceError::Log {
        reason: "the server is a replica that does not log what it applies".to_owned(),
        cure: "Start it with log_slave_updates (log_replica_updates), or read from its primary.",
    })
}

/// How long transactions that are in the log may take to be committed in the engine.
const SETTLES_WITHIN: Duration = Duration::from_secs(2);

/// Waits until everything that is in MySQL's log by now is committed in the engine, where others see it; whether it came to be.
///
/// A transaction owns its id from before it is written to the log until after it is committed in the engine
/// (`MYSQL_BIN_LOG::ordered_commit`), and `gtid_owned` tells the ids that are owned. So when none is owned any more that was
/// owned at a moment after the look at the log's end, all before that end is committed. New ones that come do not matter.
///
/// # Errors
/// The server's.
pub fn settle(session: &mut Session) -> Result<bool, SourceError> {
    let ask = |session: &mut Session| -> Result<BTreeSet<String>, SourceError> {
        let text = session.scalar("SELECT @@GLOBAL.gtid_owned")?.unwrap_or_default();
        Ok(owned(&text))
    };
    let mut left = ask(session)?;
    let started = Instant::now();
    while !left.is_empty() && started.elapsed() < SETTLES_WITHIN {
        std::thread::sleep(Duration::from_millis(5));
        let now = ask(session)?;
        left.retain(|id| now.contains(id));
    }
    Ok(left.is_empty())
}

/// The ids in `gtid_owned`: `server:number#thread:number#thread,` and so on, with a tag before the numbers where they have one.
fn owned(text: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for of_server in text.split(',').map(str::trim) {
        let mut parts = of_server.split(':');
        let server = parts.next().unwrap_or_default();
        let mut origin = server.to_owned();
        for part in parts {
            match part.split_once('#') {
                Some((number, _)) => drop(ids.insert(format!("{origin}:{number}"))),
                None => origin = format!("{server}:{part}"),
            }
        }
    }
    ids
}

/// Where the log ends, with MySQL's set of the transactions before, and whether it has all of the databases.
///
/// # Errors
/// It has not, or the account may not ask.
pub fn end(
    session: &mut Session,
    databases: &[String],
) -> Result<(String, u64, String), SourceError> {
    let asked = session.rows("SHOW MASTER STATUS");
    let rows = match asked {
        // MySQL 8.4 knows only the other name.
        Err(SourceError::Server { code: 1064, .. }) => session.rows("SHOW BINARY LOG STATUS"),
        asked => asked,
    }
    .map_err(rights)?;
    let row = rows.into_iter().next().unwrap_or_default();
    let field = |place: usize| row.get(place).cloned().flatten().filter(|text| !text.is_empty());
    let (file, offset) = field(0).zip(field(1).and_then(|text| text.parse().ok())).ok_or(SHAPE)?;
    let names = |place| field(place).map(|text| text.split(',').map(str::to_owned).collect());
    let (only, without): (Option<Vec<String>>, Option<Vec<String>>) = (names(2), names(3));
    let is_left_out = |database: &&String| {
        only.as_ref().is_some_and(|only| !only.contains(database))
            || without.as_ref().is_some_and(|without| without.contains(database))
    };
    match databases.iter().find(is_left_out) {
        Some(database) => Err(SourceError::Log {
            reason: format!("the server leaves the database {database} out of its log"),
            cure: "Take the database out of binlog_ignore_db, or into binlog_do_db, of the server's settings.",
        }),
        None => Ok((file, offset, field(4).unwrap_or_default())),
    }
}

/// What the account lacks, where a question about the log is refused.
pub(super) fn rights(error: SourceError) -> SourceError {
    if !matches!(error, SourceError::Server { code: 1044 | 1045 | 1227, .. }) {
        return error;
    }
    SourceError::Log {
        reason: "the account may not read the server's log".to_owned(),
        cure: "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO the account of the source's URL.",
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn ids_that_are_owned_are_told_apart() {
        let server = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        let text = format!("{server}:23#4:24#5:tag:7#9,\n{server}:other:1#2");
        let expected = ["23", "24", "other:1", "tag:7"].map(|id| format!("{server}:{id}"));
        assert_eq!(owned(&text).into_iter().collect::<Vec<_>>(), expected);
        assert!(owned("").is_empty());
    }

    #[test]
    fn files_are_named_and_numbered() {
        assert_eq!(split("mysql-bin.log.000042").unwrap(), ("mysql-bin.log", 42));
        assert_eq!(split("b.1234567").unwrap(), ("b", 1_234_567));
        assert!(split("binlog").is_err() && split("b.x").is_err());
    }
}
