//! What a service manager hears: the protocol of systemd's sd_notify(3), when NOTIFY_SOCKET says where.

use std::time::Duration;

use sd_notify::NotifyState;

/// Variables of the service manager that are for `election` and not for what it runs.
pub const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// Says what this does at the moment; `systemctl status` shows it.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

pub fn ready() {
    tell(&[NotifyState::Ready]);
}

pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

pub fn watchdog() {
    tell(&[NotifyState::Watchdog]);
}

/// How often the service manager wants to hear of the watchdog: half the time after which it would restart this.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|timeout| timeout / 2)
}

/// A service manager that does not listen is no reason to fail.
fn tell(states: &[NotifyState]) {
    let _ = sd_notify::notify(states);
}
