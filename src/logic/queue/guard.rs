//! Foreign contenders: contenders with names that end in a number, like ours, but that our dialect does not count.
//! They may have a master of their own, and we cannot know whether they count us.
//!
//! - *The master and the next watch the queue*, and list it when a contender joins or leaves. No other candidate does
//!   so. So a join costs the queue two events and two lists, however many candidates wait. They wait between two lists,
//!   and wait longer if those have more names: if a thousand candidates join at once, the lists are only a part of
//!   the cost of the joins.
//! - *While a foreign contender is in the queue, no candidate of ours is master.* If the foreign contender is behind
//!   us, it may wait for our znode to be deleted, for ever. So we delete our znode, and wait outside the queue until
//!   no foreign contender is in it. If all foreign contenders are before us, only contenders that must also wait for
//!   them wait for us. So we keep our place, and watch the nearest foreign contender.
//! - *If two groups of ours use different dialects*, one of them stays in the queue in the end: the group that is
//!   behind keeps its place.

use std::sync::Arc;

use super::{Own, Queue, State};
use crate::logic::config::Rule;
use crate::logic::context::{RecipeContext, RecipeState};
use crate::logic::dialect::{is_used_up, Name};
use crate::logic::types::{rc, Op, Reason, Time};

/// The minimum wait between two lists, in milliseconds.
const REST_MS: u64 = 10;

/// The wait is a millisecond longer for each group of this many names.
const NAMES_PER_MS: u64 = 10;

/// The wait until the next list if a foreign contender in the queue cannot be watched, in milliseconds.
const FOREIGN_MS: u64 = 2_000;

impl Queue {
    /// Lists the queue and leaves a watch on it. Requests under way continue.
    pub(super) fn watch_queue(&mut self, context: &mut RecipeContext) {
        self.guard_due = None;
        let keeps = self.is_next || self.config.keeps(Rule::MasterWatchesQueue);
        if self.guard.is_none() && self.guards() && keeps {
            self.guard_is_armed = false;
            let op = Op::List { path: self.path.clone(), sync: false, watch: true };
            self.guard = Some(context.submit(op));
        }
    }

    pub(super) fn drop_guard(&mut self, context: &mut RecipeContext) {
        self.guard_due = None;
        self.guard_is_armed = false;
        self.is_current = false;
        if let Some(guard) = self.guard.take() {
            context.unwatch(guard);
        }
    }

    /// A contender has joined or left while we are master or next: lists the queue, now or after the wait.
    pub(super) fn queue_changed(&mut self, now: Time, context: &mut RecipeContext) {
        let (listed_at, names) = self.listed;
        let rested_at = listed_at.plus_ms(REST_MS + names as u64 / NAMES_PER_MS);
        let is_eager = self.is_next && self.eager_lists > 0;
        self.eager_lists = self.eager_lists.saturating_sub(1);
        match now >= rested_at || is_eager {
            true => self.watch_queue(context),
            false => self.guard_due = Some(rested_at),
        }
    }

    /// Handles foreign contenders in the queue in which we have a place. The pairs hold their numbers.
    pub(super) fn meets_foreign(
        &mut self,
        now: Time,
        own: &Own,
        foreign: &[(i32, &Arc<str>)],
        context: &mut RecipeContext,
    ) {
        let ahead = |number: i32| number.wrapping_sub(own.number);
        self.note_foreign(foreign, context);
        // Where the numbers do not tell, a foreign contender may be behind us.
        let cannot_tell = is_used_up(own.number) || self.older.is_some();
        let is_behind = cannot_tell || foreign.iter().any(|(number, _)| ahead(*number) >= 0);
        if is_behind && self.config.keeps(Rule::ForeignBehindWithdraws) {
            self.withdrawn = true;
            self.must_delete = true;
            self.older = None;
            self.predecessor = None;
            return self.ask(context);
        }
        // The nearest of them. When it has gone, the next list shows the others.
        match foreign.iter().max_by_key(|(number, _)| ahead(*number)) {
            Some((_, name)) if !is_behind => self.follow(format!("{}/{name}", self.path).into(), context),
            _ => self.look_again_later(now), // only if a test breaks the rule
        }
    }

    /// Outside the queue: checks whether a foreign contender is still in it.
    pub(super) fn scouted(&mut self, names: &[Arc<str>], context: &mut RecipeContext) {
        if self.leaving {
            return self.gone(context);
        }
        // The foreign contender may wait for them.
        self.delete_late(&self.carried_out_late(None, names), context);
        let foreign = |name: &'_ Arc<str>| match self.dialect.read(name) {
            Name::ForeignContender(number) => Some((number, name.clone())),
            _ => None,
        };
        let found: Vec<(i32, Arc<str>)> = names.iter().filter_map(foreign).collect();
        // The contender that joined last is likely to leave last.
        let first = found.first().map_or(0, |(number, _)| *number);
        let last = found.iter().max_by_key(|(number, _)| number.wrapping_sub(first));
        match last {
            Some((_, name)) => {
                let path = format!("{}/{name}", self.path).into();
                let found: Vec<_> = found.iter().map(|(number, name)| (*number, name)).collect();
                self.note_foreign(&found, context);
                self.follow(path, context);
            }
            None => {
                self.withdrawn = false;
                self.foreign = None;
                self.predecessor = None;
                self.ask(context);
            }
        }
    }

    fn note_foreign(&mut self, foreign: &[(i32, &Arc<str>)], context: &mut RecipeContext) {
        self.foreign = foreign.first().map(|(_, name)| (*name).clone());
        // A foreign contender is no master of ours, and its value is not read.
        self.predecessor_leads = false;
        let (reason, rc) = (Reason::ForeignContender, rc::FOREIGN_CONTENDER);
        self.stand(RecipeState::Unknown { reason, rc }, context);
    }

    /// The contender that blocks us cannot be watched.
    pub(super) fn look_again_later(&mut self, now: Time) {
        self.predecessor = None;
        self.state = match self.retry.session() {
            Some(_) => State::Waiting { refresh_at: now.plus_ms(FOREIGN_MS) },
            None => State::Offline,
        };
    }
}
