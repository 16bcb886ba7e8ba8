//! A relay that makes a client lose its session although the servers keep it: it spoils the password with which a client
//! takes its session up again, so that the server says the session has expired, and keeps it and its znodes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Where the session id stands in a connect request: behind its length, the protocol version, the last zxid seen and the
/// timeout. Behind it the password, as its length and its bytes.
const SESSION_ID_AT: usize = 4 + 4 + 8 + 4;
const PASSWORD_AT: usize = SESSION_ID_AT + 8 + 4;

pub struct Amnesia {
    addr: SocketAddr,
    is_on: Arc<AtomicBool>,
    is_on_once: Arc<AtomicBool>,
}

impl Amnesia {
    /// Starts on a port of its own. Its threads end with the process.
    pub fn start(target: SocketAddr) -> Amnesia {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let addr = listener.local_addr().expect("a bound listener has an address");
        let is_on = Arc::new(AtomicBool::new(false));
        let is_on_once = Arc::new(AtomicBool::new(false));
        let (always, once) = (Arc::clone(&is_on), Arc::clone(&is_on_once));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (always, once) = (Arc::clone(&always), Arc::clone(&once));
                let spoils = move || once.swap(false, Ordering::SeqCst) || always.load(Ordering::SeqCst);
                // An error is the end of a connection.
                std::thread::spawn(move || serve(client, target, spoils));
            }
        });
        Amnesia { addr, is_on, is_on_once }
    }

    pub fn host(&self) -> String {
        self.addr.to_string()
    }

    /// From now on clients lose their sessions, or keep them.
    pub fn set(&self, is_on: bool) {
        self.is_on.store(is_on, Ordering::SeqCst);
    }

    /// The next time that a client takes its session up again, it loses it.
    pub fn spoil_once(&self) {
        self.is_on_once.store(true, Ordering::SeqCst);
    }
}

fn serve(mut client: TcpStream, target: SocketAddr, spoils: impl Fn() -> bool) -> std::io::Result<()> {
    let mut connect = vec![0; PASSWORD_AT + 1];
    client.read_exact(&mut connect)?;
    let is_resumed = connect[SESSION_ID_AT..SESSION_ID_AT + 8] != [0; 8];
    if is_resumed && spoils() {
        connect[PASSWORD_AT] ^= 0xff;
    }
    let mut server = TcpStream::connect(target)?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    server.write_all(&connect)?;
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(std::net::Shutdown::Both);
    });
    let copied = std::io::copy(&mut client, &mut server);
    let _ = server.shutdown(std::net::Shutdown::Both);
    copied.map(drop)
}
