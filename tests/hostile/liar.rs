//! A relay in front of one honest server that lies to the client: what the server says passes a function that may change
//! it, end the connection, or go on talking by itself. It can lie to the server, too: about who resumes a session.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What becomes of a frame of the server's. Bytes are as they go over the wire, with the frame's length.
pub enum Deed {
    Say(Vec<u8>),
    SayAndClose(Vec<u8>),
    /// Says this again and again, and nothing else, until the connection or the lie ends; with a pause each time.
    GoOnSaying(Vec<u8>, Duration),
}

/// Given the frame's number on its connection, from 0, and what the server said.
pub type Lie = Arc<dyn Fn(usize, &[u8]) -> Deed + Send + Sync>;

/// The bytes of a frame.
pub fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

pub struct Liar {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lie: Option<Lie>,
    /// Counts the lies.
    lies: usize,
    forgets: bool,
    open: Vec<TcpStream>,
    connections: usize,
    /// Whose end of the connection is open.
    clients: usize,
    is_closing: bool,
}

impl Liar {
    pub fn start(target: SocketAddr) -> Liar {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port on loopback");
        let addr = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared { target, state: Mutex::default() });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept_all(&accepting, &listener));
        Liar { addr, shared }
    }

    pub fn host(&self) -> String {
        self.addr.to_string()
    }

    /// Lies from now on, or is honest; on new connections only, so those of before end.
    pub fn lie(&self, lie: Option<Lie>) {
        let mut state = self.shared.state.lock().unwrap();
        state.lie = lie;
        state.lies += 1;
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Whoever comes back next gets a new session, and is not told.
    pub fn forget_session(&self) {
        self.shared.state.lock().unwrap().forgets = true;
        self.lie(None);
    }

    /// Whether all clients have closed their ends.
    pub fn is_alone(&self) -> bool {
        self.shared.state.lock().unwrap().clients == 0
    }

    pub fn connections(&self) -> usize {
        self.shared.state.lock().unwrap().connections
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap().is_closing = true;
        self.lie(None);
        let _ = TcpStream::connect(self.addr); // wakes the acceptor
    }
}

fn accept_all(shared: &Arc<Shared>, listener: &TcpListener) {
    for client in listener.incoming().flatten() {
        if shared.state.lock().unwrap().is_closing {
            return;
        }
        let shared = Arc::clone(shared);
        thread::spawn(move || serve(&shared, client));
    }
}

/// An error is the end of a connection, which is what this is about.
fn serve(shared: &Arc<Shared>, client: TcpStream) -> Option<()> {
    let server = TcpStream::connect(shared.target).ok()?;
    server.set_nodelay(true).ok()?;
    client.set_nodelay(true).ok()?;
    let (lie, number, forgets) = {
        let mut state = shared.state.lock().unwrap();
        state.connections += 1;
        state.clients += 1;
        state.open.retain(|stream| stream.peer_addr().is_ok());
        state.open.push(client.try_clone().ok()?);
        state.open.push(server.try_clone().ok()?);
        (state.lie.clone(), state.lies, std::mem::take(&mut state.forgets))
    };
    let (mut from, mut to) = (client.try_clone().ok()?, server.try_clone().ok()?);
    let of_clients = Arc::clone(shared);
    let forward = thread::spawn(move || {
        if forgets {
            let _ = ask_for_a_new_session(&mut from, &mut to);
        }
        let _ = std::io::copy(&mut from, &mut to);
        of_clients.state.lock().unwrap().clients -= 1;
        let _ = to.shutdown(Shutdown::Both);
    });
    let is_current = || shared.state.lock().unwrap().lies == number;
    answer(&server, &client, lie, is_current);
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
    forward.join().ok()
}

/// The connect request: protocol version, zxid, timeout, session id, password.
fn ask_for_a_new_session(from: &mut TcpStream, to: &mut TcpStream) -> std::io::Result<()> {
    let mut body = read_frame(from)?;
    body[16..24].fill(0);
    body[28..44].fill(0);
    to.write_all(&framed(&body))
}

fn read_frame(mut from: &TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = [0; 4];
    from.read_exact(&mut head)?;
    let mut body = vec![0; u32::from_be_bytes(head) as usize];
    from.read_exact(&mut body)?;
    Ok(body)
}

fn answer(
    server: &TcpStream,
    mut client: &TcpStream,
    lie: Option<Lie>,
    is_current: impl Fn() -> bool,
) -> Option<()> {
    for number in 0.. {
        let body = read_frame(server).ok()?;
        match lie.as_ref().map_or_else(|| Deed::Say(framed(&body)), |lie| lie(number, &body)) {
            Deed::Say(bytes) => client.write_all(&bytes).ok()?,
            Deed::SayAndClose(bytes) => {
                client.write_all(&bytes).ok()?;
                return None;
            }
            Deed::GoOnSaying(bytes, pause) => {
                while is_current() {
                    client.write_all(&bytes).ok()?;
                    thread::sleep(pause);
                }
                return None;
            }
        }
    }
    None
}
