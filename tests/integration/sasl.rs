//! SASL with real servers: DIGEST-MD5, which they offer or demand, through all that happens to a session.

use crate::candidates::{options, TestHandle};
use crate::ground::{one_server, the_log, LONG_MS, SHORT_MS, SOON};
use crate::witness::Witness;
use election::{set_log, Connection, ConnectionState, Error, Format, Handle, LogLevel, LogRecord, Options, Role};
use std::fs;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use testkit::{eventually, wait_until, Ensemble, EnsembleBuilder, Release, ScratchFolder};

const AUTHFAILED: i32 = -115;
const PASSWORD: &str = "the secret, of \"app\"";
const ALL: i32 = 31;

/// The servers' JAAS file: one user, with this password.
fn jaas(password: &str) -> String {
    let password = password.replace('"', "\\\"");
    format!(
        "Server {{\n  org.apache.zookeeper.server.auth.DigestLoginModule required\n  user_app=\"{password}\"\n  \
         user_other=\"other\";\n}};\n"
    )
}

fn offering(len: usize) -> EnsembleBuilder {
    Ensemble::builder(len).jaas(&jaas(PASSWORD))
}

fn demanding(len: usize) -> EnsembleBuilder {
    offering(len).java_arg("-Dzookeeper.sessionRequireClientSASLAuth=true")
}

/// Password files.
struct Files(ScratchFolder);

impl Files {
    fn new() -> Files {
        Files(ScratchFolder::new("passwords"))
    }

    /// The file's name.
    fn write(&self, name: &str, password: &str) -> String {
        let file = self.0.path().join(name);
        fs::write(&file, format!("{password}\n")).unwrap();
        file.display().to_string()
    }
}

fn with(session_timeout_ms: u64, user: &str, password_file: &str) -> Options {
    let mut options = options(session_timeout_ms);
    for (name, value) in [("mechanism", "DIGEST-MD5"), ("user", user), ("password_file", password_file)] {
        options.set_sasl(name, value).unwrap();
    }
    options
}

/// What a handle tells of its connection.
struct States(Arc<Mutex<Vec<Connection>>>);

impl States {
    fn of(handle: &Handle) -> States {
        let states = States(Arc::default());
        let told = states.0.clone();
        handle.watch_connection(move |connection| told.lock().unwrap().push(connection.clone())).unwrap();
        states
    }

    fn last(&self) -> Option<Connection> {
        self.0.lock().unwrap().last().cloned()
    }

    fn is_connected(&self) -> bool {
        self.last().is_some_and(|connection| connection.state == ConnectionState::Connected)
    }

    fn session(&self) -> i64 {
        eventually(SOON, "a session", || self.is_connected());
        self.last().unwrap().session_id
    }

    /// Whether this was told while there was no connection.
    fn have_told(&self, cause: &str) -> bool {
        let is_told = |connection: &Connection| connection.cause.as_ref().is_some_and(|said| said.contains(cause));
        self.0.lock().unwrap().iter().any(is_told)
    }

    fn were(&self, state: ConnectionState) -> bool {
        self.0.lock().unwrap().iter().any(|connection| connection.state == state)
    }
}

/// What ZooKeeper's client in Java says of the access control list of the master, as this user.
fn java(host: &str, user: &str, password: &str) -> String {
    let (release, folder) = (Release::in_use(), ScratchFolder::new("java"));
    let jaas = folder.path().join("jaas.conf");
    let password = password.replace('"', "\\\"");
    let module = "org.apache.zookeeper.server.auth.DigestLoginModule";
    let text = format!("Client {{ {module} required username=\"{user}\" password=\"{password}\"; }};");
    fs::write(&jaas, text).unwrap();
    let mut client = release.java(folder.path());
    client.arg(format!("-Djava.security.auth.login.config={}", jaas.display()));
    client.arg(release.class("org.apache.zookeeper.ZooKeeperMain"));
    client.args(["-server", host, "getAcl", "/sasl/path"]).stdin(Stdio::null());
    let done = client.output().expect("java");
    [done.stdout, done.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat()
}

/// Nobody but `app` may do anything with the znodes, and `app` keeps its mastership when its server is killed. It goes on
/// with a new session when all were gone.
#[test]
fn servers_that_demand_sasl() {
    let (ensemble, files) = (demanding(3).start(), Files::new());
    let file = files.write("app", PASSWORD);
    let mut options = with(LONG_MS, "app", &file);
    options.add_acl(ALL, "sasl", "app").unwrap();
    let first = TestHandle::open_with(&ensemble.hosts(), &options).stand("/sasl/path", "one");
    let token = first.becomes_master();
    let second = TestHandle::open_with(&ensemble.hosts(), &options).stand("/sasl/path", "two");
    assert_eq!(second.becomes_slave_of("one"), token);
    // Java's own client sees whose it is, and sees nothing as somebody else.
    let host = ensemble.host(0);
    let said = java(&host, "app", PASSWORD);
    assert!(said.contains("'sasl,'app\n: cdrwa"), "{said}");
    let said = java(&host, "other", "other");
    assert!(said.contains("Insufficient permission") && !said.contains("cdrwa"), "{said}");

    let states = States::of(&first.handle);
    let session = states.session();
    let server = ensemble.server_of_session(session).expect("its server");
    let interrogation = first.interrogate();
    ensemble.kill9(server);
    eventually(SOON, "it is connected again", || states.were(ConnectionState::Suspended) && states.is_connected());
    interrogation.end().are_always_yes(token);
    assert_eq!(states.session(), session, "it is resumed");
    assert_ne!(ensemble.server_of_session(session), Some(server));
    ensemble.start_server(server);
    ensemble.wait_all_serving();

    // Another user of SASL may not even look.
    let other = with(LONG_MS, "other", &files.write("other", "other"));
    let other = TestHandle::open_with(&ensemble.hosts(), &other);
    assert_eq!(other.master("/sasl/path", SOON).err(), Some(Error::ZooKeeper(-102)));

    // One whose session ends meanwhile.
    let short = TestHandle::open_with(&ensemble.hosts(), &with(SHORT_MS, "app", &file)).stand("/sasl/other", "one");
    eventually(SOON, "it is master", || short.is_master());
    let states = States::of(&short.handle);
    let session = states.session();
    ensemble.stop_all();
    eventually(SOON, "its session is over", || states.were(ConnectionState::Expired));
    ensemble.start_all();
    ensemble.wait_all_serving();
    eventually(SOON, "it is master in another session", || short.is_master());
    assert_ne!(states.session(), session);
}

/// Waits until this is told of the connection to this server.
#[track_caller]
fn cause_is(hosts: &str, options: &Options, cause: &str) {
    let mut options = options.clone();
    options.set_connect_timeout(Duration::ZERO).unwrap();
    let handle = Handle::open(hosts, &options).unwrap();
    let states = States::of(&handle);
    if !wait_until(SOON, || states.have_told(cause)) {
        panic!("{:?}, where {cause:?} is expected", states.0.lock().unwrap());
    }
    assert!(states.have_told(hosts) && handle.dump(Format::Json).unwrap().contains("DIGEST-MD5"));
}

#[test]
fn each_refusal_has_its_cause() {
    let (ensemble, files) = (demanding(1).start(), Files::new());
    let host = ensemble.host(0);
    let good = files.write("app", PASSWORD);
    let wrong = with(LONG_MS, "app", &files.write("wrong", "wrong"));
    let refused = "refuses the user \"app\" of SASL: no such user, or a wrong password";
    cause_is(&host, &wrong, refused);
    // Who opens the handle and waits is told at once.
    assert_eq!(Handle::open(&host, &wrong).err(), Some(Error::ZooKeeper(AUTHFAILED)));
    let said = Error::ZooKeeper(AUTHFAILED).detail().unwrap_or_default();
    assert!(said.contains(refused), "{said}");
    // With the right password of the one who came before, the server would take it: its callback handler keeps that name.
    cause_is(&host, &with(LONG_MS, "nobody", &files.write("nobody", "x")), "refuses the user \"nobody\" of SASL");
    let mut realm = with(LONG_MS, "app", &good);
    realm.set_sasl("realm", "elsewhere").unwrap();
    cause_is(&host, &realm, "the realm is to be \"elsewhere\", and the server has \"zk-sasl-md5\"");
    let mut uri = with(LONG_MS, "app", &good);
    uri.set_sasl("host", "elsewhere").unwrap();
    cause_is(&host, &uri, "refuses the user \"app\" of SASL");
    // One that has no SASL.
    cause_is(&one_server().host(0), &with(LONG_MS, "app", &good), "does no SASL");

    // A handle without SASL where it is demanded.
    assert_eq!(Handle::open(&host, &options(LONG_MS)).err(), Some(Error::ZooKeeper(AUTHFAILED)));
    let said = Error::ZooKeeper(AUTHFAILED).detail().unwrap_or_default();
    assert!(said.contains("which demand SASL or another credential than there is"), "{said}");
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

/// The password is changed under a master: first in the file alone, then at the servers. What is there at the time of a
/// connection counts, and the handle goes on by itself.
#[test]
fn the_password_is_read_anew_for_each_connection() {
    let (ensemble, files) = (offering(1).start(), Files::new());
    let file = files.write("app", PASSWORD);
    let _log = the_log();
    let log = listen();
    let handle = TestHandle::open_with(&ensemble.host(0), &with(LONG_MS, "app", &file));
    let states = States::of(&handle);
    let candidate = handle.stand("/changed", "one");
    candidate.becomes_master();
    // The servers offer SASL, and demand it of nobody.
    assert_eq!(Witness::new(&ensemble.host(0)).read("/changed").unwrap().value, b"one");

    const NEXT: &str = "the next secret";
    ensemble.set_jaas(0, &jaas(NEXT));
    ensemble.restart(0);
    eventually(SOON, "the old password is refused", || states.have_told("refuses the user \"app\" of SASL"));
    fs::remove_file(&file).unwrap();
    eventually(SOON, "there is none", || states.have_told(": no such file or directory"));
    let dump = handle.dump(Format::Json).unwrap();
    files.write("app", NEXT);
    eventually(SOON, "the connection is back", || states.is_connected());
    assert!(handle.wait("/changed", Role::Master, SOON).is_ok());
    handle.close().unwrap();

    set_log(LogLevel::Off, |_: &LogRecord| {}).unwrap();
    let log = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(log.contains("refuses the user \"app\" of SASL"), "the log tells it too: {log}");
    assert!(dump.contains("\"password_file\""), "{dump}");
    for text in [&log, &dump, &format!("{:?}", with(LONG_MS, "app", &file))] {
        assert!(![PASSWORD, NEXT, "the secret"].iter().any(|secret| text.contains(secret)), "{text}");
    }
}

/// Nothing is opened if something is missing.
#[test]
fn open_says_at_once_what_is_missing() {
    let files = Files::new();
    let missing = files.0.path().join("none").display().to_string();
    let empty = files.write("empty", "");
    for (file, fault) in [(&missing, "no such file or directory"), (&empty, "its first line is empty")] {
        let error = Handle::open("127.0.0.1:1", &with(LONG_MS, "app", file)).err();
        assert_eq!(error, Some(Error::BadSasl));
        assert_eq!(Error::BadSasl.detail(), Some(format!("the password file {file}: {fault}")));
    }
    let mut options = Options::default();
    options.set_sasl("user", "app").unwrap();
    assert_eq!(Handle::open("127.0.0.1:1", &options).err(), Some(Error::BadSasl));
    assert_eq!(Error::BadSasl.detail().as_deref(), Some("there are parameters, but no mechanism"));
    assert_eq!(options.set_sasl("mechanism", "PLAIN"), Err(Error::BadSasl));
}
