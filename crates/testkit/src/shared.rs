//! What a test takes from its surroundings: data that lies beside the checkout, and numbers that a person sets.

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

/// The number in an environment variable, such as a seed or a count of rounds; `None` where it is not set.
pub fn number_setting(variable: &str) -> Option<u64> {
    let text = std::env::var_os(variable)?;
    let number = text.to_str().and_then(|text| text.parse().ok());
    Some(number.unwrap_or_else(|| panic!("{variable} is not a whole number: {}", text.display())))
}
