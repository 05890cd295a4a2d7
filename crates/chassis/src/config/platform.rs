//! The variables that say where a process is: which platform environment, which catalog, which
//! warehouse, which source.
//!
//! They are variables and not keys of a file because one image runs in every environment.

use std::fmt;
use std::str::FromStr;

use super::{ConfigurationError, Variables};
use crate::error::Error;
use crate::secret::{SecretSource, SecretUrl};

/// Which instance of the platform this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// A person's machine.
    Dev,
    /// A test run.
    Ci,
    /// The platform's rehearsal instance.
    Qa,
    /// The platform.
    Production,
}

impl Environment {
    /// The word used in variables and in names of namespaces.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Ci => "ci",
            Self::Qa => "qa",
            Self::Production => "production",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Environment {
    type Err = ConfigurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Dev, Self::Ci, Self::Qa, Self::Production]
            .into_iter()
            .find(|environment| environment.as_str() == text)
            .ok_or_else(|| {
                Error::configuration("There is no such environment")
                    .with("OL_ENV", text)
                    .advise("Set OL_ENV to dev, ci, qa or production")
            })
    }
}

/// Where this process works.
#[derive(Clone, Debug)]
pub struct Platform {
    /// `OL_ENV`; default `dev`.
    pub environment: Environment,
    /// `OL_CATALOG`: `sqlite:PATH`, `postgres://…`, `rest+http(s)://…` or `glue:`; default
    /// `sqlite:.ol/catalog.db`. A secret because it may hold a password; its display is safe.
    pub catalog: SecretUrl,
    /// `OL_WAREHOUSE`: a path, `file:///…` or `s3://bucket/prefix`; default `.ol/warehouse`.
    pub warehouse: String,
    /// The namespace of raw tables, where it is not that of the environment.
    raw_namespace: Option<String>,
}

impl Platform {
    /// Reads the variables of this process. `OL_CATALOG` may come from a file or from Vault, as
    /// [`SecretSource`] says.
    ///
    /// # Errors
    /// Configuration, naming the variable; and the errors of [`SecretSource::read_url`].
    pub async fn from_environment() -> Result<Self, ConfigurationError> {
        Self::from_variables(&Variables::process()).await
    }

    /// [`Platform::from_environment`] with the variables given.
    ///
    /// # Errors
    /// As there.
    pub async fn from_variables(variables: &Variables) -> Result<Self, ConfigurationError> {
        let catalog = match SecretSource::from_variables("OL_CATALOG", variables)? {
            Some(source) => source.read_url().await?,
            None => SecretUrl::parse("sqlite:.ol/catalog.db")?,
        };
        Ok(Self {
            environment: variables.get("OL_ENV")?.unwrap_or("dev").parse()?,
            catalog,
            warehouse: variables.get("OL_WAREHOUSE")?.unwrap_or(".ol/warehouse").to_owned(),
            raw_namespace: None,
        })
    }

    /// The namespace of raw tables: `ol_warehouse_<environment>_raw`, unless another one was asked for.
    pub fn raw_namespace(&self) -> String {
        let of_environment = || format!("ol_warehouse_{}_raw", self.environment);
        self.raw_namespace.clone().unwrap_or_else(of_environment)
    }

    /// The same place with its raw tables in another namespace.
    #[must_use]
    pub fn with_raw_namespace(self, namespace: impl Into<String>) -> Self {
        Self { raw_namespace: Some(namespace.into()), ..self }
    }
}

/// The variable that holds a source's URL: `OL_SOURCE_<DEPLOYMENT>_<LAYER>_URL`, upper case, what
/// is not a letter or a digit becomes `_`.
pub fn source_variable(deployment: &str, layer: &str) -> String {
    format!("OL_SOURCE_{}_{}_URL", shout(deployment), shout(layer))
}

fn shout(text: &str) -> String {
    text.chars()
        .map(
            |letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' },
        )
        .collect()
}

/// The URL of a source, read now: call it at each connection, so that a rotated password is met.
///
/// From [`source_variable`] (or the file named by the variable with `_FILE` added); else, when
/// `OL_VAULT_SOURCES` is set to `MOUNT/PATH`, from the field `url` of the Vault secret
/// `MOUNT/PATH/<deployment>/<layer>`. Where the value refers to database credentials
/// (`vault-db:…`), they are issued now and renewed for as long as the returned URL or a clone of it
/// lives.
///
/// # Errors
/// Configuration when no variable names the source, with the variable's name; else those of
/// [`SecretSource::read_url`].
pub async fn source_url(deployment: &str, layer: &str) -> Result<SecretUrl, ConfigurationError> {
    source(deployment, layer, &Variables::process())?.read_url().await
}

fn source(deployment: &str, layer: &str, variables: &Variables) -> Result<SecretSource, Error> {
    let variable = source_variable(deployment, layer);
    if let Some(source) = SecretSource::from_variables(&variable, variables)? {
        return Ok(source);
    }
    if let Some(folder) = variables.get("OL_VAULT_SOURCES")? {
        let folder = folder.trim_matches('/');
        return SecretSource::parse(
            "OL_VAULT_SOURCES",
            &format!("vault:{folder}/{deployment}/{layer}#url"),
        );
    }
    Err(Error::configuration("No variable says where the source is")
        .with("deployment", deployment)
        .with("layer", layer)
        .with("variable", &variable)
        .advise(format!(
            "Set {variable} to the source's URL (postgres://, mysql:// or mongodb://user:password@host/database), or {variable}_FILE to a file that holds it, or OL_VAULT_SOURCES to the Vault folder of sources"
        )))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[tokio::test]
    async fn nothing_set_means_a_local_lake() {
        let platform = Platform::from_variables(&Variables::default()).await.unwrap();
        assert_eq!(platform.raw_namespace(), "ol_warehouse_dev_raw");
        assert_eq!(platform.catalog.expose(), "sqlite:.ol/catalog.db");
        assert_eq!(platform.warehouse, ".ol/warehouse");
    }

    #[tokio::test]
    async fn variables_say_where_and_the_catalogs_password_stays_hidden() {
        let variables: Variables = [
            ("OL_ENV", "production"),
            ("OL_CATALOG", "postgres://lake:hunter2@db:5432/catalog"),
            ("OL_WAREHOUSE", "s3://bucket/prefix"),
        ]
        .into_iter()
        .collect();
        let platform = Platform::from_variables(&variables).await.unwrap();
        assert_eq!(platform.raw_namespace(), "ol_warehouse_production_raw");
        assert!(!format!("{platform:?}").contains("hunter2"));

        let wrong = [("OL_ENV", "prod")].into_iter().collect();
        let error = Platform::from_variables(&wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.advice().unwrap().contains("production"));
    }

    #[test]
    fn a_source_without_a_variable_is_an_error_that_names_it() {
        let error = source("mitx-online", "app.postgres", &Variables::default()).unwrap_err();
        assert!(error.to_string().contains("OL_SOURCE_MITX_ONLINE_APP_POSTGRES_URL"), "{error}");
        assert!(error.advice().unwrap().contains("OL_VAULT_SOURCES"));
    }

    #[test]
    fn vault_is_where_sources_are_looked_for_when_no_variable_is_set() {
        let variables: Variables =
            [("OL_VAULT_SOURCES", "secret-data/sources/")].into_iter().collect();
        let source = source("mitxonline", "app_postgres", &variables).unwrap();
        assert_eq!(
            source.to_string(),
            "vault:secret-data/sources/mitxonline/app_postgres#url (from OL_VAULT_SOURCES)"
        );
    }

    #[tokio::test]
    async fn the_variable_wins() {
        let variables: Variables = [
            ("OL_VAULT_SOURCES", "secret-data/sources"),
            ("OL_SOURCE_MITXONLINE_APP_POSTGRES_URL", "postgres://u:hunter2@h/d"),
        ]
        .into_iter()
        .collect();
        let url =
            source("mitxonline", "app_postgres", &variables).unwrap().read_url().await.unwrap();
        assert_eq!(url.to_string(), "postgres://u:***@h/d");
    }
}
