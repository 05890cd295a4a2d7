//! Test data that lies beside the checkout and is no part of it.

use std::path::PathBuf;

/// The file `name` of the shared test data, or `None` where this machine has no such file.
///
/// It is looked for in the folder `OL_SHARED_DATA`, or in `../shared/data` beside the checkout. A test without its data
/// prints a line, so that a run which proved less does not look the same.
pub fn shared_data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("OL_SHARED_DATA")
        .map_or_else(|| crate::workspace_root().join("../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if path.is_file() {
        return Some(path);
    }
    eprintln!("{} is not on this machine: what needs it is not tested", path.display());
    None
}
