//! MIT's GSSAPI library, loaded when the first login needs it, and values of it that release themselves.
//!
//! The library is never unloaded: threads of ours may be in it. Its functions block while they wait for a KDC or a name
//! service, so only threads made for that call them.

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::mem::{transmute_copy, MaybeUninit};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

const NAME: &CStr = c"libgssapi_krb5.so.2";

/// The part of a status that says that a call has failed, and the two statuses of those that have not.
const ERRORS: u32 = 0xffff_0000;
const CONTINUE_NEEDED: u32 = 1;

/// The part of a status that says how it has failed (RFC 2744, 3.9.1).
pub const BAD_SIGNATURE: u32 = 6 << 16;
pub const NO_CREDENTIAL: u32 = 7 << 16;
pub const DEFECTIVE_TOKEN: u32 = 9 << 16;
pub const CREDENTIAL_EXPIRED: u32 = 11 << 16;

const INITIATE: c_int = 1;
const ANY_TIME: u32 = u32::MAX;
const STATUS_OF_LIBRARY: c_int = 1;
const STATUS_OF_MECHANISM: c_int = 2;

const MUTUAL: u32 = 2;
const REPLAY: u32 = 4;
const SEQUENCE: u32 = 8;
const INTEGRITY: u32 = 32;

#[repr(C)]
struct Buffer {
    length: usize,
    value: *const c_void,
}

#[repr(C)]
struct Oid {
    length: u32,
    elements: *const c_void,
}

#[repr(C)]
struct OidSet {
    count: usize,
    elements: *const Oid,
}

#[repr(C)]
struct StoreElement {
    key: *const c_char,
    value: *const c_char,
}

#[repr(C)]
struct Store {
    count: u32,
    elements: *const StoreElement,
}

/// Kerberos 5, 1.2.840.113554.1.2.2.
const KERBEROS: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";

/// How a name is written.
#[derive(Clone, Copy, Debug)]
pub enum NameKind {
    /// `worker` or `worker@REALM`.
    Principal,
    /// `service@host`.
    Service,
}

impl NameKind {
    fn oid(self) -> &'static [u8] {
        match self {
            // 1.2.840.113554.1.2.2.1 and 1.2.840.113554.1.2.1.4.
            NameKind::Principal => b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01",
            NameKind::Service => b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04",
        }
    }
}

fn oid(elements: &'static [u8]) -> Oid {
    Oid { length: elements.len() as u32, elements: elements.as_ptr().cast() }
}

type Handle = *mut c_void;
type Release = unsafe extern "C" fn(*mut u32, *mut Handle) -> u32;

/// The functions that are used. Those of libkrb5 come with the library, which is linked to it.
pub struct Library {
    import_name: unsafe extern "C" fn(*mut u32, *const Buffer, *const Oid, *mut Handle) -> u32,
    acquire_cred_from: unsafe extern "C" fn(
        *mut u32,
        Handle,
        u32,
        *const OidSet,
        c_int,
        *const Store,
        *mut Handle,
        *mut *mut OidSet,
        *mut u32,
    ) -> u32,
    init_sec_context: unsafe extern "C" fn(
        *mut u32,
        Handle,
        *mut Handle,
        Handle,
        *const Oid,
        u32,
        u32,
        *const c_void,
        *const Buffer,
        *mut *const Oid,
        *mut Buffer,
        *mut u32,
        *mut u32,
    ) -> u32,
    wrap: unsafe extern "C" fn(*mut u32, Handle, c_int, u32, *const Buffer, *mut c_int, *mut Buffer) -> u32,
    unwrap: unsafe extern "C" fn(*mut u32, Handle, *const Buffer, *mut Buffer, *mut c_int, *mut u32) -> u32,
    display_status: unsafe extern "C" fn(*mut u32, u32, c_int, *const Oid, *mut u32, *mut Buffer) -> u32,
    release_name: Release,
    release_cred: Release,
    release_buffer: unsafe extern "C" fn(*mut u32, *mut Buffer) -> u32,
    delete_sec_context: unsafe extern "C" fn(*mut u32, *mut Handle, *mut Buffer) -> u32,
    init_context: unsafe extern "C" fn(*mut Handle) -> c_int,
    free_context: unsafe extern "C" fn(Handle),
    cc_resolve: unsafe extern "C" fn(Handle, *const c_char, *mut Handle) -> c_int,
    cc_destroy: unsafe extern "C" fn(Handle, Handle) -> c_int,
}

/// Why a call of the library has failed: its two statuses, and what the library says of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub major: u32,
    pub minor: u32,
    pub said: String,
}

impl Library {
    /// Loads the library, or says why that cannot be done. The next call tries again then.
    pub fn load() -> Result<&'static Library, String> {
        static LOADED: OnceLock<Library> = OnceLock::new();
        if let Some(library) = LOADED.get() {
            return Ok(library);
        }
        let library = Library::open(NAME)?;
        Ok(LOADED.get_or_init(|| library))
    }

    fn open(name: &CStr) -> Result<Library, String> {
        let named = name.to_string_lossy();
        if is_static() {
            return Err(format!("a statically linked program cannot load the library for Kerberos, {named}"));
        }
        // SAFETY: the name ends with a 0 byte. The library's constructors are those of a library that any program may link.
        let loaded = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if loaded.is_null() {
            // SAFETY: dlerror returns null or a string that stands until this thread's next call.
            let said = unsafe { libc::dlerror() };
            let said = match said.is_null() {
                true => "for no reason that is told".into(),
                // SAFETY: as above.
                false => unsafe { CStr::from_ptr(said) }.to_string_lossy(),
            };
            return Err(match said.contains("No such file") {
                true => format!("the library for Kerberos, {named}, is missing"),
                false => format!("the library for Kerberos cannot be loaded: {said}"),
            });
        }
        // SAFETY: the types are those of RFC 2744 and of MIT's gssapi_ext.h and krb5.h.
        unsafe {
            Ok(Library {
                import_name: function(loaded, c"gss_import_name")?,
                acquire_cred_from: function(loaded, c"gss_acquire_cred_from")?,
                init_sec_context: function(loaded, c"gss_init_sec_context")?,
                wrap: function(loaded, c"gss_wrap")?,
                unwrap: function(loaded, c"gss_unwrap")?,
                display_status: function(loaded, c"gss_display_status")?,
                release_name: function(loaded, c"gss_release_name")?,
                release_cred: function(loaded, c"gss_release_cred")?,
                release_buffer: function(loaded, c"gss_release_buffer")?,
                delete_sec_context: function(loaded, c"gss_delete_sec_context")?,
                init_context: function(loaded, c"krb5_init_context")?,
                free_context: function(loaded, c"krb5_free_context")?,
                cc_resolve: function(loaded, c"krb5_cc_resolve")?,
                cc_destroy: function(loaded, c"krb5_cc_destroy")?,
            })
        }
    }

    fn failure(&self, major: u32, minor: u32) -> Failure {
        let said = match minor {
            0 => self.text(major, STATUS_OF_LIBRARY),
            _ => self.text(minor, STATUS_OF_MECHANISM),
        };
        Failure { major, minor, said }
    }

    /// What the library says of a status. It remembers more of the last failure on this thread than its number says.
    fn text(&self, status: u32, kind: c_int) -> String {
        let (mut minor, mut more) = (0, 0);
        let mut text = Output::new(self);
        // SAFETY: what is passed is ours, and the library fills the buffer.
        unsafe {
            (self.display_status)(&mut minor, status, kind, &oid(KERBEROS), &mut more, text.slot());
        }
        let text = String::from_utf8_lossy(text.bytes()).into_owned();
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

/// # Safety
///
/// `F` is the type of the function of this name.
unsafe fn function<F: Copy>(library: *mut c_void, name: &CStr) -> Result<F, String> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: the library is loaded for ever, and the caller answers for the type.
    unsafe {
        let found = libc::dlsym(library, name.as_ptr());
        match found.is_null() {
            true => {
                Err(format!("the library for Kerberos is too old: it has no function {}", name.to_string_lossy()))
            }
            false => Ok(transmute_copy(&found)),
        }
    }
}

/// Whether no dynamic linker has started this program. glibc's `dlopen` would then load a second C library, if it finds the
/// very version that the program was linked with.
fn is_static() -> bool {
    unsafe extern "C" fn look(object: *mut libc::dl_phdr_info, _: usize, is_static: *mut c_void) -> c_int {
        // SAFETY: the C library passes an object that stands during this call, and the pointer that it was given.
        unsafe {
            let object = &*object;
            let headers = match object.dlpi_phdr.is_null() {
                true => &[][..],
                false => std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()),
            };
            *is_static.cast::<bool>() = headers.iter().all(|header| header.p_type != libc::PT_INTERP);
        }
        1 // The first object is the program. There is no need for others.
    }
    let mut is_static = false;
    // SAFETY: `look` writes to nothing but the boolean, and the headers of the program stand as long as it runs.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut is_static).cast()) };
    is_static
}

fn input(bytes: &[u8]) -> Buffer {
    Buffer { length: bytes.len(), value: bytes.as_ptr().cast() }
}

/// Bytes that the library has made.
struct Output<'l> {
    library: &'l Library,
    buffer: Buffer,
}

impl Output<'_> {
    fn new(library: &Library) -> Output<'_> {
        Output { library, buffer: Buffer { length: 0, value: null() } }
    }

    fn slot(&mut self) -> *mut Buffer {
        &mut self.buffer
    }

    fn bytes(&self) -> &[u8] {
        match self.buffer.value.is_null() {
            true => &[],
            // SAFETY: the library has made these bytes, and they stand until they are released.
            false => unsafe { std::slice::from_raw_parts(self.buffer.value.cast(), self.buffer.length) },
        }
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        // SAFETY: the buffer is empty or the library's.
        unsafe { (self.library.release_buffer)(&mut 0, &mut self.buffer) };
    }
}

/// A principal, ours or the server's.
pub struct Name {
    library: &'static Library,
    handle: Handle,
}

impl Name {
    pub fn import(library: &'static Library, text: &str, kind: NameKind) -> Result<Name, Failure> {
        let (mut minor, mut handle) = (0, null_mut());
        // SAFETY: what is passed is ours and outlives the call.
        let major =
            unsafe { (library.import_name)(&mut minor, &input(text.as_bytes()), &oid(kind.oid()), &mut handle) };
        match major & ERRORS {
            0 => Ok(Name { library, handle }),
            _ => Err(library.failure(major, minor)),
        }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        // SAFETY: the name is the library's, and nobody else has it.
        unsafe { (self.library.release_name)(&mut 0, &mut self.handle) };
    }
}

/// A cache of tickets in the memory of this process. It is destroyed with this value.
pub struct MemoryCache {
    library: &'static Library,
    name: CString,
}

impl MemoryCache {
    /// The number is one that no other cache of this process has.
    pub fn new(library: &'static Library, number: u64) -> MemoryCache {
        let name = format!("MEMORY:libelection-{number}");
        MemoryCache { library, name: CString::new(name).expect("no 0 byte") }
    }

    pub fn name(&self) -> &CStr {
        &self.name
    }
}

impl Drop for MemoryCache {
    fn drop(&mut self) {
        let (mut context, mut cache) = (null_mut(), null_mut());
        // SAFETY: the context is ours from its making to its end, and destroying a cache closes it.
        unsafe {
            if (self.library.init_context)(&mut context) != 0 {
                return;
            }
            if (self.library.cc_resolve)(context, self.name.as_ptr(), &mut cache) == 0 {
                (self.library.cc_destroy)(context, cache);
            }
            (self.library.free_context)(context);
        }
    }
}

/// The right to act as a principal.
pub struct Credential {
    library: &'static Library,
    handle: Handle,
    /// For how many seconds. 0 if it has expired.
    pub left_s: u32,
}

impl Credential {
    /// Takes the credential of this principal, or of the one that the source has. The source is the cache of this name, or the
    /// default one; a new ticket is got by the keytab if that cache has none that is good for half a minute. Asks a KDC then.
    pub fn acquire(
        library: &'static Library,
        principal: Option<&Name>,
        cache: Option<&CStr>,
        keytab: Option<&CStr>,
    ) -> Result<Credential, Failure> {
        let element = |key: &'static CStr, value: &CStr| StoreElement { key: key.as_ptr(), value: value.as_ptr() };
        let cache = cache.map(|cache| element(c"ccache", cache));
        let keytab = keytab.map(|keytab| element(c"client_keytab", keytab));
        let elements: Vec<StoreElement> = cache.into_iter().chain(keytab).collect();
        let store = Store { count: elements.len() as u32, elements: elements.as_ptr() };
        let store = if elements.is_empty() { null() } else { &raw const store };
        let mechanism = oid(KERBEROS);
        let mechanisms = OidSet { count: 1, elements: &mechanism };
        let (mut minor, mut handle, mut left_s) = (0, null_mut(), 0);
        // SAFETY: what is passed outlives the call.
        let major = unsafe {
            (library.acquire_cred_from)(
                &mut minor,
                principal.map_or(null_mut(), |name| name.handle),
                ANY_TIME,
                &mechanisms,
                INITIATE,
                store,
                &mut handle,
                null_mut(),
                &mut left_s,
            )
        };
        match major & ERRORS {
            0 => Ok(Credential { library, handle, left_s }),
            _ => Err(library.failure(major, minor)),
        }
    }
}

impl Drop for Credential {
    fn drop(&mut self) {
        // SAFETY: the credential is the library's, and nobody else has it.
        unsafe { (self.library.release_cred)(&mut 0, &mut self.handle) };
    }
}

/// A dialogue with one server.
pub struct Context {
    library: &'static Library,
    handle: Handle,
}

// SAFETY: the library allows the calls for one object from any thread, one after the other; `&mut self` sees to the latter.
unsafe impl Send for Context {}
// SAFETY: the same. Nothing of these changes when it is used.
unsafe impl Send for Name {}
// SAFETY: the same.
unsafe impl Send for Credential {}

/// How far a dialogue has come.
pub struct Progress {
    /// What the server is to hear. Nothing if it is empty and the context stands.
    pub token: Vec<u8>,
    /// Both sides know each other.
    pub stands: bool,
}

impl Context {
    pub fn new(library: &'static Library) -> Context {
        Context { library, handle: null_mut() }
    }

    /// Takes what the server has said, nothing at first. May ask a KDC for the ticket for that server.
    pub fn next(&mut self, credential: &Credential, server: &Name, said: &[u8]) -> Result<Progress, Failure> {
        let wanted = MUTUAL | REPLAY | SEQUENCE | INTEGRITY;
        let (mut minor, mut flags) = (0, 0);
        let mut token = Output::new(self.library);
        let said = input(said);
        // SAFETY: what is passed outlives the call; the library writes the context and the token.
        let major = unsafe {
            (self.library.init_sec_context)(
                &mut minor,
                credential.handle,
                &mut self.handle,
                server.handle,
                &oid(KERBEROS),
                wanted,
                0,
                null(),
                if self.handle.is_null() { null() } else { &said },
                null_mut(),
                token.slot(),
                &mut flags,
                null_mut(),
            )
        };
        if major & ERRORS != 0 {
            return Err(self.library.failure(major, minor));
        }
        let stands = major & CONTINUE_NEEDED == 0;
        if stands && flags & (MUTUAL | INTEGRITY) != MUTUAL | INTEGRITY {
            let said = "the server has not proved who it is".to_owned();
            return Err(Failure { major: BAD_SIGNATURE, minor: 0, said });
        }
        Ok(Progress { token: token.bytes().to_vec(), stands })
    }

    /// A message of the server, whose signature is verified.
    pub fn unwrap(&mut self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut minor = 0;
        let mut plain = Output::new(self.library);
        // SAFETY: what is passed outlives the call; the context stands.
        let major = unsafe {
            (self.library.unwrap)(&mut minor, self.handle, &input(message), plain.slot(), null_mut(), null_mut())
        };
        match major & ERRORS {
            0 => Ok(plain.bytes().to_vec()),
            _ => Err(self.library.failure(major, minor)),
        }
    }

    /// A message for the server, signed and not encrypted.
    pub fn wrap(&mut self, plain: &[u8]) -> Result<Vec<u8>, Failure> {
        let (mut minor, mut is_encrypted) = (0, MaybeUninit::uninit());
        let mut message = Output::new(self.library);
        // SAFETY: what is passed outlives the call; the context stands.
        let major = unsafe {
            let plain = input(plain);
            (self.library.wrap)(&mut minor, self.handle, 0, 0, &plain, is_encrypted.as_mut_ptr(), message.slot())
        };
        match major & ERRORS {
            0 => Ok(message.bytes().to_vec()),
            _ => Err(self.library.failure(major, minor)),
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is the library's or null, and nobody else has it.
        unsafe { (self.library.delete_sec_context)(&mut 0, &mut self.handle, null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_cannot_be_used_is_told() {
        let said = |name| Library::open(name).err().expect("no such library");
        assert_eq!(said(c"libnone.so.9"), "the library for Kerberos, libnone.so.9, is missing");
        assert_eq!(said(c"libc.so.6"), "the library for Kerberos is too old: it has no function gss_import_name");
        assert!(!is_static());
    }

    #[test]
    fn the_library_says_what_its_numbers_mean() {
        let library = Library::load().expect("libgssapi_krb5.so.2, of the package libgssapi-krb5-2");
        let said = library.failure(CREDENTIAL_EXPIRED, 0).said;
        assert!(said.contains("expired"), "{said}");
    }
}
