//! Foreign contenders: those whose names end in a number, as a contender's do, and that our dialect does not count. They may have a
//! master of their own, and whether they count us nobody knows.
//!
//! - *A master watches the queue*, and lists it when somebody joins or leaves. It is alone in that, so a join costs the queue one
//!   event and one list, however many wait. It rests between two lists, the longer the more names they have: the lists that a
//!   thousand candidates cause who join at once are a part of what their joining costs.
//! - *While a foreign contender is in the queue nobody here is master.* If it is behind us, it may wait for our znode to go, for
//!   ever: so our znode is deleted, and we wait outside the queue until no foreign contender is in. If all of them are before us,
//!   nobody waits for us but those who would have to wait for them as well: we keep our place, and watch the nearest of them.
//! - *Two groups of ours with different dialects* end with one of them in the queue: the one behind keeps its place.

use std::sync::Arc;

use super::{Own, Queue, State};
use crate::logic::config::Rule;
use crate::logic::context::{RecipeContext, RecipeState};
use crate::logic::dialect::{is_used_up, Name};
use crate::logic::types::{rc, Op, Reason, Time};

/// A master rests for at least so long between two lists, in milliseconds.
const REST_MS: u64 = 10;

/// And for a millisecond more for each so many names.
const NAMES_PER_MS: u64 = 10;

/// While a foreign contender is in the queue that cannot be watched, how often to look again, in milliseconds.
const FOREIGN_MS: u64 = 2_000;

impl Queue {
    /// Lists the queue and leaves a watch on it. Beside all else: what is under way goes on.
    pub(super) fn watch_queue(&mut self, context: &mut RecipeContext) {
        self.guard_due = None;
        if self.guard.is_none() && self.is_master() && self.config.keeps(Rule::MasterWatchesQueue) {
            let op = Op::List { path: self.path.clone(), sync: false, watch: true };
            self.guard = Some(context.submit(op));
        }
    }

    pub(super) fn drop_guard(&mut self, context: &mut RecipeContext) {
        self.guard_due = None;
        if let Some(guard) = self.guard.take() {
            context.unwatch(guard);
        }
    }

    /// Somebody has joined or left while we are master: lists the queue, now or when we have rested.
    pub(super) fn queue_changed(&mut self, now: Time, context: &mut RecipeContext) {
        let (listed_at, names) = self.listed;
        let rested_at = listed_at.plus_ms(REST_MS + names as u64 / NAMES_PER_MS);
        match now >= rested_at {
            true => self.watch_queue(context),
            false => self.guard_due = Some(rested_at),
        }
    }

    /// There are foreign contenders in the queue in which we have a place, with these numbers.
    pub(super) fn meets_foreign(
        &mut self,
        now: Time,
        own: &Own,
        foreign: &[(i32, &Arc<str>)],
        context: &mut RecipeContext,
    ) {
        let ahead = |number: i32| number.wrapping_sub(own.number);
        self.note_foreign(foreign, context);
        // Where numbers do not tell, it may be behind us.
        let cannot_tell = is_used_up(own.number) || self.older.is_some();
        let is_behind = cannot_tell || foreign.iter().any(|(number, _)| ahead(*number) >= 0);
        if is_behind && self.config.keeps(Rule::ForeignBehindWithdraws) {
            self.withdrawn = true;
            self.must_delete = true;
            self.older = None;
            self.predecessor = None;
            return self.ask(context);
        }
        // The nearest of them: when it has gone, the list tells what is left.
        match foreign.iter().max_by_key(|(number, _)| ahead(*number)) {
            Some((_, name)) if !is_behind => self.follow(format!("{}/{name}", self.path).into(), context),
            _ => self.look_again_later(now), // where the rule is broken
        }
    }

    /// Outside the queue: whether there is still a foreign contender in it.
    pub(super) fn scouted(&mut self, names: &[Arc<str>], context: &mut RecipeContext) {
        if self.leaving {
            return self.gone(context);
        }
        let foreign = |name: &'_ Arc<str>| match self.dialect.read(name) {
            Name::ForeignContender(number) => Some((number, name.clone())),
            _ => None,
        };
        let found: Vec<(i32, Arc<str>)> = names.iter().filter_map(foreign).collect();
        // The one that joined last: it is likely to be the last to leave.
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
        let (reason, rc) = (Reason::ForeignContender, rc::FOREIGN_CONTENDER);
        self.stand(RecipeState::Unknown { reason, rc }, context);
    }

    /// What is in our way cannot be watched.
    pub(super) fn look_again_later(&mut self, now: Time) {
        self.predecessor = None;
        self.state = match self.session {
            Some(_) => State::Waiting { refresh_at: now.plus_ms(FOREIGN_MS) },
            None => State::Offline,
        };
    }
}
