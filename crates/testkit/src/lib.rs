//! Private servers and oracles for tests.
//!
//! A test states a behaviour of our binaries against real servers, so it needs a server nobody else uses, a lake nobody
//! else writes, and a judge that shares no code with us. This crate starts the first, makes the second, and runs the
//! third ([`Readers`]: `tests/readers` in Python, with `PyIceberg` and `DuckDB`). Nothing of it ships.
//!
//! Every function panics with a sentence when it cannot do its work: a test without its server has failed.

mod binary;
mod glue;
mod install;
mod inventory;
mod judge;
mod lake;
pub mod ledger;
mod load;
mod mongodb;
mod mysql;
mod postgres;
mod process;
mod proxy;
mod python;
mod random;
mod readers;
mod rest_catalog;
mod s3;
mod service;
mod session;
mod shared;
mod trino;

pub use binary::{binary, example, workspace_root};
pub use glue::GlueServer;
pub use inventory::{Inventory, Unit};
pub use judge::Question;
pub use lake::Lake;
pub use load::{LoadDone, LoadTable, LoadUnderWay, WriteLoad};
pub use mongodb::{MongoDatabase, MongoServer, MongoStandIn};
pub use mysql::{MysqlDatabase, MysqlServer, Software};
pub use postgres::{Database, PostgresServer, Stop};
pub use process::{Finished, Running, Step};
pub use proxy::{Fault, Proxy};
pub use python::Python;
pub use random::Random;
pub use readers::{Comparison, Readers};
pub use rest_catalog::{RestCatalogClient, RestCatalogServer};
pub use s3::{S3Fault, S3Request, S3Server, S3Then};
pub use session::{Broken, Session};
pub use shared::{number_setting, shared_data};
pub use trino::{TrinoAnswer, TrinoCatalog, TrinoServer};
