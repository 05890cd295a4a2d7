//! What `ol-webhook` promises to those outside: its sender against real receivers.

mod common;
mod django;
mod kill;
mod lake;
mod million;
mod python;
mod rotation;
mod trouble;
mod workers;
