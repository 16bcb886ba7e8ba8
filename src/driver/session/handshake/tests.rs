//! What the dialer says of servers with which there can be no connection, or only an encrypted one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::version::{TLS12, TLS13};
use rustls::ServerConfig;
use testkit::{Authority, Certificate};

use super::super::dialer::tests::{dial_by, Said};
use crate::driver::tls::peer::{self, Manner};
use crate::driver::tls::TlsSettings;

/// For what must come, however slow the machine is.
const LONG: Duration = Duration::from_secs(30);

/// A handshake has a fifth of it, which is more than a busy machine takes.
const SESSION_TIMEOUT: Duration = Duration::from_secs(100);

fn settings(files: &str) -> TlsSettings {
    TlsSettings::parse(files).unwrap()
}

fn trusts(authority: &Authority) -> TlsSettings {
    settings(authority.ca().to_str().unwrap())
}

/// The first thing that is said of a server.
fn first(hosts: &str, tls: Option<TlsSettings>) -> Said {
    dial_by(hosts, SESSION_TIMEOUT, tls).recv_timeout(LONG).expect("something is said in time")
}

#[track_caller]
fn fails(address: SocketAddr, tls: Option<TlsSettings>, cause: &str) {
    fails_within(address, SESSION_TIMEOUT, tls, cause);
}

#[track_caller]
fn fails_within(address: SocketAddr, session_timeout: Duration, tls: Option<TlsSettings>, cause: &str) {
    let expected = cause.replace("{}", &address.to_string());
    let said = dial_by(&address.to_string(), session_timeout, tls);
    let mut heard = Vec::new();
    while let Ok(told) = said.recv_timeout(LONG) {
        if told == Said::Failed(expected.clone()) {
            return;
        }
        assert!(matches!(told, Said::Failed(_)), "{told:?}, where {expected:?} is expected");
        heard.push(told);
        if heard.len() > 5 {
            break;
        }
    }
    panic!("{heard:?}, where {expected:?} is expected");
}

fn start(config: Arc<ServerConfig>) -> SocketAddr {
    peer::start(config, Manner::Good, peer::echo)
}

fn with(certificate: &Certificate) -> Arc<ServerConfig> {
    peer::config(certificate, None, &[&TLS12, &TLS13])
}

#[test]
fn a_name_or_an_address_in_the_certificate_is_enough() {
    let authority = Authority::new();
    let of_name = start(with(&authority.issue("name", "DNS:localhost")));
    let hosts = format!("localhost:{}", of_name.port());
    assert_eq!(first(&hosts, Some(trusts(&authority))), Said::Connected(of_name));
    let of_address = start(with(&authority.issue("address", "IP:127.0.0.1")));
    assert_eq!(first(&of_address.to_string(), Some(trusts(&authority))), Said::Connected(of_address));
}

#[test]
fn a_certificate_for_another_name_is_refused_unless_the_program_takes_it() {
    let authority = Authority::new();
    let address = start(with(&authority.issue("server", "DNS:zk1,DNS:zk2,IP:10.0.0.7")));
    let cause = "the certificate of {} is for zk1, zk2, 10.0.0.7, not for 127.0.0.1";
    fails(address, Some(trusts(&authority)), cause);
    let lenient = TlsSettings { verifies_host: false, ..trusts(&authority) };
    assert_eq!(first(&address.to_string(), Some(lenient)), Said::Connected(address));
    let nameless = start(with(&authority.issue("127.0.0.1", "email:a@b")));
    fails(nameless, Some(trusts(&authority)), "the certificate of {} has no name, so it is not for 127.0.0.1");
}

/// Somebody between us and the servers has a certificate for the right name, of an authority of its own. Not looking at the
/// name makes no difference.
#[test]
fn an_interception_fails() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let address = start(with(&theirs.issue("server", "IP:127.0.0.1")));
    let cause = "the certificate of {} is not signed by an authority that is trusted here";
    fails(address, Some(trusts(&ours)), cause);
    fails(address, Some(TlsSettings { verifies_host: false, ..trusts(&ours) }), cause);
}

#[test]
fn a_certificate_out_of_its_time_is_refused() {
    let authority = Authority::new();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256";
    let issue = |name, valid| start(with(&authority.issue_for(name, "IP:127.0.0.1", key, valid)));
    let old = issue("old", "-startdate 20200101000000Z -enddate 20200102000000Z");
    fails(old, Some(trusts(&authority)), "the certificate of {} has expired");
    let coming = issue("coming", "-startdate 20900101000000Z -enddate 20910101000000Z");
    fails(coming, Some(trusts(&authority)), "the certificate of {} is not valid yet");
}

/// `openssl req -x509` makes such a one. It is accepted if the CA file is just this certificate, and for its name.
#[test]
fn a_certificate_that_signs_itself_is_accepted_if_it_is_in_the_ca_file() {
    let (mine, other) = (Authority::new(), Authority::new());
    let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout self.key -out self.crt -subj /CN=self \
                   -addext subjectAltName=IP:127.0.0.1";
    let certificate = |authority: &Authority, valid: &str| {
        authority.openssl(&format!("{request} {valid}"));
        let [certificate, key] = ["self.crt", "self.key"].map(|name| authority.path(name));
        Certificate { both: key.clone(), certificate, key }
    };
    let own = certificate(&mine, "-days 30");
    let address = start(with(&own));
    let of_file = |certificate: &Certificate| settings(certificate.certificate.to_str().unwrap());
    assert_eq!(first(&address.to_string(), Some(of_file(&own))), Said::Connected(address));
    let theirs = of_file(&certificate(&other, "-days 30"));
    fails(address, Some(theirs), "the certificate of {} cannot be used: it is an authority's, not a server's");
    let name = format!("localhost:{}", address.port());
    let Said::Failed(said) = first(&name, Some(of_file(&own))) else { panic!("it is for an address") };
    assert!(said.contains("is for 127.0.0.1, not for localhost"), "{said}");
}

#[test]
fn a_server_may_demand_a_certificate() {
    let (authority, stranger) = (Authority::new(), Authority::named("stranger"));
    let server = authority.issue("server", "IP:127.0.0.1");
    let us = authority.issue("us", "DNS:us");
    let address = start(peer::config(&server, Some(&authority), &[&TLS12]));
    let files = us.with_ca(&authority.ca());
    assert_eq!(first(&address.to_string(), Some(settings(&files))), Said::Connected(address));
    fails(address, Some(trusts(&authority)), "{} demands a client certificate, and there is none");
    let files = stranger.issue("they", "DNS:they").with_ca(&authority.ca());
    fails(address, Some(settings(&files)), "{} refuses the client certificate: UnknownCA");
}

#[test]
fn plain_text_and_tls_are_told_apart() {
    let authority = Authority::new();
    let encrypted = start(with(&authority.issue("server", "IP:127.0.0.1")));
    // Netty ends a connection without a word if the first five bytes are no record of TLS.
    let silent = serve_text(|client| {
        let mut head = [0; 5];
        if client.read_exact(&mut head).is_ok() && head[..2] == [0x16, 3] {
            let _ = client.write_all(b"\x15\x03\x03\x00\x02\x02\x28");
        }
    });
    for address in [encrypted, silent] {
        let said = dial_by(&address.to_string(), SESSION_TIMEOUT, None);
        let expected = Said::Failed(format!("{address} speaks TLS, and this handle has no TLS options"));
        let began = Instant::now();
        let mut told = std::iter::from_fn(|| said.recv_timeout(LONG).ok()).take_while(|_| began.elapsed() < LONG);
        assert!(told.any(|told| told == expected), "{address}");
    }

    // A server in Java ends the connection when it reads a length that makes no sense.
    let plain = serve_text(|client| {
        let mut word = [0; 4];
        if client.read_exact(&mut word).is_ok() && &word == b"srvr" {
            let _ = client.write_all(b"Zookeeper version: 3.8.0\nMode: standalone\n");
        }
    });
    fails(plain, Some(trusts(&authority)), "{} does not speak TLS");
    let web = serve_text(|client| {
        let _ = client.read(&mut [0; 1_000]);
        let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    fails(web, Some(trusts(&authority)), "{} does not speak TLS");
}

fn serve_text(serve: fn(&mut std::net::TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            std::thread::spawn(move || serve(&mut client));
        }
    });
    address
}

/// The next server is dialled when the time of the handshake is over.
#[test]
fn a_handshake_that_stalls_is_given_up() {
    let authority = Authority::new();
    let server = authority.issue("server", "IP:127.0.0.1");
    for after in [0, 3, 200] {
        let address = peer::start(with(&server), Manner::Stall(after), peer::echo);
        let began = Instant::now();
        let cause = "{} takes the connection, but does not answer";
        fails_within(address, Duration::from_secs(10), Some(trusts(&authority)), cause);
        assert!(began.elapsed().as_millis() >= 2_000, "a fifth of the session timeout");
    }
}

#[test]
fn a_slow_handshake_succeeds() {
    let authority = Authority::new();
    let address = peer::start(with(&authority.issue("server", "IP:127.0.0.1")), Manner::Slow, peer::echo);
    assert_eq!(first(&address.to_string(), Some(trusts(&authority))), Said::Connected(address));
}

/// The files are read for each connection: what is there now counts.
#[test]
fn files_that_change_are_read_again() {
    let (old, new) = (Authority::new(), Authority::new());
    let address = start(with(&new.issue("server", "IP:127.0.0.1")));
    let file = old.path("trusted.pem");
    std::fs::copy(old.ca(), &file).unwrap();
    let said = dial_by(&address.to_string(), SESSION_TIMEOUT, Some(settings(file.to_str().unwrap())));
    let next = || said.recv_timeout(LONG).expect("something is said in time");
    let of_another = "the certificate of {} is not signed by an authority that is trusted here";
    assert_eq!(next(), Said::Failed(of_another.replace("{}", &address.to_string())));
    std::fs::remove_file(&file).unwrap();
    let missing = format!("no TLS with {address}: the CA file {}: no such file or directory", file.display());
    while next() != Said::Failed(missing.clone()) {}
    std::fs::copy(new.ca(), &file).unwrap();
    while next() != Said::Connected(address) {}
}
