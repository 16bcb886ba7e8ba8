//! Why there is no connection: servers that do each thing that a connect string may lead to, and what is said of them by
//! `causes/causes.c`, in a process of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{Ensemble, Program};

use crate::library::{Link, Workshop};
use crate::programs::LONGEST;
use crate::tools::source;

/// A server that does this with each connection; as long as the test process lives.
fn server(serve: fn(TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port that is free");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    address.to_string()
}

/// Nothing comes back from there, not even that it is closed: its queue of connections is full.
struct Unanswered {
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
    address: SocketAddr,
}

impl Unanswered {
    fn new() -> Unanswered {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port that is free");
        let address = listener.local_addr().expect("it is bound");
        // SAFETY: a call on a descriptor of ours.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let waiting = std::iter::from_fn(connect).take(8).collect();
        Unanswered { _listener: listener, _waiting: waiting, address }
    }
}

fn speaks_http(mut stream: TcpStream) {
    let mut asked = Vec::new();
    let mut byte = [0];
    while !asked.ends_with(b"\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        asked.push(byte[0]);
    }
    let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
}

fn greets(mut stream: TcpStream) {
    let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n");
    let _ = stream.read_to_end(&mut Vec::new());
}

/// What a server of TLS answers to what is no TLS: an alert.
fn speaks_tls(mut stream: TcpStream) {
    let _ = stream.read(&mut [0]);
    let _ = stream.write_all(&[0x15, 3, 3, 0, 2, 2, 80]);
}

/// The first frame has a length that no answer to a ConnectRequest has.
fn says_garbage(mut stream: TcpStream) {
    let _ = stream.read(&mut [0]);
    let _ = stream.write_all(b"\xb0\x17\xd3\x05\x02\x99");
}

/// It answers `srvr` alone.
fn is_too_old(mut stream: TcpStream) {
    let mut word = [0; 4];
    if stream.read_exact(&mut word).is_ok() && &word == b"srvr" {
        let _ = stream
            .write_all(b"Zookeeper version: 3.3.6-1366786, built on 07/29/2012 06:22 GMT\nMode: standalone\n");
    }
}

/// The same, of a server that has lost the others.
fn is_read_only(mut stream: TcpStream) {
    let mut word = [0; 4];
    if stream.read_exact(&mut word).is_ok() && &word == b"srvr" {
        let _ = stream.write_all(b"Zookeeper version: 3.8.0-5a02a05, built on 2022\nMode: read-only\n");
    }
}

fn says_nothing(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

fn said_of(program: &Path, hosts: &str, text: &str) -> Program {
    let mut command = Command::new(program);
    command.args([hosts, text]);
    Program::spawn(command)
}

#[test]
fn each_cause_is_told_with_host_and_address() {
    let workshop = Workshop::new();
    let program = workshop.build("gcc", "gnu99", &[source("causes/causes.c")], Link::Shared);
    let nobody = "127.0.0.1:1".to_owned();
    let unanswered = Unanswered::new();
    let (http, ssh) = (server(speaks_http), server(greets));
    let (tls, garbage) = (server(speaks_tls), server(says_garbage));
    let (too_old, read_only) = (server(is_too_old), server(is_read_only));
    let (silent, closes) = (server(says_nothing), server(drop));
    let programs: Vec<Program> = [
        (nobody.clone(), format!("connection refused by {nobody}")),
        ("localhost:1".to_owned(), "connection refused by localhost:1 (127.0.0.1".to_owned()),
        // What the name service says of it depends on the machine.
        ("no-such-host.invalid".to_owned(), "no-such-host.invalid".to_owned()),
        (http.clone(), format!("what answers at {http} is no ZooKeeper: it says \"HTTP/1.1 400 Bad Request\"")),
        (ssh.clone(), format!("what answers at {ssh} is no ZooKeeper: it says \"SSH-2.0-OpenSSH_9.2p1\"")),
        (tls.clone(), format!("{tls} speaks TLS, and this handle has no TLS options")),
        (garbage.clone(), format!("what answers at {garbage} is no ZooKeeper: it says ")),
        (too_old.clone(), format!("{too_old} is ZooKeeper 3.3.6, which is too old")),
        (read_only.clone(), format!("{read_only} is read-only: it has no quorum")),
        (silent.clone(), format!("{silent} takes the connection, but does not answer")),
        (closes.clone(), format!("{closes} ends the connection at once")),
        (unanswered.address.to_string(), format!("{} does not answer", unanswered.address)),
        (format!("{nobody},{closes}/app"), format!("connection refused by {nobody}; {closes} ends the connection")),
    ]
    .iter()
    .map(|(hosts, text)| said_of(&program, hosts, text))
    .collect();
    for program in programs {
        let status = program.wait(LONGEST);
        assert!(status.is_some_and(|status| status.success()), "{}", program.transcript());
    }
}

#[test]
fn a_server_without_a_quorum() {
    let workshop = Workshop::new();
    let program = workshop.build("gcc", "gnu99", &[source("causes/causes.c")], Link::Shared);
    let ensemble = Ensemble::start(3);
    let leader = ensemble.wait_leader();
    for i in (0..3).filter(|i| *i != leader) {
        ensemble.kill9(i);
    }
    let host = ensemble.host(leader);
    let until = Instant::now() + LONGEST;
    while !ensemble.four_letter(leader, "srvr").contains("not currently serving") {
        assert!(Instant::now() < until, "{host} goes on without a quorum");
        std::thread::sleep(Duration::from_millis(50));
    }
    let program = said_of(&program, &host, &format!("{host} serves nobody: it has no quorum"));
    let status = program.wait(LONGEST);
    assert!(status.is_some_and(|status| status.success()), "{}", program.transcript());
}
