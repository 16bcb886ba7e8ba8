//! What the command line may say, as clap reads it. The man pages and the completions are made from this.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use nix::sys::signal::Signal;

/// Run a command on one machine at a time, by an election on Apache ZooKeeper
///
/// Of all candidates at a path one is master, never two. `election run` waits until it is master, and runs a command while
/// that lasts; the other subcommands show who is master, and why something does not work.
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
/// COMMAND runs in a process group of its own, with ELECTION_HOSTS, ELECTION_PATH, ELECTION_VALUE and ELECTION_TOKEN in its
/// environment. The token is a number that is larger for every later master at the path.
///
/// When mastership is lost, COMMAND and all its descendants are dead before another candidate can become master: they get the
/// stop signal while the lease still lasts, and SIGKILL shortly before its end. Then `election` stands again.
///
/// When `election` gets SIGTERM, SIGINT or SIGHUP, it stops COMMAND, waits for its end, resigns, and exits with the status of
/// COMMAND. While it waits for mastership it exits at once.
#[derive(Debug, Args)]
#[command(override_usage = "election run --hosts HOSTS --path PATH [OPTIONS] -- COMMAND [ARGUMENT...]")]
pub struct Run {
    #[command(flatten)]
    pub servers: Servers,
    #[command(flatten)]
    pub at: At,
    /// What the others read of this candidate [default: the name of the host]
    #[arg(help_heading = "Election", long, value_name = "TEXT", env = "ELECTION_VALUE", hide_env_values = true)]
    pub value: Option<OsString>,
    #[command(flatten)]
    pub lease: Lease,
    /// The signal that asks COMMAND to stop, by name or number
    #[arg(help_heading = "Command", long, value_name = "SIGNAL", env = "ELECTION_STOP_SIGNAL", default_value = "TERM", value_parser = signal)]
    pub stop_signal: Signal,
    /// How long COMMAND may take to stop, before it is killed; when the lease runs out, no more than an eighth of the session
    /// timeout
    #[arg(help_heading = "Command", long, value_name = "TIME", env = "ELECTION_STOP_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub stop_timeout: Duration,
    /// When COMMAND has ended by itself, resign and stand again, instead of exiting with its status
    #[arg(help_heading = "Command", long, env = "ELECTION_RESTART")]
    pub restart: bool,
    /// How long to wait before standing again after COMMAND has ended by itself
    #[arg(help_heading = "Command", long, value_name = "TIME", env = "ELECTION_RESTART_DELAY", default_value = "1s", value_parser = duration)]
    pub restart_delay: Duration,
    /// Exit with status 124 when this is not master after that time [default: wait for ever]
    #[arg(help_heading = "Command", long, value_name = "TIME", env = "ELECTION_WAIT_TIMEOUT", value_parser = duration)]
    pub wait_timeout: Option<Duration>,
    /// A shell command that says whether this machine is fit: stand only while it succeeds, and resign when it fails
    #[arg(help_heading = "Checks and hooks", long, value_name = "CMD", env = "ELECTION_CHECK")]
    pub check: Option<OsString>,
    /// The time from the end of one check to the next
    #[arg(help_heading = "Checks and hooks", long, value_name = "TIME", env = "ELECTION_CHECK_INTERVAL", default_value = "5s", value_parser = duration)]
    pub check_interval: Duration,
    /// How long a check may take; one that takes longer is killed, and has failed
    #[arg(help_heading = "Checks and hooks", long, value_name = "TIME", env = "ELECTION_CHECK_TIMEOUT", default_value = "5s", value_parser = duration)]
    pub check_timeout: Duration,
    /// A shell command to run when this has become master, before COMMAND
    #[arg(help_heading = "Checks and hooks", long, value_name = "CMD", env = "ELECTION_ON_MASTER")]
    pub on_master: Option<OsString>,
    /// A shell command to run when this has stopped being master, after COMMAND, and when it first hears that another one is
    #[arg(help_heading = "Checks and hooks", long, value_name = "CMD", env = "ELECTION_ON_SLAVE")]
    pub on_slave: Option<OsString>,
    /// How long a hook may take; one that takes longer is killed
    #[arg(help_heading = "Checks and hooks", long, value_name = "TIME", env = "ELECTION_HOOK_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub hook_timeout: Duration,
    /// Answer HTTP at this address: /metrics for Prometheus, /health, and /master; a port alone is one of the loopback
    /// interface
    #[arg(help_heading = "Monitoring", long, value_name = "ADDRESS", env = "ELECTION_LISTEN")]
    pub listen: Option<String>,
    /// Say nothing but what is wrong
    #[arg(help_heading = "Monitoring", long, short, env = "ELECTION_QUIET")]
    pub quiet: bool,
    /// What to run, behind `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Show who is master
///
/// Exit status: 0 when there is a master, 1 when there is none, 3 when nobody can tell.
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
/// With the queue recipe every candidate has a znode; with the node recipe only the master has. Exit status: 0 when there are
/// enough members, 1 when there are fewer, 3 when nobody can tell.
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
    /// Exit after so many lines
    #[arg(help_heading = None::<&str>, long, value_name = "COUNT")]
    pub count: Option<u64>,
    /// Write one JSON object for each change
    #[arg(help_heading = None::<&str>, long)]
    pub json: bool,
}

/// Wait until there is a master, and show who
///
/// Exit status: 0 when there is one, 1 when the time is over, 3 when the servers refuse to tell.
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
/// Looks up each host, connects to each address, asks the server for its version, opens a session, and reads the chroot and
/// the path. It writes nothing to ZooKeeper, unless --write says so. Exit status: 0 when all is well, 1 when something is
/// wrong.
#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    pub servers: Servers,
    /// The path of an election to look at
    #[arg(long, value_name = "PATH", env = "ELECTION_PATH")]
    pub path: Option<String>,
    #[command(flatten)]
    pub recipe: Queue,
    /// Also stand for a moment at a path beside PATH, to see whether a candidate may
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
/// For an installation only: neither the man pages nor the completions tell of it.
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
    /// A file with credentials, one a line: a scheme, a blank, and what the scheme takes, such as `digest user:password`.
    /// Nobody but its owner and its group may have access. The variable ELECTION_AUTH, of the same form, is the other way to
    /// give credentials
    #[arg(long, value_name = "FILE", env = "ELECTION_AUTH_FILE")]
    pub auth_file: Option<PathBuf>,
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
    /// How the candidates find out who is master; the same for all of an election
    #[arg(long, value_enum, env = "ELECTION_RECIPE", default_value_t = Recipe::Node)]
    pub recipe: Recipe,
    /// How the znodes of a queue are called; the same for all of an election
    #[arg(long, value_enum, env = "ELECTION_DIALECT", default_value_t = Dialect::CuratorLatch)]
    pub dialect: Dialect,
}

#[derive(Debug, Args)]
pub struct SessionTimeout {
    /// For how long ZooKeeper keeps the place of a master it does not hear from
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
    /// By how much a lease ends sooner than safety asks for
    #[arg(long, value_name = "TIME", env = "ELECTION_LEASE_MARGIN", default_value = "0s", value_parser = duration)]
    pub lease_margin: Duration,
    /// The tickTime of the servers, so that leases can be longer; 0s for not known
    #[arg(long, value_name = "TIME", env = "ELECTION_TICK", default_value = "0s", value_parser = duration)]
    pub tick: Duration,
    /// Who may do what with the znodes that are made
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
    /// Programs whose znodes are called w-SEQ
    Seed,
    /// ZooKeeper's WriteLock, zoo_lock in C, Go's zk.Lock, the LeaderLatch of the Rust crate zookeeper
    WriteLock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Acl {
    /// Everybody everything
    Open,
    /// Whoever has the credentials everything, nobody else anything
    Creator,
    /// Whoever has the credentials everything, everybody else read
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
