//! What `election run` does beside running COMMAND: checks, hooks, what a service manager hears, what HTTP answers, and
//! credentials.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::{wait_until, Program, Relay, ScratchFolder};

use crate::ground::{dies, number, run, run_command, server, signal, AT_ONCE, SHORT, SHORT_TIME, SOON, WORK};

#[test]
fn it_stands_only_while_the_check_succeeds() {
    let server = server();
    let folder = ScratchFolder::new("command");
    let fit = folder.path().join("fit");
    let check = format!("test -e {}", fit.display());
    let options = ["--check", &check, "--check-interval", "50ms"];
    let ann = run(&server.hosts(), "/duties/check", &options, WORK);
    ann.expect_text(SOON, "unfit: the check failed, exit status: 1");
    let bob = run(&server.hosts(), "/duties/check", &[], WORK);
    let of_bob = number(&bob, "started");

    fs::write(&fit, "").expect("a file");
    ann.expect_text(SOON, "the check succeeds again");
    ann.expect_text(SOON, "waiting for mastership");
    bob.terminate();
    let of_ann = number(&ann, "started");
    assert!(!testkit::wait_until(Duration::ZERO, || crate::ground::lives(of_bob)));

    let cid = run(&server.hosts(), "/duties/check", &[], WORK);
    cid.expect_text(SOON, "waiting for mastership");
    fs::remove_file(&fit).expect("it was there");
    number(&cid, "started");
    assert!(!crate::ground::lives(of_ann), "{}", ann.transcript());
    ann.expect_text(SOON, "unfit");
}

/// Only the first one that hangs is taken for a mistake.
#[test]
fn a_check_that_hangs_later_has_failed() {
    let server = server();
    let folder = ScratchFolder::new("command");
    let hangs = folder.path().join("hangs");
    let check = format!("echo $$ > {0}.pid; if test -e {0}; then exec sleep 1000; fi", hangs.display());
    let options = ["--check", &check, "--check-interval", "50ms", "--check-timeout", "300ms"];
    let program = run(&server.hosts(), "/duties/hangs", &options, WORK);
    let pid = number(&program, "started");
    fs::write(&hangs, "").expect("a file");
    program.expect_text(SOON, "unfit: the check does not end within 300ms");
    dies(pid, SOON, "COMMAND");
    // It dies with `election`, too.
    program.kill9();
    let check = fs::read_to_string(format!("{}.pid", hangs.display())).expect("the check wrote it");
    dies(check.trim().parse().expect("a number"), AT_ONCE, "the check");
}

#[test]
fn hooks_run_at_each_change_of_the_role() {
    let server = server();
    let on_master = "echo up $ELECTION_ROLE $ELECTION_TOKEN $ELECTION_VALUE";
    let on_slave = "echo down $ELECTION_ROLE ${ELECTION_TOKEN:-none} ${ELECTION_MASTER:-nobody}";
    let options = |value| ["--value", value, "--on-master", on_master, "--on-slave", on_slave];
    let ann = run(&server.hosts(), "/duties/hooks", &options("ann"), WORK);
    let up = ann.expect_text(SOON, "up master");
    assert!(up.text.ends_with(" ann"), "{}", up.text);
    let of_ann = ann.expect_text(SOON, "started");
    assert!(up.at <= of_ann.at);
    let bob = run(&server.hosts(), "/duties/hooks", &options("bob"), WORK);
    bob.expect_text(SOON, "down slave none ann");
    ann.terminate();
    ann.expect_text(SOON, "down slave none nobody");
    assert!(ann.wait(SOON).is_some());
    bob.expect_text(SOON, "up master");
    bob.expect_text(SOON, "started");
}

#[test]
fn a_hook_that_hangs_is_killed_and_one_that_fails_is_told() {
    let server = server();
    let options = ["--on-master", "echo hook $$; exec sleep 1000", "--hook-timeout", "300ms"];
    let program = run(&server.hosts(), "/duties/slow-hook", &options, WORK);
    let hook = number(&program, "hook");
    program.expect_text(SOON, "--on-master took too long and was killed");
    number(&program, "started");
    assert!(!crate::ground::lives(hook));
    let program = run(&server.hosts(), "/duties/bad-hook", &["--on-master", "exit 3"], WORK);
    program.expect_text(SOON, "--on-master failed: exit status: 3");
    number(&program, "started");
}

/// A hook of a master is under the lease as COMMAND is.
#[test]
fn a_hook_does_not_outlive_the_lease() {
    let server = server();
    let relay = Relay::start(server.addr(0));
    let options = [
        "--session-timeout",
        SHORT,
        "--on-master",
        "trap '' TERM; echo hook $$; while :; do sleep 0.1; done",
        "--hook-timeout",
        "1h",
    ];
    let program = run(&relay.host(), "/duties/hook-lease", &options, "echo never");
    let hook = number(&program, "hook");
    relay.blackhole(true);
    dies(hook, SHORT_TIME, "the hook");
    program.expect_text(SOON, "--on-master was killed");
}

// ---- Service managers -------------------------------------------------------------------------------------------------

/// What a service manager would hear.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn listen(at: &Path) -> Manager {
        let socket = UnixDatagram::bind(at).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
        Manager { socket, heard: Vec::new() }
    }

    #[track_caller]
    fn hears(&mut self, what: &str) {
        let found = wait_until(SOON, || {
            let mut text = [0; 4096];
            while let Ok(len) = self.socket.recv(&mut text) {
                self.heard.extend(String::from_utf8_lossy(&text[..len]).lines().map(str::to_owned));
            }
            self.heard.iter().any(|line| line.contains(what))
        });
        assert!(found, "not heard: {what}\n{}", self.heard.join("\n"));
    }
}

#[test]
fn a_service_manager_hears_how_it_stands() {
    let server = server();
    let folder = ScratchFolder::new("command");
    let socket = folder.path().join("notify");
    let mut manager = Manager::listen(&socket);
    let mut command = run_command(&server.hosts(), "/duties/service", &[], WORK);
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "200000").env_remove("WATCHDOG_PID");
    let program = Program::spawn(command);
    manager.hears("READY=1");
    manager.hears("STATUS=master at /duties/service, token ");
    // Half of the time after which it would be restarted, for as long as it is told.
    let count = |manager: &Manager| manager.heard.iter().filter(|line| *line == "WATCHDOG=1").count();
    let before = count(&manager);
    std::thread::sleep(Duration::from_secs(1));
    manager.hears("WATCHDOG=1");
    assert!(count(&manager) >= before + 7, "{} after {before}", count(&manager));
    // One that is stopped says nothing.
    program.freeze();
    manager.hears("WATCHDOG=1");
    let before = count(&manager);
    std::thread::sleep(Duration::from_millis(500));
    manager.hears("WATCHDOG=1");
    assert_eq!(count(&manager), before);
    program.thaw();
    program.terminate();
    manager.hears("STOPPING=1");
    manager.hears("STATUS=SIGTERM: stopping");
}

/// Standing by is what a standby is there for: the start of a service does not wait for mastership, nor for a server.
#[test]
fn one_that_waits_is_ready() {
    let folder = ScratchFolder::new("command");
    let socket = folder.path().join("notify");
    let mut manager = Manager::listen(&socket);
    let mut command = run_command("127.0.0.1:1", "/duties/ready", &[], WORK);
    command.env("NOTIFY_SOCKET", &socket);
    let _program = Program::spawn(command);
    manager.hears("READY=1");
    manager.hears("STATUS=waiting to hear from ZooKeeper");
}

// ---- HTTP -------------------------------------------------------------------------------------------------------------

fn ask(address: &str, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn get(address: &str, target: &str) -> String {
    ask(address, &format!("GET {target} HTTP/1.1\r\nHost: here\r\n\r\n")).unwrap_or_default()
}

/// The address at which a program listens: it was told port 0.
fn listens_at(program: &Program) -> String {
    let line = program.expect_text(SOON, "listening at ");
    line.text.rsplit(' ').next().expect("a word").to_owned()
}

#[test]
fn http_says_who_is_master_and_who_is_well() {
    let server = server();
    let relay = Relay::start(server.addr(0));
    let options = ["--listen", "0", "--session-timeout", SHORT];
    let ann = run(&relay.host(), "/duties/http", &options, WORK);
    let at_ann = listens_at(&ann);
    number(&ann, "started");
    let bob = run(&server.hosts(), "/duties/http", &["--listen", "127.0.0.1:0"], WORK);
    let at_bob = listens_at(&bob);
    bob.expect_text(SOON, "waiting for mastership");
    assert!(at_ann.starts_with("127.0.0.1:") && at_bob.starts_with("127.0.0.1:"), "{at_ann} {at_bob}");

    assert!(get(&at_ann, "/master").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(get(&at_bob, "/master").starts_with("HTTP/1.1 503 "));
    assert!(
        get(&at_ann, "/health").starts_with("HTTP/1.1 200 ")
            && get(&at_bob, "/health").starts_with("HTTP/1.1 200 ")
    );
    assert!(get(&at_ann, "/").starts_with("HTTP/1.1 404 "));
    let head = ask(&at_ann, "HEAD /master HTTP/1.0\r\n\r\n").expect("an answer");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(ask(&at_ann, "POST /master HTTP/1.1\r\n\r\n").expect("an answer").starts_with("HTTP/1.1 405 "));
    assert!(ask(&at_ann, "\x01\x02\r\n\r\n").expect("an answer").starts_with("HTTP/1.1 400 "));

    // Those who connect and say nothing keep nobody else from being answered for long.
    let silent: Vec<_> = (0..40).filter_map(|_| TcpStream::connect(&at_ann).ok()).collect();
    assert!(wait_until(SOON, || get(&at_ann, "/master").starts_with("HTTP/1.1 200 ")), "{}", silent.len());

    relay.blackhole(true);
    number(&bob, "started");
    assert!(wait_until(SOON, || get(&at_ann, "/health").starts_with("HTTP/1.1 503 ")));
    assert!(get(&at_ann, "/master").starts_with("HTTP/1.1 503 "));
}

/// Prometheus' own parser for Python reads what /metrics says.
#[test]
fn prometheus_understands_the_metrics() {
    let server = server();
    let program = run(&server.hosts(), "/duties/me\"trics", &["--listen", "0"], WORK);
    let address = listens_at(&program);
    number(&program, "started");
    let answer = get(&address, "/metrics");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4"), "{head}");
    let parse = "import sys
from prometheus_client.parser import text_string_to_metric_families as parse
families = {family.name: family for family in parse(sys.stdin.read())}
for name, kind, value in [('election_is_master', 'gauge', 1), ('election_connected', 'gauge', 1),
                          ('election_command_running', 'gauge', 1), ('election_command_runs', 'counter', 1),
                          ('election_sessions_opened', 'counter', 1), ('election_masterships_begun', 'counter', 1)]:
    family = families[name]
    [sample] = family.samples
    assert (family.type, sample.value, sample.labels) == (kind, value, {'path': '/duties/me\"trics'}), (family, sample)
assert 0 < families['election_lease_left_seconds'].samples[0].value < 10
assert families['election_token'].samples[0].value > 0
assert all(family.documentation for family in families.values())
print(len(families), 'families')";
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", parse]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut python = python.stderr(std::process::Stdio::piped()).spawn().expect("python3 is there: make setup");
    python.stdin.take().expect("piped").write_all(body.as_bytes()).expect("it reads");
    let output = python.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{body}\nwithout prometheus_client: make setup");
}

// ---- Credentials ------------------------------------------------------------------------------------------------------

#[test]
fn credentials_come_from_a_file_or_a_variable() {
    let server = server();
    let folder = ScratchFolder::new("command");
    let file = folder.path().join("credentials");
    fs::write(&file, "# of the jobs\ndigest jobs:secret\n").expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let file = file.to_str().expect("a plain name");
    let acl = ["--acl", "creator"];
    let master = run(&server.hosts(), "/duties/secret", &[&acl[..], &["--auth-file", file]].concat(), WORK);
    number(&master, "started");

    // Nobody else may even read who it is.
    let look = |command: &mut Command| {
        command.args(["--hosts", &server.hosts(), "--path", "/duties/secret"]);
        crate::ground::ended(std::mem::replace(command, Command::new("true")))
    };
    let (code, _, said) = look(&mut crate::ground::election(["status"]));
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("access control lists"), "{said}");
    let mut with = crate::ground::election(["status"]);
    let (code, out, said) = look(with.env("ELECTION_AUTH", "digest jobs:secret"));
    assert_eq!(code, 0, "{out}{said}");

    master.terminate();
    assert!(master.wait(SOON).is_some_and(|status| status.signal() == Some(libc::SIGTERM)));
}

#[test]
fn what_zookeeper_refuses_for_good_ends_it() {
    let server = server();
    let mut client = testkit::RawClient::connect(&server.host(0), 10_000).expect("a session");
    // An ephemeral znode has no children.
    assert_eq!(client.create("/duties-leaf", b"", 1).expect("an answer").err, 0);
    let program = run(&server.hosts(), "/duties-leaf/child", &[], WORK);
    assert_eq!(program.wait(SOON).and_then(|status| status.code()), Some(125), "{}", program.transcript());
    program.expect_text(SOON, "an ephemeral znode stands where a parent of the path should be");
    client.close_session().expect("an answer");
}

// ---- Terminals --------------------------------------------------------------------------------------------------------

/// With a signal that somebody has it ignore, as nohup does, nothing happens.
#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let server = server();
    let mut command = run_command(&server.hosts(), "/duties/nohup", &[], "echo started $$; sleep 0.5; echo done");
    // SAFETY: the closure makes one system call.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(&mut command, || {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
            Ok(())
        });
    }
    let program = Program::spawn(command);
    let pid = number(&program, "started");
    signal(program.pid() as i32, libc::SIGHUP);
    signal(pid, libc::SIGHUP);
    program.expect_text(SOON, "done");
    assert!(program.wait(SOON).is_some_and(|status| status.success()), "{}", program.transcript());
}
