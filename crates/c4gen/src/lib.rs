//! Collects what the crates declare, checks it and draws it.
