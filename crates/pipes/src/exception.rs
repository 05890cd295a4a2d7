//! Exceptions, as Dagster shows them: a message and the chain of what led to it.

use std::error::Error as StdError;

use serde_json::{Value, json};

/// Why the process failed, for the closing message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exception {
    /// What happened.
    pub message: String,
    /// The frames, outermost first; may be empty.
    pub stack: Vec<String>,
    /// The kind of error, in Python the name of the class.
    pub name: Option<String>,
    /// What led to it, by the author's intent.
    pub cause: Option<Box<Exception>>,
    /// What was being handled when it happened.
    pub context: Option<Box<Exception>>,
}

/// Chains longer than this are cut; a chain that never ends must not hang the closing of a run.
const LONGEST_CHAIN: usize = 64;

impl Exception {
    /// An exception of a message alone.
    #[must_use]
    pub fn of(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// The exception that an error and the chain of its sources make; each source is a `cause`.
    #[must_use]
    pub fn from_error(error: &(dyn StdError + 'static)) -> Self {
        let chain: Vec<&(dyn StdError + 'static)> =
            std::iter::successors(Some(error), |&error| error.source())
                .take(LONGEST_CHAIN)
                .collect();
        let mut cause = None;
        for error in chain.into_iter().rev() {
            cause = Some(Box::new(Self { cause, ..Self::of(error.to_string()) }));
        }
        *cause.expect("the chain holds at least the error itself")
    }

    /// The same exception under a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    pub(crate) fn to_json(&self) -> Value {
        let inner = |exception: &Option<Box<Self>>| {
            exception.as_ref().map_or(Value::Null, |exception| exception.to_json())
        };
        json!({
            "message": self.message,
            "stack": self.stack,
            "name": self.name,
            "cause": inner(&self.cause),
            "context": inner(&self.context),
        })
    }
}

impl From<&(dyn StdError + 'static)> for Exception {
    fn from(error: &(dyn StdError + 'static)) -> Self {
        Self::from_error(error)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::Exception;
    use crate::error::{Error, ErrorKind};

    #[test]
    fn each_source_of_an_error_is_the_cause_of_the_one_before() {
        let error = Error::new(ErrorKind::Delivery)
            .about("path", "/x")
            .caused_by_io(std::io::Error::other("disk on fire"));
        let exception = Exception::from_error(&error).named("Delivery");
        assert_eq!(exception.message, "A Dagster Pipes message cannot be delivered (path: /x)");
        assert_eq!(exception.name.as_deref(), Some("Delivery"));
        let cause = exception.cause.unwrap();
        assert_eq!(cause.message, "disk on fire");
        assert_eq!((cause.cause, cause.context), (None, None));
    }
}
