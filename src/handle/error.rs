//! The errors of calls on a handle.

use std::fmt;

use crate::driver::Unready;

/// Why a call failed. [`code`](Error::code) returns its number in `election.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The handle is closed, or never was one.
    BadHandle,
    /// The connect string is malformed.
    BadHosts,
    /// The options are missing.
    BadOptions,
    /// A time is out of range.
    BadTimeout,
    /// The path is not absolute, malformed, the root, or too long.
    BadPath,
    /// The value is too long.
    BadValue,
    /// The function is missing.
    BadCallback,
    /// The place for the result is missing.
    BadResult,
    /// This handle already stands at the path, or already watches it.
    Already,
    /// This handle does not stand at the path, or does not watch it.
    NotThere,
    /// The call cannot be made inside a callback of the same handle.
    InCallback,
    /// The callbacks of two handles would wait for each other.
    Deadlock,
    /// A signal handler made the call after it had interrupted another call of the library on this thread. Nothing was
    /// done.
    InHandler,
    /// The awaited event did not come in time.
    Timeout,
    /// No server confirmed the request.
    ConnectionLoss,
    /// The system has no thread or descriptor left.
    NoResources,
    /// This handle is not master, or no longer. Nothing was written.
    NotMaster,
    /// ZooKeeper refused the request with this number. Nothing was written.
    ZooKeeper(i32),
    /// There is no such recipe.
    BadRecipe,
    /// There is no such lease mode.
    BadLeaseMode,
    /// The token is smaller than one that was seen before.
    StaleToken,
    /// The handle belongs to the process that this one was forked from; or no handle can be opened in a child of this
    /// kind.
    Forked,
    /// The handle has a thread for its callbacks.
    NotManual,
    /// There is no such role.
    BadRole,
    /// There is no such way to dispatch.
    BadDispatch,
    /// A number of members is negative.
    BadCount,
    /// The verifier is missing.
    BadVerifier,
    /// The size of the struct is not set, or the struct cannot have this size.
    BadSize,
    /// There is no such format.
    BadFormat,
    /// There is no such level of the log.
    BadLevel,
    /// The frame limit is out of range.
    BadFrameLimit,
    /// The credential is malformed or too long, or there are too many.
    BadAuth,
    /// The access control list, or an entry of it, is malformed or too long, or there are too many entries.
    BadAcl,
    /// The TLS options, or a file that they name, cannot be used, or the library was built without TLS.
    BadTls,
    /// A parameter of SASL is wrong or missing, its password file cannot be used, or the library was built without SASL.
    BadSasl,
    /// A signal handler ran on this thread, or the handle was interrupted.
    Interrupted,
    /// The candidate resigned.
    Resigned,
    /// The mastership ended before the function returned.
    LeadershipLost,
    /// The leadership is missing, over, or never was one.
    BadLeadership,
    /// The library failed.
    Internal,
}

impl Error {
    /// Returns the number of this error in `election.h`.
    pub const fn code(self) -> i32 {
        match self {
            Error::ConnectionLoss => -4,
            Error::Timeout => -7,
            Error::BadHandle => -1001,
            Error::BadHosts => -1002,
            Error::BadOptions => -1003,
            Error::BadTimeout => -1004,
            Error::BadPath => -1005,
            Error::BadValue => -1006,
            Error::BadCallback => -1007,
            Error::BadResult => -1008,
            Error::Already => -1010,
            Error::NotThere => -1011,
            Error::InCallback => -1012,
            Error::Deadlock => -1045,
            Error::InHandler => -1046,
            Error::NoResources => -1015,
            Error::Internal => -1016,
            Error::BadRecipe => -1009,
            Error::BadLeaseMode => -1022,
            Error::StaleToken => -1021,
            Error::Forked => -1023,
            Error::NotManual => -1024,
            Error::BadRole => -1025,
            Error::BadDispatch => -1026,
            Error::BadVerifier => -1027,
            Error::BadCount => -1028,
            Error::BadSize => -1032,
            Error::BadFormat => -1033,
            Error::BadLevel => -1034,
            Error::BadFrameLimit => -1035,
            Error::BadAuth => -1036,
            Error::BadAcl => -1037,
            Error::BadTls => -1038,
            Error::BadSasl => -1039,
            Error::NotMaster => -1020,
            Error::Resigned => -1014,
            Error::Interrupted => -1040,
            Error::LeadershipLost => -1041,
            Error::BadLeadership => -1042,
            Error::ZooKeeper(rc) => rc,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(explain(self.code()).trim_end_matches('\0'))
    }
}

impl std::error::Error for Error {}

/// Returns a sentence for a number of `election.h` or of ZooKeeper. The sentence ends with a 0 byte.
pub fn explain(rc: i32) -> &'static str {
    match rc {
        0 => "ok\0",
        -1 => "ZooKeeper: system error\0",
        -2 => "ZooKeeper: runtime inconsistency\0",
        -3 => "ZooKeeper: data inconsistency\0",
        -4 => "the connection to ZooKeeper is broken or could not be made\0",
        -5 => "ZooKeeper: marshalling error\0",
        -6 => "the ZooKeeper server does not know this kind of request\0",
        -7 => "what was waited for did not come in the time given\0",
        -8 => "the ZooKeeper server found a request malformed\0",
        -9 => "ZooKeeper: invalid state\0",
        -13 => "ZooKeeper: no new leader configuration\0",
        -14 => "ZooKeeper: a reconfiguration is under way\0",
        -100 => "ZooKeeper: API error\0",
        -101 => "there is no znode at the path\0",
        -102 => "ZooKeeper's access control lists do not allow it\0",
        -103 => "the znode has another version\0",
        -108 => "an ephemeral znode stands where a parent of the path should be\0",
        -110 => "another contender's znode stands at the path\0",
        -111 => "the znode has children\0",
        -112 => "the session is over\0",
        -113 => "ZooKeeper: invalid callback\0",
        -114 => "the ZooKeeper server refused the access control list\0",
        -115 => "the ZooKeeper server refused the credentials\0",
        -116 => "the handle is being closed\0",
        -117 => "ZooKeeper: nothing to do\0",
        -118 => "the session has moved to another server\0",
        -119 => "the ZooKeeper server is read-only\0",
        -120 => "ZooKeeper: a local session cannot own an ephemeral znode\0",
        -121 => "ZooKeeper: no such watcher\0",
        -122 => "ZooKeeper: request timeout\0",
        -123 => "ZooKeeper: reconfiguration is disabled\0",
        -124 => "ZooKeeper: the session must authenticate by SASL\0",
        -125 => "a quota on the path is used up\0",
        -127 => "the ZooKeeper server is overloaded and turned the request away\0",
        -1001 => "the handle is NULL, closed, or never was one\0",
        -1002 => "the hosts are NULL, empty, malformed, or not UTF-8\0",
        -1003 => "the options are NULL\0",
        -1004 => "a time is out of range\0",
        -1005 => "the path is NULL, not absolute, malformed, the root, too long, or not UTF-8\0",
        -1006 => "the value is NULL or too long\0",
        -1007 => "the callback is NULL\0",
        -1008 => "the place for the result is NULL\0",
        -1009 => "there is no such recipe\0",
        -1010 => "this handle stands for, or watches, that path already\0",
        -1011 => "this handle does not stand for, or does not watch, that path\0",
        -1012 => "that cannot be done inside a callback of the same handle\0",
        -1013 => "a znode that is not ephemeral stands at the path\0",
        -1014 => "the candidate resigned\0",
        -1015 => "the system has no thread or descriptor left\0",
        -1016 => "the library failed; a bug, please report it\0",
        -1017 => "the lease ran out\0",
        -1018 => "elected, but the grace delay is not over\0",
        -1019 => "somebody stands at the path whom this recipe does not count\0",
        -1020 => "not master, or no longer: nothing was written\0",
        -1021 => "the token is smaller than one that was seen before\0",
        -1024 => "the handle has a thread of its own for callbacks\0",
        -1025 => "there is no such role\0",
        -1027 => "the verifier is NULL\0",
        -1028 => "the number of members is negative\0",
        -1026 => "there is no such way to dispatch\0",
        -1023 => "the handle, or the library's thread, belongs to the parent process\0",
        -1022 => "there is no such lease mode\0",
        -1032 => "the size of the struct is not set, or none that it can have\0",
        -1033 => "there is no such format\0",
        -1034 => "there is no such level of the log\0",
        -1035 => "the frame limit is out of range\0",
        -1036 => "the credential is malformed, too long, or one too many\0",
        -1037 => "the access control list is malformed, too long, or has one entry too many\0",
        -1038 => "the TLS options or a file of theirs cannot be used, or the library was built without TLS\0",
        -1039 => "a parameter of SASL is wrong or missing, its password file cannot be used, or the library was built without SASL\0",
        -1040 => "interrupted: a signal handler ran on this thread, or the handle was interrupted\0",
        -1041 => "the mastership ended before the function returned\0",
        -1042 => "the leadership is NULL, over, or never was one\0",
        -1045 => "the callbacks of two handles would wait for each other\0",
        -1046 => "a signal handler that interrupted a call of the library cannot do that\0",
        _ => "unknown error\0",
    }
}

impl From<Unready> for Error {
    fn from(unready: Unready) -> Error {
        match unready {
            Unready::TooLong => Error::Timeout,
            Unready::Interrupted => Error::Interrupted,
        }
    }
}
