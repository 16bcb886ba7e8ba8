//! A TLS connection. It encrypts and decrypts; the sockets are the caller's.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::{IpAddr, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, InvalidMessage};

use super::verify::{is_of_authority, is_of_version_1, Verifier};
use super::{fault, files, TlsSettings};
use crate::driver::connect_cause::CauseKind;

/// The files, as they were when they were read.
#[derive(Debug)]
pub struct Config {
    client: Arc<ClientConfig>,
}

impl Config {
    /// Reads the files. Waits for the file system, and for the key to be decrypted. The error is a sentence that names the
    /// file.
    pub fn load(settings: &TlsSettings) -> Result<Arc<Config>, String> {
        let provider = Arc::new(ring::default_provider());
        let trusted = files::trusted(settings.ca.as_deref())?;
        let verifier = Verifier::new(trusted, settings.verifies_host, provider.clone());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut client = match &settings.identity {
            Some(identity) => builder.with_client_cert_resolver(files::resolver(files::identity(identity)?)),
            None => builder.with_no_client_auth(),
        };
        client.resumption = Resumption::disabled();
        Ok(Arc::new(Config { client: Arc::new(client) }))
    }

    /// Begins a connection to `host`, the name or the address in the connect string.
    pub fn connect(&self, host: &str) -> io::Result<Connection> {
        let name =
            server_name(host).ok_or_else(|| fault(CauseKind::TlsFailed("its name is none for TLS".to_owned())))?;
        let tls = ClientConnection::new(self.client.clone(), name).map_err(|error| self.fault(&error))?;
        Ok(Connection { has_certificate: self.has_certificate(), tls, unread: 0 })
    }

    fn has_certificate(&self) -> bool {
        self.client.client_auth_cert_resolver.has_certs()
    }

    fn fault(&self, error: &Error) -> io::Error {
        fault(kind_of(error, self.has_certificate()))
    }
}

fn server_name(host: &str) -> Option<ServerName<'static>> {
    // A scope id is of this machine alone, and a dot at the end is of the look-up.
    let address = host.split('%').next().unwrap_or(host);
    if let Ok(address) = address.parse::<std::net::IpAddr>() {
        return Some(ServerName::IpAddress(IpAddr::from(address)));
    }
    ServerName::try_from(host.strip_suffix('.').unwrap_or(host)).ok().map(|name| name.to_owned())
}

#[derive(Debug)]
pub struct Connection {
    tls: ClientConnection,
    has_certificate: bool,
    /// The number of decrypted bytes that the caller has not taken.
    unread: usize,
}

impl Connection {
    /// Goes on with the handshake. Returns whether it is over.
    pub fn handshake(&mut self, socket: &mut (impl Read + Write)) -> io::Result<bool> {
        if !self.flush(socket)? || !self.tls.wants_read() {
            return Ok(!self.tls.is_handshaking());
        }
        let pulled = self.pull(socket);
        // Also an alert that says what we do not like.
        let flushed = self.flush(socket);
        if pulled? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        flushed?;
        Ok(!self.tls.is_handshaking())
    }

    /// Reads from the socket once, unless something is left, and decrypts what is complete. Returns the length of what was
    /// decrypted; `WouldBlock` if that is nothing; 0 if the peer has ended the connection.
    pub fn read(&mut self, socket: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unread == 0 && self.pull(socket)? == 0 {
            return Ok(0);
        }
        match self.tls.reader().read(buffer) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(error),
            Ok(length) => {
                self.unread = self.unread.saturating_sub(length);
                Ok(length)
            }
        }
    }

    /// Whether something was decrypted and not read. The kernel knows nothing of it.
    pub fn has_unread(&self) -> bool {
        self.unread > 0
    }

    /// Encrypts as much of `bytes` as there is room for, and sends what the socket takes. Returns how much was encrypted.
    /// That much counts as sent, so an error after it comes with the next call.
    pub fn write(&mut self, socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
        if !self.flush(socket)? {
            return Ok(0);
        }
        let taken = self.tls.writer().write(bytes)?;
        let _ = self.flush(socket);
        Ok(taken)
    }

    /// Sends what was encrypted. Returns whether nothing is left.
    pub fn flush(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        while self.tls.wants_write() {
            match self.tls.write_tls(socket) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Reads from the socket once, and decrypts. Returns the number of bytes that were read.
    fn pull(&mut self, socket: &mut impl Read) -> io::Result<usize> {
        let length = self.tls.read_tls(socket)?;
        let state = self.tls.process_new_packets().map_err(|error| fault(kind_of(&error, self.has_certificate)))?;
        self.unread = state.plaintext_bytes_to_read();
        Ok(length)
    }
}

/// The cause for an error of the TLS implementation.
fn kind_of(error: &Error, has_certificate: bool) -> CauseKind {
    use AlertDescription as Alert;
    match error {
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => CauseKind::SpeaksPlainText,
        Error::AlertReceived(alert) => match alert {
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::CertificateRequired => match has_certificate {
                true => CauseKind::RefusesCertificate(format!("{alert:?}")),
                false => CauseKind::WantsCertificate,
            },
            // It cannot verify our signature.
            Alert::DecryptError if has_certificate => CauseKind::RefusesCertificate(format!("{alert:?}")),
            _ => CauseKind::TlsFailed(format!("it ends the handshake with the alert {alert:?}")),
        },
        error => CauseKind::TlsFailed(error.to_string()),
    }
}

fn of_certificate(error: &CertificateError) -> CauseKind {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => CauseKind::UnknownAuthority,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => CauseKind::CertificateExpired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CauseKind::CertificateNotYetValid
        }
        CertificateError::NotValidForName => CauseKind::WrongName(Vec::new()),
        CertificateError::NotValidForNameContext { presented, .. } => {
            CauseKind::WrongName(presented.iter().filter_map(|name| plain_name(name)).collect())
        }
        error if is_of_authority(error) => {
            CauseKind::BadCertificate("it is an authority's, not a server's".to_owned())
        }
        error if is_of_version_1(error) => {
            CauseKind::BadCertificate("it is of X.509 version 1, which has no subjectAltName".to_owned())
        }
        error => CauseKind::BadCertificate(error.to_string()),
    }
}

/// A name as `webpki` shows it, `DnsName("zk1")` or `IpAddress(10.0.0.7)`, without what stands around it. `None` for what
/// can be no name of a server.
fn plain_name(shown: &str) -> Option<String> {
    let inner = shown.strip_prefix("DnsName(").or_else(|| shown.strip_prefix("IpAddress("))?;
    Some(inner.strip_suffix(')')?.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_a_certificate_must_have() {
        for (host, name) in [
            ("zk1", "zk1"),
            ("zk1.example.com.", "zk1.example.com"),
            ("my_zookeeper", "my_zookeeper"),
            ("10.0.0.7", "10.0.0.7"),
            ("fe80::1%eth0", "fe80::1"),
        ] {
            assert_eq!(server_name(host).map(|name| name.to_str().into_owned()).as_deref(), Some(name), "{host}");
        }
    }
}
