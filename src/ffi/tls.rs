//! Encrypted connections.

use std::ffi::{c_char, c_int};

use super::border::{answer, text};
use super::options::set;
use super::types::*;
use crate::handle::Error;

/// Encrypt the connections of a handle by TLS 1.2 or 1.3. `files` is "ca,cert,key,password", the string of
/// zookeeper_init_ssl; each part may be empty or missing, and "" is enough for servers with a certificate of a
/// public authority. All files are PEM:
///
/// - `ca`: the certificates of the authorities that are trusted; without it, those of the system;
/// - `cert`: our certificate, then those of its intermediate authorities, for servers that demand one;
/// - `key`: the key of that certificate, in PKCS#8, PKCS#1 or SEC1; without it, the key is in `cert`;
/// - `password`: opens an encrypted PKCS#8 key; it may have commas in it.
///
/// The port in the connect string is then the server's `secureClientPort`. The library verifies that the
/// server's certificate comes from a trusted authority, has not expired, and is for the host that the connect
/// string names, by its subjectAltName. election_open looks at the files, and election_explain says what is
/// wrong with them. They are read anew for each new connection, on a thread of their own: a rotated certificate
/// needs no restart. If they cannot be used later on, election_connect_failure says so, and the library tries
/// again. The password and the key are overwritten when they are no longer used, and are in no core file; but the
/// TLS implementation keeps an RSA key without that care.
///
/// Returns ELECTION_OK, ELECTION_BAD_OPTIONS; ELECTION_BAD_TLS if `files` is NULL, not UTF-8, longer than
/// 16,384 bytes, or has a key without a certificate. So it does in a library that was built without TLS; there,
/// election_open refuses the options, too.
#[no_mangle]
pub unsafe extern "C" fn election_options_set_tls(options: *mut election_options_t, files: *const c_char) -> c_int {
    answer(|| {
        let options = unsafe { set(options) }?;
        let files = unsafe { text(files) }.ok_or(Error::BadTls)?;
        options.set_tls(files)
    })
}

/// Set whether a server's certificate must be for the host that the connect string names: 1, the default, or 0.
/// With 0, whoever has a certificate of a trusted authority can pose as any server. The rest of
/// the verification stays. Without election_options_set_tls this has no effect.
///
/// Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_TLS.
#[no_mangle]
pub unsafe extern "C" fn election_options_set_tls_verify_host(
    options: *mut election_options_t,
    verify_host: c_int,
) -> c_int {
    answer(|| {
        let options = unsafe { set(options) }?;
        if !(0..=1).contains(&verify_host) {
            return Err(Error::BadTls);
        }
        options.set_tls_verify_host(verify_host == 1);
        Ok(())
    })
}
