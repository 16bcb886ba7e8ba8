//! Threads and descriptors: what a handle takes it gives back, however it was used and however it ended. Only the thread
//! for the connections of all handles stays, with the descriptors that it waits with.
//!
//! Counted in a process of its own: this test program, run once more.

use crate::candidates::{options, TestHandle};
use crate::ground::{one_server, LONG_MS, SOON};
use crate::system_faults::use_resolver;
use election::{set_log, ConnectionState, Dispatch, Error, Handle, LogLevel, Options, Role};
use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::Arc;
use std::time::Duration;
use testkit::{wait_until, Authority, Ensemble, Line, Program, Relay, ScratchFolder};

const VARIABLE: &str = "ELECTION_TEST_GIVES_BACK";

const ROUNDS: usize = 6;

/// How long a handle waits for a session that it does not find.
const SHORT: Duration = Duration::from_millis(60);

/// The process is silent for less.
const LONGEST: Duration = Duration::from_secs(120);

/// How many threads and descriptors of each kind this process has.
type Held = BTreeMap<String, usize>;

fn held() -> Held {
    let mut held = Held::new();
    for task in fs::read_dir("/proc/self/task").unwrap().flatten() {
        // It may have ended just now.
        if let Ok(name) = fs::read_to_string(task.path().join("comm")) {
            *held.entry(format!("thread {}", name.trim())).or_default() += 1;
        }
    }
    for descriptor in fs::read_dir("/proc/self/fd").unwrap().flatten() {
        // The one that reads this folder is gone.
        if let Ok(file) = fs::read_link(descriptor.path()) {
            let kind = file
                .to_string_lossy()
                .split_once(":[")
                .map_or(file.to_string_lossy().into(), |(kind, _)| kind.to_owned());
            *held.entry(format!("descriptor of {kind}")).or_default() += 1;
        }
    }
    held
}

/// What is held when nothing is on its way any more: a closed handle's last socket goes a little later.
fn settled() -> Held {
    let mut last = held();
    loop {
        std::thread::sleep(Duration::from_millis(50));
        let now = held();
        if now == last {
            return now;
        }
        last = now;
    }
}

fn exceeds(now: &Held, before: &Held) -> bool {
    now.iter().any(|(kind, count)| before.get(kind).is_none_or(|before| count > before))
}

/// Does something many times, and then has no more than before.
#[track_caller]
fn gives_back(what: &str, times: usize, mut act: impl FnMut(usize)) {
    let before = settled();
    (0..times).for_each(&mut act);
    let mut now = Held::new();
    let is_back = wait_until(SOON, || {
        now = held();
        !exceeds(&now, &before)
    });
    assert!(is_back, "{what}: before {before:#?}, now {now:#?}");
}

/// One election with everything that a handle can be asked for.
fn elect(hosts: &str, dispatch: Dispatch) -> Handle {
    let mut options = options(LONG_MS);
    options.set_dispatch(dispatch);
    let handle = Handle::open(hosts, &options).unwrap();
    let path = format!("/given-back-{}-{}", std::process::id(), handle.id());
    handle.go_to_election(&path, b"mine", |_| {}).unwrap();
    handle.watch_master(&path, |_| {}).unwrap();
    handle.watch_members(&path, 1, |_| {}).unwrap();
    handle.watch_connection(|_| {}).unwrap();
    handle.wait(&path, Role::Master, SOON).unwrap();
    assert_eq!(handle.members(&path, SOON).unwrap().len(), 1);
    if dispatch != Dispatch::Thread {
        handle.fd().unwrap();
        handle.dispatch(SOON).unwrap();
    }
    handle
}

/// A handle that finds no session in the time that it has.
#[track_caller]
fn fails_to_open(hosts: &str, options: &Options, error: Error) {
    let mut options = options.clone();
    options.set_connect_timeout(SHORT).unwrap();
    assert_eq!(Handle::open(hosts, &options).map(drop), Err(error));
}

/// What the processes of a server that forks do. Returns whether all is well; nothing else can be told from there.
fn is_well_in_a_child(hosts: &str) -> bool {
    let close = || elect(hosts, Dispatch::Thread).close().is_ok();
    close() && {
        let with_a_thread_of_its_own = settled();
        (0..3).all(|_| close()) && wait_until(SOON, || !exceeds(&held(), &with_a_thread_of_its_own))
    }
}

fn forks(hosts: &str) {
    // SAFETY: the child only uses the library, memory and files, and ends.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            let is_well = std::panic::catch_unwind(|| is_well_in_a_child(hosts)).unwrap_or(false);
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(!is_well)) }
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for our own child.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0, "the child was not well");
        }
    }
}

/// What the process is told: the servers.
struct Servers<'a> {
    plain: &'a str,
    relay: &'a str,
    silent: &'a str,
    refusing: &'a str,
    encrypted: &'a str,
    tls: &'a str,
    tls_of_others: &'a str,
}

fn act(servers: &Servers) {
    let Servers { plain, relay, silent, refusing, encrypted, tls, tls_of_others } = servers;
    // The first handle starts what stays.
    elect(plain, Dispatch::Thread).close().unwrap();
    let first = settled();
    for dispatch in [Dispatch::Thread, Dispatch::Manual, Dispatch::Loop] {
        gives_back(&format!("closed, {dispatch:?}"), ROUNDS, |_| elect(plain, dispatch).close().unwrap());
        gives_back(&format!("dropped, {dispatch:?}"), ROUNDS, |_| drop(elect(plain, dispatch)));
        gives_back(&format!("several at once, {dispatch:?}"), 1, |_| {
            let handles: Vec<Handle> = (0..ROUNDS).map(|_| elect(plain, dispatch)).collect();
            handles.iter().for_each(|handle| handle.close().unwrap());
        });
        let mut options = options(LONG_MS);
        options.set_dispatch(dispatch);
        gives_back("bad hosts", ROUNDS, |_| fails_to_open("127.0.0.1:no-port", &options, Error::BadHosts));
        gives_back("a refusing server", ROUNDS, |_| fails_to_open(refusing, &options, Error::Timeout));
        gives_back("a silent server", ROUNDS, |_| fails_to_open(silent, &options, Error::Timeout));
        if cfg!(feature = "tls") {
            let mut options = options.clone();
            options.set_tls(tls).unwrap();
            gives_back("TLS", ROUNDS, |_| elect_with(encrypted, &options));
            gives_back("TLS with a plain server", ROUNDS, |_| fails_to_open(plain, &options, Error::Timeout));
            gives_back("TLS with a silent server", ROUNDS, |_| fails_to_open(silent, &options, Error::Timeout));
            options.set_tls(tls_of_others).unwrap();
            gives_back("a wrong authority", ROUNDS, |_| fails_to_open(encrypted, &options, Error::Timeout));
            options.set_tls("/nowhere/ca.pem").unwrap();
            gives_back("no file", ROUNDS, |_| fails_to_open(encrypted, &options, Error::BadTls));
        }
        reconnects(relay, &options);
        looks_up(&options);
    }
    gives_back("the log", ROUNDS, |_| {
        [LogLevel::Debug, LogLevel::Info, LogLevel::Off]
            .into_iter()
            .for_each(|level| set_log(level, |_| {}).unwrap());
    });
    gives_back("forks", 5, |_| forks(plain));
    let handle = elect(plain, Dispatch::Thread);
    gives_back("forks of a master", 5, |_| forks(plain));
    handle.close().unwrap();
    let last = settled();
    assert!(!exceeds(&last, &first), "at first {first:#?}, in the end {last:#?}");
}

fn elect_with(hosts: &str, options: &Options) {
    let handle = Handle::open(hosts, options).unwrap();
    handle.master("/given-back-nobody", SOON).unwrap();
    handle.close().unwrap();
}

/// The connection breaks, and comes back on another socket.
fn reconnects(relay: &str, options: &Options) {
    let handle = TestHandle::open_with(relay, options);
    let (tell, told) = channel();
    handle.watch_connection(move |connection| _ = tell.send(connection.state)).unwrap();
    let becomes = |state: ConnectionState| {
        let comes = || told.try_iter().any(|now| now == state);
        assert!(
            wait_until(SOON, || {
                // Where the library's own thread does not run the callbacks.
                let _ = handle.dispatch(Duration::ZERO);
                comes()
            }),
            "the connection is {state:?}"
        );
    };
    becomes(ConnectionState::Connected);
    gives_back("a break", ROUNDS, |_| {
        println!("CUT");
        becomes(ConnectionState::Suspended);
        becomes(ConnectionState::Connected);
    });
    handle.close().unwrap();
}

/// Two names that no resolver answers. A thread waits for each of them, whatever becomes of the handles.
fn looks_up(options: &Options) {
    const NAMES: usize = 2;
    gives_back("a look-up", 1, |_| {
        let mut most = 0;
        for i in 0..ROUNDS {
            fails_to_open(&format!("name-{}.example:2181", i % NAMES), options, Error::Timeout);
            most = most.max(held().get("thread election-dns").copied().unwrap_or(0));
        }
        // One that has its answer may not have ended yet when the next one begins.
        assert!((1..=2 * NAMES).contains(&most), "{most} threads for {NAMES} names");
    });
}

#[test]
fn threads_and_descriptors_are_given_back() {
    if let Ok(told) = std::env::var(VARIABLE) {
        let words: Vec<&str> = told.split(' ').collect();
        let [plain, relay, silent, refusing, encrypted, tls, tls_of_others] = words[..] else { panic!("{told}") };
        act(&Servers { plain, relay, silent, refusing, encrypted, tls, tls_of_others });
        println!("GIVEN BACK");
        return;
    }
    let (authority, others) = (Arc::new(Authority::new()), Authority::named("others"));
    let (plain, encrypted) = (one_server(), Ensemble::builder(1).tls(&authority).start());
    let [relay, silent, refusing] = [(); 3].map(|()| Relay::start(plain.addr(0)));
    silent.blackhole(true);
    refusing.refuse(true);
    let tls = authority.issue("us", "DNS:us").with_ca(&authority.ca());
    let tls_of_others = others.issue("them", "DNS:them").with_ca(&others.ca());
    let silent_resolver = UdpSocket::bind("127.53.53.53:53").unwrap();
    let folder = ScratchFolder::new("silent-resolver");
    let resolv = folder.path().join("resolv.conf");
    let lines =
        format!("nameserver {}\noptions timeout:1 attempts:1\n", silent_resolver.local_addr().unwrap().ip());
    fs::write(&resolv, lines).unwrap();
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["given_back::threads_and_descriptors_are_given_back", "--exact", "--nocapture"]);
    let servers =
        [plain.host(0), relay.host(), silent.host(), refusing.host(), encrypted.tls_host(0), tls, tls_of_others];
    command.env(VARIABLE, servers.join(" "));
    use_resolver(&mut command, &resolv);
    let program = Program::spawn(command);
    loop {
        let is_news =
            |line: &Line| line.text == "CUT" || line.text == "GIVEN BACK" || line.text.contains("panicked");
        let news = program.wait_for(LONGEST, is_news).expect("it goes on");
        match news.text.as_str() {
            "CUT" => relay.cut_all(),
            "GIVEN BACK" => break,
            _ => panic!("{}", program.transcript()),
        }
    }
    assert!(program.wait(SOON).is_some_and(|status| status.success()), "{}", program.transcript());
}
