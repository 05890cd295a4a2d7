//! Inventory folders for `ol-ingest`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A temporary inventory: a folder with `units/*.yml`.
#[derive(Debug)]
pub struct Inventory {
    folder: tempfile::TempDir,
}

impl Inventory {
    /// An inventory without units.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("ol-inventory-")
            .tempdir()
            .expect("a temporary folder can be made");
        std::fs::create_dir(folder.path().join("units")).expect("a new folder takes a folder");
        Self { folder }
    }

    /// The folder, as `--inventory` takes it.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a unit file as it stands, and returns its path.
    pub fn write(&self, name: &str, yaml: &str) -> PathBuf {
        let path = self.folder.path().join("units").join(format!("{name}.yml"));
        std::fs::write(&path, yaml).expect("a unit file can be written");
        path
    }

    /// Writes a unit, and returns its path.
    pub fn unit(&self, unit: &Unit) -> PathBuf {
        self.write(&unit.deployment, &unit.yaml())
    }
}

impl Default for Inventory {
    fn default() -> Self {
        Self::new()
    }
}

/// A unit written by hand: a Postgres source whose tables are replaced whole, unless it is told another method.
#[derive(Debug, Clone)]
pub struct Unit {
    deployment: String,
    /// The layer, the kind of the source and what the names of raw tables begin with.
    of: [String; 3],
    replication_method: String,
    tables: Vec<(String, String, String)>,
    overrides: Vec<String>,
}

impl Unit {
    /// A unit of this deployment, layer `app_postgres`, without tables.
    pub fn new(deployment: &str) -> Self {
        let replication_method = "full".to_owned();
        let prefix = format!("raw__{deployment}__app__postgres__");
        Self {
            deployment: deployment.to_owned(),
            of: ["app_postgres".to_owned(), "postgres".to_owned(), prefix],
            replication_method,
            tables: Vec::new(),
            overrides: Vec::new(),
        }
    }

    /// A unit of this deployment's MySQL, layer `openedx_mysql`, without tables.
    pub fn mysql(deployment: &str) -> Self {
        let prefix = format!("raw__{deployment}__openedx__mysql__");
        let of = ["openedx_mysql".to_owned(), "mysql".to_owned(), prefix];
        Self { of, ..Self::new(deployment) }
    }

    /// A unit of this deployment's MongoDB, layer `openedx_mongodb`, without tables.
    pub fn mongodb(deployment: &str) -> Self {
        let prefix = format!("raw__{deployment}__openedx__mongodb__");
        let of = ["openedx_mongodb".to_owned(), "mongodb".to_owned(), prefix];
        Self { of, ..Self::new(deployment) }
    }

    /// The same read by another method (`cdc`, `xmin`, `cursor`).
    #[must_use]
    pub fn method(mut self, replication_method: &str) -> Self {
        replication_method.clone_into(&mut self.replication_method);
        self
    }

    /// Adds a table, whose raw table is its name behind the unit's prefix (`raw__{deployment}__app__postgres__`).
    #[must_use]
    pub fn table(self, schema: &str, name: &str, sync_mode: &str) -> Self {
        let raw_table = {
            let [_, _, prefix] = &self.of;
            format!("{prefix}{name}")
        };
        self.table_as(schema, name, &raw_table, sync_mode)
    }

    /// Adds a table under a raw table name of one's own.
    #[must_use]
    pub fn table_as(mut self, schema: &str, name: &str, raw_table: &str, sync_mode: &str) -> Self {
        let lines = format!(
            "  - name: {}\n    namespace: {}\n    raw_table: {raw_table}\n    sync_mode: {sync_mode}\n",
            quoted(name),
            quoted(schema)
        );
        self.tables.push((name.to_owned(), raw_table.to_owned(), lines));
        self
    }

    /// Adds further keys to the table added last, one `key: value` a line.
    #[must_use]
    pub fn with(mut self, lines: &str) -> Self {
        let last = self.tables.last_mut().expect("a table was added before its keys");
        for line in lines.lines() {
            writeln!(last.2, "    {line}").expect("a string takes text");
        }
        self
    }

    /// Says what is declared of tables beyond the platform's schema, as YAML by table name.
    #[must_use]
    pub fn overriding(mut self, lines: &str) -> Self {
        self.overrides.extend(lines.lines().map(str::to_owned));
        self
    }

    /// The unit file's text.
    pub fn yaml(&self) -> String {
        let [layer, source_kind, prefix] = &self.of;
        let mut yaml = format!(
            "version: 1\ndeployment: {}\nlayer: {layer}\nscope: all\nloader: ol_ingest\ntable_prefix: {prefix}\n\
             ol_ingest:\n  source_kind: {source_kind}\n  replication_method: {}\n  metadata_columns: native\n",
            self.deployment, self.replication_method
        );
        if !self.overrides.is_empty() {
            yaml.push_str("  overrides:\n");
        }
        for line in &self.overrides {
            writeln!(yaml, "    {line}").expect("a string takes text");
        }
        yaml.push_str("tables:\n");
        for (_, _, lines) in &self.tables {
            yaml.push_str(lines);
        }
        yaml
    }
}

/// A YAML text in double quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
