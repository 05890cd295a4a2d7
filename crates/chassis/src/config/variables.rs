//! The process's environment variables as a value.
//!
//! Everything that depends on variables takes a [`Variables`], so that a test hands in its own
//! instead of changing the process. An empty value counts as unset: Kubernetes manifests often
//! spell "none" that way.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::error::Error;

/// A snapshot of environment variables, by name.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, OsString>);

impl Variables {
    /// The variables of this process, as they are now.
    pub fn process() -> Self {
        let named = std::env::vars_os()
            .filter_map(|(name, value)| name.into_string().ok().map(|name| (name, value)));
        Self(named.collect())
    }

    /// The value of a variable; `None` when it is unset or empty.
    ///
    /// # Errors
    /// Configuration, naming the variable, when its value is not UTF-8.
    pub fn get(&self, name: &str) -> Result<Option<&str>, Error> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => match value.to_str() {
                Some("") => Ok(None),
                Some(text) => Ok(Some(text)),
                None => Err(Error::configuration("The variable's value is not UTF-8 text")
                    .with("variable", name)
                    .advise(format!("Set {name} to UTF-8 text, or unset it"))),
            },
        }
    }

    /// The names that are set, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Shows the names only: values may be secrets.
impl std::fmt::Debug for Variables {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// The value of one variable of this process; `None` when it is unset or empty.
///
/// # Errors
/// Configuration, naming the variable, when its value is not UTF-8.
pub fn variable(name: &str) -> Result<Option<String>, Error> {
    Variables::process().get(name).map(|value| value.map(str::to_owned))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn empty_is_unset_and_bytes_are_an_error_that_names_the_variable() {
        let variables: Variables = [
            ("OL_ENV", OsString::from("qa")),
            ("OL_CATALOG", OsString::new()),
            ("OL_WAREHOUSE", OsString::from_vec(vec![0xff])),
        ]
        .into_iter()
        .collect();
        assert_eq!(variables.get("OL_ENV").unwrap(), Some("qa"));
        assert_eq!(variables.get("OL_CATALOG").unwrap(), None);
        assert_eq!(variables.get("OL_MISSING").unwrap(), None);
        assert!(variables.get("OL_WAREHOUSE").unwrap_err().to_string().contains("OL_WAREHOUSE"));
        assert!(!format!("{variables:?}").contains("qa"));
    }

    #[test]
    fn the_process_has_variables() {
        assert!(variable("PATH").unwrap().is_some());
        assert_eq!(variable("OL_NOBODY_SETS_THIS").unwrap(), None);
    }
}
