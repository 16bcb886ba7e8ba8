//! A round through all servers, which opens a new session on one of them.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_io::Timer;

use super::Settings;
use crate::driver::client::{connect, Client, States};
use crate::driver::clock;
use crate::driver::server_health::is_credible;
use crate::logic::{rc, Time};

/// The wait between two rounds through all servers while no server can be reached. It doubles each time, up to the
/// longest wait.
const LONGEST_ROUND_WAIT: Duration = Duration::from_millis(500);
const FIRST_ROUND_WAIT: Duration = Duration::from_millis(50);

/// The shortest session timeout that we request, because a server has a fifth of it to answer.
const SHORTEST_ASKED: Duration = Duration::from_secs(1);

pub type Round = Pin<Box<dyn Future<Output = Result<Opened, i32>> + Send>>;

/// A new session.
pub struct Opened {
    pub client: Client,
    pub states: States,
    /// The session was requested at this moment or later.
    pub asked_at: Time,
}

/// The wait before the round that follows a round with this wait.
pub fn next_wait(wait: Duration) -> Duration {
    (wait * 2).clamp(FIRST_ROUND_WAIT, LONGEST_ROUND_WAIT)
}

/// Waits, then tries each server once.
pub async fn round(settings: Settings, wait: Duration) -> Result<Opened, i32> {
    if !wait.is_zero() {
        let jitter = fastrand::f64() / 4.0;
        Timer::after(wait.mul_f64(1.0 + jitter)).await;
    }
    let asked = settings.session_timeout.max(SHORTEST_ASKED);
    let opened = session(&settings, asked).await?;
    // The time after which we give up a silent server depends on the timeout that we requested. If the server has
    // granted a very different timeout, request that one.
    let granted = opened.client.session_timeout();
    if granted > asked * 2 || granted * 2 < asked {
        drop(opened);
        return session(&settings, granted).await;
    }
    Ok(opened)
}

/// Opens a session on the first server that grants one.
async fn session(settings: &Settings, asked: Duration) -> Result<Opened, i32> {
    let asked_at = clock::now();
    let (client, states) = connect(&settings.hosts, &settings.access, asked).await?;
    if !is_credible(client.session_timeout(), asked) {
        return Err(rc::CONNECTION_LOSS);
    }
    Ok(Opened { client, states, asked_at })
}
