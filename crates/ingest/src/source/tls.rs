//! TLS for the sources' own protocols: who the server must prove to be, by `sslmode`.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

use super::address::TlsMode;

/// Why there is no encrypted connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsError(pub(crate) String);

/// A client session for `host`, which checks as much as `sslmode` asks for:
/// `prefer` and `require` encrypt, `verify-ca` checks the chain, `verify-full` the name, too
/// (PostgreSQL documentation, "SSL Support", table "SSL Mode Descriptions").
///
/// # Errors
/// The root certificates cannot be read, or the host is not a name a certificate can hold.
pub(crate) fn client(
    mode: TlsMode,
    root_certificate: Option<&Path>,
    host: &str,
) -> Result<ClientConnection, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(tls_error)?;
    let config = match mode {
        TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier { provider, chain: None }))
            .with_no_client_auth(),
        TlsMode::VerifyCa => {
            let chain = WebPkiServerVerifier::builder_with_provider(
                Arc::new(roots(root_certificate)?),
                provider.clone(),
            )
            .build()
            .map_err(|error| TlsError(error.to_string()))?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Verifier {
                    provider,
                    chain: Some(chain),
                }))
                .with_no_client_auth()
        }
        TlsMode::VerifyFull => {
            builder.with_root_certificates(roots(root_certificate)?).with_no_client_auth()
        }
    };
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| TlsError(format!("{host} is not a name a certificate can hold")))?;
    ClientConnection::new(Arc::new(config), name).map_err(tls_error)
}

fn tls_error(error: Error) -> TlsError {
    TlsError(error.to_string())
}

/// The certificates of `sslrootcert`, else those of the operating system.
fn roots(root_certificate: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    match root_certificate {
        Some(path) => {
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| {
                    TlsError(format!("sslrootcert {} cannot be read: {error}", path.display()))
                })?;
            store.add_parsable_certificates(certificates);
        }
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if store.is_empty() {
        return Err(TlsError("there is no root certificate to check the server with".into()));
    }
    Ok(store)
}

/// Checks the handshake's signature always, the chain when there is one, and the name never.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            answer => answer,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
