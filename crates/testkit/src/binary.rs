//! The binaries under test, as they are built from this workspace.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The root of the workspace this crate was built from.
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/testkit is two folders below the root")
        .to_owned()
}

/// The program `name` of package `name`, with failpoints compiled in.
///
/// Taken from the variable `NAME_BINARY` (`OL_INGEST_BINARY` for `ol-ingest`); without it, built once with cargo in the
/// profile and target folder of the test itself.
pub fn binary(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let variable = format!("{}_BINARY", name.replace('-', "_").to_uppercase());
    if let Some(path) = std::env::var_os(&variable) {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "{variable} names {}, which is no file", path.display());
        return path;
    }
    let mut built = BUILT.lock().expect("building a binary does not panic while it holds the lock");
    built.entry(name.to_owned()).or_insert_with(|| build(name)).clone()
}

fn build(name: &str) -> PathBuf {
    // …/<profile>/deps/<test>: the test's own place names the target folder and the profile.
    let test = std::env::current_exe().expect("a running test has a path");
    let profile_folder =
        test.ancestors().nth(2).expect("a test binary lies in the deps folder of its profile");
    let profile = match profile_folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let target = profile_folder.parent().expect("a profile folder lies in the target folder");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--package",
            name,
            "--bin",
            name,
            "--features",
            "failpoints",
            "--profile",
            profile,
        ])
        .arg("--target-dir")
        .arg(target)
        .current_dir(workspace_root())
        .status()
        .expect("cargo can be started");
    assert!(built.success(), "{name} does not build");
    profile_folder.join(name)
}
