//! Each fault of a server has its own cause, in the log and in the connection's event.

use crate::alone::{alone, LONGEST};
use crate::liar::{Deed, Liar, Lie};
use crate::lies::{self, lie, To};
use crate::settled;
use crate::subject::Subject;
use election::{set_log, Dialect, LogLevel, Options, Recipe};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testkit::{eventually, wait_until, Ensemble};

const SOON: Duration = Duration::from_secs(15);

/// What listens there is no ZooKeeper: this is what it says first.
fn says(bytes: &'static [u8]) -> Lie {
    lie(|_, _| Deed::SayAndClose(bytes.to_vec()))
}

fn faults() -> Vec<(&'static str, To, Lie, &'static str)> {
    let candidate = To::Candidate;
    vec![
        ("HTTP", candidate, says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "is no ZooKeeper: it says \"HTTP\""),
        ("TLS", candidate, says(&[0x15, 3, 3, 0, 2, 2, 80]), "speaks TLS"),
        ("SSH", candidate, says(b"SSH-2.0-OpenSSH_9.2\r\n"), "is no ZooKeeper: it says \"SSH-2.0-OpenSSH_9.2"),
        ("nothing", candidate, says(b""), "ends the connection at once"),
        ("silence", candidate, lies::silence(), "takes the connection, but does not answer"),
        ("silence later", candidate, lies::silence_later(), "takes the connection, but does not answer"),
        ("trickle", candidate, lies::trickle(), "takes the connection, but does not answer"),
        ("read-only", candidate, lies::is_read_only(), "is read-only: it has no quorum"),
        ("timeout", candidate, lies::grants(1), "granted a session timeout of 1 ms"),
        ("another session", candidate, lies::another_session(), "resumed another session, 0x"),
        (
            "frame limit",
            candidate,
            lies::length(i32::MAX),
            "sent a frame of 2147483647 bytes, which is over the limit of 4194304",
        ),
        ("wrong length", candidate, lies::cut_short(), "sent a frame whose length is not that of its message"),
        ("out of order", candidate, lies::out_of_order(), "answered out of order"),
        ("2^31 names", To::Queue, lies::count(i32::MAX), "sent a frame that makes no sense"),
    ]
}

#[test]
fn each_fault_has_its_own_cause() {
    alone("causes::each_fault_has_its_own_cause", LONGEST, || {
        let log = Arc::new(Mutex::new(Vec::new()));
        let logged = Arc::clone(&log);
        set_log(LogLevel::Warn, move |record| logged.lock().unwrap().push(record.message.clone())).unwrap();
        for (name, to, lie, cause) in faults() {
            let (_ensemble, liar, subject) = settled(to, &format!("/{}", name.replace([' ', '^'], "-")));
            let causes = subject.hears_causes();
            log.lock().unwrap().clear();
            liar.lie(Some(lie));
            let server = liar.host();
            let has = |said: &Mutex<Vec<String>>| {
                said.lock().unwrap().iter().any(|said| said.contains(&server) && said.contains(cause))
            };
            let is_told = wait_until(SOON, || has(&causes) && has(&log));
            assert!(is_told, "{name}: no {cause:?} in {causes:#?} and {log:#?}");
            liar.lie(None);
            subject.is_served();
            subject.close();
        }
    });
}

/// A list of 5 MiB is over the limit of one handle, and under that of another.
#[test]
fn the_frame_limit_of_a_handle() {
    alone("causes::the_frame_limit_of_a_handle", LONGEST, || {
        let ensemble = Ensemble::start(1);
        let liar = Liar::start(ensemble.addr(0));
        liar.lie(Some(lies::long_lists(5 << 20)));
        let start = |path: &str, limit: Option<usize>| {
            let mut options = Options::default();
            options.set_recipe(Recipe::Queue(Dialect::default()));
            if let Some(limit) = limit {
                options.set_frame_limit(limit).unwrap();
            }
            Subject::with_options(To::Queue, &liar.host(), &ensemble.host(0), path, &options)
        };
        let (patient, other) = (start("/patient", Some(8 << 20)), start("/other", None));
        let causes = other.hears_causes();
        patient.is_settled();
        eventually(SOON, "a cause", || {
            let causes = causes.lock().unwrap();
            causes.iter().any(|cause| cause.contains("bytes, which is over the limit of 4194304"))
        });
        assert_eq!(other.token(), None);
        liar.lie(None);
        other.is_served();
        patient.close();
        other.close();
    });
}
