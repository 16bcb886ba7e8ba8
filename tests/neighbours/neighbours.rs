//! The other implementations, and how to start a member of each.

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::ScratchFolder;

use crate::latch;
use crate::library::run;

const JARS: &str = "/usr/share/java";
const ZOOKEEPER_JARS: &[&str] = &[
    "zookeeper",
    "zookeeper-jute",
    "zookeeper-recipes-election",
    "zookeeper-recipes-lock",
    "slf4j-api",
    "slf4j-simple",
    "netty-buffer",
    "netty-common",
    "netty-handler",
    "netty-transport",
    "netty-transport-native-epoll",
];
const CURATOR_JARS: &[&str] = &["curator-client", "curator-framework", "curator-recipes", "guava", "failureaccess"];
/// Where Debian puts the sources.
const GO_PATH: &str = "/usr/share/gocode";
const KAZOO: &str = "kazoo==2.11.0";

/// Another implementation.
pub struct Neighbour {
    /// As the table of the documentation names it.
    pub name: &'static str,
    /// Ours beside it: a constant of `election.h` and its number.
    pub recipe: (&'static str, i32),
    program: Kind,
    /// Whether a member tells whom it counts, in order.
    pub lists: bool,
    /// Whether a member can leave the queue before its turn.
    pub can_leave: bool,
}

enum Kind {
    /// The class, and which recipe of it.
    Java(&'static str, &'static str),
    Kazoo(&'static str),
    Go,
    /// A test of this very program.
    Latch(&'static str),
}

const fn java(
    name: &'static str,
    recipe: (&'static str, i32),
    class: &'static str,
    which: &'static str,
) -> Neighbour {
    Neighbour { name, recipe, program: Kind::Java(class, which), lists: false, can_leave: true }
}

const fn kazoo(name: &'static str, which: &'static str) -> Neighbour {
    Neighbour { name, recipe: ("QUEUE_KAZOO", 3), program: Kind::Kazoo(which), lists: false, can_leave: true }
}

pub const LEADER_LATCH: Neighbour = java("Curator's LeaderLatch", ("QUEUE", 1), "CuratorMember", "LeaderLatch");
pub const LEADER_SELECTOR: Neighbour =
    java("Curator's LeaderSelector", ("QUEUE_CURATOR_LOCK", 2), "CuratorMember", "LeaderSelector");
pub const INTER_PROCESS_MUTEX: Neighbour =
    java("Curator's InterProcessMutex", ("QUEUE_CURATOR_LOCK", 2), "CuratorMember", "InterProcessMutex");
pub const KAZOO_ELECTION: Neighbour = Neighbour { lists: true, ..kazoo("kazoo's Election", "Election") };
pub const KAZOO_LOCK: Neighbour = kazoo("kazoo's Lock", "Lock");
pub const LEADER_ELECTION_SUPPORT: Neighbour = java(
    "ZooKeeper's LeaderElectionSupport",
    ("QUEUE_LEADER_ELECTION_SUPPORT", 4),
    "ZooKeeperMember",
    "LeaderElectionSupport",
);
pub const WRITE_LOCK: Neighbour =
    java("ZooKeeper's WriteLock", ("QUEUE_WRITE_LOCK", 6), "ZooKeeperMember", "WriteLock");

pub const SEED_002: Neighbour = java("seed 002's Worker", ("QUEUE_W", 5), "ZooKeeperMember", "Worker");
pub const CRATE_LATCH: Neighbour = Neighbour {
    name: "the crate zookeeper's LeaderLatch",
    recipe: ("QUEUE_WRITE_LOCK", 6),
    program: Kind::Latch("crate_latch"),
    lists: false,
    can_leave: true,
};
pub const GO_LOCK: Neighbour = Neighbour {
    name: "Go's zk.Lock",
    recipe: ("QUEUE_CURATOR_LOCK", 2),
    program: Kind::Go,
    lists: false,
    can_leave: false,
};
/// The same, in a queue where every number counts.
pub const GO_LOCK_AMONG_NUMBERS: Neighbour = Neighbour { recipe: ("QUEUE_WRITE_LOCK", 6), ..GO_LOCK };

pub const ALL: [&Neighbour; 11] = [
    &LEADER_LATCH,
    &LEADER_SELECTOR,
    &INTER_PROCESS_MUTEX,
    &GO_LOCK,
    &GO_LOCK_AMONG_NUMBERS,
    &KAZOO_ELECTION,
    &KAZOO_LOCK,
    &LEADER_ELECTION_SUPPORT,
    &WRITE_LOCK,
    &CRATE_LATCH,
    &SEED_002,
];

fn theirs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/neighbours/theirs")
}

/// A member's program, built.
pub struct Built {
    start: Vec<String>,
    variables: Vec<(&'static str, String)>,
    /// Not by its arguments.
    is_told_by_variable: bool,
}

impl Neighbour {
    /// Builds what is to be built into `folder`.
    pub fn build(&self, folder: &ScratchFolder) -> Built {
        match &self.program {
            Kind::Java(class, which) => {
                let jars = ZOOKEEPER_JARS.iter().chain(CURATOR_JARS.iter().filter(|_| *class == "CuratorMember"));
                let jars = jars.map(|jar| format!("{JARS}/{jar}.jar")).collect::<Vec<_>>().join(":");
                let classes = folder.path().display();
                let mut javac = Command::new("javac");
                javac.args(["-d", &classes.to_string(), "-cp", &jars]);
                run(javac.arg(theirs().join("Member.java")).arg(theirs().join(format!("{class}.java"))));
                let words = [
                    "java",
                    "-Xshare:auto",
                    "-XX:TieredStopAtLevel=1",
                    "-XX:+UseSerialGC",
                    "-Xmx64m",
                    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                    "-cp",
                    &format!("{classes}:{jars}"),
                    class,
                    which,
                ];
                Built::new(words.map(str::to_owned).to_vec())
            }
            Kind::Go => {
                let program = folder.path().join("member");
                let mut go = Command::new("go");
                go.env("GO111MODULE", "off").env("GOPATH", GO_PATH);
                go.env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go"));
                run(go.args(["build", "-o"]).arg(&program).arg(theirs().join("member.go")));
                Built::new(vec![program.display().to_string()])
            }
            Kind::Latch(test) => {
                let program = std::env::current_exe().expect("a program").display().to_string();
                let mut start = vec![program, "--exact".to_owned(), (*test).to_owned(), "--nocapture".to_owned()];
                start.push("--include-ignored".to_owned());
                Built { is_told_by_variable: true, ..Built::new(start) }
            }
            Kind::Kazoo(which) => {
                let script = theirs().join("member.py").display().to_string();
                let start = ["python3".to_owned(), "-B".to_owned(), script, (*which).to_owned()].to_vec();
                let path = kazoo_from_pypi().display().to_string();
                Built { variables: vec![("PYTHONPATH", path)], ..Built::new(start) }
            }
        }
    }
}

impl Built {
    fn new(start: Vec<String>) -> Built {
        Built { start, variables: Vec::new(), is_told_by_variable: false }
    }

    pub fn command(&self, hosts: &str, path: &str, value: &str, log: &Path, timeout_ms: u32) -> Command {
        let mut command = Command::new(&self.start[0]);
        command.args(&self.start[1..]);
        let words = [hosts, path, value, &log.display().to_string(), &timeout_ms.to_string()];
        match self.is_told_by_variable {
            true => command.env(latch::VARIABLE, words.join(" ")),
            false => command.args(words),
        };
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Fetched once for each target folder.
pub fn kazoo_from_pypi() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(KAZOO);
    if !folder.exists() {
        // Under a name of its own first: another test may be at it.
        let unfinished = folder.with_extension(fastrand::u64(..).to_string());
        run(Command::new("pip").args(["install", "--quiet", "--no-deps", "--target"]).arg(&unfinished).arg(KAZOO));
        if std::fs::rename(&unfinished, &folder).is_err() {
            assert!(folder.exists(), "kazoo cannot be put into {}", folder.display());
            std::fs::remove_dir_all(&unfinished).expect("a folder of this test");
        }
    }
    folder
}
