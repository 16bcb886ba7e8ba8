//! Private keys. The TLS implementation frees its keys without overwriting them. So elliptic ones are kept here, in memory
//! that is overwritten. An RSA key has parts all over the heap: that one is the implementation's.

use std::fmt;
use std::sync::Arc;

use ring::rand::SystemRandom;
use ring::signature::{
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, ECDSA_P256_SHA256_ASN1_SIGNING,
    ECDSA_P384_SHA384_ASN1_SIGNING,
};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{alg_id, AlgorithmIdentifier, PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::{public_key_to_spki, Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use zeroize::Zeroizing;

use crate::driver::secret::{with_clean_stack, Secret};

/// The curves, with what stands before a key of SEC1 in PKCS#8: the version 0, and an AlgorithmIdentifier of RFC 5480.
const CURVES: [(SignatureScheme, &EcdsaSigningAlgorithm, AlgorithmIdentifier, &[u8]); 2] = [
    (
        SignatureScheme::ECDSA_NISTP256_SHA256,
        &ECDSA_P256_SHA256_ASN1_SIGNING,
        alg_id::ECDSA_P256,
        b"\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
    ),
    (
        SignatureScheme::ECDSA_NISTP384_SHA384,
        &ECDSA_P384_SHA384_ASN1_SIGNING,
        alg_id::ECDSA_P384,
        b"\x02\x01\x00\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22",
    ),
];

/// The key as the TLS implementation takes it. `None` if it is of no kind that can be used.
pub fn signing_key(der: &PrivateKeyDer<'_>) -> Option<Arc<dyn SigningKey>> {
    with_clean_stack(|| elliptic(der).or_else(|| edwards(der)).or_else(|| any_supported_type(der).ok()))
}

fn elliptic(der: &PrivateKeyDer<'_>) -> Option<Arc<dyn SigningKey>> {
    CURVES.into_iter().find_map(|(scheme, algorithm, id, before)| {
        let pkcs8 = match der {
            PrivateKeyDer::Pkcs8(pkcs8) => Zeroizing::new(pkcs8.secret_pkcs8_der().to_vec()),
            PrivateKeyDer::Sec1(sec1) => wrapped(before, sec1.secret_sec1_der()),
            _ => return None,
        };
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8, &SystemRandom::new()).ok()?;
        Some(Kept::of(pair, scheme, id))
    })
}

fn edwards(der: &PrivateKeyDer<'_>) -> Option<Arc<dyn SigningKey>> {
    let PrivateKeyDer::Pkcs8(pkcs8) = der else { return None };
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8.secret_pkcs8_der()).ok()?;
    Some(Kept::of(pair, SignatureScheme::ED25519, alg_id::ED25519))
}

/// A key of SEC1 as PKCS#8: `SEQUENCE { before, OCTET STRING { sec1 } }`.
fn wrapped(before: &[u8], sec1: &[u8]) -> Zeroizing<Vec<u8>> {
    const OCTET_STRING: u8 = 0x04;
    const SEQUENCE: u8 = 0x30;
    let length = |length: usize| {
        let bytes = length.to_be_bytes();
        let significant = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
        match length {
            0..=127 => vec![length as u8],
            _ => [&[0x80 | (bytes.len() - significant) as u8], &bytes[significant..]].concat(),
        }
    };
    let inner = [&[OCTET_STRING][..], &length(sec1.len())].concat();
    let outer = [&[SEQUENCE][..], &length(before.len() + inner.len() + sec1.len())].concat();
    // All at once, so that no copy stays where the bytes were before they grew.
    let mut pkcs8 = Zeroizing::new(Vec::with_capacity(outer.len() + before.len() + inner.len() + sec1.len()));
    [&outer, before, &inner, sec1].into_iter().for_each(|part| pkcs8.extend_from_slice(part));
    pkcs8
}

trait Sign: KeyPair + Send + Sync + 'static {
    fn sign_one(&self, message: &[u8]) -> Result<Vec<u8>, Error>;
}

impl Sign for EcdsaKeyPair {
    fn sign_one(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.sign(&SystemRandom::new(), message);
        Ok(signature.map_err(|_| Error::FailedToGetRandomBytes)?.as_ref().to_vec())
    }
}

impl Sign for Ed25519KeyPair {
    fn sign_one(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.sign(message).as_ref().to_vec())
    }
}

/// A key that signs in one way.
struct Kept<K> {
    pair: Arc<Secret<K>>,
    scheme: SignatureScheme,
    id: AlgorithmIdentifier,
}

impl<K: Sign> Kept<K> {
    fn of(pair: K, scheme: SignatureScheme, id: AlgorithmIdentifier) -> Arc<dyn SigningKey> {
        Arc::new(Kept { pair: Arc::new(Secret::new(pair)), scheme, id })
    }
}

impl<K: Sign> SigningKey for Kept<K> {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let (pair, scheme, id) = (self.pair.clone(), self.scheme, self.id);
        offered.contains(&scheme).then(|| Box::new(Kept { pair, scheme, id }) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(public_key_to_spki(&self.id, self.pair.public_key()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.scheme {
            SignatureScheme::ED25519 => SignatureAlgorithm::ED25519,
            _ => SignatureAlgorithm::ECDSA,
        }
    }
}

impl<K: Sign> Signer for Kept<K> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        with_clean_stack(|| self.pair.sign_one(message))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

impl<K> fmt::Debug for Kept<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}
