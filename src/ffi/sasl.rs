//! Proving to the servers who we are.

use std::ffi::{c_char, c_int};

use super::border::{answer, text};
use super::options::set;
use super::types::*;
use crate::handle::Error;

/// Set a parameter of SASL, by which a client proves to the servers who it is. The names are those of
/// zoo_sasl_params_t and zoo_sasl_make_basic_callbacks:
///
/// - "mechanism": "DIGEST-MD5", or "GSSAPI" for Kerberos. Without a mechanism there is no SASL. It must be the one of
///   the servers' JAAS file;
/// - "user": who we are; for GSSAPI, the principal; without it, that of the ticket, or of the first key;
/// - "password_file", for DIGEST-MD5: the name of a file with the password in its first line, in UTF-8, up to 1,023 bytes;
/// - "realm", for DIGEST-MD5: which one to take if the servers offer several; without it, the first one;
/// - "keytab", for GSSAPI: the name of a file with keys, by which the library gets its tickets. They stay in memory;
/// - "ccache", for GSSAPI: the cache that has a ticket; without it and a keytab, the default cache;
/// - "service" and "host": the names that the servers go by; without them, "zookeeper" and "zk-sasl-md5", for GSSAPI
///   the host in the connect string.
///
/// An empty value takes a parameter back. On each new connection, nothing is asked before the end of SASL. The
/// password does not cross the network, but what follows is not protected: use election_options_set_tls for that.
/// Access control lists name such a client by the scheme "sasl" (election_options_add_acl).
///
/// election_open looks at all parameters and at the file, and election_explain says what is wrong with them. The file
/// is read anew for each new connection, on a thread of its own: a changed password or ticket needs no restart. For
/// GSSAPI, election_open loads MIT's libgssapi_krb5.so.2. If a server
/// refuses us, the library tries the others, and all of them again after one or two seconds;
/// election_connect_failure says why. election_open with a connect timeout does not wait for that, and returns
/// ELECTION_AUTHFAILED. The library overwrites the password as soon as the exchange is over.
///
/// Returns ELECTION_OK, ELECTION_BAD_OPTIONS; ELECTION_BAD_SASL if there is no such parameter or mechanism, if
/// `name` or `value` is NULL or not UTF-8, or if `value` is longer than 4,096 bytes or has a control character in
/// it.
#[no_mangle]
pub unsafe extern "C" fn election_options_set_sasl(
    options: *mut election_options_t,
    name: *const c_char,
    value: *const c_char,
) -> c_int {
    answer(|| {
        let options = unsafe { set(options) }?;
        let name = unsafe { text(name) }.ok_or(Error::BadSasl)?;
        let value = unsafe { text(value) }.ok_or(Error::BadSasl)?;
        options.set_sasl(name, value)
    })
}
