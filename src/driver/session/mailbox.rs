//! The commands of a handle on their way to its session. Any thread puts them in, and the I/O thread takes them out.
//!
//! The mailbox is bounded. A program that gives commands faster than the I/O thread takes them waits in the call. Of
//! several values for one candidate only the last one stays.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Command;
use crate::driver::io::reactor::TaskWaker;
use crate::driver::waits::ReplyTo;

/// The maximum number of commands that wait.
const WAITING: usize = 1_024;

/// A request to end the session. The answer is whether a server confirmed the end.
pub type Close = ReplyTo<bool>;

pub struct Mailbox {
    waker: TaskWaker,
    inner: Mutex<Inner>,
    has_room: Condvar,
}

#[derive(Default)]
struct Inner {
    commands: VecDeque<Command>,
    closes: Vec<Close>,
    /// The handle was closed or dropped.
    is_closed: bool,
    /// The session takes no more commands.
    is_over: bool,
}

impl Mailbox {
    pub fn new(waker: TaskWaker) -> Mailbox {
        Mailbox { waker, inner: Mutex::default(), has_room: Condvar::new() }
    }

    /// Fails if the session has failed or is over.
    pub fn put(&self, command: Command) -> Result<(), ()> {
        let mut refused = self.try_put(command)?;
        while let Some(command) = refused {
            let has_room = |inner: &mut Inner| inner.commands.len() < WAITING || inner.is_over;
            let waited = self.has_room.wait_while(self.inner(), |inner| !has_room(inner));
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            refused = self.try_put(command)?;
        }
        Ok(())
    }

    /// The same, but returns the command if there is no room.
    pub fn try_put(&self, command: Command) -> Result<Option<Command>, ()> {
        let mut inner = self.inner();
        if inner.is_over {
            return Err(());
        }
        let has_room = inner.commands.len() < WAITING;
        match inner.pending_value(&command) {
            Some(pending) => *pending = command,
            None if !has_room => return Ok(Some(command)),
            None => inner.commands.push_back(command),
        }
        drop(inner);
        self.waker.wake();
        Ok(None)
    }

    pub fn close(&self, answer: Option<Close>) {
        let mut inner = self.inner();
        if inner.is_over {
            return; // The answer is dropped without a value.
        }
        inner.is_closed = true;
        inner.closes.extend(answer);
        drop(inner);
        self.waker.wake();
    }

    pub fn is_over(&self) -> bool {
        self.inner().is_over
    }

    /// Takes the next command, and whether there are more.
    pub fn take(&self) -> Option<Command> {
        let mut inner = self.inner();
        let command = inner.commands.pop_front();
        if inner.commands.len() < WAITING {
            self.has_room.notify_all();
        }
        command
    }

    pub fn is_empty(&self) -> bool {
        self.inner().commands.is_empty()
    }

    pub fn is_closed(&self) -> bool {
        self.inner().is_closed
    }

    pub fn take_closes(&self) -> Vec<Close> {
        std::mem::take(&mut self.inner().closes)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The value for the same candidate that has not been taken yet.
    fn pending_value(&mut self, command: &Command) -> Option<&mut Command> {
        let Command::SetValue(id, _) = command else { return None };
        self.commands.iter_mut().rev().find(|pending| matches!(pending, Command::SetValue(other, _) if other == id))
    }
}

/// Ends the mailbox when the session ends, also after a panic: the commands that still wait are dropped.
pub struct Commands(pub Arc<Mailbox>);

impl Drop for Commands {
    fn drop(&mut self) {
        let commands = {
            let mut inner = self.0.inner();
            inner.is_over = true;
            std::mem::take(&mut inner.commands)
        };
        self.0.has_room.notify_all();
        drop(commands);
    }
}

/// Drops the requests for a close that were not answered. Calls that wait for one return.
pub struct Closes(pub Arc<Mailbox>);

impl Drop for Closes {
    fn drop(&mut self) {
        drop(self.0.take_closes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::fork::Process;
    use crate::driver::waits::Waits;
    use crate::logic::SubscriptionId;

    fn mailbox() -> Arc<Mailbox> {
        Arc::new(Mailbox::new(TaskWaker::of_nobody()))
    }

    fn value(id: u64, value: &str) -> Command {
        Command::SetValue(SubscriptionId(id), value.as_bytes().into())
    }

    #[test]
    fn of_several_values_the_last_one_stays() {
        let mailbox = mailbox();
        for i in 0..2 * WAITING {
            mailbox.put(value(1, &i.to_string())).unwrap();
            mailbox.put(value(2, "other")).unwrap();
        }
        let last = (2 * WAITING - 1).to_string();
        let Some(Command::SetValue(SubscriptionId(1), first)) = mailbox.take() else { panic!("no value") };
        assert_eq!(*first, *last.as_bytes());
        assert!(matches!(mailbox.take(), Some(Command::SetValue(SubscriptionId(2), _))));
        assert!(mailbox.take().is_none() && mailbox.is_empty());
    }

    #[test]
    fn a_caller_waits_while_the_mailbox_is_full() {
        let mailbox = mailbox();
        let puts = std::thread::spawn({
            let mailbox = mailbox.clone();
            move || (0..=WAITING).try_for_each(|i| mailbox.put(Command::Mark(i as u64)))
        });
        while mailbox.inner().commands.len() < WAITING {
            std::thread::yield_now();
        }
        assert!(!puts.is_finished());
        mailbox.take().unwrap();
        puts.join().unwrap().unwrap();
        assert_eq!(mailbox.inner().commands.len(), WAITING);
    }

    #[test]
    fn the_end_of_the_session_ends_each_call() {
        let mailbox = mailbox();
        let commands = Commands(mailbox.clone());
        let puts = std::thread::spawn({
            let mailbox = mailbox.clone();
            move || loop {
                mailbox.put(Command::Mark(0))?;
            }
        });
        while mailbox.inner().commands.len() < WAITING {
            std::thread::yield_now();
        }
        // A number that no handle has.
        let waits = Arc::new(Waits::new(1 << 38, Process::current().unwrap(), None));
        let (answer, answered) = ReplyTo::new(&waits);
        mailbox.close(Some(answer));
        drop(commands);
        let ended: Result<(), ()> = puts.join().unwrap();
        assert_eq!(ended, Err(()));
        assert!(mailbox.is_over() && mailbox.is_empty());
        drop(Closes(mailbox));
        assert!(answered.recv().is_err());
    }
}
