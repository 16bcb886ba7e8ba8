//! The history of a campaign: the records of every process, and nothing else. It is one text file. The checker and the
//! drawing use only this file.
//!
//! `== NAME` begins the section of one process. Then each line is a record: its first word is the kind, and the others
//! are its fields. Stamps are nanoseconds on CLOCK_BOOTTIME. A pair of stamps is *before* and *after* the question or
//! the act.
//!
//! A process (`candidate.c`, `candidate.py`), in the order of its own clock:
//!
//! | record | fields |
//! | --- | --- |
//! | `stand` `watch` | stamp, path: go_to_election, watch_master |
//! | `role` | stamp, path, role, reason, rc, token: a callback of a candidate, the numbers are those of election.h |
//! | `master` | stamp, path, rc, token, session, value: a callback of an observer |
//! | `freed` | stamp, path, whose: free_ctx ran |
//! | `belief` | path, token, *first* pair, *last* pair, until, least left, answers, silence, *no* pair: election_lease said yes from the first pair to the last, this many times, at most `silence` apart. `until` is the latest end of the lease that an answer stated, `least left` the least time left that an answer stated; at the *no* pair it said no, 0 0 if the process did not ask again |
//! | `act` | pair, path, kind, token, rc: a write of a master, see [`Kind`] |
//! | `resign` | stamp, path, rc |
//! | `close` | pair, recipe, rc |
//! | `asked` | stamp, how often the process has asked so far |
//!
//! The section `run`, by the campaign:
//!
//! | record | fields |
//! | --- | --- |
//! | `seed` `timeout_ms` `tick_ms` `servers` | number |
//! | `clock` | stamp, the same moment as nanoseconds since 1970 |
//! | `election` | recipe, path |
//! | `process` | stamp, name, language, lane, and `tls` if its connections are encrypted: the process was started |
//! | `exit` | stamp, name, how: `killed` by the campaign, `code` N, or `signal` N |
//! | `said` | name, a line that the process wrote to standard error |
//! | `sample` | stamp, name, resident KiB, descriptors, threads, CPU ms: of /proc, once a second |
//! | `begin` | stamp, number, kind, target: a fault |
//! | `noticed` | stamp, number: the server has complained of this fault of its disk |
//! | `end` | stamp, number: the fault's end; and `vain` if the fault came to nothing |
//! | `stall` | pair: a thread of the campaign was ready to run and did not run |
//! | `operator` | session: a session of the campaign itself in ZooKeeper |
//! | `expire` | pair, session: taken over and closed from outside |
//! | `calm` | stamp: the last fault has ended, all run; again if the machine stood still after that |
//! | `closing` | stamp: all processes get the order to close |
//! | `absent` | server: it did not serve again after the last fault |
//! | `complaint` | server, `no-space` or `slow-flush`, number: how often its log complained of its disk |
//! | `left` | path: a znode that still existed when all had closed |
//!
//! The section `register`, in the order in which the register decided: `write` stamp, path, kind, token, name, taken.
//!
//! The section `zookeeper`, from the transaction logs of the servers: `create` zxid, ms since 1970, session, how many
//! servers have it, path, value; `delete` the same without a value; `set` as `create`; `over`, the end of a session,
//! without a path.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::str::FromStr;

pub const RUN: &str = "run";
pub const REGISTER: &str = "register";
pub const ZOOKEEPER: &str = "zookeeper";

pub const MASTER: i32 = 1;
pub const SLAVE: i32 = 0;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    pub before: i64,
    pub after: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belief {
    pub who: String,
    pub path: String,
    pub token: i64,
    pub first: Pair,
    pub last: Pair,
    pub until: i64,
    pub least_left: i64,
    pub answers: i64,
    pub silence: i64,
    pub no: Option<Pair>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub at: i64,
    pub path: String,
    pub role: i32,
    pub reason: i32,
    pub rc: i32,
    pub token: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub at: i64,
    pub path: String,
    pub rc: i32,
    pub token: i64,
    pub value: String,
}

/// How a master writes: to the register with the verifier and without it, and to ZooKeeper by election_fenced_set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Fenced,
    Unfenced,
    Znode,
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Kind, ()> {
        match text {
            "fenced" => Ok(Kind::Fenced),
            "unfenced" => Ok(Kind::Unfenced),
            "znode" => Ok(Kind::Znode),
            _ => Err(()),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    pub asked: Pair,
    pub path: String,
    pub kind: Kind,
    pub token: i64,
    pub rc: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub at: i64,
    pub path: String,
    pub kind: Kind,
    pub token: i64,
    pub who: String,
    pub taken: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub at: i64,
    pub rss_kib: i64,
    pub descriptors: i64,
    pub threads: i64,
    pub cpu_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: String,
    pub target: String,
    pub begin: i64,
    pub noticed: Option<i64>,
    /// `i64::MAX` if it was not ended.
    pub end: i64,
    /// The fault came to nothing.
    pub is_vain: bool,
}

/// A transaction in the log of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    pub zxid: i64,
    /// On the clock of the stamps, to a millisecond.
    pub at: i64,
    pub session: i64,
    /// A majority of the servers has the transaction.
    pub is_sure: bool,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Create {
        path: String,
        value: String,
    },
    Delete {
        path: String,
    },
    Set {
        path: String,
        value: String,
    },
    /// The session is over, and all its ephemeral znodes are gone.
    Over,
}

/// One run of one program.
#[derive(Clone, Debug, Default)]
pub struct Life {
    pub name: String,
    pub language: String,
    pub lane: String,
    /// Its connections are encrypted.
    pub has_tls: bool,
    pub started: i64,
    pub ended: Option<(i64, String)>,
    pub said: Vec<String>,
    pub stands: Vec<(i64, String)>,
    pub watches: Vec<(i64, String)>,
    pub told: Vec<Told>,
    pub seen: Vec<Seen>,
    pub freed: Vec<(String, String)>,
    pub beliefs: Vec<Belief>,
    pub acts: Vec<Act>,
    pub resigned: Vec<(i64, String)>,
    pub closed: Vec<(Pair, i32)>,
    pub asked: i64,
    pub samples: Vec<Sample>,
}

#[derive(Clone, Debug, Default)]
pub struct History {
    pub seed: u64,
    pub timeout: i64,
    pub tick: i64,
    pub servers: usize,
    /// Recipe and path.
    pub elections: Vec<(i32, String)>,
    /// In the order in which they were started.
    pub lives: Vec<Life>,
    pub writes: Vec<Write>,
    pub transactions: Vec<Transaction>,
    pub faults: Vec<Fault>,
    pub stalls: Vec<Pair>,
    pub operators: Vec<i64>,
    pub expired: Vec<(Pair, i64)>,
    pub began: i64,
    pub calm: i64,
    pub closing: i64,
    pub left: Vec<String>,
    /// Servers, counted from 1, that did not serve again after the last fault.
    pub absent: Vec<i64>,
    /// The complaints of the servers about their disks, and how often.
    pub complaints: Vec<(String, i64)>,
}

impl History {
    pub fn read(path: &Path) -> Result<History, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        History::parse(&text)
    }

    pub fn parse(text: &str) -> Result<History, String> {
        let mut history = History::default();
        let mut places = Places::default();
        let mut section = String::new();
        for (i, line) in text.lines().enumerate() {
            if let Some(name) = line.strip_prefix("== ") {
                section = name.to_owned();
            } else if !line.trim().is_empty() && !line.starts_with('#') {
                let record = Record { words: line.split(' ').collect() };
                let read = match section.as_str() {
                    RUN => history.take_of_run(&record, &mut places),
                    REGISTER => history.take_write(&record),
                    ZOOKEEPER => history.take_transaction(&record, &places),
                    who => history.take_of_life(who, &record, &places),
                };
                read.ok_or_else(|| format!("line {}: not a record of {section}: {line}", i + 1))?;
            }
        }
        Ok(history)
    }

    fn take_of_run(&mut self, record: &Record, places: &mut Places) -> Option<()> {
        match record.word(0)? {
            "seed" => self.seed = record.word(1)?.parse().ok()?,
            "timeout_ms" => self.timeout = record.number(1)? * 1_000_000,
            "tick_ms" => self.tick = record.number(1)? * 1_000_000,
            "servers" => self.servers = record.number(1)? as usize,
            "clock" => {
                self.began = record.number(1)?;
                places.clock = record.number(2)? - record.number(1)?;
            }
            "election" => self.elections.push((record.number(1)? as i32, record.word(2)?.to_owned())),
            "process" => {
                let name = record.word(2)?.to_owned();
                places.lives.insert(name.clone(), self.lives.len());
                self.lives.push(Life {
                    name,
                    language: record.word(3)?.to_owned(),
                    lane: record.word(4)?.to_owned(),
                    has_tls: record.word(5) == Some("tls"),
                    started: record.number(1)?,
                    ..Life::default()
                });
            }
            "exit" => {
                let end = (record.number(1)?, record.rest(3));
                self.life(record.word(2)?, places)?.ended = Some(end);
            }
            "said" => {
                let text = record.rest(2);
                self.life(record.word(1)?, places)?.said.push(text);
            }
            "sample" => {
                let sample = Sample {
                    at: record.number(1)?,
                    rss_kib: record.number(3)?,
                    descriptors: record.number(4)?,
                    threads: record.number(5)?,
                    cpu_ms: record.number(6)?,
                };
                self.life(record.word(2)?, places)?.samples.push(sample);
            }
            "begin" => {
                places.faults.insert(record.number(2)?, self.faults.len());
                self.faults.push(Fault {
                    kind: record.word(3)?.to_owned(),
                    target: record.rest(4),
                    begin: record.number(1)?,
                    noticed: None,
                    end: i64::MAX,
                    is_vain: false,
                });
            }
            "noticed" => self.fault(record, places)?.noticed = Some(record.number(1)?),
            "end" => {
                let fault = self.fault(record, places)?;
                fault.end = record.number(1)?;
                fault.is_vain = record.word(3) == Some("vain");
            }
            "stall" => self.stalls.push(record.pair(1)?),
            "operator" => self.operators.push(record.number(1)?),
            "expire" => self.expired.push((record.pair(1)?, record.number(3)?)),
            "calm" => self.calm = record.number(1)?,
            "closing" => self.closing = record.number(1)?,
            "absent" => self.absent.push(record.number(1)?),
            "complaint" => self.complaints.push((record.word(2)?.to_owned(), record.number(3)?)),
            "left" => self.left.push(record.word(1)?.to_owned()),
            _ => return None,
        }
        Some(())
    }

    fn life(&mut self, name: &str, places: &Places) -> Option<&mut Life> {
        self.lives.get_mut(*places.lives.get(name)?)
    }

    fn fault(&mut self, record: &Record, places: &Places) -> Option<&mut Fault> {
        self.faults.get_mut(*places.faults.get(&record.number(2)?)?)
    }

    fn take_write(&mut self, record: &Record) -> Option<()> {
        if record.word(0)? != "write" {
            return None;
        }
        self.writes.push(Write {
            at: record.number(1)?,
            path: record.word(2)?.to_owned(),
            kind: record.word(3)?.parse().ok()?,
            token: record.number(4)?,
            who: record.word(5)?.to_owned(),
            taken: record.number(6)? != 0,
        });
        Some(())
    }

    fn take_transaction(&mut self, record: &Record, places: &Places) -> Option<()> {
        let path = || Some(record.word(5)?.to_owned());
        let value = || record.rest(6);
        let change = match record.word(0)? {
            "create" => Change::Create { path: path()?, value: value() },
            "delete" => Change::Delete { path: path()? },
            "set" => Change::Set { path: path()?, value: value() },
            "over" => Change::Over,
            _ => return None,
        };
        self.transactions.push(Transaction {
            zxid: record.number(1)?,
            at: record.number(2)? * 1_000_000 - places.clock,
            session: record.number(3)?,
            is_sure: 2 * record.number(4)? > self.servers as i64,
            change,
        });
        Some(())
    }

    fn take_of_life(&mut self, who: &str, record: &Record, places: &Places) -> Option<()> {
        let life = self.life(who, places)?;
        let path = |at: usize| Some(record.word(at)?.to_owned());
        match record.word(0)? {
            "stand" => life.stands.push((record.number(1)?, path(2)?)),
            "watch" => life.watches.push((record.number(1)?, path(2)?)),
            "role" => life.told.push(Told {
                at: record.number(1)?,
                path: path(2)?,
                role: record.number(3)? as i32,
                reason: record.number(4)? as i32,
                rc: record.number(5)? as i32,
                token: record.number(6)?,
            }),
            "master" => life.seen.push(Seen {
                at: record.number(1)?,
                path: path(2)?,
                rc: record.number(3)? as i32,
                token: record.number(4)?,
                value: record.rest(6),
            }),
            "freed" => life.freed.push((path(2)?, path(3)?)),
            "belief" => {
                let no = record.pair(11)?;
                life.beliefs.push(Belief {
                    who: who.to_owned(),
                    path: path(1)?,
                    token: record.number(2)?,
                    first: record.pair(3)?,
                    last: record.pair(5)?,
                    until: record.number(7)?,
                    least_left: record.number(8)?,
                    answers: record.number(9)?,
                    silence: record.number(10)?,
                    no: (no.after != 0).then_some(no),
                });
            }
            "act" => life.acts.push(Act {
                asked: record.pair(1)?,
                path: path(3)?,
                kind: record.word(4)?.parse().ok()?,
                token: record.number(5)?,
                rc: record.number(6)? as i32,
            }),
            "resign" => life.resigned.push((record.number(1)?, path(2)?)),
            "close" => life.closed.push((record.pair(1)?, record.number(4)? as i32)),
            "asked" => life.asked = record.number(2)?,
            _ => return None,
        }
        Some(())
    }
}

/// The state of the reading.
#[derive(Default)]
struct Places {
    lives: BTreeMap<String, usize>,
    faults: BTreeMap<i64, usize>,
    /// The time of day minus the clock of the stamps.
    clock: i64,
}

struct Record<'a> {
    words: Vec<&'a str>,
}

impl<'a> Record<'a> {
    fn word(&self, i: usize) -> Option<&'a str> {
        self.words.get(i).copied()
    }

    fn number(&self, i: usize) -> Option<i64> {
        self.word(i)?.parse().ok()
    }

    fn pair(&self, i: usize) -> Option<Pair> {
        Some(Pair { before: self.number(i)?, after: self.number(i + 1)? })
    }

    fn rest(&self, from: usize) -> String {
        self.words.get(from..).unwrap_or_default().join(" ")
    }
}

/// Puts the files of a campaign together: `run`, `register` and `zookeeper` in `folder`, and the records of each
/// process there.
pub fn gather(folder: &Path, lives: &[String]) -> String {
    let mut text =
        String::from("# The history of a campaign of libelection; tests/campaign/history.rs says what is in it.\n");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    for section in [RUN, REGISTER, ZOOKEEPER] {
        let _ = write!(text, "== {section}\n{}", read(section));
    }
    for life in lives {
        let _ = writeln!(text, "== {life}");
        for line in read(&format!("{life}.beliefs")).lines().chain(read(&format!("{life}.events")).lines()) {
            // A process writes in place. If it was killed before the first byte of a line, the line does not exist.
            let line = line.trim_end_matches([' ', '\0']);
            if !line.is_empty() {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    text
}
