//! What MIT Learn answers: its routes, and the order in which it finds fault.
//!
//! The table below and the messages were recorded from Learn's own `webhooks` package (commit
//! 2f304af0) on the versions that it locks, Django 4.2.30 and Django REST framework 3.17.0; the
//! recording is `tests/learn.jsonl`, and a test replays it. Three things surprise:
//!
//! - Learn hands its client errors to one view that takes only GET. So a POST that is refused for
//!   its signature, for its payload (`content_files` only), for its size or for its path is
//!   answered 405, and only the header `Allow` tells these from a wrong method on a real route.
//! - That view's methods come from a Python set: a process of Learn says either `GET, OPTIONS` or
//!   `OPTIONS, GET`. This receiver says the former; a sender must read `Allow` as a set.
//! - Whoever asks by GET for a route without its trailing slash is redirected; a POST is not.

use std::borrow::Cow;

use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use super::answer::{Answer, HTML, JSON};
use super::ovs;
use super::python::{self, Unreadable};
use super::request::{Content, NGINX_LIMIT_BYTES};
use super::validation::{self, Errors};
use crate::signature::{Keyring, LEGACY_HEADER};

const PREFIX: &str = "/api/v1/webhooks/";
const POST_ONLY: Option<&str> = Some("POST");
const VIEW: Option<&str> = Some("POST, OPTIONS");
const ERROR_VIEW: Option<&str> = Some("GET, OPTIONS");

/// A route of Learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    ContentFiles,
    ContentFilesDelete,
    OvsVideos,
    /// Answers only when it is switched on: Learn has not got it.
    LearningResources,
}

/// A request, read to its end.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// As it was sent, with percent escapes and without the query.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) content: &'a Content,
}

/// What became of the signature that Learn checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signature {
    Holds,
    /// Missing, wrong, or the body was too long to be looked at.
    Fails,
    /// Not ASCII, on which Learn's comparison raises an exception.
    NotText,
}

/// Learn as far as a sender can see it.
pub(super) struct Learn {
    pub(super) keyring: Keyring,
    pub(super) with_learning_resources: bool,
    /// Lower-case.
    pub(super) ovs_allowed_hosts: Vec<String>,
}

impl Learn {
    /// The answer to a request. `is_poisoned` says whether a payload that would be accepted must be
    /// refused all the same.
    pub(super) fn answer(
        &self,
        asked: &Asked<'_>,
        is_poisoned: impl Fn(Route, &Value) -> bool,
    ) -> Answer {
        if asked.content.length_bytes() > NGINX_LIMIT_BYTES {
            return too_large();
        }
        let path = decoded(asked.path);
        let Some(route) = self.route(&path) else { return self.error_view(asked, &path) };
        if asked.method != Method::POST {
            return Answer::fixed(StatusCode::METHOD_NOT_ALLOWED, HTML, POST_ONLY, "");
        }
        let Content::Whole(body) = asked.content else { return refused_post() };
        match self.signature(asked.headers, body) {
            Signature::Holds => {}
            Signature::Fails => return refused_post(),
            Signature::NotText => return crashed(),
        }
        match python::json(body) {
            Ok(payload) => self.view(route, &payload, is_poisoned),
            Err(Unreadable::Syntax) => {
                Answer::fixed(StatusCode::BAD_REQUEST, HTML, VIEW, "Invalid JSON format")
            }
            Err(Unreadable::Encoding) => crashed(),
        }
    }

    /// The route that a decoded path leads to.
    pub(super) fn route(&self, path: &str) -> Option<Route> {
        match path.strip_prefix(PREFIX)? {
            "content_files/" => Some(Route::ContentFiles),
            "ovs_videos/" => Some(Route::OvsVideos),
            "learning_resources/" if self.with_learning_resources => Some(Route::LearningResources),
            // The pattern of this route has no end.
            rest if rest.starts_with("content_files/delete/") => Some(Route::ContentFilesDelete),
            _ => None,
        }
    }

    /// What Learn would find out about the signature.
    pub(super) fn signature(&self, headers: &HeaderMap, body: &[u8]) -> Signature {
        let mut values = headers.get_all(LEGACY_HEADER).into_iter();
        let Some(value) = values.next() else { return Signature::Fails };
        let Ok(text) = value.to_str() else { return Signature::NotText };
        let is_single = values.next().is_none();
        if is_single && self.keyring.check_legacy(text, body).is_ok() {
            Signature::Holds
        } else {
            Signature::Fails
        }
    }

    fn view(
        &self,
        route: Route,
        payload: &Value,
        is_poisoned: impl Fn(Route, &Value) -> bool,
    ) -> Answer {
        let checked = match route {
            Route::ContentFiles | Route::ContentFilesDelete => {
                let is_valid = validation::content_files(payload);
                let is_accepted = is_valid && !is_poisoned(route, payload);
                return if is_accepted { accepted() } else { refused_post() };
            }
            Route::OvsVideos => ovs::video(payload, &self.ovs_allowed_hosts),
            Route::LearningResources => validation::learning_resources(payload),
        };
        match checked {
            Ok(()) if is_poisoned(route, payload) => {
                let field = if route == Route::OvsVideos { "key" } else { "resources" };
                invalid(validation::error(field, "Refused by the fault reject"))
            }
            Ok(()) => accepted(),
            Err(errors) => invalid(errors),
        }
    }

    /// The view that Learn hands every client error to.
    fn error_view(&self, asked: &Asked<'_>, path: &str) -> Answer {
        if asked.method == Method::POST {
            return refused_post();
        }
        if asked.method == Method::OPTIONS {
            let metadata = r#"{"name":"Handle Error","description":"Client Error","renders":["application/json","text/html"],"parses":["application/json","application/x-www-form-urlencoded","multipart/form-data"]}"#;
            return Answer::fixed(StatusCode::OK, JSON, ERROR_VIEW, metadata);
        }
        if asked.method != Method::GET {
            let detail = format!(r#"Method "{}" not allowed."#, asked.method);
            let value = serde_json::json!({"detail": detail, "error_type": "MethodNotAllowed"});
            return Answer::json(StatusCode::METHOD_NOT_ALLOWED, ERROR_VIEW, &value);
        }
        if let Some(location) = self.with_slash(asked, path) {
            return Answer::fixed(StatusCode::MOVED_PERMANENTLY, HTML, None, "")
                .with(header::LOCATION, location);
        }
        let body = r#"{"detail":"The specified resource was not found.","error_type":"Http404"}"#;
        Answer::fixed(StatusCode::NOT_FOUND, JSON, ERROR_VIEW, body)
    }

    /// Where a path leads that lacks only its trailing slash.
    fn with_slash(&self, asked: &Asked<'_>, path: &str) -> Option<HeaderValue> {
        if path.ends_with('/') {
            return None;
        }
        self.route(&format!("{path}/"))?;
        let query = asked.query.filter(|query| !query.is_empty());
        let tail = query.map_or_else(String::new, |query| format!("?{query}"));
        HeaderValue::from_str(&format!("{path}/{tail}")).ok()
    }
}

fn accepted() -> Answer {
    let body = r#"{"status":"success","message":"Webhook received"}"#;
    Answer::fixed(StatusCode::OK, JSON, VIEW, body)
}

fn refused_post() -> Answer {
    let body = r#"{"detail":"Method \"POST\" not allowed.","error_type":"MethodNotAllowed"}"#;
    Answer::fixed(StatusCode::METHOD_NOT_ALLOWED, JSON, ERROR_VIEW, body)
}

fn invalid(mut errors: Errors) -> Answer {
    errors.insert("error_type".to_owned(), "ValidationError".into());
    Answer::json(StatusCode::BAD_REQUEST, VIEW, &Value::Object(errors))
}

/// An exception that nothing catches.
fn crashed() -> Answer {
    let body = "\n<!doctype html>\n<html lang=\"en\">\n<head>\n  <title>Server Error (500)</title>\n</head>\n<body>\n  <h1>Server Error (500)</h1><p></p>\n</body>\n</html>\n";
    Answer::fixed(StatusCode::INTERNAL_SERVER_ERROR, HTML, None, body)
}

/// The answer of the nginx in front of Learn.
fn too_large() -> Answer {
    let body = "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n<center><h1>413 Request Entity Too Large</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
    Answer::fixed(StatusCode::PAYLOAD_TOO_LARGE, "text/html", None, body)
        .with(header::CONNECTION, HeaderValue::from_static("close"))
}

/// A path without its percent escapes.
pub(super) fn decoded(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = tail
            .get(..2)
            .filter(|_| byte == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}
