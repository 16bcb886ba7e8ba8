//! The time from one master to the next when the master resigns. One session sends a delete, which is a write. The
//! servers send watch events to all other sessions. Each of these sends a create, which is another write. Only the
//! first create makes its session master.

use std::time::{Duration, Instant};

use election::{Handle, Options, Reason, Role};

use crate::by_hand::Contenders;
use crate::machine;
use crate::member::Inbox;
use crate::raw::RawClients;
use crate::report::Report;
use crate::samples::Samples;
use crate::Result;

const PATH: &str = "/handover";
const WARM_UP: usize = 5;
const SAMPLES: usize = 100;

pub fn measure(hosts: &[String], candidates: usize, report: &mut Report) -> Result<()> {
    let mut group = Group::start(hosts, candidates)?;
    let mut contenders = Contenders::start(hosts, candidates)?;
    let mut raw = RawClients::connect(hosts)?;
    let (mut writes, mut by_hand, mut handovers) = (Samples::default(), Samples::default(), Samples::default());
    for i in 0..WARM_UP + SAMPLES {
        // As many raw writes as servers, so that each weighs the same.
        let raws = hosts.iter().map(|_| raw.write()).collect::<Result<Vec<_>>>()?;
        let hand = contenders.hand_over()?;
        let handover = group.hand_over()?;
        if i >= WARM_UP {
            raws.into_iter().for_each(|raw| writes.add(raw));
            by_hand.add(hand);
            handovers.add(handover);
        }
    }
    group.close()?;
    contenders.close()?;
    raw.close()?;
    report.row("raw write (create, ephemeral)", &writes);
    report.row("handover by hand, without the library", &by_hand);
    report.row("handover", &handovers);
    let what = format!("handover, {candidates} candidates, {}", machine::servers(hosts.len()));
    let hand = format!("by hand {:.2} x", by_hand.median() / writes.median());
    report.aim_ratio(&what, &handovers, 2.5, &writes, "write", &hand);
    Ok(())
}

/// Candidates of which one is master. All others know it.
pub struct Group {
    inbox: Inbox,
    members: Vec<Handle>,
    /// The token of the master that each candidate follows; 0 for none.
    follows: Vec<i64>,
    master: usize,
    token: i64,
}

impl Group {
    pub fn start(hosts: &[String], candidates: usize) -> Result<Group> {
        Group::start_with(hosts, &Options::default(), candidates)
    }

    pub fn start_with(hosts: &[String], options: &Options, candidates: usize) -> Result<Group> {
        let open = |_| Inbox::open_with(hosts, options);
        let members = (0..candidates).map(open).collect::<Result<Vec<_>>>()?;
        let follows = vec![0; candidates];
        let mut group = Group { inbox: Inbox::new(), members, follows, master: 0, token: 0 };
        for who in 0..candidates {
            group.inbox.stand(&group.members[who], PATH, who)?;
        }
        group.wait_for_master()?;
        group.wait_until_all_follow()?;
        Ok(group)
    }

    /// The master resigns. Returns the time until the next master heard that it is master. Then everything is as
    /// before: the former master stands again, and each slave knows the master.
    pub fn hand_over(&mut self) -> Result<Duration> {
        let former = self.master;
        let began = Instant::now();
        self.members[former].resign(PATH)?;
        let at = self.wait_for_master()?;
        self.inbox.stand(&self.members[former], PATH, former)?;
        self.wait_until_all_follow()?;
        Ok(at - began)
    }

    /// The moment at which the next master's callback ran.
    fn wait_for_master(&mut self) -> Result<Instant> {
        let next = self.inbox.wait_for("somebody is master", |told| {
            if told.event.reason == Reason::Following {
                self.follows[told.who] = told.event.token;
            }
            told.event.role == Role::Master
        })?;
        if next.event.token <= self.token {
            return Err("a later master has a larger token".into());
        }
        (self.master, self.token) = (next.who, next.event.token);
        Ok(next.at)
    }

    fn wait_until_all_follow(&mut self) -> Result<()> {
        let (master, token) = (self.master, self.token);
        self.follows[master] = token;
        while !self.follows.iter().all(|follows| *follows == token) {
            let told = self.inbox.wait_for("all others follow the master", |told| {
                told.event.reason == Reason::Following && told.event.token == token
            })?;
            self.follows[told.who] = token;
        }
        Ok(())
    }

    pub fn close(self) -> Result<()> {
        // The master closes last, so that no slave becomes master while the group closes.
        let (master, slaves): (Vec<_>, Vec<_>) =
            self.members.into_iter().enumerate().partition(|(who, _)| *who == self.master);
        slaves.into_iter().chain(master).try_for_each(|(_, member)| Ok(member.close()?))
    }
}
