//! Our credentials for the servers, and the access control list of the znodes that we create.

use std::fmt;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The client presents them on every new connection, in this order.
    pub credentials: Vec<Credential>,
    /// The access control list of the znodes that we create; empty for one that is open to all.
    pub acl: Vec<Permit>,
}

/// Proves our identity to a server. No `Debug` output shows its bytes, and they are overwritten when they are dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    pub scheme: String,
    pub auth: Vec<u8>,
}

impl Drop for Credential {
    fn drop(&mut self) {
        // SAFETY: the bytes are ours. No compiler removes this call.
        unsafe { libc::explicit_bzero(self.auth.as_mut_ptr().cast(), self.auth.len()) }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// An entry of an access control list: the permissions of the users that `scheme` and `id` name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    /// The sum of ZooKeeper's bits: read 1, write 2, create 4, delete 8, admin 16.
    pub permissions: i32,
    pub scheme: String,
    pub id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_not_shown() {
        let credential = Credential { scheme: "digest".into(), auth: b"user:password".into() };
        let shown = format!("{:?}", Access { credentials: vec![credential], acl: Vec::new() });
        assert!(shown.contains("digest"), "{shown}");
        assert!(!shown.contains("user") && !shown.contains("117"), "{shown}");
    }
}
