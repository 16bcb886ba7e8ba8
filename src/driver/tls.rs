//! Encrypted connections: what the program asks for, and the one TLS implementation behind it.
//!
//! The files are read anew for each new connection, so a rotated certificate needs no restart. No TLS session is resumed,
//! so each connection verifies the server's certificate.

#[cfg(feature = "tls")]
mod files;
#[cfg(feature = "tls")]
mod key;
#[cfg(feature = "tls")]
mod verify;

#[cfg(feature = "tls")]
mod connection;
/// A build without TLS: no configuration can be loaded, so nothing else exists.
#[cfg(not(feature = "tls"))]
#[path = "tls/without.rs"]
mod connection;
#[cfg(all(test, feature = "tls"))]
pub mod peer;
#[cfg(all(test, feature = "tls"))]
mod stream_tests;

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::connect_cause::CauseKind;
use super::secret::SecretBytes;
use crate::logic::Report;

pub use connection::{Config, Connection};

/// The longest string that names the files, in bytes.
const FILES_MAX: usize = 16_384;

/// What the program asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The certificates of the authorities that are trusted. `None` for those of the system.
    pub ca: Option<PathBuf>,
    pub identity: Option<Identity>,
    /// Whether the server's certificate must be for the host that the connect string names.
    pub verifies_host: bool,
}

/// How we prove who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Our certificate, followed by those of the intermediate authorities.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The password of the key.
    pub password: Option<SecretBytes>,
}

impl TlsSettings {
    /// Parses `ca,cert,key,password`, the string of `zookeeper_init_ssl`. Each part may be empty or missing. An error says
    /// what is wrong, and repeats no part of the string: it may have a password in it.
    pub fn parse(files: &str) -> Result<TlsSettings, String> {
        if files.len() > FILES_MAX {
            return Err(format!("the string is longer than {FILES_MAX} bytes"));
        }
        // A comma may be part of the password.
        let mut parts = files.splitn(4, ',').map(|part| (!part.is_empty()).then_some(part));
        let mut next = || parts.next().flatten();
        let (ca, certificate, key, password) = (next(), next(), next(), next());
        let identity = match (certificate, key) {
            (Some(certificate), key) => Some(Identity {
                certificate: certificate.into(),
                key: key.unwrap_or(certificate).into(),
                password: password.map(|password| SecretBytes::new(password.as_bytes())),
            }),
            (None, Some(_)) => return Err("there is a key, but no certificate".to_owned()),
            (None, None) if password.is_some() => return Err("there is a password, but no key".to_owned()),
            (None, None) => None,
        };
        Ok(TlsSettings { ca: ca.map(PathBuf::from), identity, verifies_host: true })
    }
}

impl TlsSettings {
    /// The names of the files, without the password.
    pub fn describe(&self) -> Report {
        let name = |path: Option<&PathBuf>| path.map_or(Report::Nothing, |path| path.display().to_string().into());
        let identity = self.identity.as_ref();
        Report::from([
            ("ca", name(self.ca.as_ref())),
            ("cert", name(identity.map(|identity| &identity.certificate))),
            ("key", name(identity.map(|identity| &identity.key))),
            ("verify_host", self.verifies_host.into()),
        ])
    }
}

/// Whether this build can encrypt connections. The error says that it cannot.
pub fn is_built_in() -> Result<(), String> {
    match cfg!(feature = "tls") {
        true => Ok(()),
        false => Err(NOT_BUILT_IN.to_owned()),
    }
}

const NOT_BUILT_IN: &str = "this library was built without TLS, the cargo feature `tls`";

/// Reads the files, and says which one cannot be used and why.
pub fn check(settings: &TlsSettings) -> Result<(), String> {
    Config::load(settings).map(drop)
}

/// Why a connection cannot be encrypted, as an error of the system. `CauseKind::of` takes the cause out again.
#[derive(Debug)]
struct Fault(CauseKind);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Fault {}

/// The error of a connection that fails for this cause.
pub fn fault(kind: CauseKind) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Fault(kind))
}

/// The cause that an error of a TLS connection carries.
pub fn cause_of(error: &io::Error) -> Option<CauseKind> {
    error.get_ref()?.downcast_ref::<Fault>().map(|Fault(kind)| kind.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The CA; the certificate and the key; the password.
    type Names = (Option<String>, Option<(String, String)>, Option<Vec<u8>>);

    fn names(files: &str) -> Names {
        let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
        let TlsSettings { ca, identity, verifies_host } = TlsSettings::parse(files).expect(files);
        assert!(verifies_host, "unless the program says otherwise");
        let password = identity.as_ref().and_then(|identity| identity.password.clone());
        let pair = identity.map(|Identity { certificate, key, .. }| (text(&certificate), text(&key)));
        (ca.as_ref().map(text), pair, password.map(|password| password.to_vec()))
    }

    #[test]
    fn the_string_of_the_c_client() {
        let pair = |certificate: &str, key: &str| Some((certificate.to_owned(), key.to_owned()));
        let ca = || Some("ca.pem".to_owned());
        for (files, expected) in [
            ("", (None, None, None)),
            (",,,", (None, None, None)),
            ("ca.pem", (ca(), None, None)),
            ("ca.pem,a.crt,a.key", (ca(), pair("a.crt", "a.key"), None)),
            ("ca.pem,a.crt,a.key,", (ca(), pair("a.crt", "a.key"), None)),
            ("ca.pem,a.crt,a.key,se,cret", (ca(), pair("a.crt", "a.key"), Some(b"se,cret".to_vec()))),
            (",a.pem", (None, pair("a.pem", "a.pem"), None)),
            (",a.pem,,secret", (None, pair("a.pem", "a.pem"), Some(b"secret".to_vec()))),
        ] {
            assert_eq!(names(files), expected, "{files:?}");
        }
        for (files, fault) in [
            ("ca.pem,,a.key,secret", "a key, but no certificate"),
            ("ca.pem,,,secret", "a password, but no key"),
            (&*"x".repeat(20_000), "longer than"),
        ] {
            let said = TlsSettings::parse(files).expect_err(files);
            assert!(said.contains(fault) && !said.contains("secret"), "{files:?}: {said}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = format!("{:?}", TlsSettings::parse("ca,cert,key,secret"));
        assert!(shown.contains("\"cert\"") && !shown.contains("secret") && !shown.contains("115"), "{shown}");
    }
}
