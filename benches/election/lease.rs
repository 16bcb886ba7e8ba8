//! How much of its lease a master has left: for this time it may lose its servers and stay master. And the times after
//! a master dies: how long it could have believed that it is master, how long no process believes it, and how much
//! lease its successor has.

use std::thread::sleep;
use std::time::{Duration, Instant};

use election::{Handle, Options};
use testkit::{Ensemble, Relay};

use crate::member::Inbox;
use crate::report::Report;
use crate::samples::Samples;
use crate::Result;

const PATH: &str = "/lease";
const TICK: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_secs(2);
const DEATHS: usize = 8;
const LOOK_EVERY: Duration = Duration::from_millis(2);

pub fn measure(report: &mut Report) -> Result<()> {
    let ensemble = Ensemble::builder(3).tick_ms(TICK.as_millis() as u32).force_sync(true).start();
    report.section("the lease, on 3 servers with a tick of 200 ms, T = 2 s");
    for tick in [None, Some(TICK)] {
        let named = if tick.is_some() { "tick told" } else { "tick not told" };
        let deaths = (0..DEATHS).map(|_| death(&ensemble, tick)).collect::<Result<Vec<_>>>()?;
        let mut all: [Samples; 4] = Default::default();
        for death in deaths {
            death.undisturbed.into_iter().for_each(|left| all[0].add(left));
            all[1].add(death.believed);
            all[2].add(death.gap);
            all[3].add(death.successor);
        }
        let what = ["left, undisturbed", "left when it dies", "then nobody is master", "left of its successor's"];
        for (what, samples) in what.iter().zip(&all) {
            report.row(&format!("{named}: {what}"), samples);
        }
    }
    Ok(())
}

struct Death {
    undisturbed: Vec<Duration>,
    believed: Duration,
    gap: Duration,
    successor: Duration,
}

/// A master that no server hears any more, as if it had died, and the candidate that waits.
fn death(ensemble: &Ensemble, tick: Option<Duration>) -> Result<Death> {
    let mut options = Options::default();
    options.set_session_timeout(TIMEOUT)?;
    if let Some(tick) = tick {
        options.set_tick(tick)?;
    }
    let relay = Relay::start(ensemble.host(0));
    let (first, second) = (Inbox::new(), Inbox::new());
    let master = Handle::open(&relay.host(), &options)?;
    first.stand(&master, PATH, 0)?;
    first.wait_for_master()?;
    let next = Handle::open(&ensemble.host(1), &options)?;
    second.stand(&next, PATH, 1)?;

    // Until the master renews the lease by its own requests alone.
    sleep(TIMEOUT + TIMEOUT / 2);
    let mut undisturbed = Vec::new();
    let began = Instant::now();
    while began.elapsed() < TIMEOUT {
        undisturbed.push(left(&master)?);
        sleep(LOOK_EVERY);
    }
    let died = Instant::now();
    let believed = left(&master)?;
    relay.blackhole(true);
    let told = second.wait_for_master()?;
    let successor = left(&next)?;
    let gap = (told.at - died).saturating_sub(believed);
    next.close()?;
    // The close reaches no server.
    let _ = master.close();
    Ok(Death { undisturbed, believed, gap, successor })
}

fn left(handle: &Handle) -> Result<Duration> {
    Ok(handle.lease(PATH).ok_or("a master with a lease")?.left)
}
