//! Kerberos, on a realm and on servers that demand it of each client.
//!
//! libkrb5 finds its realm by the environment of the process. So the handles live in a process of their own: this very test
//! program, run once more.

use crate::ground::{since, AT_ONCE, SOON};
use election::{Handle, Options};
use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::{eventually, wait_until, Ensemble, Program, Realm, Relay};

const VARIABLE: &str = "ELECTION_TEST_KERBEROS";

/// A session outlives the stutter of a busy machine, and SASL has as long.
const SESSION_TIMEOUT_MS: u64 = 20_000;

/// How long a session may take to expire.
const EXPIRY: Duration = Duration::from_secs(60);

/// How long libkrb5 waits for a KDC that says nothing (27 s), and as much again.
const SLOW_KDC: Duration = Duration::from_secs(60);

/// The process with the handles. Each line of its standard input tells it what to do with the handle that the second word
/// names.
#[test]
fn does_what_it_is_told() {
    if std::env::var_os(VARIABLE).is_none() {
        return;
    }
    let mut handles: BTreeMap<String, Arc<Handle>> = BTreeMap::new();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["open", name, hosts, ref parameters @ ..] => {
                let mut options = Options::default();
                options.set_session_timeout(Duration::from_millis(SESSION_TIMEOUT_MS)).unwrap();
                options.set_connect_timeout(Duration::ZERO).unwrap();
                options.set_sasl("mechanism", "GSSAPI").unwrap();
                for parameter in parameters {
                    let (name, value) = parameter.split_once('=').unwrap();
                    options.set_sasl(name, value).unwrap();
                }
                match Handle::open(hosts, &options) {
                    Ok(handle) => {
                        let of = name.to_owned();
                        let tell = move |it: &election::Connection| {
                            println!("{of} LINK {:?} {}", it.state, it.cause.as_deref().unwrap_or("-"));
                        };
                        handle.watch_connection(tell).unwrap();
                        handles.insert(name.to_owned(), Arc::new(handle));
                    }
                    Err(error) => println!("{name} FAILED {error:?} {}", error.detail().unwrap_or_default()),
                }
            }
            ["stand", name, path] => {
                let of = name.to_owned();
                let tell =
                    move |event: &election::Event| println!("{of} HEARD {:?} {:?}", event.role, event.reason);
                handles[name].go_to_election(path, name.as_bytes(), tell).unwrap();
            }
            // Says so if it is no longer master.
            ["interrogate", name, path] => {
                let (handle, of, path) = (handles[name].clone(), name.to_owned(), path.to_owned());
                std::thread::spawn(move || {
                    while handle.is_master(&path) {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    println!("{of} LOST");
                });
            }
            ["close", name] => {
                let began = Instant::now();
                let _ = handles[name].close();
                println!("{name} CLOSED {}", began.elapsed().as_millis());
            }
            _ => panic!("{line}"),
        }
    }
}

struct Client(Program);

impl Client {
    fn of(realm: &Realm) -> Client {
        Client::with(realm, |_| {})
    }

    fn with(realm: &Realm, prepare: impl FnOnce(&mut Command)) -> Client {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["kerberos::does_what_it_is_told", "--exact", "--nocapture"]).env(VARIABLE, "1");
        realm.enter(&mut command);
        prepare(&mut command);
        Client(Program::spawn(command))
    }

    fn tell(&self, line: &str) {
        self.0.write_line(line).expect("it listens");
    }

    fn open(&self, name: &str, hosts: &str, parameters: &str) {
        self.tell(&format!("open {name} {hosts} {parameters}"));
    }

    fn stand(&self, name: &str, path: &str) {
        self.tell(&format!("stand {name} {path}"));
    }

    /// How much it has said so far.
    fn mark(&self) -> usize {
        self.0.lines().len()
    }

    #[track_caller]
    fn says(&self, text: &str) -> String {
        self.says_since(0, SOON, text)
    }

    /// Waits until it says this after the mark.
    #[track_caller]
    fn says_since(&self, mark: usize, patience: Duration, text: &str) -> String {
        let mut said = None;
        wait_until(patience, || {
            said = self.0.lines().into_iter().skip(mark).find(|line| line.text.contains(text));
            said.is_some() || !self.0.is_running()
        });
        match said {
            Some(line) => line.text,
            None => panic!("no line with {text:?} after the first {mark}\n{}", self.0.transcript()),
        }
    }

    #[track_caller]
    fn has_not_said(&self, text: &str) {
        assert!(
            self.0.is_running() && !self.0.lines().iter().any(|line| line.text.contains(text)),
            "{}",
            self.0.transcript()
        );
    }
}

fn by_keytab(user: &str, keytab: &Path) -> String {
    format!("host=localhost user={user} keytab={}", keytab.display())
}

fn by_cache(cache: &Path) -> String {
    format!("host=localhost ccache={}", cache.display())
}

/// A realm with this principal beside the server's, and a server that demands Kerberos.
struct Place {
    keytab: PathBuf,
    // Dropped in this order.
    ensemble: Ensemble,
    realm: Realm,
}

impl Place {
    /// `None` where servers cannot demand it.
    fn new(user: &str, options: &str) -> Option<Place> {
        if !since(3, 6, "sessionRequireClientSASLAuth") {
            return None;
        }
        let realm = Realm::new();
        realm.add("zookeeper/localhost", "");
        realm.add(user, options);
        let ensemble = Ensemble::builder(1)
            .jaas(&jaas(&realm.keytab("zookeeper/localhost")))
            .java_arg(&format!("-Djava.security.krb5.conf={}", realm.config().display()))
            .config_line("sessionRequireClientSASLAuth=true")
            .max_session_timeout_ms(SESSION_TIMEOUT_MS as u32)
            .start();
        Some(Place { keytab: realm.keytab(user), realm, ensemble })
    }

    fn server_log(&self) -> String {
        std::fs::read_to_string(self.ensemble.server_folder(0).join("server.log")).expect("a log")
    }
}

fn jaas(keytab: &Path) -> String {
    format!(
        "Server {{ com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true\n\
         keyTab=\"{}\" principal=\"zookeeper/localhost\"; }};\n",
        keytab.display()
    )
}

#[test]
fn a_keytab_and_a_cache_log_in_again_and_again() {
    let Some(place) = Place::new("worker", "") else { return };
    let Place { keytab, ensemble, realm } = &place;
    realm.add("other", "");
    let cache = realm.path("cache");
    realm.kinit("other", &realm.keytab("other"), &cache);
    let relay = Relay::start(ensemble.addr(0));
    let client = Client::of(realm);

    client.open("first", &relay.host(), &by_keytab("worker", keytab));
    client.stand("first", "/kerberos");
    client.says("first HEARD Master");
    client.open("second", &ensemble.host(0), &by_cache(&cache));
    client.stand("second", "/kerberos");
    client.says("second HEARD Slave");
    // The server's word for it.
    for user in ["worker", "other"] {
        let accepted = format!("authenticationID={user}@ELECTION.TEST");
        assert!(place.server_log().contains(&accepted), "{}", place.server_log());
    }

    // The tickets are kept: a new connection asks no KDC.
    let tickets = realm.log().matches("_REQ").count();
    client.tell("interrogate first /kerberos");
    for connections in 2..5 {
        let mark = client.mark();
        relay.cut_all();
        client.says_since(mark, SOON, "first LINK Connected");
        assert!(relay.connection_count() >= connections);
    }
    assert_eq!(realm.log().matches("_REQ").count(), tickets, "{}", realm.log());
    client.has_not_said("first LOST");

    // A new session, too.
    let mark = client.mark();
    relay.refuse(true);
    relay.cut_all();
    client.says_since(mark, EXPIRY, "second HEARD Master");
    relay.refuse(false);
    client.says_since(mark, SOON, "first HEARD Slave");
    client.tell("close second");
    client.says_since(mark, SOON, "first HEARD Master");
    assert_eq!(realm.tickets_of("worker"), 1, "{}", realm.log());
}

/// The ticket is good for seconds.
#[test]
fn a_ticket_that_expires_is_renewed_by_a_keytab_or_by_somebody_else() {
    let Some(place) = Place::new("short", "-maxlife 8sec") else { return };
    let Place { keytab, ensemble, realm } = &place;
    let cache = realm.path("cache");
    realm.kinit("short", keytab, &cache);
    let relay = Relay::start(ensemble.addr(0));
    let client = Client::of(realm);
    client.open("renewed", &relay.host(), &by_keytab("short", keytab));
    client.open("stale", &relay.host(), &by_cache(&cache));
    client.says("renewed LINK Connected");
    client.says("stale LINK Connected");
    client.stand("renewed", "/short");
    client.says("renewed HEARD Master");
    client.tell("interrogate renewed /short");

    // The session stands whatever becomes of the ticket, until the next connection.
    let tickets = realm.tickets_of("short");
    let mark = client.mark();
    let expired = || {
        relay.cut_all();
        let said = |text: &str| client.0.lines().iter().skip(mark).any(|line| line.text.contains(text));
        wait_until(Duration::from_secs(1), || said("the Kerberos ticket has expired"))
    };
    eventually(SOON, "the ticket expires", expired);
    let told = client.says_since(mark, SOON, "the Kerberos ticket has expired");
    assert!(told.contains(&relay.host()), "{told}");
    client.says_since(mark, SOON, "renewed LINK Connected");
    assert!(realm.tickets_of("short") > tickets, "{}", realm.log());
    client.has_not_said("renewed LOST");

    let mark = client.mark();
    realm.kinit("short", keytab, &cache);
    client.says_since(mark, SOON, "stale LINK Connected");
}

/// What a KDC does costs nobody anything who needs no ticket.
#[test]
fn a_kdc_that_is_slow_or_gone_costs_no_other_handle_its_lease() {
    let Some(place) = Place::new("worker", "") else { return };
    let Place { keytab, ensemble, realm } = &place;
    realm.add("other", "");
    let other = realm.keytab("other");
    let relay = Relay::start(ensemble.addr(0));
    let client = Client::of(realm);
    client.open("master", &relay.host(), &by_keytab("worker", keytab));
    client.stand("master", "/slow");
    client.says("master HEARD Master");
    client.tell("interrogate master /slow");

    realm.stop_kdc();
    client.open("waiting", &ensemble.host(0), &by_keytab("other", &other));
    let told = client.says("the KDC cannot be reached: ");
    assert!(told.contains("waiting LINK ") && told.contains(&ensemble.host(0)), "{told}");

    let silent = realm.silence_kdc();
    // It waits in libkrb5, and can be closed.
    client.open("closed", &ensemble.host(0), &by_keytab("other", &other));
    client.says("closed LINK ");
    client.tell("close closed");
    let told = client.says("closed CLOSED ");
    let took: u64 = told.rsplit(' ').next().and_then(|ms| ms.parse().ok()).expect("milliseconds");
    assert!(took < AT_ONCE.as_millis() as u64, "{told}");
    // For longer than a session is kept, over a new connection in the middle.
    let mark = client.mark();
    relay.cut_all();
    client.says_since(mark, SOON, "master LINK Connected");
    std::thread::sleep(Duration::from_millis(SESSION_TIMEOUT_MS + SESSION_TIMEOUT_MS / 5));
    client.has_not_said("master LOST");
    client.has_not_said("waiting LINK Connected");

    drop(silent);
    realm.start_kdc();
    client.says_since(mark, SLOW_KDC, "waiting LINK Connected");
    client.has_not_said("master LOST");
}

#[test]
fn what_is_wrong_is_told() {
    let Some(place) = Place::new("worker", "") else { return };
    let Place { keytab, ensemble, realm } = &place;
    let host = ensemble.host(0);
    let none = realm.path("none");
    let client = Client::of(realm);

    client.open("a", &host, &by_keytab("worker", &none));
    let missing = format!("the keytab {}: no such file or directory", none.display());
    assert!(client.says("a FAILED ").contains(&missing));
    client.open("b", &host, &by_keytab("nobody", keytab));
    client.says(&format!("the keytab {} has no key of the principal", keytab.display()));
    client.open("c", &host, &by_cache(&none));
    client.says("there is no Kerberos ticket: ");
    client.open("d", &host, &format!("{} service=zoo", by_keytab("worker", keytab)));
    client.says("Kerberos has no such principal: ");
    // The server of this name has another key than the one that answers.
    realm.add("zookeeper/other", "");
    client.open("e", &host, &by_keytab("worker", keytab).replace("localhost", "other"));
    client.says("refuses the Kerberos ticket: ");
    client.has_not_said("LINK Connected");
    // Whatever else the machine has: a file of the library's name that is no library.
    std::fs::write(realm.path("libgssapi_krb5.so.2"), "no library").expect("a file");
    let client = Client::with(realm, |command| {
        command.env("LD_LIBRARY_PATH", realm.path(""));
    });
    client.open("f", &host, &by_keytab("worker", keytab));
    assert!(client.says("f FAILED ").contains("the library for Kerberos cannot be loaded: "));
}
