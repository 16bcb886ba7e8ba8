//! The options with which a handle is opened, beyond the hosts.

use std::time::Duration;

use super::Error;
use crate::driver::sasl::SaslParameters;
use crate::driver::{tls, Access, Credential, Permit, SaslSettings, TlsSettings, FRAME_LIMIT};
use crate::logic::{Config, LeaseMode, Recipe};

/// The longest time that an option accepts.
const LONGEST: Duration = Duration::from_secs(3_600);
const SHORTEST_SESSION: Duration = Duration::from_millis(100);

/// What a server sends if nobody has changed `jute.maxbuffer`, and the largest limit of a frame, in bytes.
const SMALLEST_FRAME_LIMIT: usize = 1 << 20;
const LARGEST_FRAME_LIMIT: usize = 1 << 30;

/// How many credentials a handle may have, and how many entries an access control list may have.
pub const AUTHS_MAX: usize = 16;
pub const ACL_MAX: usize = 16;

/// The longest credential, with its scheme, and the longest entry of an access control list, in bytes.
pub const AUTH_MAX: usize = 65_536;
pub const ACL_ENTRY_MAX: usize = 1_024;

/// Read, write, create, delete and admin.
const ALL_PERMISSIONS: i32 = 31;
const READ: i32 = 1;

/// Options of [`Handle::open`](super::Handle::open).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub(super) session_timeout: Duration,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) elections: Config,
    pub(super) dispatch: Dispatch,
    pub(super) access: Access,
    pub(super) frame_limit: usize,
    /// The files for TLS, if connections are encrypted.
    pub(super) tls: Option<TlsSettings>,
    pub(super) tls_verifies_host: bool,
    pub(super) sasl: SaslParameters,
}

/// Who runs the callbacks, and who does the work of the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dispatch {
    /// The handle's own thread.
    #[default]
    Thread,
    /// The program, when it calls [`dispatch`](super::Handle::dispatch).
    Manual,
    /// The program, as with [`Manual`](Dispatch::Manual), and it does the work of the session as well: the handle uses no
    /// thread of the library. A call that waits does that work meanwhile. While the program makes no call, nothing is sent
    /// and nothing is read. So a master that is away for too long loses its lease, and
    /// [`is_master`](super::Handle::is_master) says so, because it decides by the clock. The program calls
    /// [`dispatch`](super::Handle::dispatch) whenever [`fd`](super::Handle::fd) is readable, and within an eighth of
    /// the session timeout.
    ///
    /// A short-lived thread looks each host name up, reads the files for TLS, and does the work of SASL.
    Loop,
}

/// Who may do what with the znodes that the library creates: the znodes of candidates, missing parents, and the znodes
/// that fenced writes create.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acl {
    /// Everybody may do everything.
    #[default]
    Open,
    /// A client with a credential of this handle may do everything; nobody else may do anything.
    Creator,
    /// A client with a credential of this handle may do everything; everybody else may read.
    CreatorWorldRead,
}

impl Default for Options {
    /// A session timeout of 10,000 ms, no wait for the first connection, the node recipe, no grace delay, a lease
    /// that rests on committed transactions, no credentials, znodes that are open to everybody, no TLS, and a limit of
    /// 4,194,304 bytes for what a server sends.
    fn default() -> Self {
        Options {
            session_timeout: Duration::from_secs(10),
            connect_timeout: None,
            elections: Config::default(),
            dispatch: Dispatch::Thread,
            access: Access::default(),
            frame_limit: FRAME_LIMIT,
            tls: None,
            tls_verifies_host: true,
            sasl: SaslParameters::default(),
        }
    }
}

impl Options {
    /// Sets the session timeout: how long ZooKeeper keeps the znode of a master that it does not hear from. The range
    /// is 100 ms to an hour. The library asks for at least one second. The server moves the timeout into its own
    /// limits. All servers must have the same limits.
    ///
    /// # Errors
    /// [`Error::BadTimeout`].
    pub fn set_session_timeout(&mut self, session_timeout: Duration) -> Result<(), Error> {
        self.session_timeout = in_range("session timeout", session_timeout, SHORTEST_SESSION)?;
        Ok(())
    }

    /// Sets how long [`Handle::open`](super::Handle::open) waits for the first connection, up to an hour. With zero, it
    /// does not wait.
    ///
    /// # Errors
    /// [`Error::BadTimeout`].
    pub fn set_connect_timeout(&mut self, connect_timeout: Duration) -> Result<(), Error> {
        let timeout = in_range("connect timeout", connect_timeout, Duration::ZERO)?;
        self.connect_timeout = (!timeout.is_zero()).then_some(timeout);
        Ok(())
    }

    /// Sets how the candidates of an election find out who is master. All members of one election use the same recipe.
    pub fn set_recipe(&mut self, recipe: Recipe) {
        self.elections.recipe = recipe;
    }

    /// Sets who runs the callbacks, and who does the work of the session.
    pub fn set_dispatch(&mut self, dispatch: Dispatch) {
        self.dispatch = dispatch;
    }

    /// Adds a credential. The handle presents it to the servers on every new connection. `scheme` says what `auth` is,
    /// for example `digest` and `user:password`. A handle has up to [`AUTHS_MAX`] credentials.
    ///
    /// # Errors
    /// [`Error::BadAuth`] if the scheme is empty, if both together are longer than [`AUTH_MAX`], or if there are too
    /// many.
    pub fn add_auth(&mut self, scheme: &str, auth: &[u8]) -> Result<(), Error> {
        let credentials = &mut self.access.credentials;
        if scheme.is_empty() || scheme.len() + auth.len() > AUTH_MAX || credentials.len() == AUTHS_MAX {
            return Err(Error::BadAuth);
        }
        credentials.push(Credential { scheme: scheme.to_string(), auth: auth.to_vec() });
        Ok(())
    }

    /// Sets who may do what with the znodes that the library creates. Entries of earlier calls of
    /// [`add_acl`](Options::add_acl) are removed.
    pub fn set_acl(&mut self, acl: Acl) {
        let permit =
            |permissions, scheme: &str, id: &str| Permit { permissions, scheme: scheme.into(), id: id.into() };
        let creator = permit(ALL_PERMISSIONS, "auth", "");
        self.access.acl = match acl {
            Acl::Open => Vec::new(),
            Acl::Creator => vec![creator],
            Acl::CreatorWorldRead => vec![creator, permit(READ, "world", "anyone")],
        };
    }

    /// Adds an entry: the clients that `scheme` and `id` name may do what `permissions` says, the sum of ZooKeeper's
    /// bits (read 1, write 2, create 4, delete 8, admin 16). The first entry replaces [`Acl::Open`]. A list has up to
    /// [`ACL_MAX`] entries.
    ///
    /// # Errors
    /// [`Error::BadAcl`] if the permissions are 0 or have other bits, if the scheme is empty, if `scheme` and `id`
    /// together are longer than [`ACL_ENTRY_MAX`], or if there are too many entries.
    pub fn add_acl(&mut self, permissions: i32, scheme: &str, id: &str) -> Result<(), Error> {
        let is_known = (1..=ALL_PERMISSIONS).contains(&permissions);
        let fits = scheme.len() + id.len() <= ACL_ENTRY_MAX && self.access.acl.len() < ACL_MAX;
        if !is_known || scheme.is_empty() || !fits {
            return Err(Error::BadAcl);
        }
        self.access.acl.push(Permit { permissions, scheme: scheme.to_string(), id: id.to_string() });
        Ok(())
    }

    /// Encrypts the connections by TLS 1.2 or 1.3. `files` is `ca,cert,key,password`, the string of
    /// `zookeeper_init_ssl`; each part may be empty or missing. `ca` is a file with the certificates of the authorities that
    /// are trusted; without it, those of the system are. `cert` is a file with our certificate and those of its intermediate
    /// authorities, for servers that demand one. `key` is a file with its key, in PKCS#8, PKCS#1 or SEC1; without it, the
    /// key is in `cert`. `password` opens an encrypted PKCS#8 key, and may have commas in it. All files are PEM.
    ///
    /// [`Handle::open`](super::Handle::open) looks at the files. They are read anew for each new connection, so that a
    /// rotated certificate needs no restart.
    ///
    /// # Errors
    /// [`Error::BadTls`] if there is a key without a certificate, or a password without a key. Also in a library that was built
    /// without TLS; there, [`Handle::open`](super::Handle::open) refuses the options, too.
    pub fn set_tls(&mut self, files: &str) -> Result<(), Error> {
        self.tls = Some(TlsSettings::parse(files).map_err(|fault| Error::BadTls.because(fault))?);
        // The options keep it, so that no handle of a program that goes on sends anything in plain text.
        tls::is_built_in().map_err(|fault| Error::BadTls.because(fault))
    }

    /// Sets whether the certificate of a server must be for the host that the connect string names; it must unless this
    /// says otherwise. If it need not, every server with a certificate of a trusted authority can take the place of another
    /// one.
    pub fn set_tls_verify_host(&mut self, verify_host: bool) {
        self.tls_verifies_host = verify_host;
    }

    /// Sets a parameter of SASL, by which a client proves who it is. Without `mechanism` there is no SASL. An empty value
    /// takes a parameter back.
    ///
    /// - `mechanism`: `DIGEST-MD5`, or `GSSAPI` for Kerberos. It must be the one of the servers' JAAS file.
    /// - `user`: who we are. For GSSAPI, the principal; if it is not set, it is that of the ticket, or of the first key.
    /// - `password_file`: a file with the password in its first line. It is read anew for each new connection, so a
    ///   changed password needs no restart.
    /// - `realm`: if the servers offer more than one; else it is theirs.
    /// - `keytab`: for GSSAPI, a file with keys. The tickets that are got by it are kept in memory, for this handle.
    /// - `ccache`: for GSSAPI, the cache that has a ticket, such as `FILE:/run/app.cc`. Without it and a keytab, it is the
    ///   default cache. It is looked at for each new connection.
    /// - `service` and `host`: the names that the servers go by, `zookeeper` and, for DIGEST-MD5, `zk-sasl-md5`. For GSSAPI, the
    ///   host is the one in the connect string.
    ///
    /// [`Handle::open`](super::Handle::open) looks at the parameters together, and at the files. GSSAPI loads MIT's
    /// `libgssapi_krb5.so.2` there. If a server refuses us, the
    /// library tries the others, and again every second or two: the file may change, and the servers, too.
    ///
    /// # Errors
    /// [`Error::BadSasl`] if there is no such parameter or mechanism, or if the value is too long or has a control character
    /// in it; [`Error::detail`] says what it is.
    pub fn set_sasl(&mut self, name: &str, value: &str) -> Result<(), Error> {
        self.sasl.set(name, value).map_err(|fault| Error::BadSasl.because(fault))
    }

    /// What the driver needs for SASL.
    pub(super) fn sasl(&self) -> Result<Option<SaslSettings>, Error> {
        self.sasl.settings().map_err(|fault| Error::BadSasl.because(fault))
    }

    /// What the driver needs for TLS.
    pub(super) fn tls(&self) -> Option<TlsSettings> {
        let verifies_host = self.tls_verifies_host;
        self.tls.clone().map(|tls| TlsSettings { verifies_host, ..tls })
    }

    /// Sets how long a message of a server may be, in bytes, from 1,048,576 to 1,073,741,824. A list of children is one
    /// message: 4,194,304 bytes, the default, hold the names of about 70,000 candidates of a queue. If a server sends a
    /// longer message, the handle leaves the server, says so, and tries the next one. While it reads a message, it needs a
    /// few times as much memory.
    ///
    /// # Errors
    /// [`Error::BadFrameLimit`].
    pub fn set_frame_limit(&mut self, frame_limit_bytes: usize) -> Result<(), Error> {
        let range = SMALLEST_FRAME_LIMIT..=LARGEST_FRAME_LIMIT;
        if !range.contains(&frame_limit_bytes) {
            let (from, to) = range.into_inner();
            let fault = format!("a frame limit of {frame_limit_bytes} bytes is not in {from} to {to} bytes");
            return Err(Error::BadFrameLimit.because(fault));
        }
        self.frame_limit = frame_limit_bytes;
        Ok(())
    }

    /// Sets what proves the lease.
    pub fn set_lease_mode(&mut self, lease_mode: LeaseMode) {
        self.elections.lease_mode = lease_mode;
    }

    /// Sets how long an elected candidate waits before it becomes master, up to an hour. During that time, work that
    /// the old master had begun can end.
    ///
    /// # Errors
    /// [`Error::BadTimeout`].
    pub fn set_grace(&mut self, grace: Duration) -> Result<(), Error> {
        self.elections.grace_ms = milliseconds(in_range("grace delay", grace, Duration::ZERO)?);
        Ok(())
    }

    /// Sets by how much a lease ends sooner than safety asks for, up to an hour. With half a session timeout or more,
    /// no candidate becomes master.
    ///
    /// # Errors
    /// [`Error::BadTimeout`].
    pub fn set_lease_margin(&mut self, lease_margin: Duration) -> Result<(), Error> {
        self.elections.margin_ms = milliseconds(in_range("lease margin", lease_margin, Duration::ZERO)?);
        Ok(())
    }

    /// Sets the `tickTime` of the servers, so that leases can be longer: up to an hour; zero for unknown.
    ///
    /// # Errors
    /// [`Error::BadTimeout`].
    pub fn set_tick(&mut self, tick: Duration) -> Result<(), Error> {
        let tick_ms = milliseconds(in_range("tick", tick, Duration::ZERO)?);
        self.elections.tick_ms = (tick_ms > 0).then_some(tick_ms);
        Ok(())
    }
}

fn in_range(what: &str, time: Duration, shortest: Duration) -> Result<Duration, Error> {
    if (shortest..=LONGEST).contains(&time) {
        return Ok(time);
    }
    let (ms, from, to) = (time.as_millis(), shortest.as_millis(), LONGEST.as_millis());
    Err(Error::BadTimeout.because(format!("a {what} of {ms} ms is not in {from} to {to} ms")))
}

/// Rounds up to whole milliseconds: a longer delay, margin or tick is the safe side.
fn milliseconds(time: Duration) -> u64 {
    time.as_micros().div_ceil(1_000) as u64
}
