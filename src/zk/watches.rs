//! The one-shot watches of a session: which request left a watch, on which path, of which kind.
//!
//! A server has at most one watch of a kind on a path for a session, however many requests left it; its event is the
//! event of all of them. Watches outlive a connection: the next server is told of them (SetWatches).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::messages::WatchKind;
use crate::logic::{RequestId, WatchEvent};

#[derive(Debug, Default)]
pub struct Watches {
    /// Sorted, so that the requests of one watch stand together.
    armed: BTreeSet<(Arc<str>, WatchKind, RequestId)>,
    by_request: BTreeMap<RequestId, (Arc<str>, WatchKind)>,
    /// The requests without an answer that will leave a watch, and how many there are for each path and object.
    expected: BTreeMap<RequestId, (Arc<str>, Object)>,
    expected_at: BTreeMap<(Arc<str>, Object), usize>,
}

/// What a watch looks at. Which kind of watch a request leaves on a znode is known from its answer; on what, before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    Znode,
    Children,
}

impl Object {
    fn of(kind: WatchKind) -> Object {
        match kind {
            WatchKind::Child => Object::Children,
            WatchKind::Data | WatchKind::Exist => Object::Znode,
        }
    }
}

/// How far SetWatches has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Option<(Arc<str>, WatchKind)>);

impl Cursor {
    pub const START: Cursor = Cursor(None);
}

impl Watches {
    /// This request was submitted, and its answer will leave a watch on this path.
    pub fn expect(&mut self, request: RequestId, path: &Arc<str>, object: Object) {
        self.expected.insert(request, (path.clone(), object));
        *self.expected_at.entry((path.clone(), object)).or_default() += 1;
    }

    /// The request is expected no more. Returns whether it was.
    fn take_expected(&mut self, request: RequestId) -> bool {
        let Some(at) = self.expected.remove(&request) else { return false };
        if let Some(count) = self.expected_at.get_mut(&at) {
            *count -= 1;
            if *count == 0 {
                self.expected_at.remove(&at);
            }
        }
        true
    }

    /// The request was answered and leaves no watch.
    pub fn refuse(&mut self, request: RequestId) {
        self.take_expected(request);
    }

    /// The request was answered and has left a watch. Returns it if it was dropped before, and no request needs it.
    #[must_use]
    pub fn arm(&mut self, request: RequestId, path: &Arc<str>, kind: WatchKind) -> Option<(Arc<str>, WatchKind)> {
        if self.take_expected(request) {
            self.armed.insert((path.clone(), kind, request));
            self.by_request.insert(request, (path.clone(), kind));
            return None;
        }
        (!self.is_needed(path, kind)).then(|| (path.clone(), kind))
    }

    /// Drops the watch that this request left or would leave. Returns the watch if no request needs it any more.
    #[must_use]
    pub fn drop(&mut self, request: RequestId) -> Option<(Arc<str>, WatchKind)> {
        self.take_expected(request);
        let (path, kind) = self.by_request.remove(&request)?;
        let entry = (path, kind, request);
        self.armed.remove(&entry);
        let (path, kind, _) = entry;
        (!self.is_needed(&path, kind)).then_some((path, kind))
    }

    /// Whether a request has this watch, or will have it as far as we know.
    fn is_needed(&self, path: &Arc<str>, kind: WatchKind) -> bool {
        let is_expected = self.expected_at.contains_key(&(path.clone(), Object::of(kind)));
        is_expected || self.requests(path, kind).next().is_some()
    }

    fn requests(&self, path: &Arc<str>, kind: WatchKind) -> impl Iterator<Item = RequestId> + '_ {
        let first = (path.clone(), kind, RequestId(0));
        let last = (path.clone(), kind, RequestId(u64::MAX));
        self.armed.range(first..=last).map(|(_, _, request)| *request)
    }

    /// The server tells an event of this kind of a znode. Returns the requests whose watch this was, and what they see.
    pub fn fire(&mut self, path: &str, event: i32) -> Vec<(RequestId, WatchEvent)> {
        let (kinds, event): (&[WatchKind], _) = match event {
            1 => (&[WatchKind::Data, WatchKind::Exist], WatchEvent::Created),
            2 => (&[WatchKind::Data, WatchKind::Exist, WatchKind::Child], WatchEvent::Deleted),
            3 => (&[WatchKind::Data, WatchKind::Exist], WatchEvent::Changed),
            4 => (&[WatchKind::Child], WatchEvent::Changed),
            // The end of a watch that we removed, or news of the session, which the connection tells us, too.
            _ => return Vec::new(),
        };
        let path: Arc<str> = path.into();
        let mut fired: Vec<RequestId> = Vec::new();
        for kind in kinds {
            fired.extend(self.requests(&path, *kind));
        }
        fired.sort_unstable();
        for request in &fired {
            // The server has no such watch any more.
            let _ = self.drop(*request);
        }
        fired.into_iter().map(|request| (request, event)).collect()
    }

    /// Drops all watches, and returns the requests that left them.
    pub fn clear(&mut self) -> Vec<RequestId> {
        self.armed.clear();
        self.expect_nothing();
        std::mem::take(&mut self.by_request).into_keys().collect()
    }

    /// No request that is on its way will leave a watch.
    pub fn expect_nothing(&mut self) {
        self.expected.clear();
        self.expected_at.clear();
    }

    /// The next watches for SetWatches: no more than take `most` bytes, if each takes `extra` bytes beside its path; or
    /// the next one alone. At the end there are none.
    pub fn next_chunk(&self, cursor: &mut Cursor, extra: usize, most: usize) -> Vec<(WatchKind, &str)> {
        let start = match &cursor.0 {
            None => Bound::Unbounded,
            Some((path, kind)) => Bound::Excluded((path.clone(), *kind, RequestId(u64::MAX))),
        };
        let mut chunk: Vec<(WatchKind, &str)> = Vec::new();
        let mut len = 0;
        for (path, kind, _) in self.armed.range((start, Bound::Unbounded)) {
            if chunk.last() == Some(&(*kind, path)) {
                continue;
            }
            len += extra + path.len();
            if len > most && !chunk.is_empty() {
                break;
            }
            chunk.push((*kind, path));
            cursor.0 = Some((path.clone(), *kind));
        }
        chunk
    }

    pub fn len(&self) -> usize {
        self.by_request.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armed(watches: &mut Watches, request: u64, path: &str, kind: WatchKind) {
        watches.expect(RequestId(request), &path.into(), Object::of(kind));
        assert_eq!(watches.arm(RequestId(request), &path.into(), kind), None);
    }

    #[test]
    fn one_event_is_the_event_of_each_request_that_watches() {
        let mut watches = Watches::default();
        armed(&mut watches, 3, "/a", WatchKind::Data);
        armed(&mut watches, 1, "/a", WatchKind::Data);
        armed(&mut watches, 2, "/a", WatchKind::Child);
        armed(&mut watches, 4, "/ab", WatchKind::Data);
        assert_eq!(watches.fire("/a", 4), [(RequestId(2), WatchEvent::Changed)]);
        let both = [(RequestId(1), WatchEvent::Changed), (RequestId(3), WatchEvent::Changed)];
        assert_eq!(watches.fire("/a", 3), both);
        assert_eq!(watches.fire("/a", 2), []);
        assert_eq!(watches.fire("/ab", 5), []);
        assert_eq!(watches.len(), 1);
    }

    #[test]
    fn a_deletion_fires_every_kind() {
        let mut watches = Watches::default();
        armed(&mut watches, 1, "/a", WatchKind::Child);
        armed(&mut watches, 2, "/a", WatchKind::Data);
        let both = [(RequestId(1), WatchEvent::Deleted), (RequestId(2), WatchEvent::Deleted)];
        assert_eq!(watches.fire("/a", 2), both);
    }

    #[test]
    fn a_watch_is_the_servers_until_nobody_needs_it() {
        let mut watches = Watches::default();
        armed(&mut watches, 1, "/a", WatchKind::Data);
        armed(&mut watches, 2, "/a", WatchKind::Data);
        assert_eq!(watches.drop(RequestId(1)), None);
        watches.expect(RequestId(3), &"/b".into(), Object::Znode);
        armed(&mut watches, 4, "/b", WatchKind::Exist);
        assert_eq!(watches.drop(RequestId(4)), None, "the request on its way will watch /b");
        watches.refuse(RequestId(3));
        for (path, object) in [("/c", Object::Znode), ("/b", Object::Children)] {
            armed(&mut watches, 5, "/b", WatchKind::Exist);
            watches.expect(RequestId(6), &path.into(), object);
            let unneeded = Some(("/b".into(), WatchKind::Exist));
            assert_eq!(watches.drop(RequestId(5)), unneeded, "the request on its way watches {object:?} of {path}");
            watches.refuse(RequestId(6));
        }
        assert_eq!(watches.drop(RequestId(2)), Some(("/a".into(), WatchKind::Data)));
        assert_eq!(watches.fire("/a", 3), []);
    }

    #[test]
    fn a_watch_can_be_dropped_before_it_is_left() {
        let mut watches = Watches::default();
        watches.expect(RequestId(1), &"/a".into(), Object::Znode);
        assert_eq!(watches.drop(RequestId(1)), None, "no server has it yet");
        let left = Some(("/a".into(), WatchKind::Data));
        assert_eq!(watches.arm(RequestId(1), &"/a".into(), WatchKind::Data), left, "now one has");
        assert_eq!(watches.fire("/a", 3), []);
    }

    #[test]
    fn chunks_have_each_watch_once() {
        let mut watches = Watches::default();
        for request in 0..100 {
            armed(&mut watches, request, &format!("/{:03}", request / 2), WatchKind::Data);
        }
        armed(&mut watches, 100, "/000", WatchKind::Child);
        armed(&mut watches, 101, &format!("/x{}", "y".repeat(100)), WatchKind::Exist);
        let (mut cursor, mut all) = (Cursor::START, Vec::new());
        loop {
            let chunk = watches.next_chunk(&mut cursor, 6, 100);
            if chunk.is_empty() {
                break;
            }
            assert!(chunk.len() <= 10);
            all.extend(chunk);
        }
        assert_eq!(all.len(), 52);
        let mut sorted: Vec<_> = all.iter().map(|(kind, path)| (path, kind)).collect();
        sorted.dedup();
        assert_eq!(sorted.len(), 52);
    }
}
