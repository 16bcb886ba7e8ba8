//! The definition of the command line for clap. The man pages and the completions are made from it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use nix::sys::signal::Signal;

/// Run a command on one machine at a time, by an election on Apache ZooKeeper
///
/// Of all candidates at a path, one is master, and never two. `election run` waits until it is master, and runs a
/// command while it is master. The other subcommands show which candidate is master, and why something does not work.
#[derive(Debug, Parser)]
#[command(name = "election", version, propagate_version = true, max_term_width = 100)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub subcommand: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    Run(Box<Run>),
    Status(Status),
    Members(Members),
    Watch(Watch),
    Wait(Wait),
    Doctor(Doctor),
}

/// Wait for mastership, and run COMMAND while it lasts
///
/// COMMAND runs in its own process group, with ELECTION_HOSTS, ELECTION_PATH, ELECTION_VALUE and ELECTION_TOKEN in its
/// environment. The token is a number. Every later master at the path has a larger one.
///
/// If mastership is lost, COMMAND and all its descendants are dead before another candidate can become master. They
/// get the stop signal while the lease still lasts, and SIGKILL shortly before its end. Then `election` stands again.
///
/// If `election` gets SIGTERM, SIGINT or SIGHUP, it stops COMMAND, waits for its end, resigns, and exits with the
/// status of COMMAND. If it gets the signal while it waits for mastership, it exits at once.
#[derive(Debug, Args)]
#[command(override_usage = "election run --hosts HOSTS --path PATH [OPTIONS] -- COMMAND [ARGUMENT...]")]
pub struct Run {
    #[command(flatten)]
    pub servers: Servers,
    #[command(flatten)]
    pub at: At,
    /// The value of this candidate, which the others can read [default: the name of the host]
    #[arg(help_heading = "Election", long, value_name = "TEXT", env = "ELECTION_VALUE", hide_env_values = true)]
    pub value: Option<OsString>,
    #[command(flatten)]
    pub lease: Lease,
    /// The signal that asks COMMAND to stop, by name or number
    #[arg(help_heading = "Command", long, value_name = "SIGNAL", env = "ELECTION_STOP_SIGNAL", default_value = "TERM", value_parser = signal)]
    pub stop_signal: Signal,
    /// How long COMMAND may take to stop before it is killed. If the lease runs out, it has at most an eighth of the
    /// session timeout
    #[arg(help_heading = "Command", long, value_name = "TIME", env = "ELECTION_STOP_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub stop_timeout: Duration,
    /// If COMMAND ends by itself, resign and stand again, instead of exiting with its status
    #[arg(help_heading = "Command", long, env = "ELECTION_RESTART")]
    pub restart: bool,
    /// How long to wait before standing again after COMMAND has ended by itself
    #[arg(help_heading = "Command", long, value_name = "TIME", env = "ELECTION_RESTART_DELAY", default_value = "1s", value_parser = duration)]
    pub restart_delay: Duration,
    /// Exit with status 124 if this candidate is not master after that time [default: wait for ever]
    #[arg(help_heading = "Command", long, value_name = "TIME", env = "ELECTION_WAIT_TIMEOUT", value_parser = duration)]
    pub wait_timeout: Option<Duration>,
    /// A shell command that checks whether this machine is fit. Stand only while it succeeds, and resign when it fails
    #[arg(help_heading = "Checks and hooks", long, value_name = "CMD", env = "ELECTION_CHECK")]
    pub check: Option<OsString>,
    /// The time from the end of one check to the next
    #[arg(help_heading = "Checks and hooks", long, value_name = "TIME", env = "ELECTION_CHECK_INTERVAL", default_value = "5s", value_parser = duration)]
    pub check_interval: Duration,
    /// How long a check may take. A check that takes longer is killed, and counts as failed
    #[arg(help_heading = "Checks and hooks", long, value_name = "TIME", env = "ELECTION_CHECK_TIMEOUT", default_value = "5s", value_parser = duration)]
    pub check_timeout: Duration,
    /// A shell command to run when this candidate has become master, before COMMAND starts
    #[arg(help_heading = "Checks and hooks", long, value_name = "CMD", env = "ELECTION_ON_MASTER")]
    pub on_master: Option<OsString>,
    /// A shell command to run when this candidate is no longer master, after COMMAND has ended. It also runs when this
    /// candidate first hears that another one is master
    #[arg(help_heading = "Checks and hooks", long, value_name = "CMD", env = "ELECTION_ON_SLAVE")]
    pub on_slave: Option<OsString>,
    /// How long a hook may take. A hook that takes longer is killed
    #[arg(help_heading = "Checks and hooks", long, value_name = "TIME", env = "ELECTION_HOOK_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub hook_timeout: Duration,
    /// Answer HTTP at this address: /metrics for Prometheus, /health, and /master. A port alone means the loopback
    /// interface
    #[arg(help_heading = "Monitoring", long, value_name = "ADDRESS", env = "ELECTION_LISTEN")]
    pub listen: Option<String>,
    /// Print only errors and warnings
    #[arg(help_heading = "Monitoring", long, short, env = "ELECTION_QUIET")]
    pub quiet: bool,
    /// The command to run, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Show who is master
///
/// Exit status: 0 if the election has a master, 1 if it has none, 3 if this is unknown.
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    pub servers: Servers,
    #[command(flatten)]
    pub at: At,
    #[command(flatten)]
    pub look: Look,
}

/// Show who stands, the master first
///
/// With the queue recipe, every candidate has a znode. With the node recipe, only the master has one. Exit status: 0
/// if the election has enough members, 1 if it has fewer, 3 if this is unknown.
#[derive(Debug, Args)]
pub struct Members {
    #[command(flatten)]
    pub servers: Servers,
    #[command(flatten)]
    pub at: At,
    /// How many members are enough
    #[arg(help_heading = None::<&str>, long, value_name = "COUNT", default_value_t = 1)]
    pub enough: usize,
    #[command(flatten)]
    pub look: Look,
}

/// Show who is master now, and each change, until interrupted
#[derive(Debug, Args)]
pub struct Watch {
    #[command(flatten)]
    pub servers: Servers,
    #[command(flatten)]
    pub at: At,
    /// Show the members and each change of them, instead of the master
    #[arg(help_heading = None::<&str>, long)]
    pub members: bool,
    /// Exit after this many lines
    #[arg(help_heading = None::<&str>, long, value_name = "COUNT")]
    pub count: Option<u64>,
    /// Write one JSON object for each change
    #[arg(help_heading = None::<&str>, long)]
    pub json: bool,
}

/// Wait until a candidate is master, and show it
///
/// Exit status: 0 if the wait succeeds, 1 if the time is over, 3 if the servers refuse to answer.
#[derive(Debug, Args)]
pub struct Wait {
    #[command(flatten)]
    pub servers: Servers,
    #[command(flatten)]
    pub at: At,
    /// Wait for a master with this value
    #[arg(help_heading = None::<&str>, long, value_name = "TEXT", conflicts_with = "none")]
    pub value: Option<OsString>,
    /// Wait until there is no master
    #[arg(help_heading = None::<&str>, long)]
    pub none: bool,
    /// How long to wait [default: for ever]
    #[arg(help_heading = None::<&str>, long, value_name = "TIME", env = "ELECTION_TIMEOUT", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Write a JSON object
    #[arg(help_heading = None::<&str>, long)]
    pub json: bool,
}

/// Say in plain words why something does not work, and what the servers would grant
///
/// Looks up each host, connects to each address, asks the server for its version, opens a session, and reads the
/// chroot and the path. It writes nothing to ZooKeeper unless --write is given. Exit status: 0 if all is well, 1 if
/// something is wrong.
#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    pub servers: Servers,
    /// The path of an election to look at
    #[arg(long, value_name = "PATH", env = "ELECTION_PATH")]
    pub path: Option<String>,
    #[command(flatten)]
    pub recipe: Queue,
    /// Also stand for a moment at a path beside PATH, to see whether a candidate may stand
    #[arg(help_heading = None::<&str>, long, requires = "path")]
    pub write: bool,
    /// How long to wait for each answer
    #[arg(help_heading = None::<&str>, long, value_name = "TIME", env = "ELECTION_TIMEOUT", default_value = "5s", value_parser = duration)]
    pub timeout: Duration,
    #[command(flatten)]
    pub lease: SessionTimeout,
    /// Write one JSON object
    #[arg(help_heading = None::<&str>, long)]
    pub json: bool,
}

/// Write the man pages and the completions for shells into a folder
///
/// Only an installation uses it. The man pages and the completions do not mention it.
#[derive(Debug, Parser)]
#[command(name = "generate")]
pub struct Generate {
    pub folder: PathBuf,
    /// The date that the man pages show
    #[arg(long, default_value = "")]
    pub date: String,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Servers")]
pub struct Servers {
    /// The ZooKeeper servers: host:port,host:port,.../chroot
    #[arg(long, value_name = "HOSTS", env = "ELECTION_HOSTS")]
    pub hosts: String,
    /// A file with one credential on each line: a scheme, a blank, and the data of the scheme. An example is
    /// `digest user:password`. Only its owner and its group may have access. The variable ELECTION_AUTH, of the same
    /// form, is the other way to give credentials
    #[arg(long, value_name = "FILE", env = "ELECTION_AUTH_FILE")]
    pub auth_file: Option<PathBuf>,
    #[command(flatten)]
    pub tls: Tls,
    #[command(flatten)]
    pub sasl: Sasl,
}

#[derive(Debug, Args)]
pub struct Tls {
    /// Encrypt the connections by TLS, and trust the authorities of the system. The other options for TLS imply this
    #[arg(long, env = "ELECTION_TLS")]
    pub tls: bool,
    /// A PEM file with the certificates of the authorities that are trusted, instead of those of the system
    #[arg(long, value_name = "FILE", env = "ELECTION_TLS_CA")]
    pub tls_ca: Option<PathBuf>,
    /// A PEM file with the client certificate, followed by those of its intermediate authorities
    #[arg(long, value_name = "FILE", env = "ELECTION_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// A PEM file with the key of the client certificate. Only its owner and its group may have access [default: the file
    /// of --tls-cert]
    #[arg(long, value_name = "FILE", env = "ELECTION_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// A file with the password of an encrypted key on its first line. Only its owner and its group may have access. The
    /// variable ELECTION_TLS_KEY_PASSWORD is the other way to give it
    #[arg(long, value_name = "FILE", env = "ELECTION_TLS_KEY_PASSWORD_FILE", requires = "tls_cert")]
    pub tls_key_password_file: Option<PathBuf>,
    /// Do not verify that a server's certificate is for the host in --hosts. Whoever has a certificate of a trusted
    /// authority can then pose as any server
    #[arg(long, env = "ELECTION_TLS_SKIP_HOST_CHECK")]
    pub tls_skip_host_check: bool,
}

impl Tls {
    pub fn is_on(&self) -> bool {
        self.tls || self.tls_skip_host_check || self.tls_ca.is_some() || self.tls_cert.is_some()
    }
}

#[derive(Debug, Args)]
pub struct Sasl {
    /// Prove to the servers who we are, by this mechanism of SASL: DIGEST-MD5, or GSSAPI for Kerberos
    #[arg(long, value_name = "NAME", env = "ELECTION_SASL_MECHANISM")]
    pub sasl_mechanism: Option<String>,
    /// Who we are. For GSSAPI, the principal [default for GSSAPI: that of the ticket, or of the first key]
    #[arg(long, value_name = "NAME", env = "ELECTION_SASL_USER", requires = "sasl_mechanism")]
    pub sasl_user: Option<String>,
    /// For DIGEST-MD5: a file with the password on its first line. Only its owner and its group may have access
    #[arg(long, value_name = "FILE", env = "ELECTION_SASL_PASSWORD_FILE", requires = "sasl_mechanism")]
    pub sasl_password_file: Option<PathBuf>,
    /// For DIGEST-MD5: the realm, if the servers offer several [default: the first one]
    #[arg(long, value_name = "NAME", env = "ELECTION_SASL_REALM", requires = "sasl_mechanism")]
    pub sasl_realm: Option<String>,
    /// For GSSAPI: a file with the key of the principal. Only its owner and its group may have access
    #[arg(long, value_name = "FILE", env = "ELECTION_SASL_KEYTAB", requires = "sasl_mechanism")]
    pub sasl_keytab: Option<PathBuf>,
    /// For GSSAPI: the cache that has a ticket [default without a keytab: the default cache]
    #[arg(long, value_name = "CACHE", env = "ELECTION_SASL_CCACHE", requires = "sasl_mechanism")]
    pub sasl_ccache: Option<String>,
    /// The name of the servers' service [default: zookeeper]
    #[arg(long, value_name = "NAME", env = "ELECTION_SASL_SERVICE", requires = "sasl_mechanism")]
    pub sasl_service: Option<String>,
    /// The host that the servers go by [default for DIGEST-MD5: zk-sasl-md5; for GSSAPI: the one in --hosts]
    #[arg(long, value_name = "NAME", env = "ELECTION_SASL_HOST", requires = "sasl_mechanism")]
    pub sasl_host: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Election")]
pub struct At {
    /// The path of the election in ZooKeeper
    #[arg(long, value_name = "PATH", env = "ELECTION_PATH")]
    pub path: String,
    #[command(flatten)]
    pub recipe: Queue,
}

#[derive(Debug, Args)]
pub struct Queue {
    /// How the candidates decide which of them is master. All candidates of an election must use the same recipe
    #[arg(long, value_enum, env = "ELECTION_RECIPE", default_value_t = Recipe::Node)]
    pub recipe: Recipe,
    /// How the znodes of a queue are named. All candidates of an election must use the same dialect
    #[arg(long, value_enum, env = "ELECTION_DIALECT", default_value_t = Dialect::CuratorLatch)]
    pub dialect: Dialect,
}

#[derive(Debug, Args)]
pub struct SessionTimeout {
    /// How long ZooKeeper keeps the session of a master that it does not hear from
    #[arg(long, value_name = "TIME", env = "ELECTION_SESSION_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub session_timeout: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Lease")]
pub struct Lease {
    #[command(flatten)]
    pub session: SessionTimeout,
    /// How long a new master waits before it begins
    #[arg(long, value_name = "TIME", env = "ELECTION_GRACE", default_value = "0s", value_parser = duration)]
    pub grace: Duration,
    /// How much earlier a lease ends than safety requires
    #[arg(long, value_name = "TIME", env = "ELECTION_LEASE_MARGIN", default_value = "0s", value_parser = duration)]
    pub lease_margin: Duration,
    /// The tickTime of the servers, which allows longer leases. 0s means unknown
    #[arg(long, value_name = "TIME", env = "ELECTION_TICK", default_value = "0s", value_parser = duration)]
    pub tick: Duration,
    /// The access rights to the znodes that a candidate creates
    #[arg(long, value_enum, env = "ELECTION_ACL", default_value_t = Acl::Open)]
    pub acl: Acl,
}

#[derive(Debug, Args)]
pub struct Look {
    /// How long to wait for an answer
    #[arg(help_heading = None::<&str>, long, value_name = "TIME", env = "ELECTION_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub timeout: Duration,
    /// Write a JSON object
    #[arg(help_heading = None::<&str>, long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Recipe {
    /// One znode at the path; shared with hand-rolled programs
    Node,
    /// Sequential znodes below the path; shared with Apache Curator, kazoo and others
    Queue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// Apache Curator's LeaderLatch
    CuratorLatch,
    /// Curator's LeaderSelector and InterProcessMutex, Go's zk.Lock
    CuratorLock,
    /// kazoo's Election and Lock
    Kazoo,
    /// ZooKeeper's LeaderElectionSupport
    LeaderElectionSupport,
    /// Programs whose znodes are named w-SEQ
    Seed,
    /// ZooKeeper's WriteLock, zoo_lock in C, Go's zk.Lock, the LeaderLatch of the Rust crate zookeeper
    WriteLock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Acl {
    /// Everybody may do everything
    Open,
    /// Clients with the credentials may do everything, others nothing
    Creator,
    /// Clients with the credentials may do everything, others may read
    CreatorWorldRead,
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "a time is a number with a unit, such as 10s or 500ms".to_owned())
}

fn signal(text: &str) -> Result<Signal, String> {
    let number = text.parse::<i32>().ok().and_then(|number| Signal::try_from(number).ok());
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    number.or_else(|| name.parse().ok()).ok_or_else(|| "there is no such signal".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn signals_by_name_and_number() {
        for (text, expected) in [
            ("TERM", Some(Signal::SIGTERM)),
            ("SIGINT", Some(Signal::SIGINT)),
            ("quit", Some(Signal::SIGQUIT)),
            ("1", Some(Signal::SIGHUP)),
            ("0", None),
            ("99", None),
            ("TERMINATE", None),
        ] {
            assert_eq!(signal(text).ok(), expected, "{text}");
        }
    }
}
