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

/// The program `name`, with failpoints compiled in.
///
/// Taken from the variable `NAME_BINARY` (`OL_INGEST_BINARY` for `ol-ingest`); without it, built once with cargo in the
/// profile and target folder of the test itself.
pub fn binary(name: &str) -> PathBuf {
    named(name).unwrap_or_else(|| built(&["--bin", name], Path::new(name)))
}

/// The example `name` of a crate: beside the program that `OL_INGEST_BINARY` names if it is there, else built once.
pub fn example(name: &str) -> PathBuf {
    let product = Path::new("examples").join(name);
    named("ol-ingest")
        .and_then(|program| program.parent().map(|folder| folder.join(&product)))
        .filter(|path| path.is_file())
        .unwrap_or_else(|| built(&["--example", name], &product))
}

fn named(name: &str) -> Option<PathBuf> {
    let variable = format!("{}_BINARY", name.replace('-', "_").to_uppercase());
    let path = PathBuf::from(std::env::var_os(&variable)?);
    assert!(path.is_file(), "{variable} names {}, which is no file", path.display());
    Some(path)
}

/// Builds once in a test binary, with the features of the whole workspace, as `make test` does; `product` is the place
/// in the profile's folder.
fn built(arguments: &[&str], product: &Path) -> PathBuf {
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
        .args(["build", "--quiet", "--workspace"])
        .args(["--features", "ol-ingest/failpoints,ol-webhook/failpoints"])
        .args(["--profile", profile])
        .args(arguments)
        .arg("--target-dir")
        .arg(target)
        .current_dir(workspace_root())
        .status()
        .expect("cargo can be started");
    assert!(status.success(), "{} does not build", product.display());
    known.insert(path.clone());
    path
}
