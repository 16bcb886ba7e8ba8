//! The bytes on their way to the socket, and the moment at which the first byte of each frame was handed to it.
//!
//! The lease counts from such moments. A moment that is too early is safe, one that is too late is not. So a frame has
//! the moment of the `hand_out` before the write that took its first byte. A frame of which no byte was taken was
//! certainly not sent.

use std::collections::VecDeque;
use std::hint::black_box;

use crate::logic::Time;

/// What a frame is, for the one who wants to know when it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Connect,
    /// The first frame of the next request in the order of the requests.
    Request,
}

#[derive(Debug, Default)]
pub struct Outgoing {
    bytes: Vec<u8>,
    /// How many of `bytes` the socket has taken.
    taken: usize,
    /// Where the frames begin that were not begun yet.
    marks: VecDeque<(usize, Mark)>,
    handed_out_at: Option<Time>,
    /// `bytes` has credentials in it.
    is_secret: bool,
}

/// An emptied buffer that is larger than this is given back.
const KEPT: usize = 64 << 10;

impl Outgoing {
    /// The buffer to write the next frame to, with its mark.
    pub fn next_frame(&mut self, mark: Option<Mark>) -> &mut Vec<u8> {
        self.marks.extend(mark.map(|mark| (self.bytes.len(), mark)));
        &mut self.bytes
    }

    /// So many bytes of credentials follow. They are overwritten when they are sent or forgotten, and no copy stays
    /// where the buffer was before it grew.
    pub fn keep_secret(&mut self, len: usize) {
        self.bytes.reserve(len);
        self.is_secret = len > 0;
    }

    /// The bytes to write now.
    pub fn hand_out(&mut self, now: Time) -> &[u8] {
        self.handed_out_at = Some(now);
        &self.bytes[self.taken..]
    }

    /// The socket has taken this many bytes of those that were handed out last. Returns when that was, and tells of
    /// each frame that was begun with them.
    pub fn take(&mut self, count: usize, mut begun: impl FnMut(Mark, Time)) -> Option<Time> {
        let at = self.handed_out_at.filter(|_| count > 0)?;
        self.taken = self.taken.saturating_add(count).min(self.bytes.len());
        while let Some((_, mark)) = self.marks.front().filter(|(start, _)| *start < self.taken) {
            begun(*mark, at);
            self.marks.pop_front();
        }
        if self.taken == self.bytes.len() {
            self.clear();
        } else if self.taken > self.bytes.len() / 2 && !self.is_secret {
            // At most as many bytes move as were taken.
            self.bytes.drain(..self.taken);
            for (start, _) in &mut self.marks {
                *start -= self.taken;
            }
            self.taken = 0;
        }
        Some(at)
    }

    pub fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything that was not taken.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.is_secret) {
            self.bytes.fill(0);
            black_box(&self.bytes);
        }
        self.bytes.clear();
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        self.taken = 0;
        self.marks.clear();
        self.handed_out_at = None;
    }
}
