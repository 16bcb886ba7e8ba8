//! ZooKeeper's framing, for code that speaks the protocol by hand. A frame is its length, four bytes big-endian, and
//! that many bytes. Inside, numbers are big-endian. A string or a buffer is its length and its bytes; the length -1
//! means none.

use std::io::{self, ErrorKind, Read, Write};

/// Above ZooKeeper's own limit of one mebibyte (`jute.maxbuffer`), and below the first four letters of a four-letter command.
const MAX_LEN: usize = 16 << 20;

/// The next frame; `None` at the end of the stream.
pub fn read_frame(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    match read_head(stream)? {
        None => Ok(None),
        Some(head) => match len_of(head) {
            None => Err(ErrorKind::InvalidData.into()),
            Some(len) => read_rest(stream, len).map(Some),
        },
    }
}

/// The four bytes that a frame or a four-letter command begins with; `None` at the end of the stream.
pub fn read_head(stream: &mut impl Read) -> io::Result<Option<[u8; 4]>> {
    let mut head = [0; 4];
    match stream.read_exact(&mut head) {
        Ok(()) => Ok(Some(head)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The length of the frame that begins with `head`, if `head` begins a frame.
pub fn len_of(head: [u8; 4]) -> Option<usize> {
    usize::try_from(i32::from_be_bytes(head)).ok().filter(|&len| len <= MAX_LEN)
}

pub fn read_rest(stream: &mut impl Read, len: usize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; len];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

/// One write, so that no half frame waits for another packet.
pub fn write_frame(stream: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(4 + frame.len());
    put_buffer(&mut bytes, frame);
    stream.write_all(&bytes)
}

pub fn put_i32(frame: &mut Vec<u8>, value: i32) {
    frame.extend_from_slice(&value.to_be_bytes());
}

pub fn put_i64(frame: &mut Vec<u8>, value: i64) {
    frame.extend_from_slice(&value.to_be_bytes());
}

pub fn put_buffer(frame: &mut Vec<u8>, bytes: &[u8]) {
    let len = i32::try_from(bytes.len()).expect("a buffer of less than two gibibytes");
    put_i32(frame, len);
    frame.extend_from_slice(bytes);
}

/// The unread part of a frame. Each `take` is `None` if the frame is too short for it.
pub struct Rest<'a>(pub &'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn take_i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    pub fn take_i64(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    pub fn take_buffer(&mut self) -> Option<&'a [u8]> {
        let len = self.take_i32()?.max(0);
        self.take(usize::try_from(len).ok()?)
    }
}
