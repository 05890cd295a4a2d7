//! Who asks S3, and where: the chain of the AWS tools, as `object_store` wants to be told.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_types::service_config::ServiceConfigKey;
use object_store::aws::{AwsCredential, AwsCredentialProvider};
use object_store::{CredentialProvider, StaticCredentialProvider};
use ol_chassis::clock::{Clock, SystemClock};
use tokio::sync::Mutex;

use super::options::{S3Credentials, S3Options};
use crate::error::{ErrorKind, find};

/// Temporary keys are replaced so long before they end, so that no request is signed with keys that end under way.
const REFRESH_BEFORE: Duration = Duration::from_secs(5 * 60);
/// How long the whole chain may take; a machine's metadata service answers in milliseconds or not at all.
const CHAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Where AWS is taken to be when nobody says, as its own tools do for servers that have no regions.
const DEFAULT_REGION: &str = "us-east-1";

/// Keys could not be had; travels inside the errors of `object_store`.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(super) struct LoginFailure {
    pub(super) kind: ErrorKind,
    reason: String,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What the surroundings say about S3.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) endpoint: Option<String>,
    pub(super) region: String,
    pub(super) credentials: AwsCredentialProvider,
}

impl Surroundings {
    /// Looks around. Keys are asked for later, at the first request.
    pub(super) async fn look(options: &S3Options) -> Self {
        let keys = match &options.credentials {
            S3Credentials::Chain => None,
            S3Credentials::Keys { access_key_id, secret_access_key, session_token } => {
                let keys: AwsCredentialProvider =
                    Arc::new(StaticCredentialProvider::new(AwsCredential {
                        key_id: access_key_id.clone(),
                        secret_key: secret_access_key.expose().to_owned(),
                        token: session_token.as_ref().map(|token| token.expose().to_owned()),
                    }));
                Some(keys)
            }
        };
        let told = (options.endpoint.clone(), options.region.clone(), keys);
        if let (Some(endpoint), Some(region), Some(credentials)) = told.clone() {
            return Self { endpoint: Some(endpoint), region, credentials };
        }
        let (endpoint, region, keys) = told;
        let config = load().await;
        let endpoint = endpoint.or_else(|| configured_endpoint(&config));
        let region = match region.or_else(|| config.region().map(ToString::to_string)) {
            Some(region) => region,
            // A server that is not of AWS has no region and no metadata service worth waiting for.
            None if endpoint.is_some() => DEFAULT_REGION.to_owned(),
            None => {
                let machine = ImdsRegionProvider::builder().build().region().await;
                machine.map_or_else(|| DEFAULT_REGION.to_owned(), |region| region.to_string())
            }
        };
        let credentials = keys.unwrap_or_else(|| Arc::new(Chain::new(&config)));
        Self { endpoint, region, credentials }
    }
}

/// Reads environment and profile files; nothing of it asks the network.
async fn load() -> SdkConfig {
    let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    crate::aws::loader().region(region).load().await
}

/// `AWS_ENDPOINT_URL_S3`, else `AWS_ENDPOINT_URL`, else what the profile says.
fn configured_endpoint(config: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id("S3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    let of_service = config.service_config().and_then(|service| service.load_config(key));
    of_service.or_else(|| config.endpoint_url().map(str::to_owned))
}

/// The chain, asked once for as long as its keys last.
struct Chain {
    provider: Option<SharedCredentialsProvider>,
    keys: Mutex<Option<Keys>>,
}

#[derive(Clone)]
struct Keys {
    credential: Arc<AwsCredential>,
    ends: Option<SystemTime>,
}

impl fmt::Debug for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Chain")
    }
}

impl Chain {
    fn new(config: &SdkConfig) -> Self {
        Self { provider: config.credentials_provider(), keys: Mutex::new(None) }
    }

    async fn ask(&self) -> Result<Keys, LoginFailure> {
        let Some(provider) = &self.provider else {
            return Err(missing(None));
        };
        let asked = tokio::time::timeout(CHAIN_TIMEOUT, provider.provide_credentials()).await;
        let found = match asked {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(login_failure(error)),
            Err(_elapsed) => {
                return Err(LoginFailure {
                    kind: ErrorKind::WarehouseUnreachable,
                    reason: "No keys for S3 came in time".to_owned(),
                    source: None,
                });
            }
        };
        Ok(Keys {
            credential: Arc::new(AwsCredential {
                key_id: found.access_key_id().to_owned(),
                secret_key: found.secret_access_key().to_owned(),
                token: found.session_token().map(str::to_owned),
            }),
            ends: found.expiry(),
        })
    }
}

#[async_trait]
impl CredentialProvider for Chain {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        // Held while the chain is asked, so that many requests at once ask it once.
        let mut kept = self.keys.lock().await;
        let now = SystemClock.now();
        let lasts = |keys: &Keys, ahead: Duration| keys.ends.is_none_or(|ends| ends > now + ahead);
        if let Some(keys) = kept.as_ref().filter(|keys| lasts(keys, REFRESH_BEFORE)) {
            return Ok(Arc::clone(&keys.credential));
        }
        match self.ask().await {
            Ok(keys) => Ok(Arc::clone(&kept.insert(keys).credential)),
            Err(error) => match kept.as_ref().filter(|keys| lasts(keys, Duration::ZERO)) {
                Some(keys) => {
                    tracing::warn!(%error, "new keys for S3 could not be had; the old ones still last");
                    Ok(Arc::clone(&keys.credential))
                }
                None => Err(object_store::Error::Generic { store: "S3", source: Box::new(error) }),
            },
        }
    }
}

fn missing(source: Option<CredentialsError>) -> LoginFailure {
    LoginFailure {
        kind: ErrorKind::WarehouseLoginMissing,
        reason: "Looked in vain in the environment (AWS_ACCESS_KEY_ID), the profile files \
                 (AWS_PROFILE), for a web identity (AWS_WEB_IDENTITY_TOKEN_FILE), a container's and \
                 an instance's credentials"
            .to_owned(),
        source: source.map(Into::into),
    }
}

/// Told apart by what a person can do: there are no keys, they cannot be used, or whoever gives them is away.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other kinds of this open enum all mean the same here"
)]
fn login_failure(error: CredentialsError) -> LoginFailure {
    let unreachable = find::<ConnectorError>(&error).is_some();
    let (kind, reason) = match &error {
        CredentialsError::CredentialsNotLoaded(_) => return missing(Some(error)),
        _any if unreachable => {
            (ErrorKind::WarehouseUnreachable, "Whoever gives keys for S3 cannot be reached")
        }
        CredentialsError::ProviderTimedOut(_) => {
            (ErrorKind::WarehouseUnreachable, "No keys for S3 came in time")
        }
        _refused => (ErrorKind::WarehouseLoginRefused, "No keys for S3 are given to us"),
    };
    LoginFailure { kind, reason: reason.to_owned(), source: Some(error.into()) }
}
