//! The Python interpreters of the tests, each with the packages that one kind of program needs.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::install::install;

/// An interpreter: the one that a variable names, or that of a virtual environment under `${OL_CACHE:-~/.cache/ol-flows}`,
/// made when it is not there or when a requirements file has changed.
#[derive(Debug, Clone, Copy)]
pub enum Python {
    /// What judges the lake, works on it as another engine would, and runs Dagster.
    Readers,
    /// The receivers, which have Django.
    Receivers,
    /// Spark.
    Spark,
}

impl Python {
    /// Where it is.
    pub fn path(self) -> PathBuf {
        static FOUND: [OnceLock<PathBuf>; 3] = [const { OnceLock::new() }; 3];
        let [readers, receivers, spark] = &FOUND;
        let (found, variable, kind, name, requirements): (_, _, _, _, &[&str]) = match self {
            Self::Readers => (
                readers,
                "OL_PYTHON",
                "python",
                "venv",
                &["tests/readers/requirements.txt", "tests/dagster/requirements.txt"],
            ),
            Self::Receivers => (
                receivers,
                "OL_RECEIVERS_PYTHON",
                "python",
                "venv-receivers",
                &["tests/receivers/requirements.txt"],
            ),
            Self::Spark => (
                spark,
                "OL_SPARK_PYTHON",
                "spark",
                "venv-spark",
                &["tests/readers/spark-requirements.txt"],
            ),
        };
        let installed =
            || install(&[&[kind, name], requirements].concat()).join(name).join("bin/python");
        let path = || std::env::var_os(variable).map_or_else(installed, PathBuf::from);
        found.get_or_init(path).clone()
    }
}
