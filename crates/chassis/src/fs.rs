//! Files, with errors that say which one.
//!
//! `std::fs` answers "No such file or directory" and leaves the reader guessing. These helpers name
//! the path and what was tried, and say whose turn it is. They block: call them at the start and
//! the end of a run, not on a hot path.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind};

/// The whole content of a file.
///
/// # Errors
/// Names the path; definite unless the operating system says "try again".
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| failure("Cannot read the file", path, source))
}

/// The whole content of a file of UTF-8 text.
///
/// # Errors
/// As [`read`]; also definite when the content is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, Error> {
    String::from_utf8(read(path)?).map_err(|source| {
        Error::definite("The file is not UTF-8 text")
            .with("path", path.display())
            .with("valid_up_to_bytes", source.utf8_error().valid_up_to())
            .advise("Save it as UTF-8")
    })
}

/// Writes a file so that readers see the old content or the new one, never half: to a neighbour
/// first, then renamed over `path`. Missing parent folders are made.
///
/// # Errors
/// Names the path; definite unless the operating system says "try again". The old file is then
/// untouched.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Error> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_folder(parent)?;
    }
    let neighbour = neighbour(path);
    let written = std::fs::File::create(&neighbour)
        .and_then(|mut file| file.write_all(content.as_ref()).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&neighbour, path));
    written.map_err(|source| {
        // The neighbour may not exist; either way the first error is the one to tell.
        let _ = std::fs::remove_file(&neighbour);
        failure("Cannot write the file", path, source)
    })
}

/// Makes a folder and its parents; one that exists is fine.
///
/// # Errors
/// Names the path; definite unless the operating system says "try again".
pub fn create_folder(path: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(path).map_err(|source| failure("Cannot make the folder", path, source))
}

/// Removes a file; one that does not exist is fine.
///
/// # Errors
/// Names the path; definite unless the operating system says "try again".
pub fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(failure("Cannot remove the file", path, source))
        }
        _ => Ok(()),
    }
}

/// What lies in a folder, sorted by name.
///
/// # Errors
/// Names the path; definite unless the operating system says "try again".
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect());
    let mut paths: Vec<PathBuf> =
        entries.map_err(|source| failure("Cannot list the folder", folder, source))?;
    paths.sort();
    Ok(paths)
}

/// An [`Error`] for a failed file operation: `what` ("Cannot read the file"), the path, and the
/// cure for the cause.
pub fn failure(what: &str, path: &Path, source: io::Error) -> Error {
    let (kind, advice) = whose_turn(&source);
    let error = Error::new(kind, what).with("path", path.display()).caused_by(source);
    match advice {
        Some(advice) => error.advise(advice),
        None => error,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "io::ErrorKind is open; an unknown kind needs a person"
)]
fn whose_turn(source: &io::Error) -> (ErrorKind, Option<&'static str>) {
    match source.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            (ErrorKind::Transient, None)
        }
        io::ErrorKind::NotFound => (
            ErrorKind::Definite,
            Some("Check the path; a relative one starts at the working folder"),
        ),
        io::ErrorKind::PermissionDenied => (
            ErrorKind::Definite,
            Some("Give the user this process runs as the right to the file and its folder"),
        ),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (ErrorKind::Definite, Some("Free space on that disk, or point to another one"))
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            (ErrorKind::Definite, Some("The disk is mounted read-only; point to a writable one"))
        }
        _ => (ErrorKind::Definite, None),
    }
}

/// A name beside `path` that no other process uses.
fn neighbour(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.partial", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;
    use crate::error::chain;

    #[test]
    fn a_write_makes_folders_replaces_whole_files_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.txt");
        write(&path, "first").unwrap();
        write(&path, "second").unwrap();
        assert_eq!(read_text(&path).unwrap(), "second");
        assert_eq!(list(path.parent().unwrap()).unwrap(), std::slice::from_ref(&path));
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(list(path.parent().unwrap()).unwrap().is_empty());
    }

    #[test]
    fn errors_name_the_path_and_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.yml");
        let error = read_text(&missing).unwrap_err();
        assert!(chain(&error).contains("missing.yml"), "{error}");
        assert!(error.advice().unwrap().contains("Check the path"));

        let occupied = folder.path().join("file");
        write(&occupied, "x").unwrap();
        let error = write(&occupied.join("below"), "y").unwrap_err();
        assert!(error.to_string().contains("Cannot make the folder"), "{error}");
        assert_eq!(read_text(&occupied).unwrap(), "x");

        write(&occupied, [0xff, 0xfe]).unwrap();
        assert_eq!(read_text(&occupied).unwrap_err().kind(), ErrorKind::Definite);
    }

    #[test]
    fn a_full_disk_is_a_persons_turn() {
        let full = Path::new("/dev/full");
        let source = std::fs::OpenOptions::new()
            .write(true)
            .open(full)
            .and_then(|mut file| file.write_all(b"x"))
            .unwrap_err();
        let error = failure("Cannot write the file", full, source);
        assert_eq!(error.kind(), ErrorKind::Definite);
        assert!(error.advice().unwrap().contains("Free space"));
    }
}
