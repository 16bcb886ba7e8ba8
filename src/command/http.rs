//! The HTTP answers of `--listen`: `/metrics` in the text format of Prometheus, `/health` and `/master` for load
//! balancers and readiness probes.
//!
//! The crate httparse parses the requests. A server crate would bring more than this needs, above all threads. Here,
//! one thread accepts connections. Each connection has its own short-lived thread. At most [`CONNECTIONS_MAX`] of
//! these run at the same time, and none waits longer than [`PATIENCE`].

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use election::Handle;

use crate::failure::{Failure, Result};
use crate::servers::plain;

const PATIENCE: Duration = Duration::from_secs(5);
const CONNECTIONS_MAX: usize = 16;
const REQUEST_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 64;
const STACK: usize = 256 * 1024;

/// The state that this candidate shows. The loop of the candidate writes it, and the HTTP threads read it.
pub struct Face {
    pub handle: Handle,
    path: String,
    is_connected: AtomicBool,
    is_running: AtomicBool,
    runs: AtomicU64,
}

impl Face {
    pub fn new(handle: Handle, path: &str) -> Face {
        Face {
            handle,
            path: path.to_owned(),
            is_connected: AtomicBool::new(false),
            is_running: AtomicBool::new(false),
            runs: AtomicU64::new(0),
        }
    }

    pub fn set_connected(&self, is_connected: bool) {
        self.is_connected.store(is_connected, Ordering::Relaxed);
    }

    pub fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    pub fn command_started(&self) {
        self.is_running.store(true, Ordering::Relaxed);
        self.runs.fetch_add(1, Ordering::Relaxed);
    }

    pub fn command_ended(&self) {
        self.is_running.store(false, Ordering::Relaxed);
    }

    fn answer(&self, target: &str) -> Answer {
        let path = target.split('?').next().unwrap_or_default();
        let plain =
            |status, text: &str| Answer { status, kind: "text/plain; charset=utf-8", text: format!("{text}\n") };
        let is_master = self.handle.is_master(&self.path);
        match path {
            "/metrics" => {
                Answer { status: 200, kind: "text/plain; version=0.0.4; charset=utf-8", text: self.metrics() }
            }
            "/health" if is_master || self.is_connected() => plain(200, "connected to ZooKeeper"),
            "/health" => plain(503, "not connected to ZooKeeper"),
            "/master" if is_master => plain(200, "master"),
            "/master" => plain(503, "not master"),
            _ => plain(404, "there is /metrics, /health and /master"),
        }
    }

    fn metrics(&self) -> String {
        let mastership = self.handle.lease(&self.path);
        let path = escape(&self.path);
        let mut text = String::new();
        let mut put = |name: &str, kind: &str, help: &str, value: f64| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{{path=\"{path}\"}} {value}");
        };
        let is = |yes: bool| if yes { 1.0 } else { 0.0 };
        put("election_is_master", "gauge", "1 while this candidate is master.", is(mastership.is_some()));
        put(
            "election_lease_left_seconds",
            "gauge",
            "How long the lease of the master lasts if it is not extended; 0 when not master.",
            mastership.map_or(0.0, |mastership| mastership.left.as_secs_f64()),
        );
        put(
            "election_token",
            "gauge",
            "The token of the mastership; 0 when not master.",
            mastership.map_or(0.0, |mastership| mastership.token as f64),
        );
        put("election_connected", "gauge", "1 while there is a connection to ZooKeeper.", is(self.is_connected()));
        let is_running = self.is_running.load(Ordering::Relaxed);
        put("election_command_running", "gauge", "1 while COMMAND runs.", is(is_running));
        let runs = self.runs.load(Ordering::Relaxed) as f64;
        put("election_command_runs_total", "counter", "How often COMMAND was started.", runs);
        if let Ok(it) = self.handle.counters() {
            for (name, help, value) in [
                ("connections", "Connections that were made.", it.connections),
                ("connect_failures", "Rounds through all servers without a session.", it.connect_failures),
                ("suspensions", "Connections that broke while the session lived.", it.suspensions),
                ("sessions_opened", "Sessions that were opened.", it.sessions_opened),
                ("sessions_expired", "Sessions that were over too early.", it.sessions_expired),
                ("sessions_renewed", "Idle sessions that were given up for a fresh one.", it.sessions_renewed),
                ("requests_sent", "Requests to ZooKeeper.", it.requests_sent),
                ("requests_answered", "Requests that ZooKeeper answered.", it.requests_answered),
                ("requests_unknown", "Requests whose answer never came.", it.requests_unknown),
                ("proofs_sent", "Proofs of the lease that were sent.", it.proofs_sent),
                ("proofs_committed", "Proofs of the lease that were committed.", it.proofs_committed),
                ("masterships_begun", "Masterships that began.", it.masterships_begun),
                ("masterships_ended", "Masterships that ended.", it.masterships_ended),
                ("leases_expired", "Masterships whose lease ran out.", it.leases_expired),
            ] {
                put(&format!("election_{name}_total"), "counter", help, value as f64);
            }
            let seconds = |us: u64| Duration::from_micros(us).as_secs_f64();
            put("election_proof_last_seconds", "gauge", "How long the last proof took.", seconds(it.proof_last_us));
            put(
                "election_proof_longest_seconds",
                "gauge",
                "How long the longest proof took.",
                seconds(it.proof_longest_us),
            );
        }
        text
    }
}

/// Escapes the value of a label as the text format requires.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

struct Answer {
    status: u16,
    kind: &'static str,
    text: String,
}

/// Listens at an address. If the address is only a port, it listens on the loopback interface.
pub fn bind(address: &str) -> Result<TcpListener> {
    let port = address.strip_prefix(':').unwrap_or(address);
    let bound = match port.parse::<u16>() {
        Ok(port) => TcpListener::bind(("127.0.0.1", port)),
        Err(_) => TcpListener::bind(address),
    };
    bound.map_err(|error| Failure::usage(format!("--listen {address}: {}", plain(&error))))
}

pub fn serve(listener: TcpListener, face: Arc<Face>) -> Result<()> {
    let started = thread::Builder::new().name("election-http".to_owned()).stack_size(STACK).spawn(move || {
        let count = Arc::new(AtomicUsize::new(0));
        for stream in listener.incoming() {
            match stream {
                Ok(stream) if count.fetch_add(1, Ordering::SeqCst) < CONNECTIONS_MAX => {
                    let (face, theirs) = (face.clone(), count.clone());
                    let serve = move || {
                        let _ = converse(stream, &face);
                        theirs.fetch_sub(1, Ordering::SeqCst);
                    };
                    if thread::Builder::new().stack_size(STACK).spawn(serve).is_err() {
                        count.fetch_sub(1, Ordering::SeqCst);
                    }
                }
                // Too many connections are open. The new one is dropped, which closes it.
                Ok(_) => drop(count.fetch_sub(1, Ordering::SeqCst)),
                // For example, no file descriptor is left.
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    });
    started.map(drop).map_err(|error| Failure::failed(format!("--listen: no thread: {}", plain(&error))))
}

/// Reads one request and writes one answer.
fn converse(mut stream: TcpStream, face: &Face) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut text = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || text.len() > REQUEST_MAX {
            return Ok(());
        }
        stream.set_read_timeout(Some(left))?;
        let mut more = [0; 1024];
        let len = stream.read(&mut more)?;
        if len == 0 {
            return Ok(());
        }
        text.extend_from_slice(&more[..len]);
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let answer = match request.parse(&text) {
            Ok(httparse::Status::Partial) => continue,
            Ok(httparse::Status::Complete(_)) => match (request.method, request.path) {
                (Some("GET" | "HEAD"), Some(target)) => face.answer(target),
                _ => Answer { status: 405, kind: "text/plain", text: "GET and HEAD only\n".to_owned() },
            },
            Err(_) => Answer { status: 400, kind: "text/plain", text: "this is no HTTP\n".to_owned() },
        };
        let body = if request.method == Some("HEAD") { "" } else { &answer.text };
        let reason = match answer.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            _ => "Service Unavailable",
        };
        let head = format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            answer.status,
            answer.kind,
            answer.text.len()
        );
        return stream.write_all(format!("{head}{body}").as_bytes());
    }
}
