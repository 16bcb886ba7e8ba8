//! The cast: the programs that stand and the one that watches, as processes, and what the lines that they print mean.

use crate::timeline::{Ink, Lane};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::Sender;
use std::time::Duration;
use testkit::{Line, Program};

/// What a candidate is, as far as the demo knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Started, and has said nothing yet; or not started.
    Silent,
    Unknown,
    Slave {
        token: i64,
    },
    Master {
        token: i64,
    },
    Resigned,
    Left,
    Killed,
}

impl Standing {
    pub fn lane(self) -> Lane {
        match self {
            Standing::Silent | Standing::Left => Lane::Absent,
            Standing::Unknown => Lane::Unknown,
            Standing::Slave { .. } => Lane::Slave,
            Standing::Master { .. } => Lane::Master,
            Standing::Resigned => Lane::Resigned,
            Standing::Killed => Lane::Killed,
        }
    }

    pub fn text(self) -> &'static str {
        match self {
            Standing::Silent => "silent",
            Standing::Unknown => "unable to tell",
            Standing::Slave { .. } => "slave",
            Standing::Master { .. } => "master",
            Standing::Resigned => "resigned",
            Standing::Left => "gone",
            Standing::Killed => "killed",
        }
    }
}

/// Whose line it is: which member of the cast, and in which of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice {
    pub who: usize,
    pub life: u32,
}

/// A program of the cast.
#[derive(Debug)]
pub struct Actor {
    pub name: &'static str,
    program: Option<Program>,
    life: u32,
}

impl Actor {
    pub fn new(name: &'static str) -> Actor {
        Actor { name, program: None, life: 0 }
    }

    pub fn start(&mut self, who: usize, command: Command, sender: &Sender<(Voice, Line)>) {
        self.life += 1;
        let voice = Voice { who, life: self.life };
        self.program = Some(Program::spawn_tagged(command, voice, sender.clone()));
    }

    /// The program, from its start until it is killed.
    pub fn program(&self) -> Option<&Program> {
        self.program.as_ref()
    }

    /// Whether `voice` is of a program that runs; what a killed one has said may still be on its way.
    pub fn is_it(&self, voice: Voice) -> bool {
        self.program.is_some() && self.life == voice.life
    }

    /// Kills it with SIGKILL and waits for its end.
    pub fn kill9(&mut self) {
        self.program.take();
    }
}

/// What a candidate said, in one line for a program.
#[derive(Debug, PartialEq, Eq)]
pub struct Word {
    pub standing: Standing,
    pub ink: Ink,
    pub text: String,
}

impl Word {
    /// Reads `role=MASTER reason=ELECTED rc=0 token=4294967298 value=ann path=/master`; the words for a person beside it
    /// are `None`. `name` is the candidate's.
    pub fn of_line(name: &str, line: &str) -> Option<Word> {
        let (role, reason) = (field(line, "role")?, field(line, "reason")?);
        let token: i64 = field(line, "token")?.parse().ok()?;
        let (value, rc) = (field(line, "value")?, field(line, "rc")?);
        let (standing, ink, text) = match (role, reason) {
            ("MASTER", _) => (Standing::Master { token }, Ink::Green, format!("is master, token {token}")),
            ("SLAVE", _) if value == name => {
                (Standing::Slave { token }, Ink::Yellow, "is slave of its own earlier session".to_owned())
            }
            ("SLAVE", _) => (Standing::Slave { token }, Ink::Plain, format!("is slave of {value}")),
            (_, "RESIGNED") => (Standing::Resigned, Ink::Bold, "has resigned".to_owned()),
            (_, "CLOSED") => (Standing::Left, Ink::Faint, "leaves".to_owned()),
            (_, reason) => {
                let text = match reason {
                    "SUSPENDED" => "cannot tell: no connection".to_owned(),
                    "EXPIRED" => "cannot tell: the session is over".to_owned(),
                    "DELETED" => "cannot tell: its znode was deleted".to_owned(),
                    "BLOCKED" => "cannot tell: a znode that stays is in the way".to_owned(),
                    other => format!("cannot tell: {} (rc {rc})", other.to_lowercase()),
                };
                (Standing::Unknown, Ink::Yellow, text)
            }
        };
        Some(Word { standing, ink, text })
    }
}

/// Whom the observer sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    #[default]
    Nothing,
    Master {
        value: String,
        token: i64,
        session_id: i64,
    },
    Nobody,
    Unknown {
        rc: String,
    },
}

impl Sight {
    /// Reads a line of the observer: a time, then `master value=... token=... session=0x... ...`, `nobody ...` or
    /// `unknown rc=...`.
    pub fn of_line(line: &str) -> Option<Sight> {
        match line.split(' ').nth(1)? {
            "master" => {
                let session = field(line, "session")?.strip_prefix("0x")?;
                Some(Sight::Master {
                    value: field(line, "value")?.to_owned(),
                    token: field(line, "token")?.parse().ok()?,
                    session_id: u64::from_str_radix(session, 16).ok()? as i64,
                })
            }
            "nobody" => Some(Sight::Nobody),
            "unknown" => Some(Sight::Unknown { rc: field(line, "rc")?.to_owned() }),
            _ => None,
        }
    }

    /// A word for the observer's column.
    pub fn short(&self) -> &str {
        match self {
            Sight::Nothing => ".",
            Sight::Master { value, .. } => value,
            Sight::Nobody => "nobody",
            Sight::Unknown { .. } => "?",
        }
    }

    pub fn text(&self) -> String {
        match self {
            Sight::Nothing => "sees nothing yet".to_owned(),
            Sight::Master { value, .. } => format!("sees {value}"),
            Sight::Nobody => "sees nobody".to_owned(),
            Sight::Unknown { rc } if rc == "-4" => "cannot tell: no connection".to_owned(),
            Sight::Unknown { rc } => format!("cannot tell (rc {rc})"),
        }
    }
}

fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// Where the programs are, and what they are told.
#[derive(Debug)]
pub struct Script {
    folder: PathBuf,
    /// The library for Python: the one that was built with this program.
    library: PathBuf,
    hosts: String,
    path: String,
    session_timeout: Duration,
}

impl Script {
    /// Fails when a program is not there.
    pub fn new(hosts: String, path: String, session_timeout: Duration) -> Result<Script, String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("c_examples");
        for program in ["build/election", "build/watch", "stand.py"] {
            if !folder.join(program).exists() {
                return Err(format!("c_examples/{program} is not there: run `make demo`, which builds it"));
            }
        }
        if Command::new("python3").arg("--version").output().is_err() {
            return Err("python3 is not there: run `make setup`".to_owned());
        }
        let this = std::env::current_exe().map_err(|error| format!("this program's own path: {error}"))?;
        let built = this.ancestors().nth(2).expect("a program is in the folder examples of a profile's");
        Ok(Script { folder, library: built.join("libelection.so"), hosts, path, session_timeout })
    }

    pub fn candidate(&self, name: &str) -> Command {
        self.standing(Command::new(self.folder.join("build/election")), name)
    }

    pub fn candidate_in_python(&self, name: &str) -> Command {
        let mut command = Command::new("python3");
        command.arg(self.folder.join("stand.py")).env("PYTHONPATH", self.folder.with_file_name("python"));
        command.env("ELECTION_LIB", &self.library);
        self.standing(command, name)
    }

    fn standing(&self, mut command: Command, name: &str) -> Command {
        self.tell(&mut command);
        command.args(["--path", &self.path, "--stay", name]);
        command
    }

    pub fn observer(&self) -> Command {
        let mut command = Command::new(self.folder.join("build/watch"));
        self.tell(&mut command);
        command.arg(&self.path);
        command
    }

    fn tell(&self, command: &mut Command) {
        let timeout_ms = self.session_timeout.as_millis().to_string();
        command.args(["--hosts", &self.hosts, "--timeout", &timeout_ms]);
    }
}
