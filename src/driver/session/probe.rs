//! Asks a server that has said nothing, or has ended our connection without a word, what is wrong with it. It may have no
//! quorum, serve read-only clients alone, speak TLS where we do not or the other way round, or be no ZooKeeper at all.
//! `srvr` is the four-letter word that every ZooKeeper server answers without a session. A server of another kind may wait
//! for the end of a line, so that one follows.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::driver::connect_cause::CauseKind;
use crate::driver::io::dial::Race;
use crate::driver::io::poller::{Poller, Token};
use crate::driver::io::stream::Stream;
use crate::driver::tls::Config;
use crate::logic::Time;

/// The limit for one question.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// The time before the end of the line. It is not sent at once: a ZooKeeper server reads the word alone, and its answer
/// may be lost if something is left to be read.
const BEFORE_THE_LINE_END_MS: u64 = 400;

/// The maximum number of bytes that are read of an answer.
const ANSWER_MAX: usize = 4_096;

/// A ClientHello of TLS 1.2 (RFC 5246, 7.4.1.2). Every server that speaks TLS answers it, also if it does not like it. The
/// random bytes are zeros, because no connection comes of it.
const HELLO: &[u8] = b"\x16\x03\x01\x00\x39\x01\x00\x00\x35\x03\x03\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \x00\x00\x0e\xc0\x2b\xc0\x2f\xc0\x2c\xc0\x30\x00\x9c\x00\x9d\x00\x2f\x01\x00";

#[derive(Clone)]
pub enum Question {
    /// `srvr`.
    Word,
    /// `srvr`, encrypted, to the server of this name.
    Encrypted(Arc<Config>, String),
    /// Whether it speaks TLS.
    Hello,
}

pub struct Probe {
    pub address: SocketAddr,
    pub question: Question,
    until: Time,
    line_end_at: Option<Time>,
    dial: Race,
    stream: Option<Stream>,
    is_asked: bool,
    answer: Vec<u8>,
}

impl Probe {
    pub fn start(
        poller: &Arc<Poller>,
        owner: u32,
        now: Time,
        address: SocketAddr,
        question: Question,
    ) -> io::Result<Probe> {
        let mut dial = Race::default();
        dial.start(poller, owner, now, address, PATIENCE)?;
        let until = now.plus_ms(PATIENCE.as_millis() as u64);
        let line_end_at = matches!(question, Question::Word).then(|| now.plus_ms(BEFORE_THE_LINE_END_MS));
        Ok(Probe { address, question, until, line_end_at, dial, stream: None, is_asked: false, answer: Vec::new() })
    }

    /// The moment of the next `handle_timeout`.
    pub fn poll_timeout(&self) -> Time {
        self.line_end_at.unwrap_or(self.until)
    }

    /// Returns whether the time for an answer is over.
    pub fn handle_timeout(&mut self, now: Time) -> bool {
        if self.line_end_at.is_some_and(|then| then <= now) {
            self.line_end_at = None;
            if let Some(stream) = self.stream.as_mut().filter(|_| self.answer.is_empty()) {
                // A failure shows when the socket is read.
                let _ = stream.write(b"\r\n\r\n");
            }
        }
        self.until <= now
    }

    /// A socket is ready. Returns whether the probe has ended; `None` if the socket is not the probe's.
    pub fn ready(&mut self, token: Token) -> Option<bool> {
        let went_on = match &self.stream {
            Some(stream) if stream.token() != token => return None,
            Some(_) => self.go_on(),
            None => self.dial.ready(token)?.outcome.and_then(|stream| self.connected(stream)),
        };
        Some(went_on.is_err())
    }

    fn connected(&mut self, mut stream: Stream) -> io::Result<()> {
        if let Question::Encrypted(config, host) = &self.question {
            stream.encrypt(config.connect(host)?);
        }
        self.stream = Some(stream);
        self.go_on()
    }

    fn go_on(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        if !self.is_asked {
            if stream.handshake()? {
                stream.write(if let Question::Hello = self.question { HELLO } else { b"srvr" })?;
                stream.set_has_more(false)?;
                self.is_asked = true;
            }
            return Ok(());
        }
        let mut piece = [0; 1_024];
        loop {
            if let Some(bytes) = stream.read(&mut piece)? {
                self.answer.extend_from_slice(bytes);
            }
            let is_told = matches!(self.question, Question::Hello) && !self.answer.is_empty();
            if is_told || self.answer.len() >= ANSWER_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if !stream.has_unread() {
                return Ok(());
            }
        }
    }

    /// What the answer says; `None` if there is none.
    pub fn kind(&self) -> Option<CauseKind> {
        (!self.answer.is_empty()).then(|| CauseKind::of_answer(&self.answer))
    }
}
