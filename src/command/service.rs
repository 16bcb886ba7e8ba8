//! Notifies a service manager by the protocol of systemd's sd_notify(3), if NOTIFY_SOCKET names its socket.

use std::time::Duration;

use sd_notify::NotifyState;

/// Variables of the service manager that are for `election` and not for the programs that it runs.
pub const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// Says what `election` does at the moment. `systemctl status` shows it.
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

/// How often `election` notifies the watchdog: half the time after which the service manager would restart `election`.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|timeout| timeout / 2)
}

/// Sends the states to the service manager. If the service manager does not listen, `election` goes on.
fn tell(states: &[NotifyState]) {
    let _ = sd_notify::notify(states);
}
