//! The serializer of `ovs_videos`, and which hosts its media may come from.
//!
//! One bad URL refuses the whole payload, so a sender can only be tried against the very same idea
//! of what a host is. That idea is Python's `urlsplit`, not the WHATWG's: it does not resolve
//! percent escapes or backslashes, and a port is not read.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use serde_json::{Map, Value};

use super::python;
use super::validation::{self, Errors, TextRules};

/// Checks a payload: an upsert (the video as OVS shows it) or a delete (`video_id`, `delete`).
pub(super) fn video(payload: &Value, allowed_hosts: &[String]) -> Result<(), Errors> {
    let fields = validation::object(payload)?;
    let is_delete = own_fields(fields)?;
    if is_delete {
        return if fields.contains_key("video_id") {
            Ok(())
        } else {
            Err(validation::error("video_id", "video_id is required for delete"))
        };
    }
    if !fields.get("key").is_some_and(python::is_true) {
        return Err(validation::error("key", "key is required for upsert"));
    }
    media(fields, allowed_hosts)?;
    collection(fields)
}

/// Checks the three declared fields and says whether it is a delete.
fn own_fields(fields: &Map<String, Value>) -> Result<bool, Errors> {
    let mut errors = Errors::new();
    let key = TextRules { key: true, ..TextRules::default() };
    for name in ["key", "video_id"] {
        if let Some(Err(messages)) = fields.get(name).map(|value| validation::text(value, key)) {
            validation::insert(&mut errors, name, messages);
        }
    }
    let is_delete = fields.get("delete").map_or(Ok(false), validation::boolean);
    match is_delete {
        Ok(is_delete) if errors.is_empty() => Ok(is_delete),
        Ok(_) => Err(errors),
        Err(messages) => {
            validation::insert(&mut errors, "delete", messages);
            Err(errors)
        }
    }
}

fn media(fields: &Map<String, Value>, allowed_hosts: &[String]) -> Result<(), Errors> {
    let mut errors = Errors::new();
    let mut refuse_foreign = |field: &str, url: Option<&Value>| {
        let Some(url) = url.filter(|url| python::is_true(url)) else { return };
        if !url.as_str().is_some_and(|url| is_allowed(url, allowed_hosts)) {
            let message = format!("url is not on an allowed OVS media host: {}", python::text(url));
            errors.extend(validation::error(field, message));
        }
    };
    refuse_foreign("cta_link", fields.get("cta_link"));
    for (field, name) in [("sources", "src"), ("videothumbnail_set", "cloudfront_url")] {
        for object in objects(fields, field)? {
            refuse_foreign(field, object.get(name));
        }
    }
    objects(fields, "videosubtitle_set")?;
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// The objects of a list, none when the field is absent or null.
fn objects<'a>(
    fields: &'a Map<String, Value>,
    field: &str,
) -> Result<Vec<&'a Map<String, Value>>, Errors> {
    let refusal = || validation::error(field, format!("{field} must be a list of objects"));
    match fields.get(field) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_object().ok_or_else(refusal)).collect()
        }
        Some(_) => Err(refusal()),
    }
}

fn collection(fields: &Map<String, Value>) -> Result<(), Errors> {
    let Some(value) = fields.get("collection").filter(|value| python::is_true(value)) else {
        return Ok(());
    };
    let Some(collection) = value.as_object() else {
        return Err(validation::error("collection", "collection must be an object"));
    };
    let Some(key) = collection.get("key").filter(|key| python::is_true(key)) else {
        return Ok(());
    };
    let key = python::text(key);
    // `$` of a Python regular expression also matches before a line feed that ends the text.
    if validation::is_key(key.strip_suffix('\n').unwrap_or(&key)) {
        Ok(())
    } else {
        Err(validation::error("collection", "collection key contains invalid characters"))
    }
}

/// True for an https URL whose host is one of `allowed_hosts` (lower-case; `.suffix` matches every
/// subdomain).
fn is_allowed(url: &str, allowed_hosts: &[String]) -> bool {
    let Some(host) = https_host(url) else { return false };
    allowed_hosts
        .iter()
        .any(|allowed| host == *allowed || (allowed.starts_with('.') && host.ends_with(allowed)))
}

/// The lower-case host of an https URL, as `urllib.parse.urlsplit(url).hostname` reads it; `None`
/// when Learn does not trust the URL.
fn https_host(url: &str) -> Option<String> {
    let url = url.trim_start_matches(|character| character <= ' ');
    let url: Cow<'_, str> = if url.contains(['\t', '\r', '\n']) {
        Cow::Owned(url.replace(['\t', '\r', '\n'], ""))
    } else {
        Cow::Borrowed(url)
    };
    let (scheme, rest) = url.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let location = rest.strip_prefix("//")?.split(['/', '?', '#']).next()?;
    if location.contains(['\\', '@']) {
        return None;
    }
    let host = match (location.split_once('['), location.contains(']')) {
        (None, false) => location.split(':').next()?,
        (Some(("", bracketed)), true) => {
            let (address, _) = bracketed.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            address
        }
        _ => return None,
    };
    (!host.is_empty()).then(|| host.to_lowercase())
}
