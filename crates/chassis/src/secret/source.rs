//! Where one secret is, and reading it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{SecretText, SecretUrl, Vault};
use crate::config::Variables;
use crate::error::Error;
use crate::fs;

/// A place where a secret is kept, read when it is needed.
///
/// A variable's value is one of
///
/// | value | the secret |
/// |---|---|
/// | `vault:MOUNT/PATH#FIELD` | a field of a Vault key-value secret, version 1 or 2; dots reach into nested objects |
/// | `vault-db:MOUNT/creds/ROLE#URL` | `URL` with the user name and password that Vault issues for the role now |
/// | `file:PATH` | the content of a file without its final line break (`file://…` is a URL, not this) |
/// | anything else | the value itself |
///
/// and `NAME_FILE=PATH` means the same as `NAME=file:PATH`.
#[derive(Clone)]
pub struct SecretSource {
    /// The variable that named the place, for errors.
    name: String,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Literal(SecretText),
    File(PathBuf),
    VaultField { path: String, field: String },
    VaultDatabase { path: String, url: SecretUrl },
}

impl SecretSource {
    /// The place named by the variable `name` or `name_FILE`; `None` when neither is set.
    ///
    /// # Errors
    /// Configuration when both are set, or as [`SecretSource::parse`].
    pub fn from_variables(name: &str, variables: &Variables) -> Result<Option<Self>, Error> {
        let file_name = format!("{name}_FILE");
        match (variables.get(name)?, variables.get(&file_name)?) {
            (None, None) => Ok(None),
            (Some(value), None) => Self::parse(name, value).map(Some),
            (None, Some(path)) => {
                Ok(Some(Self { name: file_name, place: Place::File(path.into()) }))
            }
            (Some(_), Some(_)) => Err(Error::configuration("A secret is given twice")
                .with("variable", name)
                .with("and", &file_name)
                .advise(format!("Unset {name} or {file_name}"))),
        }
    }

    /// The place that `value`, the value of the variable `name`, stands for.
    ///
    /// # Errors
    /// Configuration, naming the variable and the right form, when a `vault:` or `vault-db:`
    /// reference is not whole.
    pub fn parse(name: &str, value: &str) -> Result<Self, Error> {
        let incomplete = |form: &'static str| {
            Error::configuration("The reference to Vault is not whole")
                .with("variable", name)
                .advise(format!("Write {form}"))
        };
        let place = if let Some(reference) = value.strip_prefix("vault-db:") {
            let form = "vault-db:MOUNT/creds/ROLE#postgres://HOST:5432/DATABASE";
            let (path, url) = split_reference(reference).ok_or_else(|| incomplete(form))?;
            let url = SecretUrl::parse(url)?;
            Place::VaultDatabase { path, url }
        } else if let Some(reference) = value.strip_prefix("vault:") {
            let form = "vault:MOUNT/PATH#FIELD";
            let (path, field) = split_reference(reference).ok_or_else(|| incomplete(form))?;
            Place::VaultField { path, field: field.to_owned() }
        } else {
            match value.strip_prefix("file:") {
                Some(path) if !path.starts_with("//") => Place::File(path.into()),
                _ => Place::Literal(SecretText::new(value)),
            }
        };
        Ok(Self { name: name.to_owned(), place })
    }

    /// Reads the secret as text, now.
    ///
    /// # Errors
    /// Configuration when the place is wrong (no such file or field; credentials where text is
    /// wanted), definite when it is refused, transient when Vault cannot answer. Never holds the
    /// secret.
    pub async fn read(&self) -> Result<SecretText, Error> {
        match &self.place {
            Place::Literal(text) => Ok(text.clone()),
            Place::File(path) => read_file(path, &self.name),
            Place::VaultField { .. } => self.read_from(&Vault::shared().await?).await,
            Place::VaultDatabase { .. } => Err(self.not_text()),
        }
    }

    /// Reads the secret as a URL, now. A file or field may itself hold a `vault-db:` reference.
    ///
    /// # Errors
    /// As [`SecretSource::read`], and configuration when the text is not a URL.
    pub async fn read_url(&self) -> Result<SecretUrl, Error> {
        if let Place::VaultDatabase { .. } = &self.place {
            return self.read_url_from(&Vault::shared().await?).await;
        }
        match self.refine(self.read().await?)? {
            Refined::Url(url) => Ok(url),
            Refined::Credentials(source) => source.read_url_from(&Vault::shared().await?).await,
        }
    }

    /// [`SecretSource::read`], with the Vault to ask.
    ///
    /// # Errors
    /// As there.
    pub async fn read_from(&self, vault: &Arc<Vault>) -> Result<SecretText, Error> {
        match &self.place {
            Place::VaultField { path, field } => vault.read_field(path, field).await,
            Place::Literal(text) => Ok(text.clone()),
            Place::File(path) => read_file(path, &self.name),
            Place::VaultDatabase { .. } => Err(self.not_text()),
        }
        .map_err(|error| error.with("variable", &self.name))
    }

    /// [`SecretSource::read_url`], with the Vault to ask.
    ///
    /// # Errors
    /// As there.
    pub async fn read_url_from(&self, vault: &Arc<Vault>) -> Result<SecretUrl, Error> {
        let source = match &self.place {
            Place::VaultDatabase { .. } => self.clone(),
            Place::Literal(_) | Place::File(_) | Place::VaultField { .. } => {
                match self.refine(self.read_from(vault).await?)? {
                    Refined::Url(url) => return Ok(url),
                    Refined::Credentials(source) => source,
                }
            }
        };
        let Place::VaultDatabase { path, url } = &source.place else { return Err(self.not_text()) };
        let named = |error: Error| error.with("variable", &self.name);
        let credentials = vault.issue_credentials(path).await.map_err(named)?;
        url.with_credentials(&credentials.user, &credentials.password, credentials.lease)
            .map_err(named)
    }

    fn refine(&self, text: SecretText) -> Result<Refined, Error> {
        if text.expose().starts_with("vault-db:") {
            return Self::parse(&self.name, text.expose()).map(Refined::Credentials);
        }
        SecretUrl::parse(text.expose())
            .map(Refined::Url)
            .map_err(|error| error.with("variable", &self.name))
    }

    fn not_text(&self) -> Error {
        Error::configuration("Database credentials stand where one text is wanted")
            .with("variable", &self.name)
            .advise("Write vault:MOUNT/PATH#FIELD")
    }
}

enum Refined {
    Url(SecretUrl),
    Credentials(SecretSource),
}

fn split_reference(reference: &str) -> Option<(String, &str)> {
    let (path, rest) = reference.split_once('#')?;
    let path = path.trim_matches('/');
    let whole = path.contains('/') && !rest.is_empty();
    whole.then(|| (path.to_owned(), rest))
}

fn read_file(path: &Path, name: &str) -> Result<SecretText, Error> {
    let text = fs::read_text(path).map_err(|error| error.with("variable", name))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Error::configuration("The file of a secret is empty")
            .with("path", path.display())
            .with("variable", name)
            .advise("Write the secret into the file, or mount the right one"));
    }
    Ok(SecretText::new(text))
}

/// The place, without a literal's value.
impl fmt::Display for SecretSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Literal(_) => write!(formatter, "the value of {}", self.name),
            Place::File(path) => write!(formatter, "file:{} (from {})", path.display(), self.name),
            Place::VaultField { path, field } => {
                write!(formatter, "vault:{path}#{field} (from {})", self.name)
            }
            Place::VaultDatabase { path, url } => {
                write!(formatter, "vault-db:{path}#{url} (from {})", self.name)
            }
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SecretSource({self})")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[tokio::test]
    async fn a_variable_holds_the_secret_or_names_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, "hunter2\n").unwrap();
        let path = path.display().to_string();
        for (name, value) in
            [("KEY", "hunter2".to_owned()), ("KEY", format!("file:{path}")), ("KEY_FILE", path)]
        {
            let variables = [(name, value)].into_iter().collect();
            let source = SecretSource::from_variables("KEY", &variables).unwrap().unwrap();
            assert_eq!(source.read().await.unwrap().expose(), "hunter2");
            assert!(!format!("{source} {source:?}").contains("hunter2"));
        }
        let none = SecretSource::from_variables("KEY", &Variables::default()).unwrap();
        assert!(none.is_none());
    }

    #[tokio::test]
    async fn a_file_url_is_a_url() {
        let source = SecretSource::parse("OL_SOURCE_X_URL", "file:///data/logs").unwrap();
        assert_eq!(source.read_url().await.unwrap().expose(), "file:///data/logs");
    }

    #[tokio::test]
    async fn mistakes_name_the_variable_and_the_cure() {
        let both = [("KEY", "a"), ("KEY_FILE", "b")].into_iter().collect();
        let error = SecretSource::from_variables("KEY", &both).unwrap_err();
        assert!(error.to_string().contains("KEY_FILE"), "{error}");

        for value in ["vault:app#x", "vault:secret/app", "vault:secret/app#", "vault-db:db/creds/x"]
        {
            let error = SecretSource::parse("KEY", value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains("KEY"), "{error}");
            assert!(error.advice().unwrap().contains("#"), "{error:?}");
        }

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        fs::write(&path, "\n").unwrap();
        for path in [path, folder.path().join("missing")] {
            let value = format!("file:{}", path.display());
            let error = SecretSource::parse("KEY", &value).unwrap().read().await.unwrap_err();
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
            assert!(error.to_string().contains("KEY") && error.advice().is_some(), "{error}");
        }
    }
}
