//! Looking on without standing: watching who is master and who is in, and asking for either once.

use std::time::Duration;

use super::callbacks::Listener;
use super::{Error, Handle};
use crate::driver::{Command, ReplyTo};
use crate::logic::{rc, Master, Member, Members};

impl Handle {
    /// Watches who is master at `path`, without standing. `on_master` hears at once, and then of each change,
    /// on the handle's callback thread. Returns at once.
    ///
    /// # Errors
    /// [`Error::BadPath`], [`Error::Already`] when this handle watches there, [`Error::ZooKeeper`] when the servers
    /// have refused the handle's credentials. Nothing has happened then.
    pub fn watch_master(&self, path: &str, on_master: impl FnMut(&Master) + Send + 'static) -> Result<(), Error> {
        self.observe(path, || Box::new(on_master))
    }

    /// As `watch_master`; the listener is made when nothing can fail any more.
    pub(crate) fn observe(
        &self,
        path: &str,
        on_master: impl FnOnce() -> Box<dyn FnMut(&Master) + Send>,
    ) -> Result<(), Error> {
        let path = self.check_path(path)?;
        let mut changes = self.admitted()?;
        if changes.watches.get(&path).is_some_and(|former| !self.denied.take(*former)) {
            return Err(Error::Already);
        }
        let id = self.new_subscription();
        self.callbacks.add(id, || Ok(Listener::Master(on_master())))?;
        changes.watches.insert(path.clone(), id);
        self.command(Command::Observe { id, path });
        Ok(())
    }

    /// Stops watching at `path`.
    ///
    /// # Errors
    /// [`Error::BadPath`], [`Error::NotThere`].
    pub fn unwatch_master(&self, path: &str) -> Result<(), Error> {
        let path = self.check_path(path)?;
        let mut changes = self.changes()?;
        let id = changes.watches.remove(&path).ok_or(Error::NotThere)?;
        if self.denied.take(id) {
            return Err(Error::NotThere);
        }
        self.command(Command::Unobserve { id, path });
        Ok(())
    }

    /// Watches who is in at `path`, in order, with values, without standing. `on_members` hears at once, and then of each
    /// change, on the handle's callback thread; with an alarm when fewer than `enough` are in, and when enough are
    /// again (0 for none). Returns at once.
    ///
    /// # Errors
    /// [`Error::BadPath`], [`Error::Already`] when this handle watches the members there, [`Error::ZooKeeper`] when the
    /// servers have refused the handle's credentials. Nothing has happened then.
    pub fn watch_members(
        &self,
        path: &str,
        enough: usize,
        on_members: impl FnMut(&Members) + Send + 'static,
    ) -> Result<(), Error> {
        self.observe_members(path, enough, || Box::new(on_members))
    }

    /// As `watch_members`; the listener is made when nothing can fail any more.
    pub(crate) fn observe_members(
        &self,
        path: &str,
        enough: usize,
        on_members: impl FnOnce() -> Box<dyn FnMut(&Members) + Send>,
    ) -> Result<(), Error> {
        let path = self.check_path(path)?;
        let mut changes = self.admitted()?;
        if changes.watches_of_members.get(&path).is_some_and(|former| !self.denied.take(*former)) {
            return Err(Error::Already);
        }
        let id = self.new_subscription();
        self.callbacks.add(id, || Ok(Listener::Members(on_members())))?;
        changes.watches_of_members.insert(path.clone(), id);
        self.command(Command::WatchMembers { id, path, enough });
        Ok(())
    }

    /// Stops watching who is in at `path`.
    ///
    /// # Errors
    /// [`Error::BadPath`], [`Error::NotThere`].
    pub fn unwatch_members(&self, path: &str) -> Result<(), Error> {
        let path = self.check_path(path)?;
        let mut changes = self.changes()?;
        let id = changes.watches_of_members.remove(&path).ok_or(Error::NotThere)?;
        if self.denied.take(id) {
            return Err(Error::NotThere);
        }
        self.command(Command::UnwatchMembers { id, path });
        Ok(())
    }

    /// Who is master at `path` at this moment: asked of the server once. `rc` says whether there is one, as it does in
    /// [`watch_master`](Handle::watch_master).
    ///
    /// # Errors
    /// As [`members`](Handle::members).
    pub fn master(&self, path: &str, timeout: Duration) -> Result<Master, Error> {
        let path = self.check_path(path)?;
        self.ask(timeout, |master| Command::Master { path, master })
    }

    /// Who stands at `path` at this moment, the master first, each with its value: asked of the server once.
    ///
    /// # Errors
    /// [`Error::BadPath`]; [`Error::ConnectionLoss`] when there is no connection or it broke;
    /// [`Error::Timeout`]; [`Error::ZooKeeper`] when the server refused.
    pub fn members(&self, path: &str, timeout: Duration) -> Result<Vec<Member>, Error> {
        let path = self.check_path(path)?;
        self.ask(timeout, |members| Command::Members { path, members })
    }

    /// Asks, and waits for the answer.
    fn ask<T>(
        &self,
        timeout: Duration,
        question: impl FnOnce(ReplyTo<Result<T, i32>>) -> Command,
    ) -> Result<T, Error> {
        let (answer, answered) = ReplyTo::new(&self.waits);
        let changes = self.admitted()?;
        self.command(question(answer));
        drop(changes);
        match self.waits.answer(&answered, timeout).map_err(|error| self.late(error, "no answer in time"))? {
            Some(Err(rc::CONNECTION_LOSS)) | None => Err(self.explained(Error::ConnectionLoss, "not connected")),
            Some(answer) => answer.map_err(Error::ZooKeeper),
        }
    }
}
