//! The other side of a connection, for tests: a server of TLS that does what a test wants on a listener of its own.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};
use testkit::{Authority, Certificate};

pub const LONG: Duration = Duration::from_secs(10);

/// What the peer does with the bytes that it sends.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    Good,
    /// One byte at a time.
    Slow,
    /// It ends the connection after so many bytes.
    Cut(usize),
    /// It falls silent after so many bytes.
    Stall(usize),
}

/// What a peer presents and demands.
pub fn config(
    certificate: &Certificate,
    demands_one_of: Option<&Authority>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).unwrap();
    let builder = match demands_one_of {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(authority.ca()).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let chain = CertificateDer::pem_file_iter(&certificate.certificate).unwrap().map(Result::unwrap).collect();
    Arc::new(builder.with_single_cert(chain, PrivateKeyDer::from_pem_file(&certificate.key).unwrap()).unwrap())
}

/// Starts a peer that serves each connection with `serve`. It ends with the test's process.
pub fn start(
    config: Arc<ServerConfig>,
    manner: Manner,
    serve: fn(&mut rustls::Stream<'_, ServerConnection, Line>) -> io::Result<()>,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(LONG)).unwrap();
            let (tls, line) = (ServerConnection::new(config.clone()).unwrap(), Line { stream, manner, sent: 0 });
            std::thread::spawn(move || serve_one(tls, line, serve));
        }
    });
    address
}

fn serve_one(
    mut tls: ServerConnection,
    mut line: Line,
    serve: fn(&mut rustls::Stream<'_, ServerConnection, Line>) -> io::Result<()>,
) {
    while tls.is_handshaking() && tls.complete_io(&mut line).is_ok() {}
    if !tls.is_handshaking() {
        let _ = serve(&mut rustls::Stream::new(&mut tls, &mut line));
    }
    // Also an alert that says why there is no connection.
    while tls.wants_write() && tls.write_tls(&mut line).is_ok() {}
}

/// A server that sends back what it hears.
pub fn echo(stream: &mut rustls::Stream<'_, ServerConnection, Line>) -> io::Result<()> {
    let mut buffer = [0; 5_000];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..length])?;
    }
}

/// The peer's end of the connection.
pub struct Line {
    stream: TcpStream,
    manner: Manner,
    sent: usize,
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = match self.manner {
            Manner::Good => bytes.len(),
            Manner::Slow => 1,
            Manner::Cut(after) | Manner::Stall(after) => after - self.sent,
        };
        if most == 0 && !bytes.is_empty() {
            match self.manner {
                Manner::Stall(_) => while matches!(self.stream.read(&mut [0; 1_000]), Ok(1..)) {},
                _ => self.stream.shutdown(Shutdown::Both)?,
            }
            return Err(ErrorKind::BrokenPipe.into());
        }
        let sent = self.stream.write(&bytes[..bytes.len().min(most)])?;
        self.sent += sent;
        Ok(sent)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
