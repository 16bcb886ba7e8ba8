//! Describes why a server opened no session, as a sentence for people.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::hosts::{shown, Server};
use super::sasl::{MechanismName, SaslFault};
use super::tls;

/// If more servers than this have failed, the sentence counts the others instead of naming them.
const SERVERS_TOLD: usize = 8;

/// One server, and why it opened no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectCause {
    pub server: Server,
    /// The addresses that were tried, all with the same outcome. Empty if the name could not be looked up.
    pub addresses: Vec<IpAddr>,
    pub kind: CauseKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
// A build without TLS or SASL finds none of its causes.
#[cfg_attr(not(all(feature = "tls", feature = "sasl")), allow(dead_code))]
pub enum CauseKind {
    NoSuchHost,
    /// The name service failed, with this message.
    LookupFailed(String),
    LookupTakesLong,
    Refused,
    NoRoute,
    /// This machine forbids the outgoing connection.
    Forbidden,
    /// The server sent nothing, not even a refusal.
    NoAnswer,
    /// The process has no descriptor left.
    TooManyOpenFiles,
    /// Another error of the system, with its message.
    System(String),
    /// The server accepted the connection and sent nothing.
    Silent,
    /// The server ended the connection at once.
    ThrownOut,
    /// The server speaks another protocol; this is the beginning of its answer.
    NotZooKeeper(String),
    /// The server speaks TLS, and the handle has no TLS options.
    SpeaksTls,
    /// The server does not keep to the protocol: the rest of a sentence about it.
    Fault(String),
    /// The handle has TLS options, and the server does not speak TLS.
    SpeaksPlainText,
    /// The files of the TLS options cannot be used any more, with the reason.
    TlsFiles(String),
    /// No authority that is trusted has signed the server's certificate.
    UnknownAuthority,
    /// The server's certificate is for these names, not for the host in the connect string.
    WrongName(Vec<String>),
    CertificateExpired,
    CertificateNotYetValid,
    /// Something else is wrong with the server's certificate.
    BadCertificate(String),
    /// The server demands a certificate of ours, and the TLS options name none.
    WantsCertificate,
    /// The server refuses our certificate; this is its alert.
    RefusesCertificate(String),
    /// The handshake failed for another reason.
    TlsFailed(String),
    /// What we need for SASL cannot be used, with the reason.
    SaslUnable(String),
    /// The server does no SASL.
    SaslMissing,
    /// The server's message is none of the mechanism: the rest of a sentence about it.
    SaslMalformed(&'static str),
    /// The server does not prove that it knows the password.
    SaslImpostor,
    /// The server refuses the first message of this mechanism.
    SaslMechanism(MechanismName),
    /// The server refuses the proof of who we are; this is the user.
    SaslRefused(String),
    /// The server refuses our ticket of Kerberos.
    SaslRefusesTicket,
    /// The server ended the connection when it had our proof.
    SaslCut,
    /// Our part of SASL was not done in time.
    SaslTakesLong,
    /// It is a ZooKeeper server that serves no clients at the moment.
    NotServing,
    ReadOnly,
    /// The server is too old for this library; this is its version.
    TooOld(String),
    /// The server appears to serve clients.
    Serves,
}

/// Why a round through all servers opened no session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectFailure {
    /// In the order of the connect string.
    pub causes: Vec<ConnectCause>,
}

impl CauseKind {
    /// The cause for this error of a connection attempt.
    pub fn of(error: &io::Error) -> CauseKind {
        if let Some(kind) = tls::cause_of(error) {
            return kind;
        }
        match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => CauseKind::Refused,
            Some(libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT) => {
                CauseKind::NoRoute
            }
            Some(libc::EPERM | libc::EACCES) => CauseKind::Forbidden,
            Some(libc::ETIMEDOUT) => CauseKind::NoAnswer,
            Some(libc::EMFILE | libc::ENFILE) => CauseKind::TooManyOpenFiles,
            Some(libc::ECONNRESET | libc::EPIPE) => CauseKind::ThrownOut,
            _ => CauseKind::System(error.to_string()),
        }
    }

    /// The cause for this error of a lookup. The C library's error number is not available through Rust. If the message
    /// is in another language, it is repeated as it is.
    pub fn of_lookup(error: &io::Error) -> CauseKind {
        if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) {
            return CauseKind::TooManyOpenFiles;
        }
        let said = error.to_string();
        let said = said.strip_prefix("failed to lookup address information: ").unwrap_or(&said);
        match said {
            "Name or service not known" | "No address associated with hostname" => CauseKind::NoSuchHost,
            said => CauseKind::LookupFailed(said.to_owned()),
        }
    }

    /// The cause for this end of SASL.
    pub fn of_sasl(fault: SaslFault) -> CauseKind {
        match fault {
            SaslFault::Credentials(said) => CauseKind::SaslUnable(said),
            SaslFault::Malformed(said) => CauseKind::SaslMalformed(said),
            SaslFault::NoSasl => CauseKind::SaslMissing,
            SaslFault::Impostor => CauseKind::SaslImpostor,
        }
    }

    /// Whether the server had opened or resumed the session before.
    pub fn comes_after_connect(&self) -> bool {
        self.is_refusal()
            || matches!(
                self,
                CauseKind::SaslUnable(_)
                    | CauseKind::SaslMalformed(_)
                    | CauseKind::SaslCut
                    | CauseKind::SaslTakesLong
            )
    }

    /// Whether the server takes nobody as we are.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            CauseKind::SaslMissing
                | CauseKind::SaslImpostor
                | CauseKind::SaslMechanism(_)
                | CauseKind::SaslRefused(_)
                | CauseKind::SaslRefusesTicket
        )
    }

    /// The cause for this answer to `srvr`. An empty answer means that the server ended the connection.
    pub fn of_answer(answer: &[u8]) -> CauseKind {
        let text = String::from_utf8_lossy(answer);
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if answer.is_empty() {
            CauseKind::ThrownOut
        } else if let [0x15 | 0x16, 3, ..] = answer {
            // A record of TLS: an alert, or a handshake.
            CauseKind::SpeaksTls
        } else if text.contains("not currently serving requests") {
            CauseKind::NotServing
        } else if let Some(version) = field("Zookeeper version:") {
            let version = version.split(['-', ',', ' ']).next().unwrap_or_default();
            match (field("Mode:"), is_too_old(version)) {
                (_, true) => CauseKind::TooOld(version.to_owned()),
                (Some("read-only"), _) => CauseKind::ReadOnly,
                _ => CauseKind::Serves,
            }
        } else if text.starts_with("srvr is not executed") {
            CauseKind::Serves
        } else {
            CauseKind::NotZooKeeper(text.lines().next().unwrap_or_default().to_owned())
        }
    }
}

/// Servers before 3.4 have no transactions of several operations.
fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < (3, 4),
        _ => false,
    }
}

impl fmt::Display for ConnectCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, at) = (&self.server.host, At(self));
        match &self.kind {
            CauseKind::NoSuchHost => write!(f, "no such host {host}"),
            CauseKind::LookupFailed(said) => write!(f, "the look-up of {host} failed: {said}"),
            CauseKind::LookupTakesLong => write!(f, "the look-up of {host} takes long"),
            CauseKind::Refused => write!(f, "connection refused by {at}"),
            CauseKind::NoRoute => write!(f, "no route to {at}"),
            CauseKind::Forbidden => write!(f, "this machine forbids a connection to {at}"),
            CauseKind::NoAnswer => write!(f, "{at} does not answer"),
            CauseKind::TooManyOpenFiles => write!(f, "too many open files for a connection to {at}"),
            CauseKind::System(said) => write!(f, "no connection to {at}: {said}"),
            CauseKind::Silent => write!(f, "{at} takes the connection, but does not answer"),
            CauseKind::ThrownOut => {
                write!(f, "{at} ends the connection at once: too many, or a proxy without a server")
            }
            CauseKind::NotZooKeeper(said) => {
                write!(f, "what answers at {at} is no ZooKeeper: it says {}", shown(said))
            }
            CauseKind::Fault(what) => write!(f, "{at} {what}"),
            CauseKind::SpeaksTls => write!(f, "{at} speaks TLS, and this handle has no TLS options"),
            CauseKind::SpeaksPlainText => write!(f, "{at} does not speak TLS"),
            CauseKind::TlsFiles(said) => write!(f, "no TLS with {at}: {said}"),
            CauseKind::UnknownAuthority => {
                write!(f, "the certificate of {at} is not signed by an authority that is trusted here")
            }
            CauseKind::WrongName(names) => match &names[..] {
                [] => write!(f, "the certificate of {at} has no name, so it is not for {host}"),
                names => write!(f, "the certificate of {at} is for {}, not for {host}", names.join(", ")),
            },
            CauseKind::CertificateExpired => write!(f, "the certificate of {at} has expired"),
            CauseKind::CertificateNotYetValid => write!(f, "the certificate of {at} is not valid yet"),
            CauseKind::BadCertificate(said) => write!(f, "the certificate of {at} cannot be used: {said}"),
            CauseKind::WantsCertificate => write!(f, "{at} demands a client certificate, and there is none"),
            CauseKind::RefusesCertificate(alert) => write!(f, "{at} refuses the client certificate: {alert}"),
            CauseKind::TlsFailed(said) => write!(f, "no TLS with {at}: {said}"),
            CauseKind::SaslUnable(said) => write!(f, "no SASL with {at}: {said}"),
            CauseKind::SaslMissing => write!(f, "{at} does no SASL"),
            CauseKind::SaslMalformed(said) => write!(f, "{at} {said}"),
            CauseKind::SaslImpostor => write!(f, "{at} does not prove by SASL that it is the server"),
            CauseKind::SaslMechanism(name) => write!(f, "{at} refuses the SASL mechanism {name}"),
            CauseKind::SaslRefused(user) => {
                write!(f, "{at} refuses the user {} of SASL: no such user, or a wrong password", shown(user))
            }
            CauseKind::SaslRefusesTicket => write!(
                f,
                "{at} refuses the Kerberos ticket: its keytab has another key, its clock differs, or it has another SASL mechanism"
            ),
            CauseKind::SaslCut => write!(f, "{at} ends the connection in the middle of SASL"),
            CauseKind::SaslTakesLong => write!(f, "SASL with {at} takes too long"),
            CauseKind::NotServing => write!(f, "{at} serves nobody: it has no quorum, or is starting"),
            CauseKind::ReadOnly => write!(f, "{at} is read-only: it has no quorum"),
            CauseKind::TooOld(version) => write!(f, "{at} is ZooKeeper {version}, which is too old"),
            CauseKind::Serves => write!(f, "{at} answers, but has opened no session"),
        }
    }
}

/// The server as the connect string names it, and its addresses.
struct At<'a>(&'a ConnectCause);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnectCause { server, addresses, .. } = self.0;
        write!(f, "{server}")?;
        if server.address().is_some() || addresses.is_empty() {
            return Ok(());
        }
        let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        write!(f, " ({})", addresses.join(", "))
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, cause) in self.causes.iter().enumerate().take(SERVERS_TOLD) {
            write!(f, "{}{cause}", if i == 0 { "" } else { "; " })?;
        }
        match self.causes.len().saturating_sub(SERVERS_TOLD) {
            0 => Ok(()),
            others => write!(f, "; and {others} more"),
        }
    }
}

/// The causes of one server. Addresses with the same outcome share one cause.
pub fn of_server(server: &Server, outcomes: Vec<(SocketAddr, CauseKind)>) -> Vec<ConnectCause> {
    let mut causes: Vec<ConnectCause> = Vec::new();
    for (address, kind) in outcomes {
        match causes.iter_mut().find(|cause| cause.kind == kind) {
            Some(cause) => cause.addresses.push(address.ip()),
            None => causes.push(ConnectCause { server: server.clone(), addresses: vec![address.ip()], kind }),
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zk::{self, Cause};

    fn server(host: &str) -> Server {
        Server { host: host.to_owned(), port: 2181 }
    }

    #[test]
    fn a_failure_is_a_sentence() {
        let v4 = |last| SocketAddr::from(([10, 0, 0, last], 2181));
        let of = |host: &str, outcomes: &[(u8, CauseKind)]| {
            of_server(&server(host), outcomes.iter().map(|(last, kind)| (v4(*last), kind.clone())).collect())
        };
        let no_such = ConnectCause { server: server("zk9"), addresses: vec![], kind: CauseKind::NoSuchHost };
        for (causes, text) in [
            (of("zk1", &[(1, CauseKind::Refused)]), "connection refused by zk1:2181 (10.0.0.1)"),
            (of("10.0.0.1", &[(1, CauseKind::Refused)]), "connection refused by 10.0.0.1:2181"),
            (
                of("zk1", &[(1, CauseKind::Refused), (2, CauseKind::Refused)]),
                "connection refused by zk1:2181 (10.0.0.1, 10.0.0.2)",
            ),
            (
                of("zk1", &[(1, CauseKind::Refused), (2, CauseKind::NoAnswer)]),
                "connection refused by zk1:2181 (10.0.0.1); zk1:2181 (10.0.0.2) does not answer",
            ),
            (
                [vec![no_such], of("zk1", &[(1, CauseKind::NoRoute)])].concat(),
                "no such host zk9; no route to zk1:2181 (10.0.0.1)",
            ),
            (
                of("zk1", &[(1, CauseKind::NotZooKeeper("SSH-2.0\u{1}x".to_owned()))]),
                "what answers at zk1:2181 (10.0.0.1) is no ZooKeeper: it says \"SSH-2.0\\u{1}x\"",
            ),
        ] {
            assert_eq!(ConnectFailure { causes }.to_string(), text);
        }
        let many = (0..10).flat_map(|last| of(&format!("zk{last}"), &[(last, CauseKind::Refused)])).collect();
        let many = ConnectFailure { causes: many }.to_string();
        assert!(many.contains("zk7:2181") && !many.contains("zk8") && many.ends_with("; and 2 more"), "{many}");
    }

    /// docs/troubleshooting.md has a row for each cause.
    #[test]
    fn each_cause_is_in_the_documentation() {
        let text = include_str!("../../docs/troubleshooting.md");
        let faults = [
            Cause::FrameTooLong { len: 5_000_000, limit: zk::FRAME_LIMIT },
            Cause::WrongLength,
            Cause::Malformed,
            Cause::OutOfOrder,
            Cause::AnotherSession(0x1_0000_7a2b),
            Cause::Timeout(1),
            Cause::TooOld,
            Cause::Moved,
        ];
        let faults = faults.map(|cause| CauseKind::Fault(cause.to_string()));
        let others = [
            CauseKind::NoSuchHost,
            CauseKind::LookupFailed("Temporary failure in name resolution".to_owned()),
            CauseKind::LookupTakesLong,
            CauseKind::Refused,
            CauseKind::NoRoute,
            CauseKind::Forbidden,
            CauseKind::NoAnswer,
            CauseKind::TooManyOpenFiles,
            CauseKind::Silent,
            CauseKind::ThrownOut,
            CauseKind::NotZooKeeper("HTTP/1.1 400 Bad Request".to_owned()),
            CauseKind::SpeaksTls,
            CauseKind::SpeaksPlainText,
            CauseKind::TlsFiles("the key file /etc/zk/me.key: permission denied".to_owned()),
            CauseKind::UnknownAuthority,
            CauseKind::WrongName(vec!["zk2".to_owned()]),
            CauseKind::WrongName(Vec::new()),
            CauseKind::CertificateExpired,
            CauseKind::CertificateNotYetValid,
            CauseKind::BadCertificate("it is of X.509 version 1, which has no subjectAltName".to_owned()),
            CauseKind::WantsCertificate,
            CauseKind::RefusesCertificate("CertificateUnknown".to_owned()),
            CauseKind::TlsFailed("it ends the handshake with the alert ProtocolVersion".to_owned()),
            CauseKind::SaslUnable("the password file /etc/zk/password: permission denied".to_owned()),
            CauseKind::SaslUnable("the KDC does not answer".to_owned()),
            CauseKind::SaslMissing,
            CauseKind::SaslMalformed("sends no challenge of DIGEST-MD5"),
            CauseKind::SaslImpostor,
            CauseKind::SaslMechanism(MechanismName::DigestMd5),
            CauseKind::SaslRefused("app".to_owned()),
            CauseKind::SaslRefusesTicket,
            CauseKind::SaslCut,
            CauseKind::SaslTakesLong,
            CauseKind::NotServing,
            CauseKind::ReadOnly,
            CauseKind::TooOld("3.3.6".to_owned()),
            CauseKind::Serves,
        ];
        for kind in others.into_iter().chain(faults) {
            let addresses = vec![IpAddr::from([10, 0, 0, 7])];
            let cause = ConnectCause { server: server("zk1"), addresses, kind }.to_string();
            assert!(text.contains(&format!("| `{cause}` |")), "{cause}");
        }
    }

    #[test]
    fn what_a_system_says() {
        for (errno, kind) in [
            (libc::ECONNREFUSED, CauseKind::Refused),
            (libc::EHOSTUNREACH, CauseKind::NoRoute),
            (libc::ENETUNREACH, CauseKind::NoRoute),
            (libc::ETIMEDOUT, CauseKind::NoAnswer),
            (libc::EMFILE, CauseKind::TooManyOpenFiles),
            (libc::EPERM, CauseKind::Forbidden),
            (libc::ECONNRESET, CauseKind::ThrownOut),
        ] {
            assert_eq!(CauseKind::of(&io::Error::from_raw_os_error(errno)), kind);
        }
        let lookup = |said: &str| {
            CauseKind::of_lookup(&io::Error::other(format!("failed to lookup address information: {said}")))
        };
        assert_eq!(lookup("Name or service not known"), CauseKind::NoSuchHost);
        let later = "Temporary failure in name resolution";
        assert_eq!(lookup(later), CauseKind::LookupFailed(later.to_owned()));
    }

    #[test]
    fn what_a_server_says() {
        let serves = "Zookeeper version: 3.8.0-${mvngit.commit.id}, built on 2022\nLatency\nMode: follower\n";
        for (answer, kind) in [
            ("", CauseKind::ThrownOut),
            (serves, CauseKind::Serves),
            (&serves.replace("follower", "read-only"), CauseKind::ReadOnly),
            (&serves.replace("3.8.0", "3.3.6"), CauseKind::TooOld("3.3.6".to_owned())),
            ("This ZooKeeper instance is not currently serving requests\n", CauseKind::NotServing),
            ("srvr is not executed because it is not in the whitelist.\n", CauseKind::Serves),
            ("\u{15}\u{3}\u{3}\u{0}\u{2}\u{2}P", CauseKind::SpeaksTls),
            ("\u{16}\u{3}\u{3}\u{0}\u{7a}\u{2}", CauseKind::SpeaksTls),
            ("HTTP/1.1 400 Bad Request\r\nx", CauseKind::NotZooKeeper("HTTP/1.1 400 Bad Request".to_owned())),
        ] {
            assert_eq!(CauseKind::of_answer(answer.as_bytes()), kind, "{answer:?}");
        }
    }
}
