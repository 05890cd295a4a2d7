//! Whence we know that a flow exists.

/// One reason to believe in an arrow, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// A function of this workspace whose signature has these two ends. Made by
    /// [`flow!`](crate::flow) only.
    #[non_exhaustive]
    Code {
        /// Path of the function, e.g. `ol_ingest::load::postgres_full_load`.
        function: &'static str,
        /// File, relative to the root of the workspace.
        file: &'static str,
        /// Line of the declaration, counted from 1; the function follows it.
        line: u32,
        /// Cargo package.
        package: &'static str,
    },
    /// A file of this repository that says so; the check opens it.
    File {
        /// Path relative to the root of the workspace.
        path: &'static str,
        /// Text the file must contain.
        contains: &'static str,
    },
    /// Somebody said so. Drawn as not verified.
    Said {
        /// Who, or which document.
        who: &'static str,
        /// When, as an ISO date or month.
        when: &'static str,
    },
}

impl Evidence {
    /// Evidence for a function of ours; what [`flow!`](crate::flow) expands to.
    #[doc(hidden)]
    #[must_use]
    pub const fn code(
        function: &'static str,
        file: &'static str,
        line: u32,
        package: &'static str,
    ) -> Self {
        Self::Code { function, file, line, package }
    }

    /// Whether a test can look at it.
    #[must_use]
    pub const fn is_verifiable(&self) -> bool {
        !matches!(self, Self::Said { .. })
    }
}
