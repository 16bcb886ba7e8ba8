//! A round through all servers, for a new session of one of them.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_io::Timer;

use super::Settings;
use crate::driver::client::{connect, Client, States};
use crate::driver::clock;
use crate::driver::server_health::is_credible;
use crate::logic::{rc, Time};

/// Between two rounds through all servers, while none can be reached: twice as long each time, up to this.
const LONGEST_ROUND_WAIT: Duration = Duration::from_millis(500);
const FIRST_ROUND_WAIT: Duration = Duration::from_millis(50);

/// The shortest session timeout that is asked for: a fifth of it is the time that a server is given to answer.
const SHORTEST_ASKED: Duration = Duration::from_secs(1);

pub type Round = Pin<Box<dyn Future<Output = Result<Opened, i32>> + Send>>;

/// A new session.
pub struct Opened {
    pub client: Client,
    pub states: States,
    /// It was asked for at this moment or later.
    pub asked_at: Time,
}

/// How long to wait before the round that follows one with this wait.
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
    // The time after which a silent server is given up was taken from what we asked for. Where the server has
    // decided on something very different, ask for that.
    let granted = opened.client.session_timeout();
    if granted > asked * 2 || granted * 2 < asked {
        drop(opened);
        return session(&settings, granted).await;
    }
    Ok(opened)
}

/// A new session of the first server that grants one.
async fn session(settings: &Settings, asked: Duration) -> Result<Opened, i32> {
    let asked_at = clock::now();
    let (client, states) = connect(&settings.hosts, &settings.access, asked).await?;
    if !is_credible(client.session_timeout(), asked) {
        return Err(rc::CONNECTION_LOSS);
    }
    Ok(Opened { client, states, asked_at })
}
