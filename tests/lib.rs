//! End-to-end tests across binaries, on real servers; see `it/main.rs`.
