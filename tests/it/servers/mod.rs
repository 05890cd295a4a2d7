//! The servers that tests stand on are real ones: each is started, asked and left here once.

mod glue;
mod rest_catalog;
mod trino;
