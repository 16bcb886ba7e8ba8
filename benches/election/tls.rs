//! What TLS costs: the same steps over TLS and without, in turns, on the same servers. These are Netty's, which serve both.

use std::sync::Arc;
use std::time::Duration;

use election::Options;
use testkit::{Authority, Ensemble};

use crate::handover::Group;
use crate::idle;
use crate::queue::Queue;
use crate::report::Report;
use crate::samples::Samples;
use crate::start::start;
use crate::{Result, TICK_MS};

const CANDIDATES: usize = 3;
const WARM_UP: usize = 15;
const SAMPLES: usize = 100;

/// The most that a handover may cost, in terms of the same without TLS.
const AIM: f64 = 1.2;

/// How a handle reaches the servers.
struct Way {
    hosts: Vec<String>,
    options: Options,
}

pub fn measure(report: &mut Report) -> Result<()> {
    let authority = Arc::new(Authority::new());
    let ensemble = Ensemble::builder(3).tick_ms(TICK_MS).force_sync(true).tls(&authority).start();
    let files = authority.issue("candidate", "DNS:candidate").with_ca(&authority.ca());
    // Each has an election of its own.
    let hosts = |host: fn(&Ensemble, usize) -> String, chroot: &str| {
        let mut hosts: Vec<String> = (0..ensemble.len()).map(|i| host(&ensemble, i)).collect();
        hosts.iter_mut().last().into_iter().for_each(|host| host.push_str(chroot));
        hosts
    };
    let plain = Way { hosts: hosts(Ensemble::host, "/plain"), options: Options::default() };
    let mut encrypted = Way { hosts: hosts(Ensemble::tls_host, "/tls"), options: Options::default() };
    encrypted.options.set_tls(&files)?;
    let ways = [&plain, &encrypted];

    report.section("TLS beside plain, on 3 servers with Netty: start to master");
    let samples = in_turns(|way| start(&ways[way].hosts, &ways[way].options))?;
    show(report, &samples);

    report.section(&format!("TLS beside plain: handover among {CANDIDATES} candidates"));
    let group = |way: &Way| Group::start_with(&way.hosts, &way.options, CANDIDATES);
    let mut groups = [group(&plain)?, group(&encrypted)?];
    let samples = in_turns(|way| groups[way].hand_over())?;
    groups.into_iter().try_for_each(Group::close)?;
    show(report, &samples);
    report.aim_ratio("handover over TLS, 3 candidates, 3 servers", &samples[1], AIM, &samples[0], "plain", "");

    report.section(&format!("TLS beside plain: handover in a queue of {CANDIDATES}"));
    let queue = |way: &Way| Queue::start(&way.hosts, &way.options, CANDIDATES);
    let mut queues = [queue(&plain)?, queue(&encrypted)?];
    let samples = in_turns(|way| queues[way].hand_over())?;
    queues.into_iter().try_for_each(Queue::close)?;
    show(report, &samples);
    report.aim_ratio("handover over TLS, queue of 3, 3 servers", &samples[1], AIM, &samples[0], "plain", "");

    report.section("TLS beside plain: one idle candidate, a C program on libelection.so, as master");
    idle::compare(&plain.hosts.join(","), &encrypted.hosts.join(","), &files, report)
}

/// Plain and encrypted, in turns.
fn in_turns(mut step: impl FnMut(usize) -> Result<Duration>) -> Result<[Samples; 2]> {
    let mut samples: [Samples; 2] = Default::default();
    for i in 0..WARM_UP + SAMPLES {
        for (way, samples) in samples.iter_mut().enumerate() {
            let took = step(way)?;
            if i >= WARM_UP {
                samples.add(took);
            }
        }
    }
    Ok(samples)
}

fn show(report: &mut Report, [plain, encrypted]: &[Samples; 2]) {
    report.row("plain", plain);
    report.row("over TLS", encrypted);
}
