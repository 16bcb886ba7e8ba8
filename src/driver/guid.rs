//! Globally unique numbers.

use std::io;

/// Returns 128 random bits from the system.
pub fn new() -> io::Result<u128> {
    let mut bytes = [0u8; 16];
    // SAFETY: the buffer is ours and has this length. For so few bytes the system fills the whole buffer or fails.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    match usize::try_from(got) {
        Ok(got) if got == bytes.len() => Ok(u128::from_ne_bytes(bytes)),
        _ => Err(io::Error::last_os_error()),
    }
}
