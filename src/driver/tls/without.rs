//! A build without the cargo feature `tls`.

use std::io::{self, Read, Write};
use std::sync::Arc;

use super::TlsSettings;

#[derive(Debug)]
pub enum Config {}

#[derive(Debug)]
pub enum Connection {}

impl Config {
    pub fn load(_: &TlsSettings) -> Result<Arc<Config>, String> {
        Err(super::NOT_BUILT_IN.to_owned())
    }

    pub fn connect(&self, _: &str) -> io::Result<Connection> {
        match *self {}
    }
}

impl Connection {
    pub fn handshake(&mut self, _: &mut (impl Read + Write)) -> io::Result<bool> {
        match *self {}
    }

    pub fn read(&mut self, _: &mut impl Read, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    pub fn has_unread(&self) -> bool {
        match *self {}
    }

    pub fn write(&mut self, _: &mut impl Write, _: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    pub fn flush(&mut self, _: &mut impl Write) -> io::Result<bool> {
        match *self {}
    }
}
