//! Who we are to AWS: the default chain of credentials and region, found once a process.
//!
//! The chain looks at the environment, the profile files, a web identity token (how a Kubernetes service account takes
//! its role), the container's address and the instance's metadata, in this order, and renews what it has found. It also
//! takes `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>`.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tokio::sync::OnceCell;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);
/// Tries of a request that is refused for its rate or by a failure that passes.
const TRIES: u32 = 8;

/// What every look at the chain begins with.
pub(crate) fn loader() -> ConfigLoader {
    // Without a client of our own the AWS crates would bring a second crypto library.
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http)
}

/// The chain's answer.
pub(crate) async fn config() -> &'static SdkConfig {
    static CONFIG: OnceCell<SdkConfig> = OnceCell::const_new();
    CONFIG
        .get_or_init(|| async {
            let timeouts = TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .build();
            loader()
                .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
                .timeout_config(timeouts)
                .load()
                .await
        })
        .await
}
