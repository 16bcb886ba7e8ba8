//! Encrypted connections to real servers, which demand a certificate of each client.

use crate::candidates::{options, TestHandle};
use crate::ground::{one_server, the_log, LONG_MS, SOON};
use crate::witness::Witness;
use election::{set_log, ConnectionState, Error, Format, Handle, LogLevel, LogRecord, Options, Role};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use testkit::{eventually, Authority, Ensemble};

/// A handshake has a fifth of it, which is more than a JVM takes for its first one on a busy machine.
const SESSION_TIMEOUT_MS: u64 = 100_000;

const PASSWORD: &str = "the secret, of a key";

/// One server, and the authority that both sides have a certificate of.
struct Secure {
    authority: Arc<Authority>,
    ensemble: Ensemble,
}

impl Secure {
    fn start(config_lines: &[&str]) -> Secure {
        let authority = Arc::new(Authority::new());
        let builder = Ensemble::builder(1).tls(&authority).max_session_timeout_ms(SESSION_TIMEOUT_MS as u32);
        let ensemble = config_lines.iter().fold(builder, |builder, line| builder.config_line(line)).start();
        Secure { authority, ensemble }
    }

    fn host(&self) -> String {
        self.ensemble.tls_host(0)
    }

    /// The string for a certificate of the authority, whose key is encrypted.
    fn files(&self, name: &str) -> String {
        let certificate = self.authority.issue(name, &format!("DNS:{name}"));
        let key = self.authority.path(&format!("{name}.encrypted"));
        fs::write(self.authority.path("password"), PASSWORD).unwrap();
        let arguments = format!(
            "pkcs8 -topk8 -v2 aes-256-cbc -in {} -out {} -passout file:password",
            certificate.key.display(),
            key.display()
        );
        self.authority.openssl(&arguments);
        let ca = self.authority.ca();
        format!("{},{},{},{PASSWORD}", ca.display(), certificate.certificate.display(), key.display())
    }
}

fn with(files: &str) -> Options {
    let mut options = options(SESSION_TIMEOUT_MS);
    options.set_tls(files).unwrap();
    options
}

/// A line to a server that knows nothing of what it carries.
struct Line {
    address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Line {
    /// The server's certificate is for its address, and the line listens at a port beside it.
    fn to(host: &str) -> Line {
        let server: SocketAddr = host.parse().unwrap();
        let listener = TcpListener::bind((server.ip(), 0)).unwrap();
        let line = Line { address: listener.local_addr().unwrap(), open: Arc::default() };
        let open = line.open.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(server) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || carry(from, to));
                }
                open.lock().unwrap_or_else(PoisonError::into_inner).extend([client, server]);
            }
        });
        line
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut piece = [0; 4_096];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Waits until this is told of the connection.
#[track_caller]
fn cause_is(hosts: &str, options: &Options, cause: &str) {
    let mut options = options.clone();
    options.set_connect_timeout(Duration::ZERO).unwrap();
    let handle = Handle::open(hosts, &options).unwrap();
    let (tell, told) = channel();
    handle
        .watch_connection(move |connection| drop(tell.send(connection.cause.clone().unwrap_or_default())))
        .unwrap();
    let mut heard = Vec::new();
    while let Ok(said) = told.recv_timeout(SOON) {
        if said.contains(cause) && said.contains(hosts) {
            return;
        }
        heard.push(said);
    }
    panic!("{heard:?}, where {cause:?} is expected");
}

#[test]
fn an_election_is_the_same_and_its_bytes_are_encrypted() {
    let secure = Secure::start(&[]);
    let [first, second] = ["first", "second"].map(|name| with(&secure.files(name)));
    let first = TestHandle::open_with(&secure.host(), &first).stand("/tls", "one");
    let token = first.becomes_master();
    let long = "x".repeat(500_000);
    let second = TestHandle::open_with(&secure.host(), &second).stand("/tls", &long);
    assert_eq!(second.becomes_slave_of("one"), token);
    let witness = Witness::new(&secure.ensemble.host(0));
    first.resign();
    assert!(second.becomes_master() > token);
    assert_eq!(witness.read("/tls").unwrap().value, long.as_bytes());
    let lease = second.lease().expect("a lease");
    assert!(lease.left > Duration::from_millis(SESSION_TIMEOUT_MS / 4), "{lease:?}");
    second.handle.close().unwrap();
    witness.wait_gone("/tls");

    // What each server refuses, and what we refuse, has its own cause.
    let stranger = Authority::named("stranger");
    let ca = secure.authority.ca();
    let host = secure.host();
    for (files, what) in [
        (ca.display().to_string(), "demands a client certificate, and there is none"),
        (stranger.issue("they", "DNS:they").with_ca(&ca), "refuses the client certificate: "),
        (stranger.ca().display().to_string(), "is not signed by an authority that is trusted here"),
    ] {
        cause_is(&host, &with(&files), what);
    }
    cause_is(&host, &options(LONG_MS), "speaks TLS, and this handle has no TLS options");
    // Netty's plain port, and that of the other implementation.
    let files = with(&secure.files("third"));
    for plain in [secure.ensemble.host(0), one_server().host(0)] {
        cause_is(&plain, &files, "does not speak TLS");
    }
}

/// The log of this process.
fn listen() -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let lines = log.clone();
    set_log(LogLevel::Debug, move |record: &LogRecord| {
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push_str(&record.message);
        lines.push('\n');
    })
    .unwrap();
    log
}

/// The certificate is exchanged under a master: first by one that the server refuses, then by another good one. Each
/// connection takes what is there at its time, and the master stays master.
#[test]
fn files_are_read_anew_for_each_connection() {
    let secure = Secure::start(&["ssl.protocol=TLSv1.2", "ssl.enabledProtocols=TLSv1.2"]);
    let line = Line::to(&secure.host());
    let files = secure.files("rotated");
    let [old, new] = ["rotated.crt", "new.crt"].map(|name| secure.authority.path(name));
    secure.authority.issue_for("new", "DNS:new", "-key rotated.key", "-days 3");
    // The key goes with neither.
    let other = Authority::named("stranger");
    fs::copy(secure.authority.path("rotated.key"), other.path("rotated.key")).unwrap();
    other.issue_for("bad", "DNS:bad", "-key rotated.key", "-days 3");

    let _log = the_log();
    let log = listen();
    let handle = TestHandle::open_with(&line.address.to_string(), &with(&files));
    let states = Arc::new(Mutex::new(Vec::new()));
    let told = states.clone();
    handle
        .watch_connection(move |connection| {
            told.lock().unwrap().push((connection.state, connection.cause.as_deref().unwrap_or("").to_owned()));
        })
        .unwrap();
    let candidate = handle.stand("/rotated", "one");
    let token = candidate.becomes_master();
    let interrogation = candidate.interrogate();

    fs::copy(other.path("bad.crt"), &old).unwrap();
    line.cut();
    let refused = format!("{} refuses the client certificate: ", line.address);
    let is_refused = |states: &Vec<(ConnectionState, String)>| {
        states.iter().any(|(state, cause)| *state == ConnectionState::Suspended && cause.starts_with(&refused))
    };
    eventually(SOON, "the cause is told", || is_refused(&states.lock().unwrap()));
    let dump = handle.dump(Format::Json).unwrap();
    assert!(dump.contains(&refused) && dump.contains("\"verify_host\""), "{dump}");
    fs::copy(&new, &old).unwrap();
    eventually(SOON, "the connection is back", || {
        states.lock().unwrap().last().is_some_and(|(state, _)| *state == ConnectionState::Connected)
    });
    interrogation.end().are_always_yes(token);
    assert!(handle.wait("/rotated", Role::Master, SOON).is_ok());
    handle.close().unwrap();

    set_log(LogLevel::Off, |_: &LogRecord| {}).unwrap();
    let log = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(log.contains(&refused), "the log tells it too: {log}");
    for text in [&log, &dump, &format!("{:?}", with(&files))] {
        assert!(!text.contains(PASSWORD) && !text.contains("PRIVATE KEY"), "{text}");
    }
}

/// Nothing is opened if a file cannot be used.
#[test]
fn open_says_at_once_which_file_cannot_be_used() {
    let authority = Authority::new();
    let certificate = authority.issue("us", "DNS:us");
    let missing = authority.path("none.pem");
    for (files, fault) in [
        (missing.display().to_string(), format!("the CA file {}: no such file or directory", missing.display())),
        (
            format!("{},{}", authority.ca().display(), certificate.certificate.display()),
            format!(
                "the key file {}: there is no private key in PEM format in it",
                certificate.certificate.display()
            ),
        ),
    ] {
        let error = Handle::open("127.0.0.1:1", &with(&files)).err();
        assert_eq!(error, Some(Error::BadTls));
        assert_eq!(Error::BadTls.detail(), Some(fault));
    }
    let mut options = Options::default();
    assert_eq!(options.set_tls(",,key"), Err(Error::BadTls));
    assert_eq!(Error::BadTls.detail().as_deref(), Some("there is a key, but no certificate"));
}
