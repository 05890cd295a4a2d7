//! Private servers and oracles for tests.
//!
//! A test states a behaviour of our binaries against real servers, so it needs a server nobody else uses, a lake nobody
//! else writes, and a judge that shares no code with us. This crate starts the first, makes the second, and runs the
//! third ([`Readers`]: `tests/readers` in Python, with `PyIceberg` and `DuckDB`). Nothing of it ships.
//!
//! Every function panics with a sentence when it cannot do its work: a test without its server has failed.

mod binary;
mod inventory;
mod lake;
mod postgres;
mod process;
mod readers;
mod shared;

pub use binary::{binary, example, workspace_root};
pub use inventory::{Inventory, Unit};
pub use lake::Lake;
pub use postgres::{Database, PostgresServer};
pub use process::{Finished, Running, Step};
pub use readers::{Comparison, Readers};
pub use shared::{number_setting, shared_data};
