//! The binaries under test, as they are built from this workspace.

use std::collections::BTreeSet;
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
    let variable = format!("{}_BINARY", name.replace('-', "_").to_uppercase());
    if let Some(path) = std::env::var_os(&variable) {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "{variable} names {}, which is no file", path.display());
        return path;
    }
    built(name, &["--bin", name, "--features", "failpoints"], Path::new(name))
}

/// The example `name` of a package, built once with cargo.
pub fn example(package: &str, name: &str) -> PathBuf {
    built(package, &["--example", name], &Path::new("examples").join(name))
}

/// Builds once a test binary, and returns the product's path; `product` is its place in the profile's folder.
fn built(package: &str, arguments: &[&str], product: &Path) -> PathBuf {
    static BUILT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    // …/<profile>/deps/<test>: the test's own place names the target folder and the profile.
    let test = std::env::current_exe().expect("a running test has a path");
    let profile_folder =
        test.ancestors().nth(2).expect("a test binary lies in the deps folder of its profile");
    let target = profile_folder.parent().expect("a profile folder lies in the target folder");
    let path = profile_folder.join(product);
    let mut known = BUILT.lock().expect("a failed build fails every test that needs the program");
    if known.contains(&path) {
        return path;
    }
    let profile = match profile_folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--package", package, "--profile", profile])
        .args(arguments)
        .arg("--target-dir")
        .arg(target)
        .current_dir(workspace_root())
        .status()
        .expect("cargo can be started");
    assert!(status.success(), "{package} does not build");
    known.insert(path.clone());
    path
}
