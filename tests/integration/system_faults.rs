//! A network, a resolver and a process that fail under the library. Each test runs two handles in a process of their own:
//! one of them meets the fault, and the other one leads on as if nothing were wrong.

use crate::candidates::{options, Candidate, TestHandle};
use crate::ground::{one_server, resident_kib, SOON};
use election::LogLevel;
use std::ffi::CString;
use std::io::BufRead;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::{eventually, Ensemble, Namespace, Program, Relay, ScratchFolder};

const VARIABLE: &str = "ELECTION_TEST_TWO_HANDLES";
const TIMEOUT_MS: u64 = 4_000;
const CLOSES_WITHIN: Duration = Duration::from_secs(3);

/// How long a fault lasts: several session timeouts.
const OUTAGE: Duration = Duration::from_secs(15);

/// The most CPU that two handles may use in that time.
const CPU_MOST: Duration = Duration::from_millis(400);

/// Turns into the two handles if this process was started to be them. It answers the lines of its standard input.
fn is_two_handles() -> bool {
    let Ok(told) = std::env::var(VARIABLE) else { return false };
    let words: Vec<&str> = told.split(' ').collect();
    let [path, struck, spared, timeout_ms] = words[..] else { panic!("{told}") };
    let open = |hosts: &str| {
        let options = options(timeout_ms.parse().unwrap());
        TestHandle::open_with(hosts, &options)
    };
    let stand = |handle: &TestHandle, name: &'static str| {
        handle.go_to_election(&format!("{path}-{name}"), name.as_bytes(), move |event| {
            println!("HEARD {name} {:?} {:?}", event.role, event.reason);
        })
    };
    election::set_log(LogLevel::Warn, |record| println!("LOG {}", record.message)).unwrap();
    let (one, other) = (open(struck), open(spared));
    stand(&one, "struck").unwrap();
    stand(&other, "spared").unwrap();
    let token = |handle: &TestHandle, name: &str| handle.lease(&format!("{path}-{name}")).map_or(0, |m| m.token);
    let (is_over, lapses) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let watch = {
        let (is_over, lapses, other, path) =
            (is_over.clone(), lapses.clone(), other.clone(), format!("{path}-spared"));
        std::thread::spawn(move || {
            let mut led = false;
            while !is_over.load(Ordering::SeqCst) {
                let leads = other.is_master(&path);
                lapses.fetch_add(usize::from(led && !leads), Ordering::SeqCst);
                led |= leads;
                std::thread::sleep(Duration::from_millis(2));
            }
        })
    };
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("token", "") => println!("TOKENS {} {}", token(&one, "struck"), token(&other, "spared")),
            ("lapses", "") => println!("LAPSES {}", lapses.load(Ordering::SeqCst)),
            ("cpu", "") => println!("CPU {}", crate::child::cpu_used().as_millis()),
            ("limit", most) => {
                let most = most.parse().unwrap();
                // SAFETY: sets the soft limit of this process.
                unsafe {
                    let mut limit: libc::rlimit = std::mem::zeroed();
                    assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
                    limit.rlim_cur = most;
                    assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
                }
                println!("LIMITED");
            }
            ("close_all", "") => {
                // SAFETY: the descriptors of the library are what this is about; this process has no others.
                assert_eq!(unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) }, 0);
                // Files of the program take the numbers.
                std::mem::forget((0..20).map(|_| std::fs::File::open("/dev/null").unwrap()).collect::<Vec<_>>());
                println!("CLOSED_ALL");
            }
            ("close", "") => {
                is_over.store(true, Ordering::SeqCst);
                let began = Instant::now();
                let _ = (one.close(), other.close());
                println!("CLOSED {}", began.elapsed().as_millis());
                break;
            }
            _ => panic!("{line}"),
        }
    }
    is_over.store(true, Ordering::SeqCst);
    watch.join().unwrap();
    true
}

/// The process with the two handles.
struct TwoHandles(Program);

impl TwoHandles {
    fn spawn(
        test: &str,
        path: &str,
        [struck, spared]: [&str; 2],
        prepare: impl FnOnce(&mut Command),
    ) -> TwoHandles {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args([&format!("system_faults::{test}"), "--exact", "--nocapture"]);
        command.env(VARIABLE, format!("{path} {struck} {spared} {TIMEOUT_MS}"));
        prepare(&mut command);
        TwoHandles(Program::spawn(command))
    }

    /// The numbers of the answer to a line.
    #[track_caller]
    fn ask(&self, line: &str, answer: &str) -> Vec<i64> {
        self.0.write_line(line).expect("it listens");
        let line = self.0.expect_text(SOON, answer).text;
        line.split_once(answer).unwrap().1.split_whitespace().map(|number| number.parse().unwrap()).collect()
    }

    #[track_caller]
    fn tokens(&self) -> [i64; 2] {
        self.ask("token", "TOKENS").try_into().unwrap()
    }

    #[track_caller]
    fn both_lead(&self) -> [i64; 2] {
        eventually(SOON, "both lead", || self.tokens().iter().all(|token| *token != 0));
        self.tokens()
    }

    /// How much CPU it uses in the time that `act` takes.
    #[track_caller]
    fn cpu_during(&self, act: impl FnOnce()) -> Duration {
        let before = self.ask("cpu", "CPU")[0];
        act();
        Duration::from_millis((self.ask("cpu", "CPU")[0] - before) as u64)
    }

    #[track_caller]
    fn closes(self) {
        let took = Duration::from_millis(self.ask("close", "CLOSED ")[0] as u64);
        assert!(took < CLOSES_WITHIN, "the close took {took:?}");
        assert!(self.0.wait(SOON).expect("it ends").success(), "{}", self.0.transcript());
    }

    /// The struck one loses its mastership and hears of it in time. Attempts that fail at once cost next to no CPU.
    #[track_caller]
    fn loses_one_without_a_spin(&self) {
        let struck_at = Instant::now();
        let used = self.cpu_during(|| {
            self.0.expect_text(Duration::from_millis(TIMEOUT_MS + 1_000), "HEARD struck Unknown");
            std::thread::sleep(OUTAGE.saturating_sub(struck_at.elapsed()));
        });
        assert_eq!(self.tokens()[0], 0, "{:?} after it was struck", struck_at.elapsed());
        assert!(used < CPU_MOST, "{used:?} of CPU in {:?}", struck_at.elapsed());
        assert_eq!(self.ask("lapses", "LAPSES"), [0], "{}", self.0.transcript());
    }
}

fn run_ip(namespace: &Namespace, arguments: &[&str]) {
    let mut ip = Command::new("ip");
    ip.args(arguments);
    namespace.enter(&mut ip);
    assert!(ip.status().expect("`ip` of iproute2").success(), "{arguments:?}");
}

/// The route to one server goes away: each attempt fails at once.
#[test]
fn a_network_that_is_unreachable() {
    if is_two_handles() {
        return;
    }
    let ensemble = Ensemble::builder(3).network(true).start();
    let clients = ensemble.network().clients();
    let hosts = [ensemble.host(0), ensemble.host(1)];
    let handles =
        TwoHandles::spawn("a_network_that_is_unreachable", "/unreachable", [&hosts[0], &hosts[1]], |command| {
            clients.enter(command);
        });
    let tokens = handles.both_lead();
    let route = format!("{}/32", ensemble.network().client_ip(0));
    // The kernel finds no route (ENETUNREACH).
    run_ip(clients, &["route", "add", "throw", &route]);
    handles.loses_one_without_a_spin();
    run_ip(clients, &["route", "del", "throw", &route]);
    let again = handles.both_lead();
    assert_eq!(again[1], tokens[1]);
    // And again (EHOSTUNREACH), immediately before the close.
    run_ip(clients, &["route", "add", "unreachable", &route]);
    handles.closes();
}

/// The process has no descriptor left.
#[test]
fn a_process_without_descriptors() {
    if is_two_handles() {
        return;
    }
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let hosts = [&*relay.host(), &ensemble.host(0)];
    let handles = TwoHandles::spawn("a_process_without_descriptors", "/descriptors", hosts, |_| {});
    let tokens = handles.both_lead();
    handles.ask("limit 3", "LIMITED");
    relay.cut_all();
    handles.loses_one_without_a_spin();
    handles.ask("limit 1024", "LIMITED");
    let again = handles.both_lead();
    assert_eq!(again[1], tokens[1]);
    // And again, immediately before the close.
    handles.ask("limit 3", "LIMITED");
    relay.cut_all();
    handles.closes();
}

/// The program closes all descriptors, and opens files that get their numbers: the library reconnects within the lease and
/// writes into none of the files.
#[test]
fn a_program_that_closes_all_descriptors() {
    if is_two_handles() {
        return;
    }
    let ensemble = one_server();
    let host = ensemble.host(0);
    let handles = TwoHandles::spawn("a_program_that_closes_all_descriptors", "/closed", [&host, &host], |_| {});
    let tokens = handles.both_lead();
    let used = handles.cpu_during(|| {
        handles.ask("close_all", "CLOSED_ALL");
        std::thread::sleep(Duration::from_millis(TIMEOUT_MS * 3 / 2));
    });
    assert!(used < CPU_MOST, "{used:?} of CPU");
    assert_eq!(handles.tokens(), tokens, "the lease is longer than this takes");
    assert_eq!(handles.ask("lapses", "LAPSES"), [0]);
    // And again, immediately before the close.
    handles.ask("close_all", "CLOSED_ALL");
    handles.closes();
}

/// Has a program look names up as this `resolv.conf` says. It gets a copy of the mounts.
pub fn use_resolver(command: &mut Command, resolv: &Path) {
    let resolv = CString::new(resolv.to_str().unwrap()).unwrap();
    // SAFETY: between fork and exec, system calls alone.
    unsafe {
        command.pre_exec(move || {
            let none = std::ptr::null();
            let target = c"/etc/resolv.conf".as_ptr();
            let moved = libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()) == 0
                && libc::mount(resolv.as_ptr(), target, none, libc::MS_BIND, none.cast()) == 0;
            match moved {
                true => Ok(()),
                false => Err(std::io::Error::last_os_error()),
            }
        });
    }
}

/// Answers each question for an IPv4 address with `answer`, as long as the process lives.
fn serve_names(socket: UdpSocket, answer: IpAddr) {
    let IpAddr::V4(answer) = answer else { panic!("{answer} is no IPv4 address") };
    let mut question = [0; 512];
    while let Ok((length, asker)) = socket.recv_from(&mut question) {
        let question = &question[..length];
        let name_end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap();
        let is_ipv4 = question[name_end + 1..name_end + 3] == [0, 1];
        let mut reply = question[..name_end + 5].to_vec();
        reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_ipv4), 0, 0, 0, 0]);
        if is_ipv4 {
            reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
            reply.extend(answer.octets());
        }
        let _ = socket.send_to(&reply, asker);
    }
}

/// The first resolver of the system is silent, and each look-up takes five seconds. The library connects as soon as the name
/// is known, and the log says meanwhile that it waits for the name. Later, it does not wait for the name.
#[test]
fn a_slow_resolver() {
    if is_two_handles() {
        return;
    }
    let ensemble = Ensemble::builder(1).network(true).start();
    let clients = ensemble.network().clients();
    let (silent, good): (IpAddr, IpAddr) = ([127, 0, 0, 2].into(), [127, 0, 0, 3].into());
    let folder = ScratchFolder::new("slow-resolver");
    let resolv = folder.path().join("resolv.conf");
    std::fs::write(&resolv, format!("nameserver {silent}\nnameserver {good}\n")).unwrap();
    let (_silent, server) =
        clients.run(|| (UdpSocket::bind((silent, 53)).unwrap(), UdpSocket::bind((good, 53)).unwrap()));
    let address = ensemble.network().client_ip(0);
    let stops = server.as_raw_fd();
    let names = std::thread::spawn(move || serve_names(server, address));
    let by_name = format!("zk.example:{}", ensemble.addr(0).port());
    let by_address = ensemble.host(0);
    let began = Instant::now();
    let handles = TwoHandles::spawn("a_slow_resolver", "/slow", [&by_name, &by_address], |command| {
        clients.enter(command);
        use_resolver(command, &resolv);
    });
    handles.0.expect_text(SOON, "the look-up of zk.example takes long");
    let tokens = handles.both_lead();
    let took = began.elapsed();
    assert!(took > Duration::from_secs(4), "{took:?}: the look-up was not slow");
    assert!(took < Duration::from_secs(8), "{took:?} until the name was found");
    // The connections break. The name takes five seconds, and the lease is shorter.
    handles.ask("close_all", "CLOSED_ALL");
    std::thread::sleep(Duration::from_millis(TIMEOUT_MS * 3 / 2));
    assert_eq!(handles.tokens(), tokens);
    handles.closes();
    // SAFETY: ends the thread that reads from this socket, which it owns until then.
    unsafe { libc::shutdown(stops, libc::SHUT_RDWR) };
    drop(names);
}

/// A thread sets values as fast as it can. Both stay master, the last value arrives, and no queue grows.
#[test]
fn a_handle_that_is_kept_busy() {
    const LASTS: Duration = Duration::from_secs(10);
    let ensemble = one_server();
    let busy = Candidate::stand_for(&ensemble.host(0), TIMEOUT_MS, "/busy/one", "0");
    let other = Candidate::stand_for(&ensemble.host(0), TIMEOUT_MS, "/busy/other", "mine");
    let (token, others_token) = (busy.becomes_master(), other.becomes_master());
    let (asked, others) = (busy.interrogate(), other.interrogate());
    let before = resident_kib();
    let began = Instant::now();
    let mut last = 0u64;
    while began.elapsed() < LASTS {
        last += 1;
        busy.handle.set_value("/busy/one", last.to_string().as_bytes()).unwrap();
    }
    let grown = resident_kib().saturating_sub(before);
    let last = last.to_string();
    eventually(SOON, "the last value arrives", || {
        busy.handle.master("/busy/one", SOON).is_ok_and(|master| *master.value == *last.as_bytes())
    });
    asked.end().are_always_yes(token);
    others.end().are_always_yes(others_token);
    assert!(grown < 20_000, "{grown} KiB more after {last} values");
}
