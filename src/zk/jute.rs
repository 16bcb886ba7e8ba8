//! Jute, the encoding of ZooKeeper's records. Numbers are big-endian. A string, a buffer or a list is a count and its
//! content; the count -1 means none.
//!
//! A reader compares each count with the bytes that are left before it uses the count. So a frame can make us allocate
//! only in proportion to its own length.

/// Why a frame is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The frame ends before its message does.
    TooShort,
    /// The frame goes on after its message.
    TooLong,
    /// A count is negative and not -1, or larger than the rest of the frame.
    Count,
    /// A string is not UTF-8.
    Text,
    /// A field has a value that it cannot have.
    Field,
}

/// The part of a frame that is not read yet.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(frame: &'a [u8]) -> Reader<'a> {
        Reader(frame)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed::TooShort)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub fn bool(&mut self) -> Result<bool, Malformed> {
        self.take::<1>().map(|[byte]| byte != 0)
    }

    pub fn i32(&mut self) -> Result<i32, Malformed> {
        self.take().map(i32::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, Malformed> {
        self.take().map(i64::from_be_bytes)
    }

    /// A buffer; none is read as an empty one.
    pub fn buffer(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.count(1)?;
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed::Count)?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.buffer()?).map_err(|_| Malformed::Text)
    }

    /// How many elements follow, each of which takes `least` bytes or more.
    pub fn count(&mut self, least: usize) -> Result<usize, Malformed> {
        match self.i32()? {
            -1 => Ok(0),
            count => {
                let count = usize::try_from(count).map_err(|_| Malformed::Count)?;
                let needed = count.checked_mul(least).ok_or(Malformed::Count)?;
                (needed <= self.0.len()).then_some(count).ok_or(Malformed::Count)
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fails if anything is left.
    pub fn finish(self) -> Result<(), Malformed> {
        self.is_empty().then_some(()).ok_or(Malformed::TooLong)
    }
}

pub fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.push(value.into());
}

pub fn put_i32(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// The library's limits on values and paths keep every count below 2^31.
pub fn put_count(out: &mut Vec<u8>, count: usize) {
    put_i32(out, i32::try_from(count).unwrap_or(i32::MAX));
}

pub fn put_buffer(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// A frame: four bytes with the length of what `write` writes, and that.
pub fn put_frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    put_i32(out, 0);
    write(out);
    let len = i32::try_from(out.len() - start - 4).unwrap_or(i32::MAX);
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        put_frame(&mut out, |out| {
            put_bool(out, true);
            put_i32(out, -101);
            put_i64(out, i64::MIN);
            put_buffer(out, "zü".as_bytes());
            put_i32(out, -1);
        });
        let (len, frame) = out.split_at(4);
        assert_eq!(len, (frame.len() as i32).to_be_bytes());
        let mut reader = Reader::new(frame);
        assert_eq!(reader.bool(), Ok(true));
        assert_eq!(reader.i32(), Ok(-101));
        assert_eq!(reader.i64(), Ok(i64::MIN));
        assert_eq!(reader.text(), Ok("zü"));
        assert_eq!(reader.finish(), Err(Malformed::TooLong));
        assert_eq!(reader.buffer(), Ok(&[][..]));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn a_count_is_compared_with_what_is_left() {
        for (frame, least, count) in [
            (&[0, 0, 0, 2, 1, 2][..], 1, Ok(2)),
            (&[0, 0, 0, 2, 1, 2], 2, Err(Malformed::Count)),
            (&[0, 0, 0, 3, 1, 2], 1, Err(Malformed::Count)),
            (&[0x7f, 0xff, 0xff, 0xff], usize::MAX, Err(Malformed::Count)),
            (&[0x7f, 0xff, 0xff, 0xff], 4, Err(Malformed::Count)),
            (&[0xff, 0xff, 0xff, 0xfe], 1, Err(Malformed::Count)),
            (&[0xff, 0xff, 0xff, 0xff], 1, Ok(0)),
            (&[0, 0, 0], 1, Err(Malformed::TooShort)),
        ] {
            assert_eq!(Reader::new(frame).count(least), count, "{frame:?}");
        }
        assert_eq!(Reader::new(&[0, 0, 0, 1, 0xff]).text(), Err(Malformed::Text));
    }
}
