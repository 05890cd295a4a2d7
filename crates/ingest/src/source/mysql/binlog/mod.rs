//! READ: the binary log, in which a server writes what it has committed, row by row.
//!
//! ```text
//!   stream.rs   the server sends events as they are in the file
//!   event.rs    what kind each is; table_map.rs what the columns of the rows behind it are; statement.rs what a statement
//!               that was written as text does to tables; tagged.rs how a transaction with a tag is named
//!   image.rs    where the values of a row lie; value.rs the same value as a prepared statement would send it
//!   rows.rs     values into the builders of a full load: so a row of the log is the row that a copy would read
//! ```
//!
//! **Places.** A transaction is named by the file and the byte where it begins, which is of one server alone, and by a
//! global transaction id, which is the same on each server that has it. Positions in the lake are of the first kind, as
//! they sort; the ids beside them let another server go on ([`gtid`]).
//!
//! **What must be in the log.** All columns of every row (`binlog_format=ROW`, `binlog_row_image=FULL`): [`server`] refuses
//! a server that is set otherwise. A row is read by the names of its columns where the log has them
//! (`binlog_row_metadata=FULL`), and else only as long as no statement has changed the table.
//!
//! Source: MySQL Source Code Documentation, "Binary Log"; MariaDB, "Replication Protocol"; `sql/log_event.h` of both.

pub mod charset;
pub mod event;
pub mod foreign_key;
pub mod gtid;
pub mod image;
mod json;
pub mod rows;
pub mod server;
pub mod statement;
pub mod stream;
pub mod table_map;
mod tagged;
pub mod value;
