//! Our place in the queue: who is before us, by number, or by age where the numbers do not tell; and the watch on that one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Own, Queue, State};
use crate::core::config::Rule;
use crate::core::desk::{Desk, Standing};
use crate::core::dialect::{is_used_up, Name};
use crate::core::recipe::REFRESH_MS;
use crate::core::vocabulary::{rc, Op, Reason, RequestId, Time, Value};

/// A list contradicts what we know of our own znodes: so long until we look again, in milliseconds.
const CONTRADICTION_MS: u64 = 100;

/// While strangers are in the queue, how often to look again, in milliseconds.
const STRANGER_MS: u64 = 2_000;

/// Of so many joins of this session before the last one, a create may still come late.
const LATE_JOINS: u128 = 3;

impl Queue {
    /// The znodes of creates of ours that were looked for, not found, and sent again: they came late (ARCHITECTURE.md).
    /// Nobody else would ever delete them.
    fn carried_out_late<'a>(&self, own: &Own, names: &'a [Arc<str>]) -> Vec<&'a Arc<str>> {
        if !self.dialect.has_guid() || !self.config.keeps(Rule::LookForGuid) {
            return Vec::new();
        }
        let joins = self.guid.wrapping_sub(self.first_guid).min(LATE_JOINS);
        let prefix = |back: u128| self.dialect.prefix(self.guid.wrapping_sub(back));
        let prefixes: Vec<String> = (0..=joins).map(prefix).collect();
        let is_ours = |name: &&Arc<str>| prefixes.iter().any(|prefix| name.starts_with(prefix));
        names.iter().filter(is_ours).filter(|name| !own.path.ends_with(&***name)).collect()
    }

    /// The queue as it is: are we first, and if not, who is before us?
    pub(super) fn look(&mut self, now: Time, names: &[Arc<str>], desk: &mut Desk) {
        if self.leaving || self.disowned {
            return self.ask(desk);
        }
        let Some(own) = self.own.clone() else { return self.ask(desk) };
        let late = self.carried_out_late(&own, names);
        let mut own_is_there = false;
        let mut stranger = false;
        let mut tied = is_used_up(own.number);
        let mut others = Vec::new();
        for name in names.iter().filter(|name| !late.contains(name)) {
            let number = match self.dialect.read(name) {
                Name::Contender(number) => number,
                Name::Stranger => {
                    stranger = true;
                    continue;
                }
                Name::Other => continue,
            };
            if own.path.rsplit('/').next() == Some(name) {
                own_is_there = true;
            } else {
                tied |= number == own.number;
                others.push((number, name));
            }
        }
        if !own_is_there && self.dialect.has_guid() {
            // By its GUID it is ours alone. Should it stand after all, it would stand before us for ever.
            self.deleted(desk);
            self.disowned = true;
            self.predecessor = None;
            self.state = State::Pausing(now.plus_ms(CONTRADICTION_MS));
            return;
        }
        if !own_is_there {
            return self.lost_own(now, desk);
        }
        for name in late {
            desk.submit(Op::Delete { path: format!("{}/{name}", self.path).into(), version: -1 });
        }
        if let Some(older) = self.older.as_mut().filter(|older| !older.is_empty()) {
            // Who was before us and is in the queue no more has gone; another one may come under that name.
            let there: BTreeSet<_> = others.iter().map(|(_, name)| *name).collect();
            older.retain(|name, _| there.contains(name));
        }
        if stranger {
            self.stand(Standing::Unknown { reason: Reason::Stranger, rc: rc::STRANGER }, desk);
            self.predecessor = None;
            self.state = State::Waiting { refresh_at: now.plus_ms(STRANGER_MS) };
            return;
        }
        if tied && self.older.is_none() && self.config.keeps(Rule::OldestLeads) {
            if !others.is_empty() {
                return self.rank(others.into_iter().map(|(_, name)| name), desk);
            }
            self.older = Some(BTreeMap::new());
        }
        let before = others.iter().filter_map(|(number, name)| Some((self.ahead_of(&own, *number, name)?, *name)));
        match before.max() {
            Some((_, name)) if self.config.keeps(Rule::LowestLeads) => {
                self.stand(Standing::Slave { master: Value::from([]), token: 0 }, desk);
                self.follow(format!("{}/{name}", self.path).into(), desk);
            }
            _ => {
                self.predecessor = None;
                if let Some(watch) = self.watch.take() {
                    desk.unwatch(watch);
                }
                self.stand(Standing::Master { token: own.czxid }, desk);
                self.state = State::Waiting { refresh_at: now.plus_ms(REFRESH_MS) };
            }
        }
    }

    /// Asks how old these are.
    fn rank<'a>(&mut self, names: impl Iterator<Item = &'a Arc<str>>, desk: &mut Desk) {
        self.state = State::Ranking;
        self.ranked.clear();
        let path = |name: &Arc<str>| format!("{}/{name}", self.path).into();
        self.to_rank = names.map(|name| (desk.submit(Op::Stat { path: path(name) }), name.clone())).collect();
    }

    /// One has told its age, or is gone.
    pub(super) fn ranked(&mut self, request: RequestId, czxid: Option<i64>, desk: &mut Desk) {
        let name = self.to_rank.remove(&request);
        let own = self.own.as_ref().map_or(0, |own| own.czxid);
        if let (Some(name), Some(czxid)) = (name, czxid.filter(|czxid| *czxid < own)) {
            self.ranked.insert(name, czxid);
        }
        if !self.to_rank.is_empty() {
            return;
        }
        self.backoff.succeeded();
        self.older = Some(std::mem::take(&mut self.ranked));
        match self.session {
            Some(_) => self.ask(desk),
            None => self.state = State::Offline,
        }
    }

    /// If this contender is before us: where it stands, larger the nearer it is to us.
    fn ahead_of(&self, own: &Own, number: i32, name: &Arc<str>) -> Option<i64> {
        if let Some(older) = &self.older {
            return older.get(name).copied();
        }
        let ahead = match self.config.keeps(Rule::SerialOrder) {
            true => i64::from(number.wrapping_sub(own.number)),
            false => i64::from(number) - i64::from(own.number),
        };
        (ahead < 0).then_some(ahead)
    }

    /// Whether the one before us is the one that we took for older. If not, that one is gone.
    pub(super) fn is_older(&mut self, czxid: i64) -> bool {
        let (Some(older), Some(path)) = (&mut self.older, &self.predecessor) else { return false };
        let name = path.rsplit('/').next().unwrap_or_default();
        let same = match self.config.keeps(Rule::SameZnode) {
            true => older.get(name) == Some(&czxid),
            false => czxid != 0,
        };
        if !same {
            older.remove(name);
        }
        same
    }

    pub(super) fn follow(&mut self, predecessor: Arc<str>, desk: &mut Desk) {
        let path = predecessor.clone();
        let op = match self.older {
            Some(_) => Op::Read { path, sync: false },
            None => Op::Exists { path },
        };
        self.state = State::Following(desk.submit(op));
        self.predecessor = Some(predecessor);
    }

    /// The one before us is watched, or gone.
    pub(super) fn followed(&mut self, now: Time, request: RequestId, there: bool, desk: &mut Desk) {
        self.backoff.succeeded();
        // What is left on a name that is gone sees nothing any more.
        let spent = if there { self.watch.replace(request) } else { Some(request) };
        if let Some(spent) = spent {
            desk.unwatch(spent);
        }
        if self.session.is_none() {
            self.state = State::Offline;
        } else if there || !self.config.keeps(Rule::PredecessorGone) {
            self.state = State::Waiting { refresh_at: now.plus_ms(REFRESH_MS) };
            if self.leaving || self.disowned {
                self.ask(desk);
            }
        } else {
            self.ask(desk);
        }
    }
}
