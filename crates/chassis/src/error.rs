//! The error of this crate: what happened, to what, and whose turn it is.
//!
//! The kind decides the exit code, the context names the things involved, the advice says what to
//! do next. The source is kept, never formatted into the message: the chain is printed once, by
//! [`crate::cli::run`]. No constructor is ever handed a secret (I9).

use std::fmt;

use crate::exit::Exit;

/// A boxed cause.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Who can make the failure go away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A flag, variable or file is wrong: whoever wrote it.
    Configuration,
    /// A fact that no retry changes: a person.
    Definite,
    /// Weather: time.
    Transient,
}

/// A failure of the ground a binary stands on.
///
/// Shown as one sentence, the context in parentheses: `Vault refused to read the secret (path:
/// secret/app, status: 403)`.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    context: Vec<(&'static str, String)>,
    advice: Option<String>,
    source: Option<Cause>,
}

impl Error {
    /// Settings that cannot be obeyed.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    /// A fact that no retry changes.
    pub fn definite(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Definite, message)
    }

    /// Something that may succeed when tried again.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Transient, message)
    }

    /// A failure of `kind`; `message` starts with a capital, has no full stop and holds no secret.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), context: Vec::new(), advice: None, source: None }
    }

    /// Names a thing involved. Never a secret or a cell value.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.context.push((key, value.to_string()));
        self
    }

    /// Says what to do next, in one sentence.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Keeps what caused this.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Cause>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whose turn it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// True when the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        self.kind == ErrorKind::Transient
    }

    /// What to do next, when there is something to do.
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }

    /// The exit code this failure leads to when it ends a run.
    pub fn exit(&self) -> Exit {
        match self.kind {
            ErrorKind::Configuration => Exit::Configuration,
            ErrorKind::Definite => Exit::Definite,
            ErrorKind::Transient => Exit::Transient,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        for (index, (key, value)) in self.context.iter().enumerate() {
            let lead = if index == 0 { " (" } else { ", " };
            write!(formatter, "{lead}{key}: {value}")?;
        }
        if self.context.is_empty() { Ok(()) } else { formatter.write_str(")") }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// An error and its causes as one sentence: `a: b: c`.
///
/// A cause whose text already stands in what precedes it (libraries that print their source) is not
/// repeated.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut sentence = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !text.is_empty() && !sentence.contains(&text) {
            sentence.push_str(": ");
            sentence.push_str(&text);
        }
        next = cause.source();
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_follows_the_message_and_the_chain_is_one_sentence() {
        let error = Error::definite("Cannot write the file")
            .with("path", "/tmp/a")
            .with("bytes", 12)
            .caused_by(std::io::Error::other("disk on fire"));
        assert_eq!(error.to_string(), "Cannot write the file (path: /tmp/a, bytes: 12)");
        assert_eq!(chain(&error), "Cannot write the file (path: /tmp/a, bytes: 12): disk on fire");
        assert_eq!(error.exit(), Exit::Definite);
    }

    #[test]
    fn a_cause_already_told_is_not_told_again() {
        let inner = Error::transient("connection refused");
        let outer = Error::transient("Cannot reach Vault: connection refused").caused_by(inner);
        assert_eq!(chain(&outer), "Cannot reach Vault: connection refused");
    }
}
