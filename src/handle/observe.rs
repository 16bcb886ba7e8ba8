//! Observing without standing: watching the master and the members, and asking for either once.

use std::time::Duration;

use super::callbacks::Listener;
use super::{Error, Handle};
use crate::driver::Command;
use crate::logic::{Call, Master, Member, Members, Outcome};

impl Handle {
    /// Watches who is master at `path`, without standing. `on_master` receives an event at once, and then one for each
    /// change, on the handle's callback thread. Returns at once.
    ///
    /// # Errors
    /// Nothing has happened: [`Error::BadPath`]; [`Error::Already`] if this handle watches `path`; [`Error::ZooKeeper`]
    /// if the servers have refused the handle's credentials.
    pub fn watch_master(&self, path: &str, on_master: impl FnMut(&Master) + Send + 'static) -> Result<(), Error> {
        self.observe(path, || Box::new(on_master))
    }

    /// The same as `watch_master`, but the listener is made only when nothing else can fail.
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
        self.command(Command::Leave(id));
        Ok(())
    }

    /// Watches who stands at `path`, in order and with values, without standing. `on_members` receives an event at
    /// once, and then one for each change, on the handle's callback thread. If fewer than `enough` stand, and when
    /// enough stand again, the event has an alarm; `enough` 0 means no alarm. Returns at once.
    ///
    /// # Errors
    /// Nothing has happened: [`Error::BadPath`]; [`Error::Already`] if this handle watches the members at `path`;
    /// [`Error::ZooKeeper`] if the servers have refused the handle's credentials.
    pub fn watch_members(
        &self,
        path: &str,
        enough: usize,
        on_members: impl FnMut(&Members) + Send + 'static,
    ) -> Result<(), Error> {
        self.observe_members(path, enough, || Box::new(on_members))
    }

    /// The same as `watch_members`, but the listener is made only when nothing else can fail.
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

    /// Stops watching the members at `path`.
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
        self.command(Command::Leave(id));
        Ok(())
    }

    /// Asks the server once who is master at `path`. The `rc` of the result says whether there is a master, as it does
    /// in [`watch_master`](Handle::watch_master).
    ///
    /// # Errors
    /// The same as for [`members`](Handle::members).
    pub fn master(&self, path: &str, timeout: Duration) -> Result<Master, Error> {
        let path = self.check_path(path)?;
        match self.ask(Call::Master { path }, timeout)? {
            Outcome::Master(master) => Ok(master),
            _ => Err(Error::Internal),
        }
    }

    /// Asks the server once who stands at `path`. The master comes first. Each member has its value.
    ///
    /// # Errors
    /// [`Error::BadPath`]; [`Error::ConnectionLoss`] if there is no connection or it broke; [`Error::Timeout`];
    /// [`Error::Interrupted`]; [`Error::ZooKeeper`] if the server refused.
    pub fn members(&self, path: &str, timeout: Duration) -> Result<Vec<Member>, Error> {
        let path = self.check_path(path)?;
        match self.ask(Call::Members { path }, timeout)? {
            Outcome::Members(members) => Ok(members),
            _ => Err(Error::Internal),
        }
    }

    fn ask(&self, question: Call, timeout: Duration) -> Result<Outcome, Error> {
        match self.call(question, timeout)? {
            Some(Outcome::Unknown) | None => Err(self.explained(Error::ConnectionLoss, "not connected")),
            Some(Outcome::Refused(rc)) => Err(Error::ZooKeeper(rc)),
            Some(outcome) => Ok(outcome),
        }
    }
}
