//! MIT Learn as a receiver: where it is, which secrets it may know, what a request to it carries.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use ol_chassis::config::Variables;
use ol_chassis::secret::{SecretSource, SecretText};
use reqwest::Method;
use url::Url;

use crate::config::SignatureForm;
use crate::error::{Definite, Error, Result};
use crate::signature::{ID_HEADER, Keyring, LEGACY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use crate::transport::Request;

/// The variable that says where MIT Learn is.
const BASE_URL: &str = "MIT_LEARN_BASE_URL";
/// The variable of the secret that is signed with; several may stand in it, one a line.
const SECRET: &str = "MIT_LEARN_WEBHOOK_SECRET";
/// The variable of a secret that was signed with before, while it is being rotated.
const PREVIOUS_SECRET: &str = "MIT_LEARN_WEBHOOK_SECRET_PREVIOUS";

/// Where the secrets are kept; read anew whenever the receiver knows none of ours.
#[derive(Debug, Clone)]
pub struct SecretPlace {
    places: Vec<SecretSource>,
}

impl SecretPlace {
    /// The places that the variables name.
    ///
    /// # Errors
    /// [`Definite::TargetUnknown`] when no variable names the secret; a reference that is not whole.
    pub fn from_variables(variables: &Variables) -> Result<Self> {
        let Some(primary) = SecretSource::from_variables(SECRET, variables)? else {
            return Err(Error::new(Definite::TargetUnknown).with("variable", SECRET));
        };
        let previous = SecretSource::from_variables(PREVIOUS_SECRET, variables)?;
        Ok(Self { places: [Some(primary), previous].into_iter().flatten().collect() })
    }

    /// Reads the secrets, now.
    ///
    /// # Errors
    /// What the place says; [`Definite::TargetUnknown`] when there is nothing in it.
    pub async fn read(&self) -> Result<Keyring> {
        let mut texts: Vec<SecretText> = Vec::new();
        for place in &self.places {
            texts.push(place.read().await?);
        }
        Keyring::parse(&texts)
            .ok_or_else(|| Error::new(Definite::TargetUnknown).with("variable", SECRET))
    }
}

/// MIT Learn.
#[derive(Debug)]
pub struct Learn {
    base: Url,
    form: SignatureForm,
    place: Option<SecretPlace>,
    ring: Mutex<Ring>,
}

/// The secrets, and which of them the receiver was seen to know.
#[derive(Debug, Clone)]
struct Ring {
    keyring: Keyring,
    working: usize,
    /// Grows with every change of the secrets.
    generation: u64,
}

/// A view of the secrets, by which a request is signed and later changes are noticed.
#[derive(Debug, Clone)]
pub struct Secrets(Ring);

impl Secrets {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.keyring.count()
    }

    /// The one to sign with: the one that was seen to work, else the primary.
    #[must_use]
    pub fn working(&self) -> usize {
        self.0.working
    }

    /// Whether both are the same secrets.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.generation == other.0.generation
    }
}

impl Learn {
    /// The receiver's name in the outbox.
    pub const NAME: &'static str = "learn";

    /// MIT Learn as the variables of the process say.
    ///
    /// # Errors
    /// [`Definite::TargetUnknown`], naming the variable; what the secret's place says.
    pub async fn from_variables(variables: &Variables, form: SignatureForm) -> Result<Self> {
        let base = Self::base_url(variables)?;
        let place = SecretPlace::from_variables(variables)?;
        let keyring = place.read().await?;
        Ok(Self { place: Some(place), ..Self::new(base, keyring, form) })
    }

    /// MIT Learn at `base` with these secrets, which do not change.
    #[must_use]
    pub fn new(base: Url, keyring: Keyring, form: SignatureForm) -> Self {
        Self {
            base,
            form,
            place: None,
            ring: Mutex::new(Ring { keyring, working: 0, generation: 0 }),
        }
    }

    /// Where it is.
    ///
    /// # Errors
    /// [`Definite::TargetUnknown`] without the variable, [`Definite::Configuration`] when it is no URL.
    pub fn base_url(variables: &Variables) -> Result<Url> {
        let text = variables
            .get(BASE_URL)?
            .ok_or_else(|| Error::new(Definite::TargetUnknown).with("variable", BASE_URL))?;
        let unusable = |reason: &str| {
            Error::new(Definite::Configuration).with("variable", BASE_URL).with("reason", reason)
        };
        let base = Url::parse(text).map_err(|_| unusable("it is not a URL"))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(unusable("it is not https://HOST"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(unusable("it must end with the host or a path"));
        }
        Ok(base)
    }

    /// Where it is.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The URL of a route, by concatenation, as today's sender does; one slash between the two.
    #[must_use]
    pub fn url(&self, route: &str) -> Url {
        let text = format!("{}{route}", self.base.as_str().trim_end_matches('/'));
        Url::parse(&text).unwrap_or_else(|_| self.base.clone())
    }

    /// The secrets as they are now.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        Secrets(self.lock().clone())
    }

    /// Remembers that the receiver knows the secret at this place of `secrets`.
    pub fn works(&self, secrets: &Secrets, position: usize) {
        let mut ring = self.lock();
        if ring.generation == secrets.0.generation && ring.working != position {
            tracing::warn!(
                position,
                "the receiver knows another of our secrets than the one we signed with; it is used from now on"
            );
            ring.working = position;
        }
    }

    /// Reads the secrets anew; true when they are others than `seen`, whoever noticed it first.
    ///
    /// # Errors
    /// What the secret's place says.
    pub async fn refresh(&self, seen: &Secrets) -> Result<bool> {
        if !self.secrets().is_same(seen) {
            return Ok(true);
        }
        let Some(place) = &self.place else { return Ok(false) };
        let keyring = place.read().await?;
        let mut ring = self.lock();
        if keyring.is_same(&ring.keyring) {
            return Ok(ring.generation != seen.0.generation);
        }
        *ring = Ring { keyring, working: 0, generation: ring.generation + 1 };
        tracing::info!("the secrets were changed; the new ones are used from now on");
        Ok(true)
    }

    /// A POST of `body` to `route`, signed now, with the legacy header by the secret at `position`.
    #[must_use]
    pub fn post(
        &self,
        route: &str,
        id: &str,
        body: Bytes,
        (secrets, position): (&Secrets, usize),
        now_seconds: u64,
    ) -> Request {
        let keyring = &secrets.0.keyring;
        let mut headers = vec![("content-type", "application/json".to_owned())];
        if let Some(signature) = keyring.legacy(position, &body) {
            headers.push((LEGACY_HEADER, signature));
        }
        if self.form == SignatureForm::Standard {
            headers.push((ID_HEADER, id.to_owned()));
            headers.push((TIMESTAMP_HEADER, now_seconds.to_string()));
            headers.push((SIGNATURE_HEADER, keyring.standard(id, now_seconds, &body)));
        }
        Request { method: Method::POST, url: self.url(route), headers, body }
    }

    /// A GET of `route`, which needs no signature.
    #[must_use]
    pub fn get(&self, route: &str) -> Request {
        Request {
            method: Method::GET,
            url: self.url(route),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::error::Failure;

    #[tokio::test]
    async fn variables_say_where_and_with_which_secrets() {
        let variables: Variables =
            [(BASE_URL, "https://api.learn.mit.edu/"), (SECRET, "new"), (PREVIOUS_SECRET, "old")]
                .into_iter()
                .collect();
        let learn = Learn::from_variables(&variables, SignatureForm::Standard).await.unwrap();
        assert_eq!(learn.secrets().count(), 2);
        let url = learn.url("/api/v1/webhooks/content_files/");
        assert_eq!(url.as_str(), "https://api.learn.mit.edu/api/v1/webhooks/content_files/");
        for (missing, name) in
            [(BASE_URL, "MIT_LEARN_BASE_URL"), (SECRET, "MIT_LEARN_WEBHOOK_SECRET")]
        {
            let some: Variables = [(BASE_URL, "https://x"), (SECRET, "s")]
                .into_iter()
                .filter(|(variable, _)| *variable != missing)
                .collect();
            let error = Learn::from_variables(&some, SignatureForm::Legacy).await.unwrap_err();
            assert_eq!(error.failure(), Failure::from(Definite::TargetUnknown));
            assert_eq!(error.fact("variable"), Some(name));
        }
    }

    #[test]
    fn the_legacy_form_is_one_header_and_the_standard_form_adds_three() {
        let keyring = || Keyring::parse([&SecretText::new("supersecret")]).unwrap();
        let base = || Url::parse("https://x").unwrap();
        let body = || Bytes::from_static(br#"{"video_id":"vid_abc123","delete":true}"#);
        let legacy = Learn::new(base(), keyring(), SignatureForm::Legacy);
        let request = legacy.post("/r/", "msg_1", body(), (&legacy.secrets(), 0), 7);
        let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["content-type", LEGACY_HEADER]);
        assert_eq!(
            request.headers.last().unwrap().1,
            "ce49e789626217d6ecd77d6ab4474f66812c5a4e31015ac983ad65b7ac4cf20f"
        );
        let standard = Learn::new(base(), keyring(), SignatureForm::Standard);
        assert_eq!(
            standard.post("/r/", "msg_1", body(), (&standard.secrets(), 0), 7).headers.len(),
            5
        );
    }
}
