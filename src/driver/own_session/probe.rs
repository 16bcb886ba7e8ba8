//! Asks a server that has ended our connection without a word what is wrong with it. It may have no quorum, serve
//! read-only clients alone, or be no ZooKeeper at all. `srvr` is the four-letter word that every ZooKeeper server answers
//! without a session.

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

/// The maximum number of bytes that are read of an answer.
const ANSWER_MAX: usize = 4_096;

pub struct Probe {
    pub address: SocketAddr,
    pub until: Time,
    dial: Race,
    stream: Option<Stream>,
    answer: Vec<u8>,
}

impl Probe {
    pub fn start(poller: &Arc<Poller>, owner: u32, now: Time, address: SocketAddr) -> io::Result<Probe> {
        let mut dial = Race::default();
        dial.start(poller, owner, now, address, PATIENCE)?;
        let until = now.plus_ms(PATIENCE.as_millis() as u64);
        Ok(Probe { address, until, dial, stream: None, answer: Vec::new() })
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

    /// What the answer says.
    pub fn kind(&self) -> CauseKind {
        CauseKind::of_answer(&self.answer)
    }
}
