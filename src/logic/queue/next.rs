//! The next in the queue: only its predecessor is before it. It is master at the event that tells of the deletion of the
//! predecessor's znode: no list, no proof, no round trip. For that it works for its lease as a master does
//! (`Effort::Lease`), and knows all of this at the event:
//!
//! - A list showed our znode, the predecessor, and nobody else before us. It showed no foreign contender. The names
//!   have a GUID, and the numbers tell the order.
//! - Since that list nobody has joined or left: the watch on the queue was armed before the list was answered, and has
//!   not fired. A server tells the deletion of a znode to those who watch the znode, and then to those who watch the
//!   queue (`DataTree.deleteNode`).
//! - Our znode stands: it is watched, and this watch has not fired either.
//! - All of it was answered on this connection. The first answers on a new one tell what was missed in any order
//!   (`DataTree.setWatches`). So after a reconnect the candidate lists the queue again.
//! - The predecessor's znode belongs to another session. The end of a session deletes all its znodes in one transaction,
//!   so the end of ours would take both, and tell of them in any order.
//! - We wait. Nobody has asked us to leave, and no deletion of our znode is under way.
//!
//! Where one of them does not hold, the candidate lists the queue. Whether it may *believe* is the lease's matter, here as
//! everywhere.
//!
//! Everybody else must learn when it becomes the next. So a candidate also watches the contender before its
//! predecessor. A watch on the list of that contender's children fires only when its znode is deleted, as an ephemeral znode
//! has no children.

use std::sync::Arc;

use super::{Queue, State};
use crate::logic::config::Rule;
use crate::logic::context::{RecipeContext, RecipeState};
use crate::logic::subscription::REFRESH_MS;
use crate::logic::types::{rc, Op, Reply, RequestId, Time, WatchEvent};

impl Queue {
    /// Whether this candidate watches the queue.
    pub(super) fn guards(&self) -> bool {
        self.is_master() || self.is_next
    }

    /// Whether the deletion of the predecessor's znode makes this candidate master.
    pub(super) fn takes_over(&self) -> bool {
        let stays = !self.leaving && !self.must_delete || !self.config.keeps(Rule::NotLeaving);
        let waits = match self.state {
            State::Waiting { .. } => true,
            State::Deleting(_) => !self.config.keeps(Rule::NotLeaving),
            _ => !self.config.keeps(Rule::ArmedHere),
        };
        let owner = self.predecessor_owner;
        let has_another_session = owner.is_some() && owner != self.retry.session();
        waits && stays && self.is_next && self.is_current && self.own_is_watched && has_another_session
    }

    /// Whether this event of the watch on the predecessor says that its znode is deleted.
    pub(super) fn is_evidence(&self, event: WatchEvent) -> bool {
        let is_only_one = self.second.is_none() || self.config.keeps(Rule::PredecessorsEnd);
        is_only_one && (event == WatchEvent::Deleted || !self.config.keeps(Rule::OnlyDeleted))
    }

    /// The predecessor's znode is deleted, so ours is the first.
    pub(super) fn take_over(&mut self, now: Time, context: &mut RecipeContext) {
        let Some(own) = &self.own else { return };
        let master = RecipeState::Master { token: own.czxid };
        self.predecessor = None;
        self.predecessor_leads = false;
        self.is_next = false;
        self.is_current = false;
        if self.retry.is_connected() {
            self.state = State::Waiting { refresh_at: now.plus_ms(REFRESH_MS) };
        }
        if self.leaving && !self.config.keeps(Rule::NotLeaving) {
            context.stand(&master);
        }
        self.stand(master, context);
        // The watch on the queue fires with the same deletion, and leads to a list.
        if self.guard_due.is_none() && self.retry.is_connected() {
            self.watch_queue(context);
        }
    }

    /// Watches the contender before the predecessor, or nobody.
    pub(super) fn watch_second(&mut self, name: Option<&Arc<str>>, context: &mut RecipeContext) {
        self.second_is_gone = false;
        let path: Option<Arc<str>> = name.map(|name| format!("{}/{name}", self.path).into());
        if self.second.as_ref().map(|(_, watched)| watched) == path.as_ref() {
            return;
        }
        if let Some((former, _)) = self.second.take() {
            context.unwatch(former);
        }
        self.second = path.map(|path| {
            let op = Op::List { path: path.clone(), sync: false, watch: true };
            (context.submit(op), path)
        });
    }

    pub(super) fn is_second(&self, request: RequestId) -> bool {
        self.second.as_ref().is_some_and(|(watch, _)| *watch == request)
    }

    pub(super) fn second_answered(&mut self, now: Time, reply: Reply, context: &mut RecipeContext) {
        match reply {
            Reply::Listed(_) => {}
            Reply::Refused(rc::NO_NODE) => self.second_left(now, context),
            // The candidate does not learn when it becomes the next, and asks.
            _ => self.second = None,
        }
    }

    /// The contender before the predecessor has gone: we may be the next now.
    pub(super) fn second_left(&mut self, now: Time, context: &mut RecipeContext) {
        self.second = None;
        if !self.config.keeps(Rule::PredecessorsEnd) && self.takes_over() {
            return self.take_over(now, context);
        }
        match self.state {
            State::Waiting { .. } if self.is_third && self.guard.is_none() => {
                // The list shows that we are the next, and leaves the watch that the next needs.
                let request = context.submit(Op::List { path: self.path.clone(), sync: false, watch: true });
                self.guard = Some(request);
                self.guard_is_armed = false;
                self.state = State::Listing(request);
            }
            State::Waiting { .. } => self.ask(context),
            _ => self.second_is_gone = true,
        }
    }

    /// To break the rules: neither the watch on our own znode nor a list tells a candidate that waits of its end.
    pub(super) fn breaks_own_watch(&self) -> bool {
        let breaks = !self.config.keeps(Rule::ListShowsOwn) || !self.config.keeps(Rule::WaitersProveOwn);
        breaks && !self.is_master()
    }
}
