//! Memory for passwords and keys. It has pages of its own, which the kernel leaves out of core files, and is overwritten
//! before it is freed.

use std::alloc::{alloc, dealloc, handle_alloc_error, Layout};
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;

/// Pages with nothing else in them.
struct Pages {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: they are memory that has one owner.
unsafe impl Send for Pages {}
unsafe impl Sync for Pages {}

impl Pages {
    fn new(size: usize) -> Pages {
        // SAFETY: sysconf takes a number and touches no memory.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4_096);
        let layout = Layout::from_size_align(size.max(1).next_multiple_of(page), page).expect("a size that exists");
        // SAFETY: the size is not 0.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let pages = Pages { start, layout };
        pages.advise(libc::MADV_DONTDUMP);
        pages
    }

    /// A kernel that does not know the advice does not take it.
    fn advise(&self, advice: libc::c_int) {
        // SAFETY: the pages are ours, and the advice does not change what they hold.
        unsafe { libc::madvise(self.start.as_ptr().cast(), self.layout.size(), advice) };
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the pages are ours, and nobody uses them any more. No compiler removes the first call.
        unsafe {
            libc::explicit_bzero(self.start.as_ptr().cast(), self.layout.size());
            self.advise(libc::MADV_DODUMP);
            dealloc(self.start.as_ptr(), self.layout);
        }
    }
}

/// Secret bytes. No `Debug` output shows them.
pub struct SecretBytes {
    pages: Pages,
    len: usize,
}

impl SecretBytes {
    pub fn new(bytes: &[u8]) -> SecretBytes {
        let pages = Pages::new(bytes.len());
        // SAFETY: the pages have room for the bytes, and are no part of them.
        unsafe { pages.start.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        SecretBytes { pages, len: bytes.len() }
    }
}

impl Deref for SecretBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `new` has written this many bytes.
        unsafe { std::slice::from_raw_parts(self.pages.start.as_ptr(), self.len) }
    }
}

impl Clone for SecretBytes {
    fn clone(&self) -> SecretBytes {
        SecretBytes::new(self)
    }
}

impl PartialEq for SecretBytes {
    fn eq(&self, other: &SecretBytes) -> bool {
        **self == **other
    }
}

impl Eq for SecretBytes {}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes")
    }
}

/// A secret value, such as a key. What it owns elsewhere is not protected.
#[cfg(feature = "tls")]
pub struct Secret<T> {
    pages: Pages,
    value: std::marker::PhantomData<T>,
}

#[cfg(feature = "tls")]
impl<T> Secret<T> {
    /// Moves the value in. Where it was before is the caller's: see [`clean_stack`].
    pub fn new(value: T) -> Secret<T> {
        let pages = Pages::new(size_of::<T>());
        assert!(align_of::<T>() <= pages.layout.align(), "a page is aligned for everything");
        // SAFETY: the pages have room for the value, and are aligned for it.
        unsafe { pages.start.cast::<T>().write(value) };
        Secret { pages, value: std::marker::PhantomData }
    }
}

#[cfg(feature = "tls")]
impl<T> Deref for Secret<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new` has written the value, which stays there until this is dropped.
        unsafe { self.pages.start.cast().as_ref() }
    }
}

#[cfg(feature = "tls")]
impl<T> Drop for Secret<T> {
    fn drop(&mut self) {
        // SAFETY: the value is there, and nobody uses it any more. Then the pages are overwritten.
        unsafe { self.pages.start.cast::<T>().drop_in_place() };
    }
}

/// Calls `f`, and overwrites the part of the stack that it has used: functions of other crates leave copies of a key there.
#[cfg(feature = "tls")]
pub fn with_clean_stack<T>(f: impl FnOnce() -> T) -> T {
    let done = call(f);
    clean_stack();
    done
}

/// In a frame of its own, below that of the caller.
#[cfg(feature = "tls")]
#[inline(never)]
fn call<T>(f: impl FnOnce() -> T) -> T {
    f()
}

/// More than the functions use that handle keys.
#[cfg(feature = "tls")]
const STACK_USED: usize = 24 << 10;

#[cfg(feature = "tls")]
#[inline(never)]
fn clean_stack() {
    let mut space = std::mem::MaybeUninit::<[u8; STACK_USED]>::uninit();
    // SAFETY: the space is ours. No compiler removes this call.
    unsafe { libc::explicit_bzero(space.as_mut_ptr().cast(), STACK_USED) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The flags of the mapping that has this address, as /proc/self/smaps shows them.
    fn flags_at(address: usize) -> String {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut is_it = false;
        for line in smaps.lines() {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let range = range.and_then(|(start, end)| {
                Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
            });
            match range {
                Some(range) => is_it = range.contains(&address),
                None if is_it && line.starts_with("VmFlags:") => return line.to_owned(),
                None => {}
            }
        }
        panic!("no mapping has {address:#x}")
    }

    #[test]
    fn it_is_in_no_core_file_while_it_lives() {
        for len in [0, 1, 31, 4_096, 5_000] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let secret = SecretBytes::new(&bytes);
            assert_eq!(*secret, *bytes);
            assert_eq!(secret.clone(), secret);
            let (first, last) = (secret.pages.start.as_ptr() as usize, secret.pages.layout.size() - 1);
            for address in [first, first + last] {
                let flags = flags_at(address);
                assert!(flags.split(' ').any(|flag| flag == "dd"), "{flags}");
            }
            assert!(!format!("{secret:?}").contains("31"));
        }
    }
}
