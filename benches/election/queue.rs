//! The time from one master of a queue to the next when the master resigns. Each candidate waits only for the one
//! before it, so a handover has to take the same time among hundreds as among three. The next is master at the event that
//! tells of the master's end: a handover is one write and one event.

use std::time::{Duration, Instant};

use election::{Dialect, Handle, Options, Recipe, Role};

use crate::machine;
use crate::member::Inbox;
use crate::raw::RawClients;
use crate::report::Report;
use crate::samples::Samples;
use crate::Result;

const PATH: &str = "/queue";
const WARM_UP: usize = 5;
const SAMPLES: usize = 100;

pub fn measure(hosts: &[String], candidates: usize, report: &mut Report) -> Result<()> {
    let mut queue = Queue::start(hosts, &Options::default(), candidates)?;
    let mut raw = RawClients::connect(hosts)?;
    let (mut writes, mut handovers) = (Samples::default(), Samples::default());
    for i in 0..WARM_UP + SAMPLES {
        let raws = hosts.iter().map(|_| raw.write()).collect::<Result<Vec<_>>>()?;
        let handover = queue.hand_over()?;
        if i >= WARM_UP {
            raws.into_iter().for_each(|raw| writes.add(raw));
            handovers.add(handover);
        }
    }
    queue.close()?;
    raw.close()?;
    report.row("raw write (create, ephemeral)", &writes);
    report.row("handover", &handovers);
    let what = format!("handover, queue of {candidates}, {}", machine::servers(hosts.len()));
    report.aim_ratio(&what, &handovers, 1.3, &writes, "write", "");
    Ok(())
}

/// Candidates in the order in which they will lead, the master first.
pub struct Queue {
    inbox: Inbox,
    members: Vec<Handle>,
    master: usize,
}

impl Queue {
    pub fn start(hosts: &[String], options: &Options, candidates: usize) -> Result<Queue> {
        let mut options = options.clone();
        options.set_recipe(Recipe::Queue(Dialect::CuratorLatch));
        let open = |_| Inbox::open_with(hosts, &options);
        let members = (0..candidates).map(open).collect::<Result<Vec<_>>>()?;
        let queue = Queue { inbox: Inbox::new(), members, master: 0 };
        for who in 0..candidates {
            queue.join(who)?;
        }
        Ok(queue)
    }

    /// Stands at the end of the queue, and waits for the report of the role: the candidate is master if the queue was
    /// empty.
    fn join(&self, who: usize) -> Result<()> {
        self.inbox.stand(&self.members[who], PATH, who)?;
        let has_joined = |role: Role| matches!(role, Role::Slave | Role::Master);
        let what = "a candidate has joined the queue";
        self.inbox.wait_for(what, |told| told.who == who && has_joined(told.event.role)).map(drop)
    }

    /// The master resigns. Returns the time until the next master heard that it is master. Then the former master joins
    /// again.
    pub fn hand_over(&mut self) -> Result<Duration> {
        let former = self.master;
        let began = Instant::now();
        self.members[former].resign(PATH)?;
        let next = self.inbox.wait_for("somebody is master", |told| told.event.role == Role::Master)?;
        if next.who != (former + 1) % self.members.len() {
            return Err("the next in the queue is master".into());
        }
        self.master = next.who;
        self.join(former)?;
        Ok(next.at - began)
    }

    /// Closes from the end of the queue to its head, so that no slave becomes master meanwhile.
    pub fn close(mut self) -> Result<()> {
        self.members.rotate_left(self.master);
        self.members.into_iter().rev().try_for_each(|member| Ok(member.close()?))
    }
}
