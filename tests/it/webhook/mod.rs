//! What `ol-webhook` promises to those outside: its sender against real receivers.

mod common;
mod django;
mod kill;
mod lake;
mod million;
mod python;
mod receivers;
mod rotation;
mod transport;
mod trouble;
mod workers;
