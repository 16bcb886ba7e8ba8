//! Asks a server that has said nothing, or has ended our connection without a word, what is wrong with it. It may have no
//! quorum, serve read-only clients alone, or be no ZooKeeper at all. `srvr` is the four-letter word that every ZooKeeper
//! server answers without a session. A server of another kind may wait for the end of a line, so that one follows.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::driver::connect_cause::CauseKind;
use crate::driver::io::dial::Race;
use crate::driver::io::poller::{Poller, Token};
use crate::driver::io::stream::Stream;
use crate::logic::Time;

/// The limit for one question.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// The time before the end of the line. It is not sent at once: a ZooKeeper server reads the word alone, and its answer
/// may be lost if something is left to be read.
const BEFORE_THE_LINE_END_MS: u64 = 400;

/// The maximum number of bytes that are read of an answer.
const ANSWER_MAX: usize = 4_096;

pub struct Probe {
    pub address: SocketAddr,
    until: Time,
    line_end_at: Option<Time>,
    dial: Race,
    stream: Option<Stream>,
    answer: Vec<u8>,
}

impl Probe {
    pub fn start(poller: &Arc<Poller>, owner: u32, now: Time, address: SocketAddr) -> io::Result<Probe> {
        let mut dial = Race::default();
        dial.start(poller, owner, now, address, PATIENCE)?;
        let until = now.plus_ms(PATIENCE.as_millis() as u64);
        let line_end_at = Some(now.plus_ms(BEFORE_THE_LINE_END_MS));
        Ok(Probe { address, until, line_end_at, dial, stream: None, answer: Vec::new() })
    }

    /// The moment of the next `handle_timeout`.
    pub fn poll_timeout(&self) -> Time {
        self.line_end_at.unwrap_or(self.until)
    }

    /// Returns whether the time for an answer is over.
    pub fn handle_timeout(&mut self, now: Time) -> bool {
        if self.line_end_at.is_some_and(|then| then <= now) {
            self.line_end_at = None;
            if let Some(stream) = self.stream.as_ref().filter(|_| self.answer.is_empty()) {
                // A failure shows when the socket is read.
                let _ = stream.write(b"\r\n\r\n");
            }
        }
        self.until <= now
    }

    /// A socket is ready. Returns whether the probe has ended; `None` if the socket is not the probe's.
    pub fn ready(&mut self, token: Token) -> Option<bool> {
        match &self.stream {
            Some(stream) => (stream.token() == token).then(|| self.read().is_err()),
            None => {
                let outcome = self.dial.ready(token)?.outcome;
                let asked = outcome.and_then(|stream| {
                    stream.write(b"srvr")?;
                    self.stream = Some(stream);
                    Ok(())
                });
                Some(asked.is_err())
            }
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let mut piece = [0; 1_024];
        if let Some(bytes) = self.stream.as_ref().map(|stream| stream.read(&mut piece)).transpose()?.flatten() {
            self.answer.extend_from_slice(bytes);
        }
        match self.answer.len() < ANSWER_MAX {
            true => Ok(()),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// What the answer says; `None` if there is none.
    pub fn kind(&self) -> Option<CauseKind> {
        (!self.answer.is_empty()).then(|| CauseKind::of_answer(&self.answer))
    }
}
