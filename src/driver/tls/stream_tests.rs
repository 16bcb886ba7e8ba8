//! A stream of ours and a server of TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use testkit::Authority;

use super::peer::{self, Manner, LONG};
use super::{Config, TlsSettings};
use crate::driver::clock;
use crate::driver::io::dial::Race;
use crate::driver::io::poller::{Poller, Ready};
use crate::driver::io::stream::Stream;
use crate::driver::io::wake::Wake;

struct Client {
    poller: Arc<Poller>,
    stream: Stream,
}

impl Client {
    /// Connects, and goes through the handshake.
    fn connect(address: SocketAddr, config: &Config) -> io::Result<Client> {
        let poller = Poller::new(Arc::new(Wake::default())).unwrap();
        let mut race = Race::default();
        race.start(&poller, 1, clock::now(), address, LONG)?;
        let mut stream = loop {
            let Ready { token, .. } = wait(&poller);
            if let Some(ended) = race.ready(token) {
                break ended.outcome?;
            }
        };
        stream.encrypt(config.connect("127.0.0.1")?);
        while !stream.handshake()? {
            wait(&poller);
        }
        Ok(Client { poller, stream })
    }

    /// Sends all of `bytes` to a peer that sends it back, and reads it. At most `piece` bytes are read at once.
    fn echo(&mut self, bytes: &[u8], piece: usize) -> Vec<u8> {
        let (mut sent, mut heard, mut buffer) = (0, Vec::new(), vec![0; piece]);
        while heard.len() < bytes.len() {
            sent += self.stream.write(&bytes[sent..]).unwrap();
            self.stream.set_has_more(sent < bytes.len()).unwrap();
            if !self.stream.has_unread() {
                wait(&self.poller);
            }
            if let Some(bytes) = self.stream.read(&mut buffer).unwrap() {
                heard.extend_from_slice(bytes);
            }
        }
        heard
    }
}

fn wait(poller: &Poller) -> Ready {
    let mut ready = Vec::new();
    poller.wait(LONG, &mut ready).unwrap();
    *ready.first().expect("the socket is ready in time")
}

fn settings(files: &str) -> TlsSettings {
    TlsSettings::parse(files).unwrap()
}

/// A client of an authority, and a server that echoes.
fn client_and_server(
    manner: Manner,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> (Arc<Config>, SocketAddr, Authority) {
    let authority = Authority::new();
    let server = authority.issue("server", "IP:127.0.0.1");
    let client = authority.issue("client", "DNS:client");
    let address = peer::start(peer::config(&server, Some(&authority), versions), manner, peer::echo);
    (Config::load(&settings(&client.with_ca(&authority.ca()))).unwrap(), address, authority)
}

#[test]
fn what_is_sent_arrives_in_both_versions_however_it_is_cut() {
    let bytes: Vec<u8> = (0..300_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    for versions in [&[&TLS12], &[&TLS13]] {
        let (config, address, _files) = client_and_server(Manner::Good, versions);
        for piece in [997, 16 << 10, 100_000] {
            let mut client = Client::connect(address, &config).unwrap();
            assert!(client.echo(&bytes, piece) == bytes, "pieces of {piece} bytes");
        }
        let (config, address, _files) = client_and_server(Manner::Slow, versions);
        let mut client = Client::connect(address, &config).unwrap();
        assert!(client.echo(&bytes[..5_000], 100) == bytes[..5_000]);
    }
}

/// Those that the library keeps itself, and those that the implementation keeps.
#[test]
fn each_kind_of_key_proves_who_we_are() {
    let authority = Authority::new();
    let server = authority.issue("server", "IP:127.0.0.1");
    for versions in [&[&TLS12], &[&TLS13]] {
        let address = peer::start(peer::config(&server, Some(&authority), versions), Manner::Good, peer::echo);
        for (name, key) in [
            ("p256", "-newkey ec -pkeyopt ec_paramgen_curve:P-256"),
            ("p384", "-newkey ec -pkeyopt ec_paramgen_curve:P-384"),
            ("edwards", "-newkey ed25519"),
            ("rsa", "-newkey rsa:2048"),
        ] {
            let client = authority.issue_for(name, "DNS:client", key, "-days 3");
            let config = Config::load(&settings(&client.with_ca(&authority.ca()))).unwrap();
            let mut client = Client::connect(address, &config).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(client.echo(b"who are we?", 100), b"who are we?", "{name}");
        }
    }
}

/// The peer does not read. What the kernel does not take waits in the stream, which is bounded.
#[test]
fn a_peer_that_does_not_read_is_written_to_as_far_as_there_is_room() {
    let authority = Authority::new();
    let server = authority.issue("server", "IP:127.0.0.1");
    let held = |_: &mut rustls::Stream<'_, rustls::ServerConnection, peer::Line>| {
        std::thread::sleep(Duration::from_secs(60));
        Ok(())
    };
    let address = peer::start(peer::config(&server, None, &[&TLS13]), Manner::Good, held);
    let config = Config::load(&settings(authority.ca().to_str().unwrap())).unwrap();
    let mut client = Client::connect(address, &config).unwrap();
    let bytes = vec![7; 1 << 20];
    let mut taken = 0;
    for _ in 0..1_000 {
        match client.stream.write(&bytes).unwrap() {
            0 => return,
            more => taken += more,
        }
    }
    panic!("{taken} bytes were taken");
}

/// The server's bytes end in the middle of the handshake, after each of them in turn. The client says so; it does not
/// wait, and it does not take the handshake for done.
#[test]
fn a_handshake_that_is_cut_anywhere_fails() {
    for versions in [&[&TLS12], &[&TLS13]] {
        let authority = Authority::new();
        let server = authority.issue("server", "IP:127.0.0.1");
        let config = peer::config(&server, None, versions);
        let ours = Config::load(&settings(authority.ca().to_str().unwrap())).unwrap();
        let mut after = 0;
        loop {
            let address = peer::start(config.clone(), Manner::Cut(after), |_| Ok(()));
            match Client::connect(address, &ours) {
                Err(error) if after == 0 => {
                    assert!(matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset));
                }
                Err(_) => {}
                Ok(_) => break,
            }
            after += 1;
        }
        assert!(after > 500, "a handshake of {after} bytes");
    }
}
