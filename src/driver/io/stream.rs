//! A connection to a server, encrypted or not: reads and writes that never wait.

use std::io::{self, ErrorKind, Read, Write};

use rustix::net::{recv, send, RecvFlags, SendFlags};

use super::poller::{Interest, Token, Watched};
use crate::driver::tls::Connection;

#[derive(Debug)]
pub struct Stream {
    socket: Watched,
    tls: Option<Box<Connection>>,
}

impl Stream {
    /// Takes a socket that is connected.
    pub fn new(mut socket: Watched) -> io::Result<Stream> {
        socket.set_interest(Interest::Read)?;
        Ok(Stream { socket, tls: None })
    }

    /// Encrypts from here on. `handshake` begins.
    pub fn encrypt(&mut self, tls: Connection) {
        self.tls = Some(Box::new(tls));
    }

    /// Goes on with the handshake, when the socket is ready. Returns whether it is over. Nothing can be read or written
    /// before.
    pub fn handshake(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        let is_over = match tls.handshake(&mut Socket(&self.socket)) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            other => other?,
        };
        self.set_has_more(false)?;
        Ok(is_over)
    }

    pub fn token(&self) -> Token {
        self.socket.token
    }

    /// Reads what has arrived, at most as much as `buffer` holds. `None` if nothing has arrived; fails if the peer has
    /// ended the connection.
    pub fn read<'a>(&mut self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        let mut socket = Socket(&self.socket);
        let read = match &mut self.tls {
            Some(tls) => tls.read(&mut socket, buffer),
            None => socket.read(buffer),
        };
        match read {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => Ok(Some(&buffer[..length])),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether there is more to read, of which the kernel knows nothing.
    pub fn has_unread(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_unread())
    }

    /// Writes as much of `bytes` as there is room for, and returns how much that is. If the connection is encrypted, some
    /// of it may wait until the kernel has room; it counts as written.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut socket = Socket(&self.socket);
        let written = match &mut self.tls {
            Some(tls) => tls.write(&mut socket, bytes),
            None => socket.write(bytes),
        };
        match written {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    /// Whether there is something left to write. If so, or if something waits that was encrypted, the owner is told when
    /// the kernel takes more.
    pub fn set_has_more(&mut self, has_more: bool) -> io::Result<()> {
        let is_flushed = match &mut self.tls {
            Some(tls) => tls.flush(&mut Socket(&self.socket))?,
            None => true,
        };
        self.socket.set_interest(if has_more || !is_flushed { Interest::Both } else { Interest::Read })
    }
}

/// The socket, for code that reads and writes. What would have to wait fails.
struct Socket<'a>(&'a Watched);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let received = recv(self.0.socket.get()?, buffer, RecvFlags::DONTWAIT);
        received.map(|(length, _)| length).map_err(retried_later)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        send(self.0.socket.get()?, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).map_err(retried_later)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A call that a signal has interrupted is repeated when the socket is ready.
fn retried_later(error: rustix::io::Errno) -> io::Error {
    match error {
        rustix::io::Errno::INTR => ErrorKind::WouldBlock.into(),
        error => error.into(),
    }
}
