//! What a failure of Glue means.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_glue::config::http::HttpResponse;
use aws_sdk_glue::error::{ProvideErrorMetadata, SdkError};

use crate::error::{Error, ErrorKind, find};

pub(super) type Failure<E> = SdkError<E, HttpResponse>;

/// Whether a failure can leave a change behind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Reading,
    Writing,
}

/// The name that Glue gives the failure.
pub(super) fn code<E: ProvideErrorMetadata>(failure: &Failure<E>) -> Option<&str> {
    failure.as_service_error().and_then(ProvideErrorMetadata::code)
}

/// Whether Glue took nothing because it was asked too often. The names are those that the client itself repeats for.
pub(super) fn is_throttled<E: ProvideErrorMetadata>(failure: &Failure<E>) -> bool {
    let status = failure.raw_response().map(|response| response.status().as_u16());
    let named = matches!(
        code(failure),
        Some(
            "ThrottlingException"
                | "Throttling"
                | "ThrottledException"
                | "TooManyRequestsException"
                | "RequestLimitExceeded"
                | "RequestThrottled"
                | "RequestThrottledException"
                | "SlowDown"
        )
    );
    named || status == Some(429)
}

/// The kind of a failure, and what Glue says of it. What was sent and received is not kept: it carries signatures.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a kind of failure that the client learns later says nothing of what was done, like the last one here"
)]
pub(super) fn failed<E>(failure: Failure<E>, doing: Doing) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let lost = match doing {
        Doing::Reading => ErrorKind::CatalogUnreachable,
        Doing::Writing => ErrorKind::CommitStateUnknown,
    };
    let kind = match &failure {
        _any if is_throttled(&failure) => ErrorKind::CatalogUnreachable,
        SdkError::ConstructionFailure(_) => ErrorKind::CatalogRefused,
        // Without credentials nothing was sent.
        SdkError::DispatchFailure(_) if find::<CredentialsError>(&failure).is_some() => {
            ErrorKind::CatalogRefused
        }
        SdkError::ServiceError(service) => match service.err().code() {
            Some("EntityNotFoundException") => ErrorKind::NotFound,
            Some(
                "InternalServiceException" | "OperationTimeoutException" | "ServiceUnavailable",
            ) => lost,
            _other if service.raw().status().is_server_error() => lost,
            _other => ErrorKind::CatalogRefused,
        },
        _other => lost,
    };
    let mut error = Error::new(kind).with("catalog", "glue");
    if let Some(told) = failure.as_service_error() {
        error = error.with("type", told.code().unwrap_or("unknown"));
        if let Some(message) = told.message() {
            error = error.with("reason", message.chars().take(500).collect::<String>());
        }
        return error;
    }
    let mut reasons = Vec::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(&failure);
    while let Some(cause) = next {
        reasons.push(cause.to_string());
        next = cause.source();
    }
    error.with("reason", reasons.join(": "))
}
