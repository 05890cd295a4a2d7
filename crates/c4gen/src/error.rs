//! What can go wrong, and so whose turn it is.

use std::path::PathBuf;

use ol_chassis::exit::Exit;

/// A failure of the generator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot {action} {path}", path = path.display())]
    File {
        /// What was tried, e.g. `read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The layout engine refused a scene.
    #[error("cannot place the diagram `{scene}`: {reason}")]
    Layout {
        /// Id of the scene.
        scene: String,
        /// What the engine said.
        reason: String,
    },
    /// A file that this program wrote is not in the format it writes.
    #[error("{path} is not in the format this program writes", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Where it differs.
        source: serde_json::Error,
    },
    /// The list of known findings cannot be understood.
    #[error("{path} is no list of known findings", path = path.display())]
    Known {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong.
        source: Box<toml::de::Error>,
    },
    /// A file of others is not what it is said to be.
    #[error("cannot import {path} at {at}: {problem}; {cure}", path = path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// The place in it.
        at: String,
        /// What is wrong.
        problem: String,
        /// What helps.
        cure: String,
    },
    /// No workspace was found.
    #[error("no Cargo workspace at or above {path}; name it with --root", path = path.display())]
    NoWorkspace {
        /// Where the search began.
        path: PathBuf,
    },
    /// A program that is needed could not be run or refused.
    #[error("`{program}` failed: {reason}")]
    Program {
        /// The command.
        program: &'static str,
        /// What it said.
        reason: String,
    },
}

impl Error {
    /// The exit code that tells whose turn it is.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoWorkspace { .. } => Exit::Configuration,
            Self::File { .. }
            | Self::Layout { .. }
            | Self::Format { .. }
            | Self::Import { .. }
            | Self::Known { .. }
            | Self::Program { .. } => Exit::Definite,
        }
    }
}
