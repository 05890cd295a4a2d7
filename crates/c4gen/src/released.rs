//! The model as it was at the last release, which `c4gen export --release VERSION` writes and a release
//! checks in: what the page of changes compares the code with.

use std::path::Path;

use c4model::Model;
use serde::{Deserialize, Serialize};

use crate::diff::{self, Difference};
use crate::error::Error;
use crate::scene::Scene;
use crate::workspace::{self, RELEASED_FILE};

/// A released model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Released {
    /// The version it was released as.
    pub version: String,
    /// What was declared then.
    pub model: Model,
}

impl Released {
    /// The one at the root of the workspace; none before the first release.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read, [`Error::Format`] when it is of another format.
    pub fn read(root: &Path) -> Result<Option<Self>, Error> {
        let path = root.join(RELEASED_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let text = workspace::read(&path)?;
        serde_json::from_str(&text).map(Some).map_err(|source| Error::Format { path, source })
    }

    /// The text of the file: indented, with a final line break.
    ///
    /// # Panics
    /// Never: it has string keys only.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("it has string keys only");
        text.push('\n');
        text
    }

    /// What differs now.
    #[must_use]
    pub fn differences(&self, now: &Model) -> Vec<Difference> {
        diff::differences(&self.model, now)
    }

    /// The flows that differ as a diagram; none when no flow does.
    #[must_use]
    pub fn scene(&self, now: &Model) -> Option<Scene> {
        let scene = diff::scene(&self.model, now, &self.differences(now));
        (!scene.edges.is_empty()).then_some(scene)
    }
}
