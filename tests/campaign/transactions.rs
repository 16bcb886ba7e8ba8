//! The transactions that really happened in ZooKeeper: the transaction logs of the servers, read after the end, with
//! the number of servers that have each transaction. A transaction that a majority has was committed. A transaction
//! that fewer have was perhaps not committed: a leader without followers also writes into its log. But a follower that
//! was brought up to date with a snapshot has never logged the transactions in that snapshot.
//!
//! The format is that of ZooKeeper's `FileTxnLog`. After a header of 16 bytes, each transaction has a checksum, a
//! length, that many bytes, and a byte 'B'. Numbers are big-endian. Zeros follow the last one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use testkit::opcode;

const MAGIC: &[u8] = b"ZKLG";
pub const HEADER: usize = 16;

/// The transactions in the logs of these data folders, as lines of a history: only those of znodes below `roots`, but
/// all ends of sessions.
pub fn logged(folders: &[PathBuf], roots: &[&str]) -> String {
    let mut found: BTreeMap<i64, (usize, Vec<Line>)> = BTreeMap::new();
    for folder in folders {
        let mut of_server: BTreeMap<i64, Vec<Line>> = BTreeMap::new();
        for file in logs(&folder.join("version-2")) {
            read_log(&fs::read(file).unwrap_or_default(), roots, &mut of_server);
        }
        for (zxid, lines) in of_server {
            let entry = found.entry(zxid).or_default();
            entry.0 += 1;
            entry.1 = lines;
        }
    }
    let mut text = String::new();
    for (servers, lines) in found.into_values() {
        for Line { head, rest } in lines {
            let _ = writeln!(text, "{head} {servers}{rest}");
        }
    }
    text
}

/// The text before the number of servers that have the transaction, and the text after it.
struct Line {
    head: String,
    rest: String,
}

fn logs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_log = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log."));
    entries.filter(is_log).collect()
}

fn read_log(bytes: &[u8], roots: &[&str], found: &mut BTreeMap<i64, Vec<Line>>) {
    if !bytes.starts_with(MAGIC) {
        return;
    }
    let mut rest = Rest(bytes.get(HEADER..).unwrap_or_default());
    let mut next = || {
        let _checksum = rest.long()?;
        let entry = rest.buffer().filter(|entry| !entry.is_empty())?;
        rest.take(1)?;
        Some(entry)
    };
    while let Some(entry) = next() {
        if let Some((zxid, lines)) = read_transaction(entry, roots) {
            // If a log was cut back and continued, the later transaction counts.
            found.insert(zxid, lines);
        }
    }
}

fn read_transaction(entry: &[u8], roots: &[&str]) -> Option<(i64, Vec<Line>)> {
    let mut rest = Rest(entry);
    let (session, _cxid, zxid, ms, kind) = (rest.long()?, rest.int()?, rest.long()?, rest.long()?, rest.int()?);
    let mut lines = Vec::new();
    let at = format!("{zxid} {ms} {session}");
    if kind == opcode::MULTI {
        for _ in 0..rest.int()? {
            let kind = rest.int()?;
            let part = rest.buffer()?;
            lines.extend(line_of(kind, &at, &mut Rest(part), roots));
        }
    } else {
        lines.extend(line_of(kind, &at, &mut rest, roots));
    }
    Some((zxid, lines))
}

fn line_of(kind: i32, at: &str, rest: &mut Rest, roots: &[&str]) -> Option<Line> {
    if kind == opcode::CLOSE_SESSION {
        return Some(Line { head: format!("over {at}"), rest: String::new() });
    }
    let path = String::from_utf8_lossy(rest.buffer()?).into_owned();
    if !roots.iter().any(|root| path.starts_with(root)) {
        return None;
    }
    let mut value = || Some(String::from_utf8_lossy(rest.buffer()?).replace('\n', " "));
    let (what, rest) = match kind {
        opcode::CREATE | opcode::CREATE2 | opcode::CREATE_CONTAINER | opcode::CREATE_TTL => {
            ("create", format!(" {path} {}", value()?))
        }
        opcode::DELETE | opcode::DELETE_CONTAINER => ("delete", format!(" {path}")),
        opcode::SET_DATA => ("set", format!(" {path} {}", value()?)),
        _ => return None,
    };
    Some(Line { head: format!("{what} {at}"), rest })
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn int(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn long(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn buffer(&mut self) -> Option<&'a [u8]> {
        let len = self.int()?.max(0);
        self.take(len as usize)
    }
}
