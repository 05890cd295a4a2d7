//! What S3 says when it does not do what it is asked, as values.
//!
//! `object_store` keeps the body of such an answer as text inside private types. So that nobody has to search text, an
//! ear of ours stands between it and the network: it reads the answer's code and hands it on as an [`Answer`] in the
//! chain of causes. Answers that are worth another try pass it untouched, since `object_store` repeats those itself.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};

use super::credentials::LoginFailure;
use crate::error::{ErrorKind, StorageFailure, find};

/// An answer of S3 that another try would not change.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "S3 answered {status}{}{}{}",
    Fact(" ", code),
    Fact(": ", message),
    Fact(", bucket region ", region)
)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) code: String,
    message: String,
    region: String,
}

/// A part of a sentence that is left out with its lead when there is nothing to say.
struct Fact<'a>(&'a str, &'a str);

impl std::fmt::Display for Fact<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.1.is_empty() { Ok(()) } else { write!(formatter, "{}{}", self.0, self.1) }
    }
}

impl Answer {
    /// Takes the code, the message and the region alone: a body may also repeat a token that is not accepted.
    fn read(status: StatusCode, headers: &HeaderMap, body: &str) -> Self {
        let region = headers.get("x-amz-bucket-region").and_then(|value| value.to_str().ok());
        Self {
            status: status.as_u16(),
            code: element(body, "Code").unwrap_or_default(),
            message: element(body, "Message").unwrap_or_default(),
            region: region
                .map(str::to_owned)
                .or_else(|| element(body, "Region"))
                .unwrap_or_default(),
        }
    }

    /// What the answer means to whoever must act; `otherwise` where it is about this one object.
    fn kind(&self, otherwise: ErrorKind) -> ErrorKind {
        match self.code.as_str() {
            "NoSuchBucket" => return ErrorKind::WarehouseMissing,
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "IncorrectEndpoint"
            | "IllegalLocationConstraintException" => return ErrorKind::WarehouseElsewhere,
            // Signed for another region, which the answer then names; without a region the signature is no signature.
            "AuthorizationHeaderMalformed" if !self.region.is_empty() => {
                return ErrorKind::WarehouseElsewhere;
            }
            "AuthorizationHeaderMalformed"
            | "InvalidAccessKeyId"
            | "InvalidSecurity"
            | "InvalidToken"
            | "MissingSecurityHeader"
            | "NotSignedUp"
            | "SignatureDoesNotMatch" => return ErrorKind::WarehouseLoginRefused,
            "ExpiredToken"
            | "ExpiredTokenException"
            | "TokenRefreshRequired"
            | "RequestExpired" => {
                return ErrorKind::WarehouseLoginExpired;
            }
            // Said of one object of a deletion of many, it comes with the status of success.
            "AccessDenied" | "AllAccessDisabled" if !self.message.contains("kms:") => {
                return ErrorKind::WarehouseRefused;
            }
            "RequestTimeTooSkewed" => return ErrorKind::ClockWrong,
            "QuotaExceeded" => return ErrorKind::NoSpace,
            // The key's own refusals have codes; a right that is missing is told from others by its name alone.
            "AccessDenied" if self.message.contains("kms:") => {
                return ErrorKind::EncryptionKeyRefused;
            }
            code if code.starts_with("KMS.") => return ErrorKind::EncryptionKeyRefused,
            _other => {}
        }
        match self.status {
            300..=399 => ErrorKind::WarehouseElsewhere,
            401 | 403 => ErrorKind::WarehouseRefused,
            507 => ErrorKind::NoSpace,
            _other => otherwise,
        }
    }
}

/// The text of the first element of this name. S3's answers are flat and name no element twice in other meanings.
fn element(body: &str, name: &str) -> Option<String> {
    let (_before, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _after) = rest.split_once(&format!("</{name}>"))?;
    let plain = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&#39;", "'")
        .replace("&amp;", "&");
    Some(plain)
}

/// Connects as `object_store` does, with the ear in between.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Ear(ReqwestConnector::default().connect(options)?)))
    }
}

#[derive(Debug)]
struct Ear(HttpClient);

#[async_trait]
impl HttpService for Ear {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let deletes_many =
            request.method() == Method::POST && request.uri().query() == Some("delete");
        let response = self.0.execute(request).await?;
        let status = response.status();
        if is_final(status) || (deletes_many && status.is_success()) {
            let (mut parts, body) = response.into_parts();
            let body = body.bytes().await?;
            let answer = Answer::read(status, &parts.headers, &String::from_utf8_lossy(&body));
            match judge(&answer, status, &body) {
                Verdict::Passes => {}
                Verdict::Again(status) => parts.status = status,
                Verdict::Final => return Err(HttpError::new(HttpErrorKind::Unknown, answer)),
            }
            return Ok(HttpResponse::from_parts(parts, body.into()));
        }
        Ok(response)
    }
}

enum Verdict {
    Passes,
    /// Worth another try, which `object_store` makes for this status.
    Again(StatusCode),
    Final,
}

fn judge(answer: &Answer, status: StatusCode, body: &Bytes) -> Verdict {
    if status.is_success() {
        // A deletion of many succeeds as a whole and lists the objects that it failed for.
        let names_failures = body.windows(b"<Error>".len()).any(|bytes| bytes == b"<Error>");
        return match answer.code.as_str() {
            _none if !names_failures => Verdict::Passes,
            "InternalError" | "SlowDown" | "ServiceUnavailable" => {
                Verdict::Again(StatusCode::SERVICE_UNAVAILABLE)
            }
            _refused => Verdict::Final,
        };
    }
    // S3 tells of a request that came too slowly as if it were wrong.
    if answer.code == "RequestTimeout" {
        return Verdict::Again(StatusCode::REQUEST_TIMEOUT);
    }
    Verdict::Final
}

/// Whether a status says that the same request will be answered the same way.
fn is_final(status: StatusCode) -> bool {
    match status {
        StatusCode::NOT_MODIFIED | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            false
        }
        StatusCode::NOT_IMPLEMENTED | StatusCode::INSUFFICIENT_STORAGE => true,
        other => other.is_client_error() || other.is_redirection(),
    }
}

/// The answer in the chain of a failure.
pub(super) fn answer(error: &object_store::Error) -> Option<&Answer> {
    find::<Answer>(error)
}

/// Whether nobody knows if a request was carried out: it was sent, and no answer came.
pub(super) fn is_lost(error: &object_store::Error) -> bool {
    answer(error).is_none()
        && find::<HttpError>(error).is_some_and(|error| {
            matches!(error.kind(), HttpErrorKind::Timeout | HttpErrorKind::Interrupted)
        })
}

/// A failed operation, with the kind that its cause has; `otherwise` where the cause is this one object.
pub(super) fn failure(
    action: &'static str,
    address: &str,
    otherwise: ErrorKind,
    error: object_store::Error,
) -> StorageFailure {
    if let Some(answer) = answer(&error) {
        let kind = answer.kind(otherwise);
        return StorageFailure::of(kind, action, address, answer.clone());
    }
    // What is told of keys says all; the layer around it would say it once more.
    let error = if let object_store::Error::Generic { store, source } = error {
        match source.downcast::<LoginFailure>() {
            Ok(login) => return StorageFailure::of(login.kind.clone(), action, address, *login),
            Err(source) => object_store::Error::Generic { store, source },
        }
    } else {
        error
    };
    let kind = match find::<LoginFailure>(&error) {
        Some(login) => login.kind.clone(),
        None if matches!(error, object_store::Error::Generic { .. }) => {
            ErrorKind::WarehouseUnreachable
        }
        None => otherwise,
    };
    StorageFailure::of(kind, action, address, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> ErrorKind {
        let status = StatusCode::from_u16(status).expect("a status of the test");
        Answer::read(status, &HeaderMap::new(), body).kind(ErrorKind::WarehouseUnreadable)
    }

    #[test]
    fn each_code_has_the_kind_of_its_cure() {
        let coded = |code: &str| format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
        for (status, code, wanted) in [
            (404, "NoSuchBucket", ErrorKind::WarehouseMissing),
            (404, "NoSuchKey", ErrorKind::WarehouseUnreadable),
            (301, "PermanentRedirect", ErrorKind::WarehouseElsewhere),
            (307, "", ErrorKind::WarehouseElsewhere),
            (400, "AuthorizationHeaderMalformed", ErrorKind::WarehouseLoginRefused),
            (403, "AccessDenied", ErrorKind::WarehouseRefused),
            (403, "InvalidAccessKeyId", ErrorKind::WarehouseLoginRefused),
            (403, "SignatureDoesNotMatch", ErrorKind::WarehouseLoginRefused),
            (400, "ExpiredToken", ErrorKind::WarehouseLoginExpired),
            (403, "RequestTimeTooSkewed", ErrorKind::ClockWrong),
            (400, "KMS.DisabledException", ErrorKind::EncryptionKeyRefused),
            (400, "KMS.NotFoundException", ErrorKind::EncryptionKeyRefused),
            (507, "XMinioStorageFull", ErrorKind::NoSpace),
            (400, "InvalidArgument", ErrorKind::WarehouseUnreadable),
        ] {
            assert_eq!(kind(status, &coded(code)), wanted, "{status} {code}");
        }
        let elsewhere =
            "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
        assert_eq!(kind(400, elsewhere), ErrorKind::WarehouseElsewhere);
        let key = "<Error><Code>AccessDenied</Code><Message>not authorized to perform: \
                   kms:GenerateDataKey</Message></Error>";
        assert_eq!(kind(403, key), ErrorKind::EncryptionKeyRefused);
    }

    #[test]
    fn an_answer_tells_no_token() {
        let body = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message>\
                    <Token-0>hunter2</Token-0></Error>";
        let answer = Answer::read(StatusCode::BAD_REQUEST, &HeaderMap::new(), body);
        assert_eq!(
            answer.to_string(),
            "S3 answered 400 ExpiredToken: The provided token has expired."
        );
        assert!(!format!("{answer:?}").contains("hunter2"));
    }
}
