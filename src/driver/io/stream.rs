//! A connection to a server: reads and writes that never wait.

use std::io::{self, ErrorKind};

use rustix::net::{recv, send, RecvFlags, SendFlags};

use super::poller::{Interest, Token, Watched};

#[derive(Debug)]
pub struct Stream {
    socket: Watched,
}

impl Stream {
    /// Takes a socket that is connected.
    pub fn new(mut socket: Watched) -> io::Result<Stream> {
        socket.set_interest(Interest::Read)?;
        Ok(Stream { socket })
    }

    pub fn token(&self) -> Token {
        self.socket.token
    }

    /// Reads what has arrived, at most as much as `buffer` holds. `None` if nothing has arrived; fails if the peer has
    /// ended the connection.
    pub fn read<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        match recv(self.socket.socket.get()?, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => Err(ErrorKind::UnexpectedEof.into()),
            Ok((length, _)) => Ok(Some(&buffer[..length])),
            Err(error) => match io::Error::from(error).kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(None),
                _ => Err(error.into()),
            },
        }
    }

    /// Writes as much of `bytes` as the kernel takes, and returns how much that is.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match send(self.socket.socket.get()?, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(length) => Ok(length),
            Err(error) => match io::Error::from(error).kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(0),
                _ => Err(error.into()),
            },
        }
    }

    /// Whether there is something left to write. If so, the owner is told when the kernel takes more.
    pub fn set_has_more(&mut self, has_more: bool) -> io::Result<()> {
        self.socket.set_interest(if has_more { Interest::Both } else { Interest::Read })
    }
}
