//! To look inside, while the things happen that one looks for: a broken connection, a session that is over, a lease that
//! runs out.

use crate::candidates::{options, Ear, TestHandle};
use crate::ground::{one_server, the_log, LONG_MS, SHORT_MS, SOON};
use crate::relays::expire;
use election::{set_log, Connection, ConnectionState, Error, Format, Handle, LogLevel, LogRecord, Reason, Role};
use std::sync::mpsc::{channel, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testkit::{eventually, Relay};

/// What both callbacks of a handle hear, in order.
struct Both(Receiver<String>);

impl Both {
    fn hear(handle: &TestHandle, path: &str) -> Both {
        let (tell, heard) = channel();
        let tell_role = tell.clone();
        let mut former = None;
        let on_connection = move |connection: &Connection| {
            // The same state comes again, with the cause.
            if former.replace(connection.state) != Some(connection.state) {
                let _ = tell.send(format!("connection {:?}", connection.state));
            }
        };
        handle.watch_connection(on_connection).unwrap();
        handle
            .go_to_election(path, b"mine", move |event| drop(tell_role.send(format!("role {:?}", event.reason))))
            .unwrap();
        Both(heard)
    }

    #[track_caller]
    fn hears(&self, expected: &[&str]) {
        for word in expected {
            assert_eq!(self.0.recv_timeout(SOON).as_deref(), Ok(*word));
        }
    }
}

#[track_caller]
fn next(ear: &Ear<Connection>, state: ConnectionState, rc: i32) -> Connection {
    let mut connection = ear.next().news;
    // It may be told once more, with the cause.
    if connection.cause.is_some() && connection.state != state {
        connection = ear.next().news;
    }
    assert_eq!((connection.state, connection.rc), (state, rc), "{connection:?}");
    connection
}

#[test]
fn each_state_of_the_connection_is_told() {
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    let candidate = handle.stand("/inside-states", "mine");
    candidate.becomes_master();
    let (ear, callback) = Ear::new();
    handle.watch_connection(callback).unwrap();
    let first = next(&ear, ConnectionState::Connected, 0);
    assert_eq!(first.session_id, relay.session().unwrap().id);
    assert_eq!(first.session_timeout, Duration::from_millis(LONG_MS));

    // A master's session is held on to.
    relay.refuse(true);
    relay.cut_all();
    assert_eq!(
        next(&ear, ConnectionState::Suspended, -4),
        Connection { state: ConnectionState::Suspended, rc: -4, ..first.clone() }
    );
    relay.refuse(false);
    assert_eq!(next(&ear, ConnectionState::Connected, 0), first, "the same session");
    assert!(candidate.is_master());

    let expired = expire(&ensemble, &relay);
    next(&ear, ConnectionState::Suspended, -4);
    let over = next(&ear, ConnectionState::Expired, -112);
    assert_eq!(over.session_id, expired.id);
    let connecting = next(&ear, ConnectionState::Connecting, -112);
    assert_eq!((connecting.session_id, connecting.session_timeout), (0, Duration::ZERO));
    // Where the first attempt comes too early.
    let mut second = ear.next().news;
    if second.state == ConnectionState::Connecting {
        second = ear.next().news;
    }
    assert_eq!(second.state, ConnectionState::Connected);
    assert_ne!(second.session_id, first.session_id);
    let counters = handle.counters().unwrap();
    assert_eq!((counters.sessions_opened, counters.sessions_expired, counters.sessions_renewed), (2, 1, 0));
    assert_eq!((counters.connections, counters.suspensions), (3, 2));
    eventually(SOON, "it is master again", || candidate.is_master());

    let _ = handle.close();
    next(&ear, ConnectionState::Closed, -116);
    ear.hears_no_more();
}

/// The cause of an outage is told with the state that it keeps, and again when it is another one. Afterwards it is still known.
#[test]
fn a_cause_that_changes_is_told_again() {
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    relay.refuse(true);
    let handle = TestHandle::try_open(&relay.host(), LONG_MS, Duration::ZERO).unwrap();
    let (ear, callback) = Ear::new();
    handle.watch_connection(callback).unwrap();
    let cause_of = |state, what: &str| loop {
        let connection: Connection = ear.next().news;
        let Some(cause) = connection.cause else { continue };
        assert_eq!((connection.state, connection.rc), (state, -4));
        assert!(cause.contains(&relay.host()) && cause.contains(what), "{cause}");
        return;
    };
    cause_of(ConnectionState::Connecting, "ends the connection at once");
    relay.refuse(false);
    relay.blackhole(true);
    cause_of(ConnectionState::Connecting, "takes the connection, but does not answer");
    let known = handle.connect_failure().unwrap();
    assert!(known.is_some_and(|cause| cause.contains("does not answer")));
    relay.blackhole(false);
    eventually(SOON, "it is connected", || ear.next().news.state == ConnectionState::Connected);

    // A session that may live on: a master's, which is held on to.
    let candidate = handle.stand("/inside-cause", "mine");
    candidate.becomes_master();
    relay.refuse(true);
    relay.cut_all();
    cause_of(ConnectionState::Suspended, "ends the connection at once");
    relay.refuse(false);
    eventually(SOON, "it is connected again", || ear.next().news.state == ConnectionState::Connected);
    let known = handle.connect_failure().unwrap();
    assert!(known.is_some_and(|cause| cause.contains("ends the connection at once")), "that is still known");
    let dump = handle.dump(Format::Json).unwrap();
    assert!(dump.contains("\"cause\": null") && dump.contains("\"last_failure\": {\"ago_ms\": "), "{dump}");
}

/// A dump says when the lease is renewed next; without a connection it is not.
#[test]
fn nothing_is_renewed_without_a_connection() {
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let candidate = TestHandle::open(&relay.host()).stand("/inside-renewal", "mine");
    candidate.becomes_master();
    assert!(!candidate.handle.dump(Format::Json).unwrap().contains("\"next_renewal_in_ms\": null"));
    relay.refuse(true);
    relay.cut_all();
    eventually(SOON, "the break is seen", || {
        candidate.handle.dump(Format::Json).unwrap().contains("\"next_renewal_in_ms\": null")
    });
}

/// A bad argument is named: which host, which path, which time.
#[test]
fn an_error_says_which_part_is_bad() {
    let refused = Handle::open("127.0.0.1:1/app,127.0.0.1:2", &options(LONG_MS)).map(drop).unwrap_err();
    assert_eq!(refused, Error::BadHosts);
    assert!(refused.detail().unwrap().contains("\"/app,127.0.0.1:2\" has a comma"), "{:?}", refused.detail());
    assert_eq!(Error::BadPath.detail(), None, "that one has not failed");
    let late = options(LONG_MS).set_grace(Duration::from_secs(3_601)).unwrap_err();
    assert_eq!(late.detail().as_deref(), Some("a grace delay of 3601000 ms is not in 0 to 3600000 ms"));
    let handle = TestHandle::try_open("127.0.0.1:1", LONG_MS, Duration::ZERO).unwrap();
    let relative = handle.go_to_election("jobs", b"", |_| {}).unwrap_err();
    assert_eq!(relative.detail().as_deref(), Some("the path \"jobs\" does not begin with /"));
    let elsewhere = std::thread::spawn(move || relative.detail());
    assert_eq!(elsewhere.join().unwrap(), None, "a thread has failures of its own");
}

/// Whoever hears of the connection and of a role hears first what the other follows from.
#[test]
fn the_connection_is_told_before_what_follows_from_it() {
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    let master = TestHandle::open(&ensemble.hosts()).stand("/inside-order", "master");
    master.becomes_master();
    let both = Both::hear(&handle, "/inside-order");
    both.hears(&["connection Connected", "role Following"]);
    relay.refuse(true);
    relay.cut_all();
    // A slave holds no znode: after a second it tries a fresh session.
    both.hears(&["connection Suspended", "role Suspended", "connection Connecting"]);
    let dump = handle.dump(Format::Json).unwrap();
    assert!(dump.contains("\"state\": \"connecting\""), "{dump}");
    relay.refuse(false);
    both.hears(&["connection Connected", "role Following"]);
    assert_eq!(handle.counters().unwrap().sessions_renewed, 1);
    let _ = handle.close();
    both.hears(&["role Closed", "connection Closed"]);
    assert!(both.0.recv_timeout(SOON).is_err(), "and nothing more");
}

/// Refused credentials are the end of a handle's connection, and whoever asks later hears that at once.
#[test]
fn refused_credentials_close_the_connection() {
    const AUTHFAILED: i32 = -115;
    let ensemble = one_server();
    let mut refused = options(LONG_MS);
    refused.set_connect_timeout(Duration::ZERO).unwrap();
    refused.add_auth("no-such-scheme", CREDENTIAL.as_bytes()).unwrap();
    // Nobody is there at first, so that what is heard before the refusal is known.
    let relay = Relay::start(ensemble.addr(0));
    relay.refuse(true);
    let handle = TestHandle::open_with(&relay.host(), &refused);
    let (ear, callback) = Ear::new();
    handle.watch_connection(callback).unwrap();
    let mut last = ear.next().news;
    relay.refuse(false);
    while last.state == ConnectionState::Connecting {
        last = ear.next().news;
    }
    assert_eq!((last.state, last.rc, last.session_id), (ConnectionState::Closed, AUTHFAILED, 0));
    assert_eq!(last.cause, Some(format!("authentication refused by {}", relay.host()).into()));
    assert_eq!(handle.connect_failure().unwrap(), last.cause);
    ear.hears_no_more();

    handle.unwatch_connection().unwrap();
    let (late, callback) = Ear::new();
    handle.watch_connection(callback).unwrap();
    next(&late, ConnectionState::Closed, AUTHFAILED);
    assert_eq!(handle.go_to_election("/inside-refused", b"", |_| {}), Err(Error::ZooKeeper(AUTHFAILED)));
    assert_eq!(handle.wait("/inside-refused", Role::Master, SOON), Err(Error::NotThere));
    let dump = handle.dump(Format::Json).unwrap();
    assert!(dump.contains("\"state\": \"closed\", \"rc\": -115"), "{dump}");
    holds_no_secret(&dump, &[CREDENTIAL.as_bytes()]);
    let _ = handle.close();
    late.hears_no_more();
}

/// What a handle presents to the servers, and a value: neither has a place in a log.
const CREDENTIAL: &str = "operator:open sesame";

/// How a secret may be written.
fn spellings(secret: &[u8]) -> [String; 4] {
    let hex = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let escaped = secret.escape_ascii().to_string();
    [hex, format!("{secret:?}"), format!("{secret:x?}"), escaped]
}

#[track_caller]
fn holds_no_secret(text: &str, secrets: &[&[u8]]) {
    let lowered = text.to_lowercase();
    for secret in secrets {
        for spelling in spellings(secret) {
            assert!(!lowered.contains(&spelling.to_lowercase()), "{spelling} in {text}");
        }
    }
}

/// The log is the process's, so one test at a time listens to it.
#[test]
fn the_log_tells_what_went_wrong_and_no_secrets() {
    const PATH: &str = "/inside-log";
    let ensemble = one_server();
    let _log = the_log();
    let records = Arc::new(Mutex::new(Vec::<LogRecord>::new()));
    let kept = records.clone();
    set_log(LogLevel::Debug, move |record| kept.lock().unwrap().push(record.clone())).unwrap();
    let relay = Relay::start(ensemble.addr(0));
    let mut opened_with = options(SHORT_MS);
    opened_with.set_lease_margin(Duration::from_millis(SHORT_MS / 5)).unwrap();
    opened_with.add_auth("digest", CREDENTIAL.as_bytes()).unwrap();
    assert!(!format!("{opened_with:?}").contains("sesame"), "{opened_with:?}");
    let handle = TestHandle::open_with(&relay.host(), &opened_with);
    let candidate = handle.stand(PATH, "what stands in a znode");
    candidate.becomes_master();
    let session = relay.session().unwrap();
    relay.refuse(true);
    relay.cut_all();
    candidate.lapses();
    let dump = handle.dump(Format::Json).unwrap();
    holds_no_secret(&dump, &[CREDENTIAL.as_bytes(), b"open sesame", &session.password]);
    let text = handle.dump(Format::Text).unwrap();
    holds_no_secret(&text, &[CREDENTIAL.as_bytes(), b"open sesame", &session.password]);
    assert!(text.contains("lease expired") && text.contains("it ran out"), "{text}");
    assert!(
        dump.contains("\"reason\": \"lease expired\"") && dump.contains("\"why_not\": \"it ran out\""),
        "{dump}"
    );
    assert_eq!(handle.counters().unwrap().leases_expired, 1);
    relay.refuse(false);
    candidate.check_master(&candidate.next_but_for(&[Reason::Suspended, Reason::Expired]));
    expire(&ensemble, &relay);
    candidate.expires();
    let id = handle.id();
    let _ = handle.close();
    // Refused ones are the likeliest to be complained of.
    let mut unknown = options(SHORT_MS);
    unknown.add_auth("no-such-scheme", b"open sesame").unwrap();
    assert_eq!(Handle::open(&ensemble.hosts(), &unknown).map(drop), Err(Error::ZooKeeper(-115)));
    set_log(LogLevel::Off, |_| {}).unwrap();

    let records: Vec<LogRecord> = std::mem::take(&mut *records.lock().unwrap());
    let ours: Vec<&LogRecord> = records.iter().filter(|record| record.handle == id).collect();
    let find = |level, text: &str| {
        let found = ours.iter().find(|record| record.level == level && record.message.contains(text));
        *found.unwrap_or_else(|| panic!("no {level:?} of {text:?} in {ours:#?}"))
    };
    find(LogLevel::Info, "opened for 127.");
    assert_eq!(find(LogLevel::Info, "connected: session").session_id, session.id);
    assert_eq!(find(LogLevel::Info, "master, elected").path.as_deref(), Some(PATH));
    find(LogLevel::Warn, "the connection broke");
    find(LogLevel::Warn, "unknown, lease expired (rc -1017");
    let arithmetic = &find(LogLevel::Warn, "the lease that ran out: {").message;
    for part in ["\"holds\": false", "\"why_not\": \"it ran out\"", "\"margin_ms\": 400", "\"anchor_ago_ms\": "] {
        assert!(arithmetic.contains(part), "{arithmetic}");
    }
    find(LogLevel::Debug, &format!("create {PATH}"));
    find(LogLevel::Info, "closed");
    let refused = records.iter().find(|record| record.level == LogLevel::Error && record.message.contains("-115"));
    assert!(refused.is_some_and(|record| record.handle != id), "{records:#?}");
    let secrets = [&session.password, CREDENTIAL.as_bytes(), b"open sesame", b"what stands in a znode"];
    for record in &records {
        holds_no_secret(&record.message, &secrets);
        assert!(!record.message.contains('\n'), "{record:?}");
    }
}
