//! Encrypts the connection that has won the race of the dialer. The files are read on a thread of their own, because a file
//! system may be slow and a password takes time to become a key. That goes on while the addresses are dialled.

#[cfg(all(test, feature = "tls"))]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{channel, Receiver, TryRecvError};
use std::sync::Arc;

use crate::driver::connect_cause::CauseKind;
use crate::driver::io::dial::Ended;
use crate::driver::io::poller::Token;
use crate::driver::io::reactor::TaskWaker;
use crate::driver::io::stream::Stream;
use crate::driver::thread;
use crate::driver::tls::{self, Config, TlsSettings};
use crate::logic::Time;

type Loaded = Result<Arc<Config>, String>;

/// The handshakes of one dialer, one at a time.
pub struct Handshakes {
    settings: Arc<TlsSettings>,
    waker: TaskWaker,
    loading: Option<Receiver<Loaded>>,
    loaded: Option<Loaded>,
    under_way: Option<Handshake>,
}

struct Handshake {
    address: SocketAddr,
    host: String,
    stream: Stream,
    until: Time,
    has_begun: bool,
}

impl Handshakes {
    pub fn new(settings: Arc<TlsSettings>, waker: TaskWaker) -> Handshakes {
        Handshakes { settings, waker, loading: None, loaded: None, under_way: None }
    }

    /// A connection is going to be made: reads the files for it. If an earlier reading has not ended, its result is used.
    pub fn prepare(&mut self) {
        if self.loading.is_some() {
            return;
        }
        let (tell, told) = channel();
        let (settings, waker) = (self.settings.clone(), self.waker.clone());
        let read = move || {
            let _ = tell.send(Config::load(&settings));
            waker.wake();
        };
        (self.loaded, self.loading) = match thread::spawn(c"election-tls", read) {
            Ok(_) => (None, Some(told)),
            Err(error) => (Some(Err(format!("no thread to read its files: {error}"))), None),
        };
    }

    /// The files that were read last, if they could be used.
    pub fn config(&self) -> Option<&Arc<Config>> {
        self.loaded.as_ref()?.as_ref().ok()
    }

    /// Takes a connection. `turn` begins the handshake when the files are read.
    pub fn take(&mut self, address: SocketAddr, host: String, stream: Stream, until: Time) {
        self.under_way = Some(Handshake { address, host, stream, until, has_begun: false });
    }

    /// Begins the handshake if it waited for the files, or gives it up. Returns how it failed, if it did.
    pub fn turn(&mut self, now: Time) -> Option<Ended> {
        self.take_files();
        let handshake = self.under_way.as_mut()?;
        let done = match &self.loaded {
            _ if handshake.until <= now => Err(tls::fault(CauseKind::Silent)),
            Some(loaded) if !handshake.has_begun => handshake.begin(loaded),
            _ => Ok(false),
        };
        self.ended(done)
    }

    /// A socket is ready. Returns how the handshake ended, if it did and the socket is its.
    pub fn ready(&mut self, token: Token) -> Option<Ended> {
        let handshake = self.under_way.as_mut().filter(|handshake| handshake.stream.token() == token)?;
        let done = match handshake.has_begun {
            true => handshake.stream.handshake(),
            // A server of TLS says nothing before we do.
            false => match handshake.stream.read(&mut [0]) {
                Ok(Some(_)) => Err(tls::fault(CauseKind::SpeaksPlainText)),
                Ok(None) => Ok(false),
                Err(error) => Err(error),
            },
        };
        self.ended(done)
    }

    fn ended(&mut self, done: io::Result<bool>) -> Option<Ended> {
        let outcome = match done {
            Ok(false) => return None,
            Ok(true) => Ok(()),
            Err(error) => Err(error),
        };
        let Handshake { address, stream, .. } = self.under_way.take()?;
        Some(Ended { address, outcome: outcome.map(|()| stream) })
    }

    fn take_files(&mut self) {
        let loaded = match self.loading.as_ref().map(Receiver::try_recv) {
            None | Some(Err(TryRecvError::Empty)) => return,
            Some(Ok(loaded)) => loaded,
            Some(Err(TryRecvError::Disconnected)) => Err("the thread that reads its files has failed".to_owned()),
        };
        (self.loaded, self.loading) = (Some(loaded), None);
    }

    /// When `turn` has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.under_way.as_ref().map(|handshake| handshake.until)
    }

    /// The address of the connection whose handshake is under way.
    pub fn under_way(&self) -> Option<SocketAddr> {
        self.under_way.as_ref().map(|handshake| handshake.address)
    }

    pub fn stop(&mut self) {
        self.under_way = None;
    }
}

impl Handshake {
    /// Sends the first bytes. What follows comes with the server's answer, so the handshake never ends here.
    fn begin(&mut self, loaded: &Loaded) -> io::Result<bool> {
        let config = loaded.as_ref().map_err(|said| tls::fault(CauseKind::TlsFiles(said.clone())))?;
        self.stream.encrypt(config.connect(&self.host)?);
        self.has_begun = true;
        self.stream.set_has_more(false)?;
        Ok(false)
    }
}
