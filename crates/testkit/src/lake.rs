//! A lake of one's own: an SQLite catalog and a folder as warehouse.

use std::path::{Path, PathBuf};

use crate::process::Step;

/// An empty lake in a temporary folder, which goes when this is dropped.
#[derive(Debug)]
pub struct Lake {
    folder: tempfile::TempDir,
    catalog: String,
    warehouse: PathBuf,
}

impl Lake {
    /// A lake with an SQLite catalog.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("ol-lake-")
            .tempdir()
            .expect("a temporary folder can be made");
        let catalog = format!("sqlite:{}", folder.path().join("catalog.db").display());
        let warehouse = folder.path().join("warehouse");
        Self { folder, catalog, warehouse }
    }

    /// The same with another catalog, written as in `OL_CATALOG`.
    pub fn with_catalog(catalog: &str) -> Self {
        Self { catalog: catalog.to_owned(), ..Self::new() }
    }

    /// The same with its warehouse in another folder.
    pub fn with_warehouse(warehouse: &Path) -> Self {
        Self { warehouse: warehouse.to_owned(), ..Self::new() }
    }

    /// The catalog as in `OL_CATALOG`.
    pub fn catalog(&self) -> &str {
        &self.catalog
    }

    /// The file of the SQLite catalog.
    pub fn catalog_file(&self) -> PathBuf {
        self.folder.path().join("catalog.db")
    }

    /// The folder of the warehouse.
    pub fn warehouse(&self) -> &Path {
        &self.warehouse
    }

    /// A folder for what a test writes beside the lake.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The namespace of raw tables.
    pub fn namespace(&self) -> &'static str {
        "ol_warehouse_ci_raw"
    }

    /// Points a command at this lake.
    pub fn apply(&self, step: Step) -> Step {
        step.env("OL_ENV", "ci")
            .env("OL_CATALOG", &self.catalog)
            .env("OL_WAREHOUSE", self.warehouse.as_os_str())
            .folder(self.folder.path())
    }
}

impl Default for Lake {
    fn default() -> Self {
        Self::new()
    }
}
