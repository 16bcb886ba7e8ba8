//! `election doctor`, where all is well and where it is not.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use testkit::{Ensemble, RawClient};

use crate::ground::{election, ended, number, run, server, WORK};

fn doctor(arguments: &[&str]) -> (i32, String) {
    let (code, out, err) = ended(election(["doctor", "--timeout", "2s"].iter().chain(arguments)));
    assert_eq!(err, "", "{out}");
    (code, out)
}

#[track_caller]
fn says(out: &str, mark: &str, words: &[&str]) {
    let is_it = |line: &str| line.starts_with(mark) && words.iter().all(|word| line.contains(word));
    assert!(out.lines().any(is_it), "no line {mark} with {words:?} in\n{out}");
}

#[test]
fn where_all_is_well_it_says_what_is_granted() {
    let server = server();
    let hosts = server.hosts();
    let master = run(&hosts, "/doctor/well", &["--value", "ann"], WORK);
    number(&master, "started");
    let (code, out) = doctor(&["--hosts", &hosts, "--path", "/doctor/well", "--write"]);
    assert_eq!(code, 0, "{out}");
    says(&out, "ok", &[&hosts, "ZooKeeper 3.", "standalone"]);
    says(&out, "ok", &[&hosts, "session", "10s"]);
    says(&out, "ok", &["/doctor/well: master is \"ann\""]);
    says(&out, "ok", &["/doctor/well: a candidate may stand"]);
    assert!(!out.contains("WRONG"), "{out}");

    let mut client = RawClient::connect(&server.host(0), 10_000).expect("a session");
    assert_eq!(client.children("/doctor").expect("an answer"), ["well"], "it leaves nothing");
    client.close_session().expect("an answer");

    let (_, out, _) = ended(election(["doctor", "--hosts", &hosts, "--json"]));
    let findings: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(findings["is_well"], true);
    assert_eq!(findings["findings"][0]["grade"], "ok");
}

#[test]
fn each_server_that_is_not_there_is_named_with_the_cause() {
    let server = server();
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let other_name = other.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in other.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
        }
    });
    let hosts = format!("{nobody},no-such-host.invalid:2181,{other_name},{}", server.hosts());
    let (code, out) = doctor(&["--hosts", &hosts]);
    assert_eq!(code, 1);
    says(&out, "WRONG", &[&nobody.to_string(), "refused"]);
    says(&out, "WRONG", &["no-such-host.invalid"]);
    says(&out, "WRONG", &[&other_name, "no ZooKeeper"]);
    says(&out, "ok", &[&server.hosts(), "session"]);

    let (code, out) = doctor(&["--hosts", &nobody.to_string()]);
    assert_eq!(code, 1);
    says(&out, "WRONG", &["no server opens a session"]);
}

#[test]
fn a_chroot_or_a_parent_that_is_missing_is_named() {
    let server = server();
    let hosts = format!("{}/no-such-chroot", server.hosts());
    let (code, out) = doctor(&["--hosts", &hosts, "--path", "/a/b"]);
    assert_eq!(code, 0, "{out}");
    says(&out, "note", &["chroot /no-such-chroot", "not there"]);
    says(&out, "note", &["/no-such-chroot/a", "not there"]);
}

#[test]
fn what_stands_in_the_way_is_named() {
    let server = server();
    let mut client = RawClient::connect(&server.host(0), 10_000).expect("a session");
    assert_eq!(client.create("/doctor-blocked", b"", 0).expect("an answer").err, 0);
    let (code, out) = doctor(&["--hosts", &server.hosts(), "--path", "/doctor-blocked"]);
    assert_eq!(code, 1);
    says(&out, "WRONG", &["/doctor-blocked", "not ephemeral"]);
    assert_eq!(client.delete("/doctor-blocked").expect("an answer").err, 0);
    client.close_session().expect("an answer");
}

/// Servers that cut the session timeout, each in its own way, are a danger that nobody sees.
#[test]
fn servers_of_different_minds_are_named() {
    let (one, two) = (Ensemble::builder(1).max_session_timeout_ms(4_000).start(), server());
    let hosts = format!("{},{}", one.hosts(), two.hosts());
    let (code, out) = doctor(&["--hosts", &hosts]);
    assert_eq!(code, 1);
    says(&out, "note", &[&one.hosts(), "4s instead of the 10s"]);
    says(&out, "WRONG", &["4s and 10s", "maxSessionTimeout"]);
}

/// Many servers answer no four-letter words.
#[test]
fn one_that_does_not_tell_its_version_is_well_all_the_same() {
    let server = server();
    let quiet = quiet_front(server.addr(0));
    let (code, out) = doctor(&["--hosts", &quiet]);
    assert_eq!(code, 0, "{out}");
    says(&out, "note", &[&quiet, "4lw.commands.whitelist"]);
    says(&out, "ok", &[&quiet, "session"]);
}

/// Passes everything on to a server but the question for its version, which it answers as a server does that may not.
fn quiet_front(server: SocketAddr) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let name = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            std::thread::spawn(move || -> std::io::Result<()> {
                let mut first = [0; 4];
                client.read_exact(&mut first)?;
                if &first == b"srvr" {
                    return client.write_all(b"srvr is not executed because it is not in the whitelist.\n");
                }
                let mut server = TcpStream::connect(server)?;
                server.write_all(&first)?;
                let (mut from, mut to) = (server.try_clone()?, client.try_clone()?);
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                std::io::copy(&mut client, &mut server)?;
                server.shutdown(Shutdown::Both)
            });
        }
    });
    name
}
