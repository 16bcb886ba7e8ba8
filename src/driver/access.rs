//! Who we are to the servers, and who may do what with the znodes that we make.

use std::fmt;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Presented on every new connection, in this order.
    pub credentials: Vec<Credential>,
    /// The access control list of what we make; empty for one that is open to all.
    pub acl: Vec<Permit>,
}

/// What proves to a server who we are. Its bytes are in no `Debug` output, and overwritten when nobody needs them any
/// more. (The client crate has copies as long as there is a session, which are freed as they are.)
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    pub scheme: String,
    pub auth: Vec<u8>,
}

impl Drop for Credential {
    fn drop(&mut self) {
        // SAFETY: the bytes are ours. The call is one that no compiler leaves out.
        unsafe { libc::explicit_bzero(self.auth.as_mut_ptr().cast(), self.auth.len()) }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// An entry of an access control list: what those whom `scheme` and `id` name may do.
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
