//! The exit codes of every binary.
//!
//! Dagster, Kubernetes and a person at 3 a.m. all read the same number: it says who acts next. A
//! run over many tables ends with the code of its worst table ([`Exit::worst`]).

use std::process::ExitCode;

/// How a process ended, and so whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Everything asked for was done. Nobody's turn.
    Done = 0,
    /// Weather: the same command, later, can succeed. The scheduler's turn.
    Transient = 1,
    /// A fact that no retry changes. A person's turn.
    Definite = 2,
    /// The settings, the flags or the inventory are wrong; nothing was tried. The turn of whoever
    /// wrote them.
    Configuration = 3,
    /// Asked to stop and did so at a safe point; the same command resumes. The scheduler's turn.
    Stopped = 75,
}

impl Exit {
    /// The number the operating system sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Transient => 1,
            Self::Definite => 2,
            Self::Configuration => 3,
            Self::Stopped => 75,
        }
    }

    /// The most severe of `exits`; [`Exit::Done`] when there are none.
    ///
    /// Severity: `Configuration > Definite > Transient > Stopped > Done`. What needs a person
    /// outranks what heals.
    pub fn worst(exits: impl IntoIterator<Item = Self>) -> Self {
        exits.into_iter().max_by_key(|exit| exit.severity()).unwrap_or(Self::Done)
    }

    fn severity(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Stopped => 1,
            Self::Transient => 2,
            Self::Definite => 3,
            Self::Configuration => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_what_needs_a_person_first() {
        use Exit::{Configuration, Definite, Done, Stopped, Transient};
        assert_eq!(Exit::worst([]), Done);
        assert_eq!(Exit::worst([Done, Stopped]), Stopped);
        assert_eq!(Exit::worst([Transient, Stopped, Done]), Transient);
        assert_eq!(Exit::worst([Stopped, Definite, Transient]), Definite);
        assert_eq!(Exit::worst([Definite, Configuration, Transient]), Configuration);
    }

    #[test]
    fn codes_are_the_contract() {
        let codes =
            [Exit::Done, Exit::Transient, Exit::Definite, Exit::Configuration, Exit::Stopped]
                .map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 3, 75]);
    }
}
