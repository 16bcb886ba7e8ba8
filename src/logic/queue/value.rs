//! The value of our znode, after the caller sets another one.

use super::{Queue, Setting};
use crate::logic::context::RecipeContext;
use crate::logic::types::{rc, Op, Reply, RequestId, SessionId, Time};

impl Queue {
    /// Gives our znode the value that the caller has set.
    pub(super) fn set_value(&mut self, context: &mut RecipeContext) {
        let stays = self.retry.is_connected() && !self.leaving && !self.must_delete;
        if let (Some(own), None, true) = (&self.own, &self.setting, self.value_due && stays) {
            let value = self.value.clone();
            let op = Op::SetValue { path: own.path.clone(), value: value.clone(), version: own.version };
            self.setting = Some(Setting::Writing(context.submit(op), value));
        }
    }

    pub(super) fn setting_by(&self) -> Option<RequestId> {
        match self.setting {
            Some(Setting::Writing(request, _) | Setting::Reading(request)) => Some(request),
            None => None,
        }
    }

    pub(super) fn value_answered(
        &mut self,
        now: Time,
        request: RequestId,
        reply: Reply,
        context: &mut RecipeContext,
    ) {
        let setting = self.setting.take();
        let Some(own) = &mut self.own else { return };
        match (setting, reply) {
            (Some(Setting::Writing(_, value)), Reply::Done) => {
                own.version = own.version.wrapping_add(1);
                self.value_due = value != self.value;
                self.set_value(context);
            }
            (_, Reply::Refused(rc::BAD_VERSION)) => {
                let op = Op::Read { path: own.path.clone(), sync: false, watch: true };
                self.setting = Some(Setting::Reading(context.submit(op)));
            }
            (_, Reply::Read(znode)) => {
                context.unwatch(request);
                if self.retry.session() == Some(SessionId(znode.stat.ephemeral_owner)) {
                    own.version = znode.stat.version;
                    self.value_due &= znode.value != self.value;
                    self.set_value(context);
                } else {
                    self.lost_own(now, context);
                }
            }
            (_, Reply::Refused(rc::NO_NODE)) if !self.leaving && !self.must_delete => self.lost_own(now, context),
            _ => {} // repeated with the next connection, or at the next refresh
        }
    }
}
