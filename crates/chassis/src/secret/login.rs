//! How a process proves to Vault who it is, in the order tried: the variable `VAULT_TOKEN`; the
//! file of `VAULT_TOKEN_FILE`; in a cluster, the pod's service account when a role is named; last,
//! `~/.vault-token`, which Vault's own command line and agent write. What was said on purpose goes
//! before what happens to lie around.

use std::path::PathBuf;

use super::SecretText;
use crate::config::Variables;
use crate::error::Error;
use crate::fs;

const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Who this process is to Vault.
#[derive(Clone, Debug)]
pub(super) enum Login {
    /// A token somebody else keeps alive.
    Token(SecretText),
    /// A file with such a token, read again whenever Vault refuses the last one.
    TokenFile(PathBuf),
    /// The pod's service account, exchanged for a token of `role` at the auth method mounted at
    /// `mount`.
    Kubernetes { mount: String, role: String, service_account_token: PathBuf },
}

impl Login {
    pub(super) fn from_variables(variables: &Variables) -> Result<Self, Error> {
        if let Some(token) = variables.get("VAULT_TOKEN")? {
            return Ok(Self::Token(SecretText::new(token.trim())));
        }
        if let Some(path) = variables.get("VAULT_TOKEN_FILE")? {
            return Ok(Self::TokenFile(path.into()));
        }
        let role = match variables.get("DAGSTER_VAULT_ROLE")? {
            Some(role) => Some(role),
            None => variables.get("VAULT_ROLE")?,
        };
        if let Some(role) = role {
            let path = variables.get("VAULT_K8S_TOKEN_FILE")?.unwrap_or(SERVICE_ACCOUNT_TOKEN);
            return Ok(Self::Kubernetes {
                mount: variables.get("VAULT_K8S_MOUNT")?.unwrap_or("k8s-data").to_owned(),
                role: role.to_owned(),
                service_account_token: path.into(),
            });
        }
        let home = variables.get("HOME")?.map(|home| PathBuf::from(home).join(".vault-token"));
        match home.filter(|path| path.exists()) {
            Some(path) => Ok(Self::TokenFile(path)),
            None => Err(Error::configuration("Nothing says how to log in to Vault").advise(
                "Set VAULT_TOKEN or VAULT_TOKEN_FILE, run `vault login`, or in a cluster set DAGSTER_VAULT_ROLE",
            )),
        }
    }

    /// The identity, for errors and advice.
    pub(super) fn who(&self) -> String {
        match self {
            Self::Token(_) => "the token of VAULT_TOKEN".to_owned(),
            Self::TokenFile(path) => format!("the token in {}", path.display()),
            Self::Kubernetes { mount, role, .. } => format!("the role {role} of auth/{mount}"),
        }
    }

    /// True when logging in again may give another token.
    pub(super) fn can_repeat(&self) -> bool {
        !matches!(self, Self::Token(_))
    }
}

/// A token or service account file's content.
pub(super) fn read_token(path: &std::path::Path) -> Result<SecretText, Error> {
    let text = fs::read_text(path)?;
    match text.trim() {
        "" => Err(Error::configuration("The token file is empty")
            .with("path", path.display())
            .advise("Log in to Vault again, or mount the service account's token")),
        token => Ok(SecretText::new(token)),
    }
}
