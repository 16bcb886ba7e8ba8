//! Decides whether a server's certificate is accepted.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature, CryptoProvider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use super::files::Trusted;

pub struct Verifier {
    trusted: Trusted,
    verifies_host: bool,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    pub fn new(trusted: Trusted, verifies_host: bool, provider: Arc<CryptoProvider>) -> Verifier {
        Verifier { trusted, verifies_host, provider }
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("verifies_host", &self.verifies_host).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let roots = &self.trusted.roots;
        match verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms) {
            // `openssl req -x509` makes a certificate that signs itself and says that it is an authority's. A server may
            // present it all the same if the CA file has just this certificate. Its time was looked at before.
            Err(Error::InvalidCertificate(error))
                if is_of_authority(&error) && self.trusted.certificates.iter().any(|one| one == certificate) => {}
            verified => verified?,
        }
        if self.verifies_host {
            verify_server_name(&parsed, host)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The certificate is an authority's, where a server's is expected.
pub fn is_of_authority(error: &CertificateError) -> bool {
    is(error, &webpki::Error::CaUsedAsEndEntity)
}

/// The certificate is of X.509 version 1, as openssl(1) makes them without extensions. It has no names.
pub fn is_of_version_1(error: &CertificateError) -> bool {
    is(error, &webpki::Error::UnsupportedCertVersion)
}

fn is(error: &CertificateError, expected: &webpki::Error) -> bool {
    let CertificateError::Other(OtherError(other)) = error else { return false };
    other.downcast_ref() == Some(expected)
}
