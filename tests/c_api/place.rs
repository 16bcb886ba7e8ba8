//! Where the programs of this folder are run: the server, and what a program is told of besides.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use testkit::{eventually, expire_session, Authority, Ensemble, RawClient, Relay, Verdict};

use crate::library::{self, Workshop};

/// One server for all tests that run at the same time; it goes with the last of them. Each has paths of its own.
pub fn zookeeper() -> Arc<Ensemble> {
    static SHARED: Mutex<Weak<Ensemble>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let started = Arc::new(Ensemble::start(1));
        *shared = Arc::downgrade(&started);
        started
    })
}

/// One server that has a port for TLS besides, for all tests that run at the same time, and the authority of its certificate.
pub struct Secure {
    pub zookeeper: Arc<Ensemble>,
    pub authority: Arc<Authority>,
}

pub fn secure() -> Arc<Secure> {
    static SHARED: Mutex<Weak<Secure>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let authority = Arc::new(Authority::new());
        let longest = Duration::from_secs(100).as_millis() as u32;
        let zookeeper = Ensemble::builder(1).tls(&authority).max_session_timeout_ms(longest).start();
        authority.issue("worker", "DNS:worker");
        let started = Arc::new(Secure { zookeeper: Arc::new(zookeeper), authority });
        *shared = Arc::downgrade(&started);
        started
    })
}

/// Stands as long as a program runs there.
pub struct Place {
    program: String,
    zookeeper: Arc<Ensemble>,
    _secure: Option<Arc<Secure>>,
    takes_session_timeout: bool,
    more: Vec<String>,
    _relays: Vec<Arc<Relay>>,
}

impl Place {
    /// As the first lines of the program ask for it.
    pub fn of(program: &str, workshop: &Workshop) -> Place {
        let secure = (program == "tls.c").then(secure);
        let zookeeper = match program {
            "tls.c" => secure.as_ref().expect("it was started").zookeeper.clone(),
            // Which is stopped, and let go on.
            "frozen.c" => Arc::new(Ensemble::start(1)),
            _ => zookeeper(),
        };
        let relays = match program {
            "ends.c" => vec![relay_that_expires(&zookeeper)],
            "silent.c" => [(); 3].map(|()| relay_that_falls_silent(&zookeeper)).into(),
            "swallowed.c" => vec![relay_that_says_nothing(&zookeeper)],
            "stop.c" => vec![relay_that_falls_silent(&zookeeper), relay_that_says_nothing(&zookeeper)],
            "lead.c" => vec![relay_that_falls_silent(&zookeeper)],
            _ => Vec::new(),
        };
        let more = match program {
            "copies.c" => vec![copy_of_the_library(workshop).to_string_lossy().into_owned()],
            "frozen.c" => vec![zookeeper.pid(0).expect("the server runs").to_string()],
            "tls.c" => {
                let ca = secure.as_ref().expect("it was started").authority.ca();
                let [certificate, key] = ["worker.crt", "worker.key"].map(|name| ca.with_file_name(name));
                vec![zookeeper.tls_host(0), [&ca, &certificate, &key].map(|file| file.to_string_lossy()).join(",")]
            }
            _ => relays.iter().map(|relay| relay.host()).collect(),
        };
        let takes_session_timeout = !["bad_input.c", "connect_timeout.c", "own_names.c"].contains(&program);
        let program = program.to_owned();
        Place { program, zookeeper, _secure: secure, takes_session_timeout, more, _relays: relays }
    }

    pub fn program(&self) -> &str {
        &self.program
    }

    /// What the program is called with, before the ways.
    pub fn arguments(&self, root: &str, session_timeout_ms: &str) -> Vec<String> {
        let mut arguments = vec![self.zookeeper.hosts(), root.to_owned()];
        arguments.extend(self.takes_session_timeout.then(|| session_timeout_ms.to_owned()));
        arguments.extend(self.more.iter().cloned());
        arguments
    }
}

/// Under another name, so that the linker takes it for another library.
fn copy_of_the_library(workshop: &Workshop) -> PathBuf {
    let copy = workshop.path("libanother.so");
    std::fs::copy(library::shared(), &copy).expect("the scratch folder takes files");
    copy
}

/// A server that takes connections and never says a word.
fn relay_that_says_nothing(zookeeper: &Ensemble) -> Arc<Relay> {
    let relay = Relay::start(zookeeper.addr(0));
    relay.blackhole(true);
    Arc::new(relay)
}

/// A relay that passes on every request until it is asked for a path that ends so; then none any more.
fn relay_that_falls_silent(zookeeper: &Ensemble) -> Arc<Relay> {
    let relay = Relay::start(zookeeper.addr(0));
    let is_silent = AtomicBool::new(false);
    relay.set_rule(move |request| {
        let is_asked = request.path.as_ref().is_some_and(|path| path.ends_with("/be-silent"));
        match is_silent.fetch_or(is_asked, Ordering::SeqCst) || is_asked {
            true => Verdict::Hold,
            false => Verdict::Forward,
        }
    });
    Arc::new(relay)
}

/// Less than the programs have patience for.
const LONGEST_EXPIRY: Duration = Duration::from_secs(20);

/// A relay that has the newest session on it expired when it is asked for a path that ends so.
fn relay_that_expires(zookeeper: &Ensemble) -> Arc<Relay> {
    let relay = Arc::new(Relay::start(zookeeper.addr(0)));
    let (itself, server) = (Arc::downgrade(&relay), zookeeper.host(0));
    relay.set_rule(move |request| {
        if request.path.as_ref().is_some_and(|path| path.ends_with("/expire")) {
            let relay = itself.upgrade().expect("a relay that passes something on");
            let session = relay.session().expect("somebody asks on a session");
            // Its owner does not come back in between.
            relay.refuse(true);
            eventually(LONGEST_EXPIRY, "the session is over", || {
                expire_session(&server, session.id, &session.password)
                    || RawClient::resume(&server, &session)
                        .is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
            });
            relay.refuse(false);
        }
        Verdict::Forward
    });
    relay
}
