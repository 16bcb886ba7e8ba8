//! Reads the files: certificates and keys in PEM format. An error is a sentence that names the file and says what is wrong
//! with it. It repeats nothing of a key.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pkcs8::der::SecretDocument;
use pkcs8::{pkcs5, EncryptedPrivateKeyInfoRef};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use rustls::sign::CertifiedKey;
use rustls::RootCertStore;
use zeroize::{Zeroize, Zeroizing};

use super::key::signing_key;
use super::verify::is_of_version_1;
use super::Identity;
use crate::driver::secret::{with_clean_stack, SecretBytes};

/// The longest file that is read. The system's authorities take about 250 KiB.
const FILE_MAX: u64 = 8 << 20;

/// Where systems keep the certificates of the authorities that they trust: Debian, Fedora, openSUSE, older Red Hat, Alpine.
/// The library reads no environment variable, so SSL_CERT_FILE does not count.
const SYSTEM: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// The authorities that are trusted.
pub struct Trusted {
    pub roots: RootCertStore,
    /// The certificates themselves. Empty for the system's: nobody is one of those.
    pub certificates: Vec<CertificateDer<'static>>,
}

pub fn trusted(ca: Option<&Path>) -> Result<Trusted, String> {
    match ca {
        Some(ca) => {
            let what = format!("the CA file {}", ca.display());
            let certificates = certificates(&what, ca)?;
            let mut roots = RootCertStore::empty();
            for (i, certificate) in certificates.iter().enumerate() {
                roots
                    .add(certificate.clone())
                    .map_err(|error| format!("{what}: certificate {} in it cannot be used: {error}", i + 1))?;
            }
            Ok(Trusted { roots, certificates })
        }
        None => system(&SYSTEM.map(PathBuf::from)),
    }
}

fn system(files: &[PathBuf]) -> Result<Trusted, String> {
    let Some(file) = files.iter().find(|file| file.exists()) else {
        return Err(
            "this system has no certificates of authorities (package ca-certificates); name a CA file".to_owned()
        );
    };
    let mut roots = RootCertStore::empty();
    // One that this library cannot read is no reason to do without the others.
    let (added, _) =
        roots.add_parsable_certificates(certificates(&format!("the system's CA file {}", file.display()), file)?);
    match added {
        0 => Err(format!("the system's CA file {} has no certificate that can be used", file.display())),
        _ => Ok(Trusted { roots, certificates: Vec::new() }),
    }
}

/// Our certificate with its key.
pub fn identity(identity: &Identity) -> Result<CertifiedKey, String> {
    let what = format!("the certificate file {}", identity.certificate.display());
    let chain = certificates(&what, &identity.certificate)?;
    let key_file = format!("the key file {}", identity.key.display());
    let key = with_clean_stack(|| private_key(&key_file, &identity.key, identity.password.as_ref()))?;
    let signer = signing_key(&key.der())
        .ok_or_else(|| format!("{key_file}: the key is none that can be used: RSA, P-256, P-384 or Ed25519"))?;
    drop(key);
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        // A key that cannot tell its public half, and a certificate that has no extensions, are looked at by the server.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InvalidCertificate(error)) if is_of_version_1(&error) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(format!("{key_file}: the key is not that of {what}")),
        Err(error) => Err(format!("{what}: its first certificate cannot be used: {error}")),
    }
}

fn certificates(what: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(what, file)?;
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        found.push(certificate.map_err(|_| format!("{what}: after {} certificates, it is not PEM", found.len()))?);
    }
    match found.is_empty() {
        true => Err(format!("{what}: there is no certificate in PEM format in it")),
        false => Ok(found),
    }
}

/// A private key, which is overwritten when it is dropped.
struct Key {
    form: Form,
    document: SecretDocument,
}

#[derive(Clone, Copy)]
enum Form {
    Pkcs8,
    Pkcs1,
    Sec1,
}

impl Key {
    fn der(&self) -> PrivateKeyDer<'_> {
        let bytes = self.document.as_bytes();
        match self.form {
            Form::Pkcs8 => PrivatePkcs8KeyDer::from(bytes).into(),
            Form::Pkcs1 => PrivatePkcs1KeyDer::from(bytes).into(),
            Form::Sec1 => PrivateSec1KeyDer::from(bytes).into(),
        }
    }

    /// The first one of a file in PEM format.
    fn of_pem(text: &str) -> Option<Key> {
        let labels =
            [("PRIVATE KEY", Form::Pkcs8), ("RSA PRIVATE KEY", Form::Pkcs1), ("EC PRIVATE KEY", Form::Sec1)];
        let (form, section) =
            labels.into_iter().find_map(|(label, form)| Some((form, section(text, label).ok()??)))?;
        let (_, document) = SecretDocument::from_pem(section).ok()?;
        Some(Key { form, document })
    }
}

/// The section with this label. An error if it does not end.
fn section<'a>(text: &'a str, label: &str) -> Result<Option<&'a str>, ()> {
    let [first, last] = ["BEGIN", "END"].map(|word| format!("-----{word} {label}-----"));
    let Some(start) = text.find(&first) else { return Ok(None) };
    let end = text[start..].find(&last).ok_or(())?;
    Ok(Some(&text[start..start + end + last.len()]))
}

fn private_key(what: &str, file: &Path, password: Option<&SecretBytes>) -> Result<Key, String> {
    let bytes = read(what, file)?;
    // What is not UTF-8 is no PEM, and may stand beside it.
    let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
    let cut = |()| format!("{what}: it ends in the middle of the key");
    if let Some(section) = section(&text, "ENCRYPTED PRIVATE KEY").map_err(cut)? {
        let password = password.ok_or_else(|| format!("{what}: the key is encrypted, and there is no password"))?;
        return decrypt(what, section, password);
    }
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(format!(
            "{what}: the key is encrypted in an old format; convert it with: openssl pkcs8 -topk8 -in OLD -out NEW"
        ));
    }
    if let Some(key) = Key::of_pem(&text) {
        return Ok(key);
    }
    // This one takes lines of any length, and leaves a copy of the text behind.
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(mut key) => {
            let form = match &key {
                PrivateKeyDer::Pkcs1(_) => Form::Pkcs1,
                PrivateKeyDer::Sec1(_) => Form::Sec1,
                _ => Form::Pkcs8,
            };
            let document = SecretDocument::try_from(key.secret_der());
            key.zeroize();
            Ok(Key { form, document: document.map_err(|_| format!("{what}: the key in it is malformed"))? })
        }
        Err(rustls::pki_types::pem::Error::NoItemsFound) => {
            Err(format!("{what}: there is no private key in PEM format in it"))
        }
        Err(_) => Err(format!("{what}: the key in it is not PEM")),
    }
}

/// Decrypts a key of PKCS#8 by PBES2 (RFC 8018). The copies on the way are overwritten.
fn decrypt(what: &str, section: &str, password: &SecretBytes) -> Result<Key, String> {
    let malformed = || format!("{what}: the encrypted key in it is malformed");
    let (_, document) = SecretDocument::from_pem(section).map_err(|_| malformed())?;
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| {
        format!("{what}: the key is encrypted in a way that is not supported, or malformed; encrypt it by AES, with: {CONVERT}")
    })?;
    match encrypted.decrypt(&**password) {
        Ok(document) => Ok(Key { form: Form::Pkcs8, document }),
        Err(pkcs8::Error::EncryptedPrivateKey(
            pkcs5::Error::NoPbes1CryptSupport | pkcs5::Error::UnsupportedAlgorithm { .. },
        )) => Err(format!(
            "{what}: the key is encrypted in a way that is not supported; encrypt it by AES, with: {CONVERT}"
        )),
        Err(_) => Err(format!("{what}: the password does not open the key")),
    }
}

const CONVERT: &str = "openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW";

/// The bytes of a file, which are overwritten when they are dropped.
fn read(what: &str, file: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let plain = |error: std::io::Error| {
        let text = error.to_string();
        format!("{what}: {}", text.split(" (os error").next().unwrap_or(&text).to_lowercase())
    };
    // A pipe would be empty when it is read again for the next connection, and its opening may wait for ever.
    let metadata = fs::metadata(file).map_err(plain)?;
    if !metadata.is_file() {
        return Err(format!("{what}: it is not a regular file"));
    }
    if metadata.len() > FILE_MAX {
        return Err(format!("{what}: it is longer than {FILE_MAX} bytes"));
    }
    // With room for all of it, and one byte more, no copy stays where the bytes were before they grew.
    let mut bytes = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 64));
    File::open(file).and_then(|file| file.take(FILE_MAX).read_to_end(&mut bytes)).map_err(plain)?;
    Ok(bytes)
}

/// An identity as the TLS implementation takes it.
pub fn resolver(certified: CertifiedKey) -> Arc<dyn rustls::client::ResolvesClientCert> {
    Arc::new(rustls::sign::SingleCertAndKey::from(certified))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use testkit::Authority;

    use super::super::{Config, TlsSettings};
    use super::*;

    fn load(files: &str) -> Result<(), String> {
        Config::load(&TlsSettings::parse(files).unwrap()).map(drop)
    }

    #[test]
    fn each_form_of_a_key_is_read() {
        let authority = Authority::new();
        let [elliptic, rsa, edwards] = [
            ("elliptic", "-newkey ec -pkeyopt ec_paramgen_curve:P-384"),
            ("rsa", "-newkey rsa:2048"),
            ("edwards", "-newkey ed25519"),
        ]
        .map(|(name, key)| authority.issue_for(name, "DNS:x", key, "-days 3"));
        for (certificate, made, files) in [
            (&elliptic, "", "elliptic.key"),
            (&rsa, "", "rsa.key"),
            (&edwards, "", "edwards.key"),
            (&elliptic, "ec -in elliptic.key -out sec1.key", "sec1.key"),
            (&rsa, "rsa -in rsa.key -traditional -out pkcs1.key", "pkcs1.key"),
            (
                &rsa,
                "pkcs8 -topk8 -in rsa.key -v2 aes-256-cbc -passout pass:se,cret -out aes.key",
                "aes.key,se,cret",
            ),
            (&elliptic, "pkcs8 -topk8 -in elliptic.key -v2 aes128 -passout pass:x -out aes128.key", "aes128.key,x"),
            (&elliptic, "pkcs8 -topk8 -in elliptic.key -scrypt -passout pass:x -out scrypt.key", "scrypt.key,x"),
            // Both in one file, the key first.
            (&elliptic, "", "elliptic.pem"),
        ] {
            if !made.is_empty() {
                authority.openssl(made);
            }
            let key = authority.path(files);
            let all =
                format!("{},{},{}", authority.ca().display(), certificate.certificate.display(), key.display());
            assert_eq!(load(&all), Ok(()), "{made} {files}");
        }
        // A certificate without extensions.
        authority.openssl("req -new -key elliptic.key -out old.csr -subj /CN=old");
        authority.openssl("x509 -req -in old.csr -CA ca.pem -CAkey ca.key -out old.crt");
        let old = format!(",{},{}", authority.path("old.crt").display(), elliptic.key.display());
        assert_eq!(load(&format!("{}{old}", authority.ca().display())), Ok(()));
        let both = format!("{},{}", authority.ca().display(), elliptic.both.display());
        assert_eq!(load(&both), Ok(()), "the key is where the certificate is");
    }

    /// Each fault, and the file that it names.
    #[test]
    fn what_cannot_be_used_is_told() {
        let authority = Authority::new();
        let (one, other) = (authority.issue("one", "DNS:x"), authority.issue("other", "DNS:x"));
        authority.openssl("pkcs8 -topk8 -in one.key -v2 aes-256-cbc -passout pass:secret -out aes.key");
        authority.openssl("pkcs8 -topk8 -in one.key -v2 des3 -passout pass:secret -out des.key");
        authority.openssl("pkcs8 -topk8 -in one.key -v1 PBE-SHA1-3DES -passout pass:secret -out old.key");
        authority.openssl("ec -in one.key -aes256 -passout pass:secret -out older.key");
        let text = fs::read_to_string(&one.key).unwrap();
        fs::write(authority.path("cut.key"), &text[..100]).unwrap();
        let aes = fs::read_to_string(authority.path("aes.key")).unwrap();
        fs::write(authority.path("cutaes.key"), &aes[..100]).unwrap();
        fs::write(authority.path("letter.key"), aes.replacen("\nM", "\n!", 1)).unwrap();
        fs::write(authority.path("cut.crt"), "-----BEGIN CERTIFICATE-----\nMIIB!!\n-----END CERTIFICATE-----\n")
            .unwrap();
        fs::write(authority.path("empty.crt"), "").unwrap();
        let malformed = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        fs::write(authority.path("malformed.crt"), malformed).unwrap();
        fs::create_dir(authority.path("folder")).unwrap();
        drop(other);
        for (ca, certificate, key, password, faults) in [
            ("none.pem", "", "", "", ["the CA file ", "none.pem: no such file"]),
            ("folder", "", "", "", ["the CA file ", "is not a regular file"]),
            ("empty.crt", "", "", "", ["the CA file ", "no certificate in PEM"]),
            ("one.key", "", "", "", ["the CA file ", "no certificate in PEM"]),
            ("cut.crt", "", "", "", ["the CA file ", "is not PEM"]),
            ("malformed.crt", "", "", "", ["the CA file ", "certificate 1 in it cannot be used"]),
            ("ca.pem", "none.crt", "one.key", "", ["the certificate file ", "none.crt: no such file"]),
            ("ca.pem", "malformed.crt", "one.key", "", ["the certificate file ", "cannot be used"]),
            ("ca.pem", "one.crt", "none.key", "", ["the key file ", "none.key: no such file"]),
            ("ca.pem", "one.crt", "one.crt", "", ["the key file ", "no private key in PEM"]),
            ("ca.pem", "one.crt", "cut.key", "", ["the key file ", "cut.key: "]),
            ("ca.pem", "one.crt", "cutaes.key", "secret", ["the key file ", "ends in the middle"]),
            ("ca.pem", "one.crt", "letter.key", "secret", ["the key file ", "encrypted key in it is malformed"]),
            (
                "ca.pem",
                "one.crt",
                "other.key",
                "",
                ["the key file ", "other.key: the key is not that of the certificate file "],
            ),
            ("ca.pem", "one.crt", "aes.key", "", ["the key file ", "encrypted, and there is no password"]),
            ("ca.pem", "one.crt", "aes.key", "sekret", ["the key file ", "the password does not open the key"]),
            ("ca.pem", "one.crt", "des.key", "secret", ["the key file ", "in a way that is not supported"]),
            ("ca.pem", "one.crt", "old.key", "secret", ["the key file ", "in a way that is not supported"]),
            ("ca.pem", "one.crt", "older.key", "secret", ["the key file ", "in an old format; convert it"]),
        ] {
            let file = |name: &str| match name {
                "" => String::new(),
                name => authority.path(name).display().to_string(),
            };
            let all =
                [&file(ca), &file(certificate), &file(key), &password.to_owned()].map(String::as_str).join(",");
            let said = load(all.trim_end_matches(',')).expect_err(&all);
            assert!(faults.iter().all(|fault| said.contains(fault)), "{all}: {said}");
            assert!(!said.contains("secret") && !said.contains("sekret") && !said.contains('\n'), "{said}");
        }
    }

    #[test]
    fn the_authorities_of_the_system() {
        let authority = Authority::new();
        let missing = authority.path("none.pem");
        let trusted = system(&[missing.clone(), authority.ca()]).unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!((trusted.roots.len(), trusted.certificates.len()), (1, 0));
        let fault = system(&[missing]).err().unwrap_or_default();
        assert!(fault.contains("name a CA file"), "{fault}");
    }
}
