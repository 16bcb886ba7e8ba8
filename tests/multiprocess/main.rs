//! "Never two masters", and "no waiting that is not needed", on real servers.
//!
//! The candidates are processes of their own, [`believer`]s: C programs that ask once a millisecond whether they are master
//! and write down each answer with stamps of the clock that all processes share. [`belief`] puts what all of them believed on
//! one line of time, and fails where two did at once.
//!
//! - [`paused`]: the master's process stands still; [`cut_off`]: its server does, or is cut off from the others;
//!   [`another_server`]: its server goes and two are left;
//! - [`fenced`], [`tokens`], [`grace`], [`mixed`]: fenced writes, tokens over restarts, the grace delay, other
//!   implementations in one queue; [`wrap`]: a queue whose counter overflows;
//! - [`cost`]: what a handover and a lease cost the servers;
//! - the rest is what these stand on.

mod another_server;
mod belief;
mod believer;
mod candidate;
mod cost;
mod cut_off;
mod fenced;
mod grace;
mod library;
mod local_sessions;
mod mixed;
mod paused;
mod tokens;
mod wrap;

#[path = "../zk/test_client.rs"]
mod test_client;

use std::time::Duration;

use testkit::{Ensemble, RawClient};

/// For what must come, however slow the machine is.
const SOON: Duration = Duration::from_secs(30);

/// A witness sends no pings, so its session has to last for the whole test, and the servers have to grant that.
const WITNESS_TIMEOUT_MS: u32 = 120_000;

/// Looks on and meddles, by hand, at one server.
fn witness(ensemble: &Ensemble, server: usize) -> RawClient {
    RawClient::connect(&ensemble.host(server), WITNESS_TIMEOUT_MS as i32).expect("a session")
}
