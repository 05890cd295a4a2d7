//! Everything Iceberg: catalogs, writing, one-snapshot commits, guards, maintenance.
