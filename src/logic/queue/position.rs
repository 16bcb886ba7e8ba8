//! Our place in the queue: the contenders before us, by number, or by age where the numbers do not tell; and the
//! watch on our predecessor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Own, Queue, State};
use crate::logic::config::Rule;
use crate::logic::context::{RecipeContext, RecipeState};
use crate::logic::dialect::{is_used_up, Name};
use crate::logic::subscription::REFRESH_MS;
use crate::logic::types::{Op, RequestId, Time, Value};

/// The wait until the next list if a list contradicts our knowledge of our own znodes, in milliseconds.
const CONTRADICTION_MS: u64 = 100;

/// How many times a candidate that has become the next lists the queue without a wait when somebody joins: whoever handed
/// over to its predecessor may join again, and it should know the queue when the predecessor goes.
const EAGER_LISTS: u32 = 3;

/// The number of joins of this session, before the last one, with a create that may still be carried out late.
const LATE_JOINS: u128 = 3;

impl Queue {
    /// The znodes of our creates that we looked for, did not find, and sent again: those creates were carried out
    /// late (ARCHITECTURE.md). And those of creates that went with a request for a session that nobody knows. No other
    /// client would delete these znodes as long as their sessions live.
    pub(super) fn carried_out_late<'a>(&self, own: Option<&Own>, names: &'a [Arc<str>]) -> Vec<&'a Arc<str>> {
        if !self.dialect.has_guid() || !self.config.keeps(Rule::LookForGuid) {
            return Vec::new();
        }
        let joins = self.guid.wrapping_sub(self.first_guid).min(LATE_JOINS);
        let prefix = |back: u128| self.dialect.prefix(self.guid.wrapping_sub(back));
        let prefixes: Vec<String> = (0..=joins).map(prefix).collect();
        let is_ours = |name: &&Arc<str>| prefixes.iter().any(|prefix| name.starts_with(prefix));
        let is_own = |name: &&Arc<str>| own.is_some_and(|own| own.path.ends_with(&***name));
        names.iter().filter(is_ours).filter(|name| !is_own(name)).collect()
    }

    pub(super) fn delete_late(&self, late: &[&Arc<str>], context: &mut RecipeContext) {
        for name in late {
            context.submit(Op::Delete { path: format!("{}/{name}", self.path).into(), version: -1 });
        }
    }

    /// Examines the list of the queue: are we first, and if not, which contender is before us?
    pub(super) fn look(&mut self, now: Time, names: &[Arc<str>], context: &mut RecipeContext) {
        self.listed = (now, names.len());
        let was_next = std::mem::take(&mut self.is_next);
        self.is_current = false;
        if self.leaving || self.must_delete {
            return self.ask(context);
        }
        let Some(own) = self.own.clone() else { return self.ask(context) };
        let late = self.carried_out_late(Some(&own), names);
        let mut own_is_there = false;
        let mut foreign = Vec::new();
        let mut tied = is_used_up(own.number);
        let mut others = Vec::new();
        for name in names.iter().filter(|name| !late.contains(name)) {
            let number = match self.dialect.read(name) {
                Name::Contender(number) => number,
                Name::ForeignContender(number) => {
                    foreign.push((number, name));
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
        own_is_there |= self.breaks_own_watch();
        if !own_is_there && self.dialect.has_guid() {
            // The GUID shows that the znode is ours alone. If it existed after all, it would be before us for ever.
            self.deleted(context);
            self.must_delete = true;
            self.predecessor = None;
            self.state = State::Pausing(now.plus_ms(CONTRADICTION_MS));
            return;
        }
        if !own_is_there {
            return self.lost_own(now, context);
        }
        self.delete_late(&late, context);
        if !late.is_empty() && !self.is_master() {
            // It may be before us. As long as it stands, others may take it for the master's.
            self.state = State::Pausing(now.plus_ms(CONTRADICTION_MS));
            return;
        }
        if let Some(older) = self.older.as_mut().filter(|older| !older.is_empty()) {
            // A contender that was before us and is missing from the queue has gone. Another contender may later use
            // its name.
            let there: BTreeSet<_> = others.iter().map(|(_, name)| *name).collect();
            older.retain(|name, _| there.contains(name));
        }
        if !foreign.is_empty() {
            return self.meets_foreign(now, &own, &foreign, context);
        }
        self.foreign = None;
        if tied && self.older.is_none() && self.config.keeps(Rule::OldestLeads) {
            if !others.is_empty() {
                return self.rank(others.into_iter().map(|(_, name)| name), context);
            }
            self.older = Some(BTreeMap::new());
        }
        let before = others.iter().filter_map(|(number, name)| Some((self.ahead_of(&own, *number, name)?, *name)));
        let nearest = before.clone().max();
        let others_before = before.filter(|contender| Some(*contender) != nearest);
        let second = others_before.clone().max().map(|(_, name)| name);
        self.is_third = others_before.count() == 1;
        match nearest {
            Some((_, name)) if self.config.keeps(Rule::LowestLeads) => {
                let led = std::mem::replace(&mut self.predecessor_leads, second.is_none());
                let is_only_one = match self.config.keeps(Rule::FreshCounter) {
                    true => second.is_none(),
                    false => others.iter().filter(|(number, _)| number.wrapping_sub(own.number) < 0).count() == 1,
                };
                let may_be_next = is_only_one
                    || !self.config.keeps(Rule::OnlyOneBefore)
                    || !self.config.keeps(Rule::PredecessorsEnd);
                let numbers_tell = !tied && self.older.is_none() || !self.config.keeps(Rule::FreshCounter);
                let is_usable = self.dialect.has_guid() && numbers_tell;
                self.is_next = may_be_next && is_usable;
                if self.is_next && !was_next {
                    self.eager_lists = EAGER_LISTS;
                }
                let is_master = matches!(self.recipe_state, RecipeState::Master { .. });
                // The contender behind the master receives the master's value as soon as the value is read.
                if !self.predecessor_leads || is_master {
                    self.stand(RecipeState::Slave { master: Value::from([]), token: 0 }, context);
                }
                let path: Arc<str> = format!("{}/{name}", self.path).into();
                let follows = self.watch.is_some() && self.predecessor.as_ref() == Some(&path);
                if !matches!(self.state, State::Waiting { .. }) || !follows || led != self.predecessor_leads {
                    self.follow(path, context);
                }
                self.watch_second(second.filter(|_| is_usable), context);
                self.is_current = self.is_next && self.guard_is_armed && late.is_empty();
                if self.is_next && self.guard_due.is_none() {
                    self.watch_queue(context);
                }
            }
            _ => {
                self.predecessor = None;
                self.watch_second(None, context);
                if let Some(watch) = self.watch.take() {
                    context.unwatch(watch);
                }
                self.stand(RecipeState::Master { token: own.czxid }, context);
                if self.guard_due.is_none() {
                    self.watch_queue(context);
                }
                self.state = State::Waiting { refresh_at: now.plus_ms(REFRESH_MS) };
            }
        }
    }

    /// Asks for the age of these contenders.
    fn rank<'a>(&mut self, names: impl Iterator<Item = &'a Arc<str>>, context: &mut RecipeContext) {
        self.state = State::Ranking;
        self.ranked.clear();
        let path = |name: &Arc<str>| format!("{}/{name}", self.path).into();
        self.to_rank = names.map(|name| (context.submit(Op::Stat { path: path(name) }), name.clone())).collect();
    }

    /// A contender has reported its age, or is gone.
    pub(super) fn ranked(&mut self, request: RequestId, czxid: Option<i64>, context: &mut RecipeContext) {
        let name = self.to_rank.remove(&request);
        let own = self.own.as_ref().map_or(0, |own| own.czxid);
        if let (Some(name), Some(czxid)) = (name, czxid.filter(|czxid| *czxid < own)) {
            self.ranked.insert(name, czxid);
        }
        if !self.to_rank.is_empty() {
            return;
        }
        self.retry.succeeded();
        self.older = Some(std::mem::take(&mut self.ranked));
        match self.retry.session() {
            Some(_) => self.ask(context),
            None => self.state = State::Offline,
        }
    }

    /// If this contender is before us, its position: the nearer it is to us, the larger the number.
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

    /// Whether our predecessor is the contender that we know as older. If not, that contender is gone.
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

    pub(super) fn follow(&mut self, predecessor: Arc<str>, context: &mut RecipeContext) {
        let path = predecessor.clone();
        let keeps = self.config.keeps(Rule::OnlyOneBefore) && self.config.keeps(Rule::PredecessorsEnd);
        let op = match self.older.is_some() || self.predecessor_leads || !keeps {
            true => Op::Read { path, sync: false, watch: true },
            false => Op::Exists { path },
        };
        self.state = State::Following(context.submit(op));
        self.predecessor = Some(predecessor);
        self.predecessor_owner = None;
    }

    /// The predecessor is watched, or gone.
    pub(super) fn followed(&mut self, now: Time, request: RequestId, there: bool, context: &mut RecipeContext) {
        self.retry.succeeded();
        // A watch on the name of a deleted znode reports no more events.
        let spent = if there { self.watch.replace(request) } else { Some(request) };
        if let Some(spent) = spent {
            context.unwatch(spent);
        }
        if !self.retry.is_connected() {
            self.state = State::Offline;
        } else if there || !self.config.keeps(Rule::PredecessorGone) {
            self.state = State::Waiting { refresh_at: now.plus_ms(REFRESH_MS) };
            if std::mem::take(&mut self.second_is_gone) || self.leaving || self.must_delete {
                self.ask(context);
            }
        } else {
            self.ask(context);
        }
    }
}
