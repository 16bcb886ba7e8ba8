//! Closes a session that was given up, if it still exists. So a process that waits for the session's znodes to disappear
//! need not wait until the session expires.

use std::time::Duration;

use super::dialer::Dialer;
use super::login::Login;
use super::{earliest, zk_settings, Settings};
use crate::driver::access::Access;
use crate::driver::clock;
use crate::driver::io::reactor::{Happening, Io, Next, Task, TaskWaker};
use crate::driver::io::stream::Stream;
use crate::logic::Time;
use crate::zk;

/// After this time, or after the session timeout if that is shorter, the session has expired by itself.
const LONGEST: Duration = Duration::from_secs(60);

pub fn close_orphan(waker: &TaskWaker, settings: &Settings, access: &Access, orphan: zk::Orphan) {
    let now = clock::now();
    let until = now.plus_ms(settings.session_timeout.min(LONGEST).as_millis() as u64);
    let zk = zk::Session::to_close(zk_settings(settings, access), orphan, now);
    waker.start_task(|its| {
        let login = settings.sasl.clone().map(|sasl| Login::new(sasl, its.clone()));
        let dialer = Dialer::new(&settings.hosts, settings.session_timeout, settings.tls.clone(), its);
        Box::new(OrphanTask { until, dialer, login, zk, stream: None, is_over: false })
    });
}

struct OrphanTask {
    until: Time,
    dialer: Dialer,
    login: Option<Login>,
    zk: zk::Session,
    stream: Option<Stream>,
    is_over: bool,
}

impl OrphanTask {
    fn take_events(&mut self) {
        while let Some(event) = self.zk.poll_event() {
            match event {
                zk::Event::HangUp(_) => self.stream = None,
                zk::Event::Challenge(token) => {
                    if let Some(login) = &mut self.login {
                        login.challenge(token);
                    }
                }
                zk::Event::Closed | zk::Event::Expired(_) | zk::Event::Denied(_) => self.is_over = true,
                zk::Event::Connected { .. }
                | zk::Event::Reply { .. }
                | zk::Event::Watch(..)
                | zk::Event::Answered => {}
            }
        }
    }

    fn log_in(&mut self) {
        match self.login.as_mut().and_then(Login::poll) {
            Some(Ok((token, is_last))) => self.zk.answer_challenge(clock::now(), &token, is_last),
            Some(Err(_)) => self.broken(),
            None => {}
        }
        self.take_events();
    }

    fn broken(&mut self) {
        self.stream = None;
        self.zk.handle_disconnected();
        self.take_events();
    }

    fn write(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let bytes = self.zk.poll_transmit(clock::now());
        let length = bytes.len();
        let written = stream.write(bytes).and_then(|taken| {
            stream.set_has_more(taken < length)?;
            Ok(taken)
        });
        match written {
            Ok(taken) => self.zk.handle_transmitted(taken),
            Err(_) => self.broken(),
        }
    }
}

impl Task for OrphanTask {
    fn handle(&mut self, _: &mut Io, happening: Happening) {
        let now = clock::now();
        match happening {
            Happening::Ready(ready) => match &mut self.stream {
                Some(stream) if stream.token() == ready.token => {
                    let mut buffer = [0; 1 << 10];
                    let mut is_broken = false;
                    loop {
                        match stream.read(&mut buffer) {
                            Ok(Some(bytes)) => self.zk.handle_bytes(now, bytes),
                            Ok(None) => {}
                            Err(_) => is_broken = true,
                        }
                        if is_broken || !stream.has_unread() {
                            break;
                        }
                    }
                    if is_broken {
                        self.broken();
                    }
                    self.take_events();
                }
                Some(_) => {}
                None => {
                    if let Some((address, stream)) = self.dialer.ready(now, ready.token) {
                        self.stream = Some(stream);
                        self.zk.handle_connected(now);
                        if let Some(login) = &mut self.login {
                            login.begin(self.dialer.host_of(address));
                        }
                    }
                }
            },
            Happening::LookedUp(answer) => self.dialer.looked_up(now, answer),
            Happening::DescriptorsLost => {
                self.dialer.stop();
                self.broken();
            }
        }
    }

    fn turn(&mut self, io: &mut Io) -> Next {
        let now = clock::now();
        if self.zk.poll_timeout().is_some_and(|then| then <= now) {
            self.zk.handle_timeout(now);
            self.take_events();
        }
        self.log_in();
        self.write();
        if self.is_over || self.until <= now {
            return Next::Done;
        }
        let dial_at = if self.stream.is_none() { self.dialer.turn(io, now) } else { None };
        Next::Wait(earliest([Some(self.until), self.zk.poll_timeout(), dial_at]))
    }
}
