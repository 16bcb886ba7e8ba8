//! The notifications on their way from a handle's session to the thread that runs the callbacks.
//!
//! The inbox is bounded, and the session never waits for a callback. If callbacks take so long that more than [`WAITING`]
//! notifications of one subscription wait, or more than [`VALUES`] bytes of values, the inbox leaves out those that a
//! later one makes out of date, the oldest first:
//!
//! - An observer, a watcher of members and a watcher of the connection need only the latest notification. An alarm is left
//!   out only together with its opposite.
//! - A candidate needs its latest event, and the end of each mastership of which its listener hears: the event after
//!   MASTER is left out only if MASTER itself is. A whole mastership may be left out.
//!
//! The order of what stays is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::diagnostics::Connection;
use crate::logic::{Alarm, Event, Master, Members, Role, SubscriptionId};

/// The maximum number of notifications of one subscription that wait. The last one, `Finished`, is not counted.
pub const WAITING: usize = 16;

/// The maximum number of bytes in the values of these notifications, if more than the latest one waits.
const VALUES: usize = 4 << 20;

/// A notification for the listeners.
#[derive(Clone, Debug)]
pub enum Notification {
    Role(SubscriptionId, Event),
    Master(SubscriptionId, Master),
    Members(SubscriptionId, Members),
    Connection(SubscriptionId, Connection),
    /// The last notification of this subscription.
    Finished(SubscriptionId),
    /// Tells the threads that wait for this mark, or for an earlier one, that all earlier notifications were delivered.
    Mark(u64),
    /// The last notification of the session.
    End,
}

/// The side on which notifications come in.
#[derive(Debug, Default)]
pub struct Inbox {
    inner: Mutex<Inner>,
    came: Condvar,
}

/// The side on which one thread takes them out. When it is dropped, all further notifications are dropped too.
#[derive(Debug)]
pub struct Reader(Arc<Inbox>);

#[derive(Debug, Default)]
struct Inner {
    /// In the order of their numbers.
    notifications: BTreeMap<u64, Notification>,
    /// The numbers of each subscription's notifications, without `Finished`.
    by_subscription: BTreeSet<(SubscriptionId, u64)>,
    /// The candidates whose listeners have heard MASTER, and no end of it.
    masters: BTreeSet<SubscriptionId>,
    last_number: u64,
    /// Something was left out since a notification was taken out last.
    has_left_out: bool,
    is_closed: bool,
}

impl Inbox {
    pub fn new() -> (Arc<Inbox>, Reader) {
        let inbox = Arc::new(Inbox::default());
        (inbox.clone(), Reader(inbox))
    }

    /// Puts a notification in. Returns true if notifications were left out for it, for the first time since one was taken
    /// out.
    pub fn put(&self, notification: Notification) -> bool {
        let mut inner = self.inner();
        if inner.is_closed {
            return false;
        }
        let left_out = inner.put(notification);
        let is_first = !left_out.is_empty() && !std::mem::replace(&mut inner.has_left_out, true);
        drop(inner);
        self.came.notify_one();
        is_first
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// Waits for the next notification.
    pub fn next(&self) -> Notification {
        let mut inner = self.0.inner();
        loop {
            match inner.take() {
                Some(notification) => return notification,
                None => inner = self.0.came.wait(inner).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    pub fn try_next(&self) -> Option<Notification> {
        self.0.inner().take()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let discarded = std::mem::replace(&mut *self.0.inner(), Inner { is_closed: true, ..Inner::default() });
        drop(discarded);
    }
}

impl Inner {
    /// Returns what is left out because of it.
    fn put(&mut self, notification: Notification) -> Vec<Notification> {
        self.last_number += 1;
        let subscription = notification.subscription();
        // A later mark tells everybody who waits for an earlier one.
        if let Notification::Mark(_) = notification {
            self.remove_mark_before(self.last_number);
        }
        self.by_subscription.extend(subscription.map(|id| (id, self.last_number)));
        self.notifications.insert(self.last_number, notification);
        let mut left_out = Vec::new();
        while let Some(number) = subscription.and_then(|id| self.out_of_date(id)) {
            left_out.extend(self.leave_out(number));
        }
        left_out
    }

    fn take(&mut self) -> Option<Notification> {
        let (number, notification) = self.notifications.pop_first()?;
        self.has_left_out = false;
        if let Some(id) = notification.subscription() {
            self.by_subscription.remove(&(id, number));
        }
        match &notification {
            Notification::Role(id, _) if notification.is_master() => _ = self.masters.insert(*id),
            Notification::Role(id, _) | Notification::Finished(id) => _ = self.masters.remove(id),
            _ => {}
        }
        Some(notification)
    }

    /// The notification of this subscription that is to be left out next, if too much waits.
    fn out_of_date(&self, id: SubscriptionId) -> Option<u64> {
        let numbers = || self.by_subscription.range((id, 0)..=(id, u64::MAX)).map(|(_, number)| *number);
        let waiting = || numbers().filter_map(|number| Some((number, self.notifications.get(&number)?)));
        let count = numbers().count();
        let values = || waiting().map(|(_, notification)| notification.value_len()).sum::<usize>();
        if count < 2 || (count <= WAITING && values() <= VALUES) {
            return None;
        }
        let mut follows_master = self.masters.contains(&id);
        let (mut first_master, mut first_alarm) = (None, None);
        for (number, notification) in waiting().take(count - 1) {
            let is_master = notification.is_master();
            match notification.alarm() {
                Alarm::None if is_master => _ = first_master.get_or_insert(number),
                Alarm::None if follows_master => {}
                Alarm::None => return Some(number),
                Alarm::TooFew | Alarm::Enough => _ = first_alarm.get_or_insert(number),
            }
            follows_master = is_master;
        }
        first_master.or(first_alarm.filter(|first| self.next_alarm(id, *first).is_some()))
    }

    fn leave_out(&mut self, number: u64) -> Option<Notification> {
        let notification = self.notifications.remove(&number)?;
        if let Some(id) = notification.subscription() {
            self.by_subscription.remove(&(id, number));
            // The next alarm is the opposite one.
            let cancelled = (notification.alarm() != Alarm::None).then(|| self.next_alarm(id, number)).flatten();
            if let Some(Notification::Members(_, members)) =
                cancelled.and_then(|at| self.notifications.get_mut(&at))
            {
                members.alarm = Alarm::None;
            }
        }
        if let Some((_, Notification::Mark(_))) = self.notifications.range(number..).next() {
            self.remove_mark_before(number);
        }
        Some(notification)
    }

    /// The next notification of this subscription after this one that has an alarm.
    fn next_alarm(&self, id: SubscriptionId, after: u64) -> Option<u64> {
        let numbers = self.by_subscription.range((id, after + 1)..=(id, u64::MAX)).map(|(_, number)| *number);
        let has_alarm =
            |number: &u64| self.notifications.get(number).is_some_and(|next| next.alarm() != Alarm::None);
        numbers.into_iter().find(has_alarm)
    }

    fn remove_mark_before(&mut self, number: u64) {
        if let Some((&before, Notification::Mark(_))) = self.notifications.range(..number).next_back() {
            self.notifications.remove(&before);
        }
    }
}

impl Notification {
    /// The subscription whose listener hears it.
    fn subscription(&self) -> Option<SubscriptionId> {
        match self {
            Notification::Role(id, _)
            | Notification::Master(id, _)
            | Notification::Members(id, _)
            | Notification::Connection(id, _) => Some(*id),
            Notification::Finished(_) | Notification::Mark(_) | Notification::End => None,
        }
    }

    fn is_master(&self) -> bool {
        matches!(self, Notification::Role(_, event) if event.role == Role::Master)
    }

    fn alarm(&self) -> Alarm {
        match self {
            Notification::Members(_, members) => members.alarm,
            _ => Alarm::None,
        }
    }

    fn value_len(&self) -> usize {
        match self {
            Notification::Role(_, event) => event.value.len(),
            Notification::Master(_, master) => master.value.len(),
            Notification::Members(_, members) => {
                members.members.iter().map(|member| member.name.len() + member.znode.value.len()).sum()
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::diagnostics::ConnectionState;
    use crate::logic::{rc, Reason, Stat, Value};
    use std::time::Duration;

    const ID: SubscriptionId = SubscriptionId(1);

    fn role(role: Role, token: i64) -> Notification {
        let value = token.to_string().as_bytes().into();
        Notification::Role(ID, Event { role, reason: Reason::Elected, rc: rc::OK, value, token })
    }

    fn master(id: SubscriptionId, value: &[u8]) -> Notification {
        Notification::Master(id, Master { rc: rc::OK, value: value.into(), stat: Stat::default() })
    }

    fn take_all(reader: &Reader) -> Vec<Notification> {
        std::iter::from_fn(|| reader.try_next()).collect()
    }

    fn waiting(inbox: &Inbox) -> usize {
        inbox.inner().notifications.len()
    }

    #[test]
    fn nothing_is_left_out_while_little_waits() {
        let (inbox, reader) = Inbox::new();
        for round in 0..3 {
            for i in 0..WAITING as i64 {
                assert!(!inbox.put(role(Role::Slave, i)));
                assert!(!inbox.put(master(SubscriptionId(2), &[round])));
            }
            assert_eq!(take_all(&reader).len(), 2 * WAITING);
        }
    }

    #[test]
    fn of_many_values_the_latest_stay_in_order() {
        let (inbox, reader) = Inbox::new();
        let first_left_out: Vec<usize> = (0..1_000_usize)
            .filter(|i| {
                inbox.put(Notification::Mark(*i as u64));
                inbox.put(master(SubscriptionId(*i as u64 % 2), &i.to_be_bytes()))
            })
            .collect();
        assert_eq!(first_left_out, [2 * WAITING], "it is told once");
        assert!(waiting(&inbox) <= 4 * WAITING, "{}", waiting(&inbox));
        inbox.put(Notification::Finished(SubscriptionId(0)));
        inbox.put(Notification::End);
        let (mut values, mut marks) = (Vec::new(), Vec::new());
        for taken in take_all(&reader) {
            match taken {
                Notification::Master(_, master) => {
                    values.push(usize::from_be_bytes((*master.value).try_into().unwrap()))
                }
                Notification::Mark(mark) => {
                    assert!(values.last().is_none_or(|last| (*last as u64) < mark));
                    marks.push(mark);
                }
                Notification::Finished(_) | Notification::End => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(values, (1_000 - 2 * WAITING..1_000).collect::<Vec<_>>());
        assert_eq!(marks.last(), Some(&999));
        assert!(marks.is_sorted());
        // It begins anew.
        assert!((0..=WAITING).any(|i| inbox.put(master(ID, &[i as u8]))));
    }

    #[test]
    fn of_large_values_only_the_latest_waits() {
        let (inbox, reader) = Inbox::new();
        let large = vec![0; 1_000_000];
        for _ in 0..100 {
            inbox.put(master(ID, &large));
        }
        assert_eq!(take_all(&reader).len(), VALUES / large.len());
        let huge = Value::from(vec![0; VALUES + 1]);
        for _ in 0..3 {
            inbox.put(master(ID, &huge));
        }
        assert_eq!(take_all(&reader).len(), 1);
    }

    #[test]
    fn marks_do_not_add_up() {
        let (inbox, reader) = Inbox::new();
        (1..=1_000).for_each(|mark| _ = inbox.put(Notification::Mark(mark)));
        assert!(matches!(take_all(&reader)[..], [Notification::Mark(1_000)]));
    }

    /// Whatever happens, the listener hears the latest event, events in their order, and directly after each MASTER what came
    /// directly after it.
    #[test]
    fn a_candidate_hears_the_end_of_each_mastership_that_it_hears_of() {
        for seed in 0..500 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (inbox, reader) = Inbox::new();
            let (mut sent, mut heard) = (Vec::new(), Vec::new());
            let mut hear = |notification| match notification {
                Notification::Role(_, event) => heard.push((event.role, event.token)),
                other => panic!("{other:?}"),
            };
            for token in 1..=rng.i64(1..200) {
                let next = match (rng.u8(..3), sent.last()) {
                    (0, last) if !matches!(last, Some((Role::Master, _))) => Role::Master,
                    (1, _) => Role::Slave,
                    _ => Role::Unknown,
                };
                sent.push((next, token));
                inbox.put(role(next, token));
                assert!(waiting(&inbox) <= WAITING, "seed {seed}");
                if rng.u8(..20) == 0 {
                    (0..rng.usize(1..2 * WAITING)).map_while(|_| reader.try_next()).for_each(&mut hear);
                }
            }
            take_all(&reader).into_iter().for_each(&mut hear);
            assert_eq!(heard.last(), sent.last(), "seed {seed}");
            assert!(heard.is_sorted_by_key(|(_, token)| *token), "seed {seed}");
            for pair in heard.windows(2).filter(|pair| pair[0].0 == Role::Master) {
                assert_eq!(pair[1].1, pair[0].1 + 1, "seed {seed}: {heard:?}");
            }
        }
    }

    /// Alarms are heard in turn, and after the last notification the listener knows whether there are too few.
    #[test]
    fn alarms_are_left_out_in_pairs() {
        for seed in 0..500 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (inbox, reader) = Inbox::new();
            let (mut are_too_few, mut heard) = (false, Vec::new());
            let mut hear = |notification| match notification {
                Notification::Members(_, members) => heard.push((members.rc, members.alarm)),
                other => panic!("{other:?}"),
            };
            for number in 1..=rng.i32(1..200) {
                let changes = rng.bool();
                are_too_few ^= changes;
                let alarm = match (changes, are_too_few) {
                    (false, _) => Alarm::None,
                    (true, true) => Alarm::TooFew,
                    (true, false) => Alarm::Enough,
                };
                inbox.put(Notification::Members(ID, Members { rc: number, members: Arc::new([]), alarm }));
                assert!(waiting(&inbox) <= WAITING, "seed {seed}");
                if rng.u8(..20) == 0 {
                    (0..rng.usize(1..2 * WAITING)).map_while(|_| reader.try_next()).for_each(&mut hear);
                }
            }
            take_all(&reader).into_iter().for_each(&mut hear);
            assert!(heard.is_sorted_by_key(|(number, _)| *number), "seed {seed}");
            let alarms: Vec<Alarm> =
                heard.iter().map(|(_, alarm)| *alarm).filter(|alarm| *alarm != Alarm::None).collect();
            let in_turn = [Alarm::TooFew, Alarm::Enough].into_iter().cycle();
            assert!(alarms.iter().copied().eq(in_turn.take(alarms.len())), "seed {seed}: {alarms:?}");
            assert_eq!(alarms.len() % 2 == 1, are_too_few, "seed {seed}: {alarms:?}");
        }
    }

    #[test]
    fn of_the_connection_the_latest_state_stays() {
        let (inbox, reader) = Inbox::new();
        for state in [ConnectionState::Suspended, ConnectionState::Connected].into_iter().cycle().take(999) {
            inbox.put(Notification::Connection(ID, Connection::without_session(state, rc::OK)));
        }
        inbox.put(Notification::Connection(ID, Connection::without_session(ConnectionState::Closed, rc::CLOSING)));
        let taken = take_all(&reader);
        assert_eq!(taken.len(), WAITING);
        assert!(matches!(&taken[WAITING - 1], Notification::Connection(_, last) if last.rc == rc::CLOSING));
    }

    #[test]
    fn nothing_waits_for_nobody() {
        let (inbox, reader) = Inbox::new();
        inbox.put(master(ID, b"before"));
        drop(reader);
        inbox.put(master(ID, b"after"));
        assert_eq!(waiting(&inbox), 0);
    }

    #[test]
    fn a_reader_waits_for_the_next_one() {
        let (inbox, reader) = Inbox::new();
        std::thread::scope(|scope| {
            let next = scope.spawn(|| reader.next());
            std::thread::sleep(Duration::from_millis(10));
            assert!(!next.is_finished());
            inbox.put(Notification::End);
            assert!(matches!(next.join().unwrap(), Notification::End));
        });
    }
}
