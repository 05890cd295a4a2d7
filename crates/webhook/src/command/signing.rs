//! `ol-webhook sign` and `check`: what a request carries, and whether one is to be believed.

use std::fmt::Write as _;
use std::time::SystemTime;

use ol_chassis::Exit;
use serde::Serialize;

use super::{Work, read_body};
use crate::cli::{Check, Sign};
use crate::error::{Definite, Error, Result};
use crate::signature::{self, ID_HEADER, LEGACY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use crate::target::SecretPlace;

/// The headers, for machines.
#[derive(Debug, Serialize)]
struct SignDocument {
    body_bytes: usize,
    headers: Vec<(&'static str, String)>,
}

pub(super) async fn sign(work: &Work, arguments: &Sign) -> Result<Exit> {
    let keyring = SecretPlace::from_variables(&work.variables)?.read().await?;
    let body = read_body(&arguments.body)?;
    let timestamp = arguments.timestamp.unwrap_or_else(|| now_seconds(work));
    let document = SignDocument {
        body_bytes: body.len(),
        headers: vec![
            (LEGACY_HEADER, keyring.legacy(0, &body).unwrap_or_default()),
            (ID_HEADER, arguments.id.clone()),
            (TIMESTAMP_HEADER, timestamp.to_string()),
            (SIGNATURE_HEADER, keyring.standard(&arguments.id, timestamp, &body)),
        ],
    };
    work.print(&document, |document| {
        document.headers.iter().fold(String::new(), |mut text, (name, value)| {
            let _ = writeln!(text, "{name}: {value}");
            text
        })
    });
    Ok(Exit::Done)
}

/// Whether the request is believed, for machines.
#[derive(Debug, Serialize)]
struct CheckDocument {
    valid: bool,
    /// The forms that hold, each with the number of the secret that made it, from 1.
    forms: Vec<(&'static str, usize)>,
    /// Why not.
    reason: Option<String>,
}

pub(super) async fn check(work: &Work, arguments: &Check) -> Result<Exit> {
    let keyring = SecretPlace::from_variables(&work.variables)?.read().await?;
    let body = read_body(&arguments.body)?;
    let mut headers = Vec::new();
    if let Some(signature) = &arguments.signature {
        headers.push((LEGACY_HEADER.to_owned(), signature.clone()));
    }
    for header in &arguments.headers {
        let (name, value) = header.split_once(':').ok_or_else(|| {
            Error::new(Definite::Configuration)
                .with("flag", "--header")
                .with("reason", "write NAME: VALUE")
        })?;
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    let now = arguments.now.unwrap_or_else(|| now_seconds(work));
    let checked = signature::check(&keyring, &headers, &body, now);
    let document = match checked {
        Ok(forms) => {
            let forms = forms.into_iter().map(|(form, place)| (form, place + 1)).collect();
            CheckDocument { valid: true, forms, reason: None }
        }
        Err(refusal) => {
            CheckDocument { valid: false, forms: Vec::new(), reason: Some(refusal.to_string()) }
        }
    };
    work.print(&document, |document| match &document.reason {
        None => {
            let forms: Vec<String> = document
                .forms
                .iter()
                .map(|(form, secret)| format!("{form} by secret {secret}"))
                .collect();
            format!("The request is believed: {}\n", forms.join(", "))
        }
        Some(reason) => format!("{}: {reason}\n", Definite::SignatureInvalid.headline()),
    });
    Ok(if document.valid { Exit::Done } else { Exit::Definite })
}

fn now_seconds(work: &Work) -> u64 {
    let since = work.context.clock.now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
