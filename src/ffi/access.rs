//! The credentials of a handle, and the access control list of the znodes that it creates.

use std::ffi::{c_char, c_int, c_void};

use super::border::{self, answer, bytes, text};
use super::options::set;
use super::types::*;
use crate::handle::Error;

/// Add a credential, which the handle presents to the servers. `scheme` says what the `auth_len` bytes at
/// `auth` are: for "digest", "user:password". The library presents it on each new connection, before anything
/// else. The credential appears in no message of the library. It crosses the network as it is. A handle has up
/// to 16 credentials; scheme and bytes together have up to 65,536 bytes. The library overwrites its copies when
/// the options are freed and the handle is closed; the copies of the ZooKeeper client are freed by then, but
/// not overwritten.
///
/// A server refuses the handle for good if it does not know the scheme, or requires a credential that was not
/// presented. Then election_open with a connect timeout returns ELECTION_AUTHFAILED, every candidate and
/// observer gets ELECTION_AUTHFAILED in its last event, and every call that needs a session returns it. A wrong
/// password for "digest" is different: each password makes another user, and a request that this user may not
/// make gets ELECTION_NOAUTH.
///
/// Returns ELECTION_OK, ELECTION_BAD_OPTIONS; ELECTION_BAD_AUTH if the scheme is NULL, empty or not UTF-8, if
/// `auth` is NULL and its length is not 0, if it is too long, or if there are too many.
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

/// Set who may do what with the znodes that the library creates: a number of election_acl_t. It applies to the
/// znodes of candidates, to missing parents, to a missing chroot, and to znodes of election_fenced_create.
/// Existing znodes keep their lists. Entries of earlier calls of election_options_add_acl are removed.
///
/// What ZooKeeper requires:
///
/// - of a candidate: CREATE, and DELETE to resign, on the parent of its znode (in a queue, on `path`); READ on
///   its own znode and on the master's (in a queue, on `path` and on its own);
/// - of an observer, and of election_members: READ on the master's znode (in a queue, on `path` and on the
///   znodes in it).
///
/// A client with DELETE on the parent can depose a master. Put elections below a znode of your own.
///
/// Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_ACL.
#[no_mangle]
pub unsafe extern "C" fn election_options_set_acl(options: *mut election_options_t, acl: c_int) -> c_int {
    answer(|| {
        unsafe { set(options) }?.set_acl(border::acl(acl).ok_or(Error::BadAcl)?);
        Ok(())
    })
}

/// Add an entry to the list of election_options_set_acl: the clients that `scheme` and `id` name may do what
/// `permissions` says, the sum of ELECTION_PERM_READ and so on. ("world", "anyone") is everybody. ("digest",
/// "user:base64 of the SHA-1 of user:password") is a user. ("ip", "10.0.0.0/8") is a network. ("auth", "") is
/// each credential of this handle. The first entry replaces ELECTION_ACL_OPEN. A list has up to 16 entries;
/// `scheme` and `id` together have up to 1,024 bytes.
///
/// Returns ELECTION_OK, ELECTION_BAD_OPTIONS; ELECTION_BAD_ACL if `permissions` is 0 or has other bits, if
/// `scheme` or `id` is NULL, not UTF-8 or too long, if `scheme` is empty, or if there are too many entries. If
/// the servers refuse `scheme` or `id`, the candidates get ELECTION_INVALIDACL.
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
