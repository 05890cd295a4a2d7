//! The Dagster Pipes protocol 0.1.
