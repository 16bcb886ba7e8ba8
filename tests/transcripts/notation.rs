//! The words of the notation: a line taken apart, with an error for whatever is left over.

use std::sync::Arc;

use election::testing::logic::{
    Call, Config, Dialect, LeaseMode, Recipe, Reply, RequestId, SessionId, Stat, Value, WatchEvent, Write, Znode,
};

pub type Parsed<T> = Result<T, String>;

/// What happens in one line of a step.
pub enum Input {
    Opening,
    NotOpened,
    Connected { session: SessionId, timeout_ms: u64, asked_ms: Option<u64> },
    Suspended(i32),
    Expired,
    Denied(i32),
    Stand { path: Arc<str>, value: Value, name: String, once: bool },
    Resign(String),
    SetValue(String, Value),
    Observe(Arc<str>),
    Unobserve(Arc<str>),
    WatchMembers { path: Arc<str>, enough: usize },
    UnwatchMembers(Arc<str>),
    Call(Call),
    Close,
    Reply(RequestId, Reply),
    Watch(RequestId, WatchEvent),
    Timeout,
    Beats,
    Paused,
    Ask(String),
}

/// The words of a line that are not understood yet.
pub struct Words(Vec<String>);

impl Words {
    /// Splits at blanks that are not in quotation marks.
    pub fn of(line: &str) -> Parsed<Words> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for letter in line.chars() {
            quoted ^= letter == '"';
            match letter {
                '\\' => return Err("no backslashes, please".into()),
                ' ' if !quoted => words.push(String::new()),
                _ => words.last_mut().expect("at least one").push(letter),
            }
        }
        words.retain(|word| !word.is_empty());
        match quoted {
            true => Err("a quotation mark is missing".into()),
            false => Ok(Words(words)),
        }
    }

    pub fn next(&mut self, what: &str) -> Parsed<String> {
        match self.0.is_empty() {
            true => Err(format!("{what} is missing")),
            false => Ok(self.0.remove(0)),
        }
    }

    /// Takes the first word if this says that it is what is looked for.
    pub fn next_if(&mut self, fits: impl Fn(&str) -> bool) -> Option<String> {
        self.0.first().is_some_and(|word| fits(word)).then(|| self.0.remove(0))
    }

    /// Takes what stands behind `key=`, wherever it is.
    fn key(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|word| word.strip_prefix(key).is_some_and(|rest| rest.starts_with('=')))?;
        Some(self.0.remove(at)[key.len() + 1..].to_string())
    }

    fn number(&mut self, key: &str) -> Parsed<Option<i64>> {
        self.key(key).map(|word| number(&word)).transpose()
    }

    fn needed(&mut self, key: &str) -> Parsed<i64> {
        self.number(key)?.ok_or(format!("{key}= is missing"))
    }

    pub fn end(self) -> Parsed<()> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(format!("left over: {}", self.0.join(" "))),
        }
    }
}

pub fn number(word: &str) -> Parsed<i64> {
    let parsed = match word.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).map(|bits| bits as i64).ok(),
        None => word.parse().ok(),
    };
    parsed.ok_or(format!("not a number: {word}"))
}

fn value(words: &mut Words) -> Parsed<Value> {
    let word = words.next("a value")?;
    let bytes = word.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    bytes.map(|bytes| bytes.as_bytes().into()).ok_or(format!("not a value in quotation marks: {word}"))
}

fn path(words: &mut Words) -> Parsed<Arc<str>> {
    let word = words.next("a path")?;
    word.starts_with('/').then(|| word.as_str().into()).ok_or(format!("not a path: {word}"))
}

/// ZooKeeper's errors, and ours.
const RCS: [(&str, i32); 20] = [
    ("OK", 0),
    ("CONNECTIONLOSS", -4),
    ("BADARGUMENTS", -8),
    ("NONODE", -101),
    ("NOAUTH", -102),
    ("BADVERSION", -103),
    ("NOCHILDRENFOREPHEMERALS", -108),
    ("NODEEXISTS", -110),
    ("SESSIONEXPIRED", -112),
    ("INVALIDACL", -114),
    ("AUTHFAILED", -115),
    ("CLOSING", -116),
    ("QUOTAEXCEEDED", -125),
    ("THROTTLEDOP", -127),
    ("NOTEPHEMERAL", -1013),
    ("RESIGNED", -1014),
    ("INTERNAL", -1016),
    ("LEASE_EXPIRED", -1017),
    ("GRACE", -1018),
    ("FOREIGN_CONTENDER", -1019),
];

fn rc(words: &mut Words) -> Parsed<i32> {
    let word = words.next("an error")?;
    RCS.iter().find(|(name, _)| *name == word).map(|(_, rc)| *rc).ok_or(format!("not an error of ours: {word}"))
}

pub fn name_of(rc: i32) -> &'static str {
    RCS.iter().find(|(_, number)| *number == rc).map_or("(an rc without a name)", |(name, _)| name)
}

pub fn config(words: &mut Words) -> Parsed<Config> {
    let mut config = Config::default();
    let dialect = words.key("dialect");
    config.recipe = match (words.key("recipe").as_deref(), dialect.as_deref()) {
        (None | Some("node"), None) => Recipe::Node,
        (Some("queue"), None | Some("curator-latch")) => Recipe::Queue(Dialect::CuratorLatch),
        (Some("queue"), Some("curator-lock")) => Recipe::Queue(Dialect::CuratorLock),
        (Some("queue"), Some("kazoo")) => Recipe::Queue(Dialect::Kazoo),
        (Some("queue"), Some("leader-election-support")) => Recipe::Queue(Dialect::LeaderElectionSupport),
        (Some("queue"), Some("seed")) => Recipe::Queue(Dialect::Seed),
        (Some("queue"), Some("write-lock")) => Recipe::Queue(Dialect::WriteLock),
        (recipe, dialect) => return Err(format!("no such recipe: {recipe:?} {dialect:?}")),
    };
    config.grace_ms = words.number("grace")?.map_or(0, |ms| ms as u64);
    config.margin_ms = words.number("margin")?.map_or(0, |ms| ms as u64);
    config.tick_ms = words.number("tick")?.map(|ms| ms as u64);
    config.lease_mode = match words.key("lease_mode").as_deref() {
        None | Some("committed") => LeaseMode::Committed,
        Some("answered") => LeaseMode::Answered,
        Some(other) => return Err(format!("no such grade: {other}")),
    };
    Ok(config)
}

pub fn input(words: &mut Words) -> Parsed<Input> {
    Ok(match words.next("what happens")?.as_str() {
        "connected" => {
            let session = SessionId(words.needed("session")?);
            let timeout_ms = words.needed("timeout")? as u64;
            Input::Connected { session, timeout_ms, asked_ms: words.number("asked")?.map(|ms| ms as u64) }
        }
        "opening" => Input::Opening,
        "not-opened" => Input::NotOpened,
        "suspended" => Input::Suspended(rc(words)?),
        "expired" => Input::Expired,
        "denied" => Input::Denied(rc(words)?),
        "stand" => {
            let (path, value) = (path(words)?, value(words)?);
            let name = words.key("as").unwrap_or(path.to_string());
            Input::Stand { path, value, name, once: words.next_if(|word| word == "once").is_some() }
        }
        "resign" => Input::Resign(words.next("a name")?),
        "set-value" => Input::SetValue(words.next("a name")?, value(words)?),
        "observe" => Input::Observe(path(words)?),
        "unobserve" => Input::Unobserve(path(words)?),
        "watch-members" => {
            let enough = words.number("enough")?.map_or(0, |enough| enough as usize);
            Input::WatchMembers { path: path(words)?, enough }
        }
        "unwatch-members" => Input::UnwatchMembers(path(words)?),
        "ask-master" => Input::Call(Call::Master { path: path(words)? }),
        "ask-members" => Input::Call(Call::Members { path: path(words)? }),
        "write" => Input::Call(Call::Write { path: path(words)?, write: write(words)? }),
        "close" => Input::Close,
        "reply" => Input::Reply(request(words)?, reply(words)?),
        "watch" => Input::Watch(request(words)?, news(words)?),
        "timeout" => Input::Timeout,
        "beats" => Input::Beats,
        "paused" => Input::Paused,
        "ask" => Input::Ask(path(words)?.to_string()),
        other => return Err(format!("not understood: {other}")),
    })
}

fn request(words: &mut Words) -> Parsed<RequestId> {
    Ok(RequestId(number(&words.next("the number of a request")?)? as u64))
}

fn news(words: &mut Words) -> Parsed<WatchEvent> {
    Ok(match words.next("what the watch saw")?.as_str() {
        "created" => WatchEvent::Created,
        "changed" => WatchEvent::Changed,
        "deleted" => WatchEvent::Deleted,
        other => return Err(format!("no watch sees: {other}")),
    })
}

fn write(words: &mut Words) -> Parsed<Write> {
    let what = words.next("create, set or delete")?;
    let version = words.number("version")?.map(|version| version as i32);
    let path = path(words)?;
    Ok(match what.as_str() {
        "create" => Write::Create { path, value: value(words)? },
        "set" => Write::Set { path, value: value(words)?, version },
        "delete" => Write::Delete { path, version },
        other => return Err(format!("no such write: {other}")),
    })
}

fn reply(words: &mut Words) -> Parsed<Reply> {
    Ok(match words.next("a reply")?.as_str() {
        "created" => Reply::Created(stat(words)?),
        "created-as" => Reply::CreatedAs(path(words)?, stat(words)?),
        "read" => Reply::Read(Znode { value: value(words)?, stat: stat(words)? }),
        "stat" => Reply::Stat(stat(words)?),
        "exists" => match words.next("yes or no")?.as_str() {
            "yes" => Reply::Exists(true),
            "no" => Reply::Exists(false),
            other => return Err(format!("neither yes nor no: {other}")),
        },
        "listed" => Reply::Listed(std::mem::take(&mut words.0).iter().map(|name| name.as_str().into()).collect()),
        "done" => Reply::Done,
        "not-master" => Reply::NotMaster,
        "refused" => Reply::Refused(rc(words)?),
        "unknown" => Reply::Unknown,
        "not-sent" => Reply::NotSent,
        other => return Err(format!("no such reply: {other}")),
    })
}

fn stat(words: &mut Words) -> Parsed<Stat> {
    let czxid = words.needed("czxid")?;
    let mzxid = words.number("mzxid")?.unwrap_or(czxid);
    let version = words.number("version")?.unwrap_or(0) as i32;
    Ok(Stat { czxid, mzxid, ctime_ms: 0, version, ephemeral_owner: words.number("owner")?.unwrap_or(0) })
}
