//! From nothing to master: the time that a program waits if it starts alone.

use std::time::{Duration, Instant};

use election::Options;

use crate::machine;
use crate::member::Inbox;
use crate::raw;
use crate::report::Report;
use crate::samples::Samples;
use crate::Result;

const WARM_UP: usize = 15;
const SAMPLES: usize = 100;

pub fn measure(hosts: &[String], report: &mut Report) -> Result<()> {
    let (mut raws, mut starts) = (Samples::default(), Samples::default());
    for i in 0..WARM_UP + SAMPLES {
        let raw = raw::connect_and_write(&hosts[i % hosts.len()])?;
        let start = start(hosts, &Options::default())?;
        if i >= WARM_UP {
            raws.add(raw);
            starts.add(start);
        }
    }
    report.row("raw connect with a new session, then one raw write", &raws);
    report.row("start to master", &starts);
    let what = format!("start to master, {}", machine::servers(hosts.len()));
    report.aim_ratio(&what, &starts, 1.5, &raws, "(connect + write)", "");
    Ok(())
}

pub fn start(hosts: &[String], options: &Options) -> Result<Duration> {
    let inbox = Inbox::new();
    let began = Instant::now();
    let election = Inbox::open_with(hosts, options)?;
    inbox.stand(&election, "/start", 0)?;
    let took = inbox.wait_for_master()?.at - began;
    election.close()?;
    Ok(took)
}
