//! Encrypted connections to real servers, which demand a certificate of each client.

use crate::candidates::{options, TestHandle};
use crate::ground::{one_server, the_log, LONG_MS, SOON};
use crate::witness::Witness;
use election::{set_log, ConnectionState, Error, Format, Handle, LogLevel, LogRecord, Options, Role};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use testkit::{eventually, Authority, Ensemble, Program, Release, ScratchFolder};

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

/// Waits until this is told of the connection, by an event; and the log and the dump tell it, too.
#[track_caller]
fn cause_is(hosts: &str, options: &Options, cause: &str) {
    let mut options = options.clone();
    options.set_connect_timeout(Duration::ZERO).unwrap();
    let _log = the_log();
    let log = listen();
    let handle = Handle::open(hosts, &options).unwrap();
    let (tell, told) = channel();
    handle
        .watch_connection(move |connection| drop(tell.send(connection.cause.clone().unwrap_or_default())))
        .unwrap();
    let mut heard = Vec::new();
    loop {
        let Ok(said) = told.recv_timeout(SOON) else { panic!("{heard:?}, where {cause:?} is expected") };
        if said.contains(cause) && said.contains(hosts) {
            break;
        }
        heard.push(said);
    }
    let is_told = |text: &str| text.lines().any(|line| line.contains(cause) && line.contains(hosts));
    eventually(SOON, "the log tells it", || is_told(&log.lock().unwrap_or_else(PoisonError::into_inner)));
    eventually(SOON, "the dump tells it", || is_told(&handle.dump(Format::Json).unwrap()));
    // The server may have refused us after it had heard that we want a session.
    let _ = handle.close();
    set_log(LogLevel::Off, |_: &LogRecord| {}).unwrap();
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
    // A certificate of the right authority may be wrong, too.
    let valid = "-days 3";
    let old = "-startdate 20200101000000Z -enddate 20200102000000Z";
    let coming = "-startdate 20900101000000Z -enddate 20910101000000Z";
    for (name, names, valid, what) in [
        ("zk1", "DNS:zk1,DNS:zk2", valid, "is for zk1, zk2, not for 127.0.0.1"),
        ("old", "IP:127.0.0.1", old, "has expired"),
        ("coming", "IP:127.0.0.1", coming, "is not valid yet"),
    ] {
        let impostor = Impostor::start(&secure.authority, name, names, valid);
        cause_is(&impostor.host, &files, &format!("the certificate of {} {what}", impostor.host));
        assert!(!impostor.has_connections(), "{}", impostor.program.transcript());
    }
}

/// openssl(1) with a certificate, in the place of a server. It answers nothing.
struct Impostor {
    program: Program,
    host: String,
}

impl Impostor {
    fn start(authority: &Authority, name: &str, names: &str, valid: &str) -> Impostor {
        let certificate = authority.issue_for(name, names, "-newkey ec -pkeyopt ec_paramgen_curve:P-256", valid);
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", "127.0.0.1:0", "-cert"]).arg(&certificate.certificate);
        let program = Program::spawn({
            command.arg("-key").arg(&certificate.key);
            command
        });
        let line = program.expect_text(SOON, "ACCEPT ").text;
        let host = line.trim_start_matches("ACCEPT ").trim().to_owned();
        Impostor { program, host }
    }

    /// Whether a client has taken it for its server.
    fn has_connections(&self) -> bool {
        self.program.transcript().contains("CIPHER is")
    }
}

/// ZooKeeper's own client, which reads a znode.
fn java(host: &str, ca: &Path, identity: &Path, path: &str, timeout: Duration) -> (bool, String) {
    let release = Release::in_use();
    let folder = ScratchFolder::new("java");
    let mut command = release.java(folder.path());
    let socket = release.class("org.apache.zookeeper.ClientCnxnSocketNetty");
    command.arg(format!("-Dzookeeper.clientCnxnSocket={socket}"));
    command.arg("-Dzookeeper.client.secure=true");
    for (store, file) in [("keyStore", identity), ("trustStore", ca)] {
        command.arg(format!("-Dzookeeper.ssl.{store}.location={}", file.display()));
        command.arg(format!("-Dzookeeper.ssl.{store}.type=PEM"));
    }
    command.arg(release.class("org.apache.zookeeper.ZooKeeperMain"));
    command.args([
        "-waitforconnection",
        "-timeout",
        &timeout.as_millis().to_string(),
        "-server",
        host,
        "get",
        path,
    ]);
    let program = Program::spawn(command);
    let status = program.wait(timeout + SOON).unwrap_or_else(|| panic!("{}", program.transcript()));
    (status.success(), program.transcript())
}

/// ZooKeeper's client in Java, with the same files, sees what a candidate of ours has written over TLS. Both refuse somebody in
/// the middle, whose certificate is for the right address and of another authority.
#[test]
fn the_client_in_java_sees_the_same_and_refuses_the_same() {
    const MAIN: &str = "org.apache.zookeeper.ZooKeeperMain";
    if Release::in_use().class(MAIN) != MAIN {
        println!("NOT RUN: these jars of ZooKeeper are for servers alone");
        return;
    }
    let secure = Secure::start(&[]);
    let ours = secure.authority.issue("ours", "DNS:ours");
    let ca = secure.authority.ca();
    let options = with(&ours.with_ca(&ca));
    let candidate = TestHandle::open_with(&secure.host(), &options).stand("/seen", "by both clients");
    candidate.becomes_master();
    let (is_well, said) = java(&secure.host(), &ca, &ours.both, "/seen", Duration::from_secs(60));
    assert!(is_well && said.contains("by both clients"), "{said}");
    candidate.handle.close().unwrap();

    let stranger = Authority::named("authority");
    let impostor = Impostor::start(&stranger, "server", "IP:127.0.0.1", "-days 3");
    let (is_well, said) = java(&impostor.host, &ca, &ours.both, "/seen", Duration::from_secs(5));
    assert!(!is_well && said.contains("CertPathValidatorException"), "{said}");
    cause_is(&impostor.host, &options, "is not signed by an authority that is trusted here");
    assert!(!impostor.has_connections(), "{}", impostor.program.transcript());
    // Who trusts it is taken in.
    let mut options = with(&stranger.ca().display().to_string());
    options.set_connect_timeout(Duration::ZERO).unwrap();
    let taken_in = Handle::open(&impostor.host, &options).unwrap();
    eventually(SOON, "the impostor has a client", || impostor.has_connections());
    // It has heard that a session is wanted.
    let _ = taken_in.close();
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
    // The key is missing for a while.
    let (key, elsewhere) = (secure.authority.path("rotated.encrypted"), secure.authority.path("elsewhere"));
    let missing =
        format!("no TLS with {}: the key file {}: no such file or directory", line.address, key.display());
    fs::rename(&key, &elsewhere).unwrap();
    eventually(SOON, "what is missing is told", || {
        states.lock().unwrap().iter().any(|(_, cause)| *cause == missing)
    });
    assert!(handle.dump(Format::Json).unwrap().contains(&missing));
    fs::rename(&elsewhere, &key).unwrap();
    fs::copy(&new, &old).unwrap();
    eventually(SOON, "the connection is back", || {
        states.lock().unwrap().last().is_some_and(|(state, _)| *state == ConnectionState::Connected)
    });
    interrogation.end().are_always_yes(token);
    assert!(handle.wait("/rotated", Role::Master, SOON).is_ok());
    handle.close().unwrap();

    set_log(LogLevel::Off, |_: &LogRecord| {}).unwrap();
    let log = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(log.contains(&refused) && log.contains(&missing), "the log tells it too: {log}");
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
    authority.openssl("pkcs8 -topk8 -in us.key -v2 aes-256-cbc -passout pass:secret -out locked.key");
    let (malformed, locked) = (authority.path("malformed.pem"), authority.path("locked.key"));
    fs::write(&malformed, "-----BEGIN CERTIFICATE-----\nMIIB!!\n-----END CERTIFICATE-----\n").unwrap();
    let with_locked =
        format!("{},{},{}", authority.ca().display(), certificate.certificate.display(), locked.display());
    for (files, fault) in [
        (missing.display().to_string(), format!("the CA file {}: no such file or directory", missing.display())),
        (
            format!("{},{}", authority.ca().display(), certificate.certificate.display()),
            format!(
                "the key file {}: there is no private key in PEM format in it",
                certificate.certificate.display()
            ),
        ),
        (
            malformed.display().to_string(),
            format!("the CA file {}: after 0 certificates, it is not PEM", malformed.display()),
        ),
        (
            format!("{with_locked},sekret"),
            format!("the key file {}: the password does not open the key", locked.display()),
        ),
        (
            with_locked.clone(),
            format!("the key file {}: the key is encrypted, and there is no password", locked.display()),
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
