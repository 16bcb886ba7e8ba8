//! What a session asks for, and how it proves who it is.

use std::fmt;
use std::hint::black_box;

/// The limit of a frame that arrives, if nobody says otherwise: four times what a server sends by default.
pub const FRAME_LIMIT: usize = 4 << 20;

#[derive(Clone, Debug)]
pub struct Settings {
    /// The session timeout that we ask for.
    pub session_timeout_ms: u32,
    /// Stands before each path: empty, or a path.
    pub chroot: String,
    /// Presented on each connection, in this order.
    pub credentials: Vec<Credential>,
    /// Prove who we are by SASL on each connection, before anything else is asked (`Event::Challenge`).
    pub sasl: bool,
    /// The access control list of the znodes that we create; empty for one that is open to all.
    pub acl: Vec<AclEntry>,
    /// A server that sends a longer frame is left.
    pub frame_limit: usize,
    /// The requests are numbered from here. It is drawn at random: servers tell requests apart by session and number,
    /// and one that was started anew may hand out the id of a session that lives.
    pub first_xid: i32,
    /// The rule that this session breaks, so that the simulation can show that each one is needed.
    #[cfg(feature = "testing")]
    pub broken: Option<Rule>,
}

/// A rule of the session without which two masters, or none, can come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The xids go on over the connections of a session.
    XidsGoOn,
    /// SetWatches goes before the requests.
    WatchesFirst,
    /// A session with another id is another session.
    AnotherSession,
    /// The first xid is drawn at random.
    FirstXidDrawn,
    /// A request of which the socket has taken a byte may have been carried out.
    BegunIsUnknown,
    /// If an attempt to resume the session had no answer, the leader must answer a request on each later connection before
    /// the session stands there.
    LeaderHasHeard,
    /// The pauses between two rounds through the servers grow to half a second and no further.
    PausesAreShort,
    /// Nothing is asked before the end of SASL.
    SaslFirst,
}

#[cfg(feature = "testing")]
impl Rule {
    pub const ALL: [Rule; 7] = [
        Rule::XidsGoOn,
        Rule::WatchesFirst,
        Rule::AnotherSession,
        Rule::FirstXidDrawn,
        Rule::BegunIsUnknown,
        Rule::LeaderHasHeard,
        Rule::PausesAreShort,
    ];
}

impl Settings {
    #[cfg(feature = "testing")]
    pub fn keeps(&self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }

    #[cfg(not(feature = "testing"))]
    pub fn keeps(&self, _rule: Rule) -> bool {
        true
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            session_timeout_ms: 10_000,
            chroot: String::new(),
            credentials: Vec::new(),
            sasl: false,
            acl: Vec::new(),
            frame_limit: FRAME_LIMIT,
            first_xid: 0,
            #[cfg(feature = "testing")]
            broken: None,
        }
    }
}

/// Proves our identity to a server. No `Debug` output shows its bytes, and they are overwritten when they are dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    pub scheme: String,
    pub auth: Vec<u8>,
}

impl Credential {
    /// The length of the frame that presents it.
    pub fn frame_len(&self) -> usize {
        24 + self.scheme.len() + self.auth.len()
    }
}

impl Drop for Credential {
    fn drop(&mut self) {
        self.auth.fill(0);
        // The compiler must take it that somebody reads the zeros.
        black_box(&self.auth);
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// An entry of an access control list: the permissions of the users that `scheme` and `id` name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclEntry {
    /// The sum of ZooKeeper's bits: read 1, write 2, create 4, delete 8, admin 16.
    pub permissions: i32,
    pub scheme: String,
    pub id: String,
}
