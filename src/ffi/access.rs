//! Who a handle is to the servers, and who may do what with the znodes that it makes.

use std::ffi::{c_char, c_int, c_void};

use super::border::{self, answer, bytes, text};
use super::options::set;
use super::types::*;
use crate::handle::Error;

/// Present a credential to the servers. `scheme` says what the `auth_len` bytes at `auth` are: for "digest",
/// "user:password". It is presented on every new connection, before anything else, for as long as the handle is
/// open, and shows in no message of the library's; over the network it goes as it is. May be called again for
/// more, up to 16; scheme and bytes together up to 65,536 bytes. What was copied of it is overwritten when the options
/// are freed and the handle is closed; what the ZooKeeper client had copied is freed by then, and not overwritten.
///
/// A server that knows no such scheme, or requires a credential that was not presented, refuses the handle for good:
/// election_open with a connect timeout returns ELECTION_AUTHFAILED; every candidate and observer hears
/// ELECTION_AUTHFAILED as its last event, and what needs a session returns it from then on. A wrong password
/// is no such case with "digest", where each password makes another user: what that one may not do is refused by
/// ELECTION_NOAUTH.
///
/// Returns ELECTION_OK, ELECTION_BAD_OPTIONS; ELECTION_BAD_AUTH when the scheme is NULL, empty or not UTF-8, `auth`
/// is NULL though its length is not 0, it is too long or one too many.
#[no_mangle]
pub unsafe extern "C" fn election_options_add_auth(
    options: *mut election_options_t,
    scheme: *const c_char,
    auth: *const c_void,
    auth_len: usize,
) -> c_int {
    answer(|| {
        let options = unsafe { set(options) }?;
        let scheme = unsafe { text(scheme) }.ok_or(Error::BadAuth)?;
        let auth = unsafe { bytes(auth, auth_len) }.ok_or(Error::BadAuth)?;
        options.add_auth(scheme, auth)
    })
}

/// Set who may do what with the znodes that we make, a number of election_acl_t: the candidates' own, missing
/// parents and a missing chroot, and what election_fenced_create makes. Znodes that exist keep theirs. What
/// election_options_add_acl had added is gone.
///
/// What ZooKeeper asks for: of a candidate, on the znode above its own (in a queue that is `path`) CREATE, and
/// DELETE to resign; READ on its own and the master's znode, in a queue on `path` and its own. Of an observer,
/// and for election_members, READ on the master's znode, in a queue on `path` and the znodes in it. Whoever has
/// DELETE on the znode above can depose a master: keep elections below a znode that is yours.
///
/// Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_ACL.
#[no_mangle]
pub unsafe extern "C" fn election_options_set_acl(options: *mut election_options_t, acl: c_int) -> c_int {
    answer(|| {
        unsafe { set(options) }?.set_acl(border::acl(acl).ok_or(Error::BadAcl)?);
        Ok(())
    })
}

/// Add an entry to what election_options_set_acl set: those whom `scheme` and `id` name may do what `permissions`
/// says, the sum of ELECTION_PERM_READ and so on. ("world", "anyone") is everybody, ("digest",
/// "user:base64 of the SHA-1 of user:password") a user, ("ip", "10.0.0.0/8") a network, ("auth", "") each credential
/// of this handle's. To ELECTION_ACL_OPEN nothing can be added: the entry takes its place. Up to 16 entries in all;
/// `scheme` and `id` together up to 1,024 bytes.
///
/// Returns ELECTION_OK, ELECTION_BAD_OPTIONS; ELECTION_BAD_ACL when `permissions` is 0 or has other bits than these,
/// `scheme` or `id` is NULL or not UTF-8, `scheme` is empty, they are too long, or it is one too many. What the
/// servers think of `scheme` and `id` the candidates hear: ELECTION_INVALIDACL.
#[no_mangle]
pub unsafe extern "C" fn election_options_add_acl(
    options: *mut election_options_t,
    permissions: c_int,
    scheme: *const c_char,
    id: *const c_char,
) -> c_int {
    answer(|| {
        let options = unsafe { set(options) }?;
        let scheme = unsafe { text(scheme) }.ok_or(Error::BadAcl)?;
        let id = unsafe { text(id) }.ok_or(Error::BadAcl)?;
        options.add_acl(permissions, scheme, id)
    })
}
