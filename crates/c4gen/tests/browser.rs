//! The site in a real Chromium, opened as files: accessibility in both themes, three widths, keyboard,
//! pan and zoom, filters, search, deep links, no scripts, print, and no request that leaves the page.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use c4gen::export::{Format, export};
use c4gen::layout::elk::Elk;
use c4gen::site::{Input, pages};
use c4gen::{check, collect};

/// Runs `deploy/scripts/install.sh browser`, silent where nothing is missing, and returns the folder
/// of the Node packages.
#[expect(clippy::disallowed_methods, reason = "the cache is where the set-up scripts say it is")]
fn node_packages(root: &Path) -> PathBuf {
    let installed =
        Command::new(root.join("deploy/scripts/install.sh")).arg("browser").output().unwrap();
    let said = String::from_utf8_lossy(&installed.stderr).into_owned();
    assert!(installed.status.success(), "install.sh browser failed: {said}");
    let cache = std::env::var("OL_CACHE").map_or_else(
        |_| Path::new(&std::env::var("HOME").unwrap()).join(".cache/ol-flows"),
        PathBuf::from,
    );
    cache.join("browser")
}

#[test]
fn a_reader_misses_nothing_in_chromium() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let packages = node_packages(&root);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser-site");
    let cache = check::read_cache(&root).unwrap();
    let commit_date = Some("2026-11-23".to_owned());
    let mut input = Input::new(collect::model(), cache, commit_date);
    let files = pages(&mut input, &Elk).unwrap();
    let whole = export(&mut input, Format::Html, &Elk).unwrap();
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(folder.join("single")).unwrap();
    std::fs::write(folder.join("single/whole.html"), whole).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let looked = Command::new("node")
        .arg(root.join("crates/c4gen/tests/browser/look.mjs"))
        .args([&folder, &packages])
        .output()
        .unwrap();
    let faults = String::from_utf8_lossy(&looked.stdout).into_owned();
    let errors = String::from_utf8_lossy(&looked.stderr).into_owned();
    assert!(looked.status.success(), "{faults}{errors}");
}
