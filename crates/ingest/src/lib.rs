//! Application databases into raw Iceberg: discover, read, shape, commit, acknowledge.
