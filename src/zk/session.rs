//! One ZooKeeper session and the connection that it is on at the moment.
//!
//! On a connection we send, in this order: the ConnectRequest; the credentials; the messages of SASL; if the session was
//! there before, its watches (SetWatches); and the requests. The servers answer requests in their order, so an answer that is not the oldest
//! one's ends the connection. Pings, credentials and SetWatches stand beside that order, each with an xid of its own.
//!
//! Nothing of this waits for an answer, except the requests of a session that is resumed, and SASL with all that follows
//! it. A server that demands SASL ends the connection at any request before its end, also at a ping
//! (`ZooKeeperServer.processPacket`). So none is sent, and as messages of SASL do not count as a sign of life, SASL has
//! less than the session timeout. If any earlier attempt to resume a session had no answer, its requests also wait until
//! the leader has answered a `sync`. A server reads nothing after a ConnectRequest until the session stands
//! (`disableRecv` in `ZooKeeperServer.processConnectRequest`), and then goes on with what has arrived. If the session is
//! gone, the server closes the connection, and what followed the ConnectRequest is not carried out. For a server that
//! cannot be trusted with it, see [`Session::set_pipelining`].
//!
//! The xids of the requests go on over all connections of a session: a server pairs a commit with the request by session
//! and xid, and would take an earlier connection's request for this one's.
//!
//! # How much memory
//!
//! What has arrived and is not read yet is one frame at most, so [`Settings::frame_limit`]. What was written and is not
//! taken by the socket is [`WRITTEN_MOST`] and one operation at most. What waits to be written, and what has no answer,
//! is the core's: [`Session::has_room`] says when to stop. So are the watches: one for each request that left one, until
//! it fires or is dropped. Events that are not polled yet: one for each request without a reply, one for each watch, and
//! a few of the connection.
//!
//! Nothing takes more time than its length, times the logarithm of the number of watches.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::cause::Cause;
use super::exchange::{Exchange, Feature, Known, Progress, Support, SESSION_MOVED};
use super::jute::{Malformed, Reader};
use super::messages::{
    error, xid, Connect, Connected, Notification, ReplyHeader, Request, WatchKind, PASSWORD_LEN,
};
use super::outgoing::{Mark, Outgoing};
use super::settings::{Credential, Rule, Settings};
use super::watches::{Cursor, Watches};
use crate::logic::{rc, Op, Pace, Reply, Report, RequestId, SessionId, Time, WatchEvent};

/// No more is written for the socket while this many bytes wait for it.
pub const WRITTEN_MOST: usize = 128 << 10;

/// The paths in one SetWatches, in bytes, as in ZooKeeper's own client (`SET_WATCHES_MAX_LENGTH` in `ClientCnxn`). A server
/// takes a mebibyte.
const SET_WATCHES_MOST: usize = 128 << 10;

/// The core should submit nothing more while this many operations have no answer, or while this many bytes wait to be
/// written.
const UNANSWERED_MOST: usize = 4096;
const WAITING_MOST: usize = 1 << 20;

/// A longer frame is no answer to a ConnectRequest.
const CONNECT_FRAME_LIMIT: usize = 256;

/// An emptied buffer that is larger than this is given back.
const KEPT: usize = 64 << 10;

/// The longest wait for an answer, and the longest time without a word of ours, if the session timeout is very long.
const LONGEST_PATIENCE_MS: u64 = 60_000;
const LONGEST_IDLE_MS: u64 = 10_000;

/// The session timeouts with which a client can work, in milliseconds. A longer one is taken if we asked for it.
const SHORTEST_TIMEOUT_MS: i32 = 40;
const LONGEST_TIMEOUT_MS: i32 = 24 * 60 * 60 * 1000;

/// What the driver and the core must know, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The session stands on this connection. `asked_at` is when this connection's own ConnectRequest was sent, and
    /// `asked_since` when the first one since the session last stood was.
    Connected {
        session: SessionId,
        timeout_ns: u64,
        asked_at: Time,
        asked_since: Time,
        resumed: bool,
    },
    /// The session lets go of the connection: close the socket. Not told after `handle_disconnected`.
    HangUp(Cause),
    /// The session is over, or lost. The next connection asks for a new one. If there was a connection, `HangUp` came
    /// before.
    Expired(Cause),
    /// The server refused the credentials, with this error. `HangUp` came before.
    Denied(i32),
    /// SASL: the server's message, which is empty at first. Answer it by `answer_challenge`, or end the connection.
    Challenge(Vec<u8>),
    /// A request has ended. `sent_at` is when its first byte was sent; `None` if none was, and then the reply is
    /// `NotSent`.
    Reply {
        request: RequestId,
        reply: Reply,
        sent_at: Option<Time>,
    },
    Watch(RequestId, WatchEvent),
    /// The server has answered for the session, as `ask_for_answer` asked.
    Answered,
    /// The session was closed as asked, or there is none.
    Closed,
}

/// A session that we have left and that the servers may still have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    identity: Identity,
    last_xid: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    /// 0 for none.
    id: i64,
    password: [u8; PASSWORD_LEN],
    timeout_ms: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Off,
    /// The ConnectRequest was written; `asked_at` is when it was sent.
    Connecting {
        since: Time,
        asked_at: Option<Time>,
    },
    /// The session stands, and the server has not answered all credentials, or SASL is not over, or the leader has not
    /// answered the request that shows that it has heard of this connection.
    Authenticating {
        since: Time,
        asked_at: Time,
        is_resumed: bool,
        sasl: Sasl,
    },
    Up,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Confirms {
    No,
    Due,
    Written,
}

/// How far SASL is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sasl {
    /// It begins when the credentials are answered.
    Waits,
    /// The next message is ours. The server has answered so many.
    Ours {
        answers: u32,
    },
    /// The server owes the answer to the message with this xid.
    Theirs {
        answers: u32,
        xid: i32,
        is_last: bool,
    },
    Over,
}

/// Something that stands in the order of the requests: written, and not answered in full.
#[derive(Debug)]
struct Flight {
    first_xid: i32,
    frames: u32,
    answered: u32,
    sent_at: Option<Time>,
    what: What,
}

#[derive(Debug)]
enum What {
    Exchange(Exchange),
    RemoveWatches(Arc<str>, WatchKind),
    /// Asks the leader for nothing but its answer.
    Confirm,
    Close,
}

impl What {
    fn feature(&self) -> Option<Feature> {
        match self {
            What::Exchange(exchange) => exchange.feature(),
            What::RemoveWatches(..) => Some(Feature::RemoveWatches),
            What::Confirm | What::Close => None,
        }
    }
}

#[derive(Debug)]
pub struct Session {
    settings: Settings,
    pace: Pace,
    identity: Identity,
    last_xid: i32,
    last_zxid: i64,
    known: Known,
    watches: Watches,
    link: Link,
    /// Whether the requests follow the ConnectRequest at once.
    pipelines: bool,
    /// The server has answered the ConnectRequest of the last connection.
    has_answer: bool,
    /// Something has followed that ConnectRequest before the answer.
    has_followed: bool,
    incoming: Vec<u8>,
    outgoing: Outgoing,
    /// What is to be written when there is room; what was sent before of an operation of several steps, when that was.
    waiting: VecDeque<(What, Option<Time>)>,
    /// The length of the values in it.
    waiting_bytes: usize,
    flights: VecDeque<Flight>,
    /// How many of the flights have begun to be sent.
    begun: usize,
    /// Answers that are due beside the order of the requests.
    credentials_due: usize,
    set_watches_due: usize,
    pings_due: usize,
    /// Tell of the answer to the next ping.
    tells_answer: bool,
    /// How far the watches are set again on this connection; `None` when all are.
    rearming: Option<Cursor>,
    /// When the first ConnectRequest since the session last stood was sent.
    asked_since: Option<Time>,
    /// An attempt to resume the session had no answer. Some server may hear late what the leader says of it.
    answer_may_come_late: bool,
    /// The leader has to answer a request before the session stands on this connection.
    confirms: Confirms,
    /// When the server last answered.
    heard_at: Time,
    /// When the socket last took bytes.
    sent_at: Time,
    /// Since when the server owes us an answer.
    owed_since: Option<Time>,
    is_closing: bool,
    close_written: bool,
    orphan: Option<Orphan>,
    events: VecDeque<Event>,
}

impl Session {
    pub fn new(settings: Settings) -> Session {
        let identity = Session::nobody(&settings);
        let first_xid = if settings.keeps(Rule::FirstXidDrawn) { settings.first_xid } else { 0 };
        Session {
            settings,
            pace: Pace::default(),
            identity,
            // The negative ones are not ours to use.
            last_xid: first_xid & i32::MAX,
            last_zxid: 0,
            known: Known::default(),
            watches: Watches::default(),
            link: Link::Off,
            pipelines: true,
            has_answer: false,
            has_followed: false,
            incoming: Vec::new(),
            outgoing: Outgoing::default(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            flights: VecDeque::new(),
            begun: 0,
            credentials_due: 0,
            set_watches_due: 0,
            pings_due: 0,
            tells_answer: false,
            rearming: None,
            asked_since: None,
            answer_may_come_late: false,
            confirms: Confirms::No,
            heard_at: Time(0),
            sent_at: Time(0),
            owed_since: None,
            is_closing: false,
            close_written: false,
            orphan: None,
            events: VecDeque::new(),
        }
    }

    /// A session that we have left, in order to close it: offer it a connection, until `Closed` or `Expired`.
    pub fn to_close(settings: Settings, orphan: Orphan, now: Time) -> Session {
        let mut session = Session::new(settings);
        session.identity = orphan.identity;
        session.last_xid = orphan.last_xid;
        session.heard_at = now;
        session.is_closing = true;
        session.pipelines = false;
        session
    }

    fn nobody(settings: &Settings) -> Identity {
        let timeout_ms = i32::try_from(settings.session_timeout_ms).unwrap_or(i32::MAX);
        Identity { id: 0, password: [0; PASSWORD_LEN], timeout_ms }
    }

    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// Whether the watches of a resumed session and the requests of a new one follow the next ConnectRequest at once (the
    /// default), or wait until the session stands. With SASL they wait in any case.
    pub fn set_pipelining(&mut self, pipelines: bool) {
        self.pipelines = pipelines;
    }

    fn pipelines(&self) -> bool {
        self.pipelines && !(self.settings.sasl && self.settings.keeps(Rule::SaslFirst))
    }

    /// If the server has not answered the last ConnectRequest: whether watches or requests were sent after it.
    pub fn unanswered(&self) -> Option<bool> {
        let was_asked = !matches!(self.link, Link::Connecting { asked_at: None, .. });
        (!self.has_answer).then_some(self.has_followed && was_asked)
    }

    /// Sends this in its turn. While there is no connection it waits; if no connection comes, it
    /// is answered by `NotSent` at the next end of a connection or of the session.
    pub fn submit(&mut self, request: RequestId, op: Op) {
        let mut exchange = Exchange::new(request, op);
        if self.is_closing {
            return self.reply_unanswered(request, None);
        }
        if let Some((path, object)) = exchange.watched() {
            self.watches.expect(request, path, object);
        }
        self.waiting_bytes += exchange.value_len();
        self.waiting.push_back((What::Exchange(exchange), None));
    }

    /// Sends a ping on the present connection as soon as anything may follow the ConnectRequest, and tells of the answer by
    /// `Event::Answered`. A server that demands other credentials than it got opens the session all the same, and refuses
    /// the first request.
    pub fn ask_for_answer(&mut self) {
        self.tells_answer = self.link != Link::Off;
        if self.link == Link::Up || self.pipelines() && self.tells_answer {
            self.has_followed |= !self.has_answer;
            self.ping();
        }
    }

    fn ping(&mut self) {
        Request::Ping.write(xid::PING, "", self.outgoing.next_frame(None));
        self.pings_due += 1;
    }

    /// Whether the core may submit more. If not, wait for a reply.
    pub fn has_room(&self) -> bool {
        self.waiting.len() + self.flights.len() < UNANSWERED_MOST && self.waiting_bytes < WAITING_MOST
    }

    /// Drops the watch that this request left, or would leave.
    pub fn unwatch(&mut self, request: RequestId) {
        if let Some((path, kind)) = self.watches.drop(request) {
            self.remove_watch(path, kind);
        }
    }

    /// Asks the server to forget a watch that no request needs.
    fn remove_watch(&mut self, path: Arc<str>, kind: WatchKind) {
        // Not where the server is known to be too old for it, for then it hangs up.
        let Known { create2, create_container, remove_watches } = self.known;
        let is_new = ![create2, create_container, remove_watches].contains(&Support::No);
        if is_new && self.link == Link::Up && !self.is_closing {
            self.waiting.push_back((What::RemoveWatches(path, kind), None));
        }
    }

    /// Ends the session, as soon as there is a connection. What was not sent yet is answered by `NotSent`.
    pub fn close(&mut self) {
        if self.is_closing {
            return;
        }
        self.is_closing = true;
        self.answer_waiting();
        match self.link {
            Link::Off => self.tell_closed(),
            // No server was asked for a session yet.
            Link::Connecting { asked_at: None, .. } if self.identity.id == 0 => self.hang_up(Cause::Left),
            _ => {}
        }
    }

    /// Leaves this session for another one; the next connection asks for it. Nothing is replied any more.
    pub fn leave(&mut self) {
        (self.waiting, self.waiting_bytes) = (VecDeque::new(), 0);
        self.flights.clear();
        self.watches.clear();
        let id = self.identity.id;
        if self.link != Link::Off {
            self.hang_up(Cause::Left);
        }
        if id != 0 && self.identity.id == id {
            self.forget();
        }
    }

    /// The former session, which the servers may still have.
    pub fn take_orphan(&mut self) -> Option<Orphan> {
        self.orphan.take()
    }

    /// A connection stands. The session sends its ConnectRequest on it.
    pub fn handle_connected(&mut self, now: Time) {
        if self.link != Link::Off {
            self.disconnect();
        }
        if !self.settings.keeps(Rule::XidsGoOn) {
            self.last_xid = self.settings.first_xid & i32::MAX;
        }
        self.link = Link::Connecting { since: now, asked_at: None };
        (self.has_answer, self.has_followed) = (false, false);
        let Identity { id, password, timeout_ms } = &self.identity;
        let timeout_ms = match id {
            0 => Session::nobody(&self.settings).timeout_ms,
            _ => *timeout_ms,
        };
        let connect = Connect { last_zxid: self.last_zxid, timeout_ms, session: *id, password };
        connect.write(self.outgoing.next_frame(Some(Mark::Connect)));
        self.outgoing.keep_secret(self.settings.credentials.iter().map(Credential::frame_len).sum());
        for credential in &self.settings.credentials {
            let auth = Request::Auth { scheme: &credential.scheme, auth: &credential.auth };
            auth.write(xid::AUTH, "", self.outgoing.next_frame(None));
        }
        self.credentials_due = self.settings.credentials.len();
        self.rearming = (*id != 0 && !self.is_closing).then_some(Cursor::START);
        self.owed_since = Some(now);
        self.sent_at = now;
    }

    /// The connection has ended.
    pub fn handle_disconnected(&mut self) {
        if self.link == Link::Off {
            return;
        }
        // A server that does not know a request closes the connection when it reads it, whatever it still works on. It
        // has read none before the session stands.
        let begun = self.flights.iter().take(if self.link == Link::Up { self.begun } else { 0 });
        let features: BTreeSet<_> = begun.filter_map(|flight| flight.what.feature()).collect();
        features.into_iter().for_each(|feature| self.known.ended(feature));
        self.disconnect();
        self.tell_closed();
    }

    /// These bytes have arrived.
    pub fn handle_bytes(&mut self, now: Time, bytes: &[u8]) {
        if self.link == Link::Off {
            return;
        }
        let mut incoming = std::mem::take(&mut self.incoming);
        incoming.extend_from_slice(bytes);
        let mut read = 0;
        loop {
            let frame = match self.next_frame(&incoming[read..]) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(cause) => return self.hang_up(cause),
            };
            read += 4 + frame.len();
            if let Err(cause) = self.handle_frame(now, frame) {
                return self.hang_up(cause);
            }
            if self.link == Link::Off {
                return;
            }
        }
        // At most as many bytes move as have arrived.
        incoming.drain(..read);
        if incoming.is_empty() && incoming.capacity() > KEPT {
            incoming = Vec::new();
        }
        self.incoming = incoming;
    }

    fn next_frame<'a>(&self, bytes: &'a [u8]) -> Result<Option<&'a [u8]>, Cause> {
        let Some((len, rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let claimed = u32::from_be_bytes(*len);
        let len = usize::try_from(claimed).unwrap_or(usize::MAX);
        match self.link {
            Link::Authenticating { .. } | Link::Up if len > self.settings.frame_limit => {
                Err(Cause::FrameTooLong { len: claimed, limit: self.settings.frame_limit })
            }
            Link::Connecting { .. } if len > CONNECT_FRAME_LIMIT => Err(Cause::of_first_bytes(bytes)),
            _ => Ok(rest.get(..len)),
        }
    }

    fn handle_frame(&mut self, now: Time, frame: &[u8]) -> Result<(), Cause> {
        if let Link::Connecting { asked_at, .. } = self.link {
            return self.handle_connect_answer(now, Connected::read(frame)?, asked_at);
        }
        let mut content = Reader::new(frame);
        let header = ReplyHeader::read(&mut content)?;
        let due = match header.xid {
            xid::NOTIFICATION => {
                self.handle_notification(Notification::read(content)?);
                return Ok(());
            }
            _ if error::IS_DENIAL.contains(&header.error) && !self.is_sasl(header.xid) => {
                return Err(Cause::Denied(header.error))
            }
            xid::PING => &mut self.pings_due,
            xid::AUTH => &mut self.credentials_due,
            xid::SET_WATCHES => &mut self.set_watches_due,
            _ if self.is_sasl(header.xid) => {
                self.handle_sasl(&header, content)?;
                self.heard(now);
                return Ok(());
            }
            // Not before the credentials are answered.
            _ if self.link != Link::Up && self.confirms != Confirms::Written => return Err(Cause::OutOfOrder),
            _ => {
                self.handle_answer(&header, content)?;
                self.heard(now);
                return Ok(());
            }
        };
        *due = due.checked_sub(1).ok_or(Cause::OutOfOrder)?;
        match header.xid {
            xid::AUTH if header.error != 0 => return Err(Cause::Denied(header.error)),
            xid::AUTH => self.connected(),
            xid::PING if std::mem::take(&mut self.tells_answer) => self.events.push_back(Event::Answered),
            // The watches are not set. Each request finds out by itself what it has missed.
            xid::SET_WATCHES if header.error != 0 => {
                let missed = self.watches.clear().into_iter();
                self.events.extend(missed.map(|request| Event::Watch(request, WatchEvent::Changed)));
            }
            _ => {}
        }
        self.heard(now);
        Ok(())
    }

    fn handle_connect_answer(&mut self, now: Time, answer: Connected, asked_at: Option<Time>) -> Result<(), Cause> {
        let asked_at = asked_at.ok_or(Cause::OutOfOrder)?;
        self.has_answer = true;
        let is_resumed = self.identity.id != 0;
        if answer.is_read_only == Some(true) {
            return Err(Cause::ReadOnly);
        }
        match answer.session {
            0 if is_resumed => return Err(Cause::Expired),
            0 => return Err(Cause::NoSession),
            id if is_resumed && id != self.identity.id && self.settings.keeps(Rule::AnotherSession) => {
                return Err(Cause::AnotherSession(id))
            }
            _ => {}
        }
        let most = LONGEST_TIMEOUT_MS.max(Session::nobody(&self.settings).timeout_ms);
        if !(SHORTEST_TIMEOUT_MS..=most).contains(&answer.timeout_ms) {
            return Err(Cause::Timeout(answer.timeout_ms));
        }
        let password = answer.password.try_into().map_err(|_| Malformed::Field)?;
        self.identity = Identity { id: answer.session, password, timeout_ms: answer.timeout_ms };
        let sasl = if self.settings.sasl { Sasl::Waits } else { Sasl::Over };
        self.link = Link::Authenticating { since: now, asked_at, is_resumed, sasl };
        // A server takes the leader's answer about an earlier attempt for that about this one
        // (`Learner.pendingRevalidations`), even if the session has stood at another server since. What it passes on then
        // may come to the leader much later, and is carried out: the question about this attempt goes before it, and makes
        // that server the session's.
        self.answer_may_come_late |= is_resumed && self.asked_since.is_some_and(|since| since < asked_at);
        if self.answer_may_come_late && self.settings.keeps(Rule::LeaderHasHeard) {
            self.confirms = Confirms::Due;
        }
        self.connected();
        self.heard(now);
        Ok(())
    }

    /// Goes on to SASL if the session stands and no credentials are without an answer, and to the requests if nothing has to
    /// be answered before.
    fn connected(&mut self) {
        let Link::Authenticating { asked_at, is_resumed, sasl, .. } = &mut self.link else { return };
        if self.credentials_due > 0 {
            return;
        }
        let (asked_at, is_resumed) = (*asked_at, *is_resumed);
        if *sasl == Sasl::Waits {
            *sasl = Sasl::Ours { answers: 0 };
            self.events.push_back(Event::Challenge(Vec::new()));
        } else if *sasl == Sasl::Over && self.confirms == Confirms::No {
            self.link = Link::Up;
            if self.tells_answer && self.pings_due == 0 {
                self.ping();
            }
            self.events.push_back(Event::Connected {
                session: SessionId(self.identity.id),
                timeout_ns: ns_of_ms(self.timeout_ms()),
                asked_at,
                asked_since: self.asked_since.take().unwrap_or(asked_at),
                resumed: is_resumed,
            });
        }
    }

    /// Our next message of SASL, after `Event::Challenge`. With `is_last` we have nothing more to say: the server's answer
    /// ends SASL, and if the message is empty, SASL is over without it.
    pub fn answer_challenge(&mut self, now: Time, token: &[u8], is_last: bool) {
        let Link::Authenticating { sasl: sasl @ Sasl::Ours { .. }, .. } = &mut self.link else { return };
        let Sasl::Ours { answers } = *sasl else { return };
        if is_last && token.is_empty() {
            *sasl = Sasl::Over;
            return self.connected();
        }
        let xid = nth_xid(self.last_xid, 1);
        *sasl = Sasl::Theirs { answers, xid, is_last };
        self.last_xid = xid;
        self.outgoing.keep_secret(token.len() + 16);
        Request::Sasl { token }.write(xid, "", self.outgoing.next_frame(None));
        self.owed_since = Some(now);
    }

    /// Whether the server has answered the credentials and SASL is over.
    fn is_authenticated(&self) -> bool {
        let is_over = !matches!(self.link, Link::Authenticating { sasl, .. } if sasl != Sasl::Over);
        self.credentials_due == 0 && is_over
    }

    /// Whether the server owes the answer to a message of SASL with this xid.
    fn is_sasl(&self, xid: i32) -> bool {
        matches!(self.link, Link::Authenticating { sasl: Sasl::Theirs { xid: due, .. }, .. } if due == xid)
    }

    /// Whether the server owes the answer to a message of SASL. A server before ZooKeeper 3.6 that refuses one ends the
    /// connection without a word.
    pub fn awaits_sasl(&self) -> bool {
        matches!(self.link, Link::Authenticating { sasl: Sasl::Theirs { .. }, .. })
    }

    fn handle_sasl(&mut self, header: &ReplyHeader, mut content: Reader) -> Result<(), Cause> {
        let Link::Authenticating { sasl, .. } = &mut self.link else { return Err(Cause::OutOfOrder) };
        let Sasl::Theirs { answers, is_last, .. } = *sasl else { return Err(Cause::OutOfOrder) };
        if header.error != 0 {
            return Err(Cause::SaslRefused { error: header.error, is_first: answers == 0 });
        }
        let token = content.buffer()?;
        content.finish()?;
        if is_last {
            *sasl = Sasl::Over;
            self.connected();
        } else {
            *sasl = Sasl::Ours { answers: answers.saturating_add(1) };
            self.events.push_back(Event::Challenge(token.to_vec()));
        }
        Ok(())
    }

    fn handle_notification(&mut self, notification: Notification) {
        let Some(path) = notification.path.strip_prefix(&*self.settings.chroot) else { return };
        let path = if path.is_empty() { "/" } else { path };
        let fired = self.watches.fire(path, notification.event).into_iter();
        self.events.extend(fired.map(|(request, event)| Event::Watch(request, event)));
    }

    fn handle_answer(&mut self, header: &ReplyHeader, content: Reader) -> Result<(), Cause> {
        if header.error == rc::UNIMPLEMENTED {
            self.handle_unimplemented(header.xid);
        }
        let flight = self.flights.front_mut().filter(|_| self.begun > 0).ok_or(Cause::OutOfOrder)?;
        if header.xid != nth_xid(flight.first_xid, flight.answered) {
            return Err(Cause::OutOfOrder);
        }
        self.last_zxid = self.last_zxid.max(header.zxid);
        flight.answered += 1;
        let is_last = flight.answered == flight.frames;
        let (sent_at, mut again, mut unneeded) = (flight.sent_at, false, None);
        match &mut flight.what {
            What::RemoveWatches(..) => self.known.answered(Feature::RemoveWatches, header.error),
            What::Confirm => match header.error {
                rc::OK => self.confirms = Confirms::No,
                rc::SESSION_EXPIRED => return Err(Cause::Expired),
                SESSION_MOVED => return Err(Cause::Moved),
                _ => return Err(Cause::Malformed),
            },
            What::Close => {
                self.finish_close();
                return Ok(());
            }
            What::Exchange(exchange) => {
                let (settings, known) = (&self.settings, &mut self.known);
                match exchange.handle(is_last, header, content, settings, self.identity.id, known)? {
                    Progress::Wait => {}
                    Progress::Again => again = true,
                    Progress::Reply(reply, watch) => {
                        let request = exchange.request;
                        match (watch, exchange.watched()) {
                            (Some(kind), Some((path, _))) => unneeded = self.watches.arm(request, path, kind),
                            _ => self.watches.refuse(request),
                        }
                        self.events.push_back(Event::Reply { request, reply, sent_at });
                    }
                }
            }
        }
        if is_last {
            self.begun -= 1;
            match self.flights.pop_front() {
                Some(flight) if again => self.waiting.push_front((flight.what, sent_at)),
                _ => {}
            }
        }
        if let Some((path, kind)) = unneeded {
            self.remove_watch(path, kind);
        }
        self.connected();
        Ok(())
    }

    /// A server of ZooKeeper 3.4 says at once that it does not know a request, before it answers older ones
    /// (`ZooKeeperServer.submitRequest`). It closes the connection then.
    fn handle_unimplemented(&mut self, xid: i32) {
        let is_answered = |flight: &&Flight| (0..flight.frames).any(|n| nth_xid(flight.first_xid, n) == xid);
        let flight = self.flights.iter().take(self.begun).find(is_answered);
        if let Some(feature) = flight.and_then(|flight| flight.what.feature()) {
            self.known.answered(feature, rc::UNIMPLEMENTED);
        }
    }

    /// The server has answered something.
    fn heard(&mut self, now: Time) {
        self.heard_at = now;
        let due = self.credentials_due + self.set_watches_due + self.pings_due;
        let owes = due > 0 || self.awaits_sasl() || !self.flights.is_empty() || !self.outgoing.is_empty();
        self.owed_since = owes.then_some(now);
    }

    /// The bytes to hand to the socket next; none if it is empty. Call this directly before the write: `now` becomes the
    /// moment of sending of each frame whose first byte the socket takes.
    pub fn poll_transmit(&mut self, now: Time) -> &[u8] {
        self.write();
        if !self.outgoing.is_empty() {
            self.owed_since.get_or_insert(now);
        }
        self.outgoing.hand_out(now)
    }

    /// The socket has taken the first `count` of these bytes.
    pub fn handle_transmitted(&mut self, count: usize) {
        let (link, flights, begun) = (&mut self.link, &mut self.flights, &mut self.begun);
        let asked_since = &mut self.asked_since;
        let at = self.outgoing.take(count, |mark, at| match (mark, &mut *link) {
            (Mark::Connect, Link::Connecting { asked_at, .. }) => {
                *asked_at = Some(at);
                asked_since.get_or_insert(at);
            }
            (Mark::Connect, _) => {}
            (Mark::Request, _) => {
                if let Some(flight) = flights.get_mut(*begun) {
                    flight.sent_at.get_or_insert(at);
                    *begun += 1;
                }
            }
        });
        self.sent_at = at.unwrap_or(self.sent_at);
    }

    /// Writes what may be sent now, as far as there is room.
    fn write(&mut self) {
        while self.link != Link::Off && self.outgoing.len() < WRITTEN_MOST {
            let confirms = self.confirms == Confirms::Due && self.is_authenticated();
            if self.link != Link::Up && !self.pipelines() && !confirms {
                break;
            }
            // To break the rule: the watches wait until there is an answer to the requests.
            let is_late = !self.settings.keeps(Rule::WatchesFirst)
                && (self.link != Link::Up || !self.waiting.is_empty() || !self.flights.is_empty());
            let is_early = matches!(self.link, Link::Connecting { .. });
            if let Some(cursor) = self.rearming.as_mut().filter(|_| !is_late) {
                let root = self.settings.chroot.as_str();
                let watches = self.watches.next_chunk(cursor, 4 + root.len(), SET_WATCHES_MOST);
                if watches.is_empty() {
                    self.rearming = None;
                } else {
                    let set = Request::SetWatches { zxid: self.last_zxid, watches: &watches };
                    set.write(xid::SET_WATCHES, root, self.outgoing.next_frame(None));
                    self.set_watches_due += 1;
                    self.has_followed |= is_early;
                }
            } else if confirms {
                self.confirms = Confirms::Written;
                self.write_flight(What::Confirm, None);
            } else if self.is_resuming() {
                break;
            } else if let Some((what, sent_at)) = self.waiting.pop_front() {
                self.write_flight(what, sent_at);
                self.has_followed |= is_early;
            } else if self.is_closing && !self.close_written {
                self.close_written = true;
                self.write_flight(What::Close, None);
                self.has_followed |= is_early;
            } else {
                break;
            }
        }
    }

    /// Whether a session is asked for that was there before, and does not stand yet. A server that waits for its leader's
    /// answer does not see that we have gone. If it hears late that the session lives, it has become the session's server
    /// again, and would carry out what we have given up.
    fn is_resuming(&self) -> bool {
        match self.link {
            Link::Connecting { .. } => self.identity.id != 0,
            Link::Authenticating { is_resumed, .. } => is_resumed,
            Link::Off | Link::Up => false,
        }
    }

    /// Writes the frames of one thing, with the next xids.
    fn write_flight(&mut self, mut what: What, sent_at: Option<Time>) {
        let first_xid = nth_xid(self.last_xid, 1);
        let (outgoing, settings) = (&mut self.outgoing, &self.settings);
        let mut frames = 0;
        let mut put = |request: &Request, root: &str| {
            let mark = (frames == 0).then_some(Mark::Request);
            request.write(nth_xid(first_xid, frames), root, outgoing.next_frame(mark));
            frames += 1;
        };
        match &mut what {
            What::Exchange(exchange) => {
                self.waiting_bytes -= exchange.value_len();
                exchange.write(settings, &self.known, &mut put);
                exchange.forget_value();
            }
            What::RemoveWatches(path, kind) => {
                put(&Request::RemoveWatches { kind: *kind, path }, &settings.chroot);
            }
            What::Confirm => put(&Request::Sync { path: "/" }, &settings.chroot),
            What::Close => put(&Request::Close, ""),
        }
        self.last_xid = nth_xid(self.last_xid, frames);
        match what {
            What::Exchange(exchange) if frames == 0 => self.reply(exchange.request, Reply::Done, sent_at),
            what => self.flights.push_back(Flight { first_xid, frames, answered: 0, sent_at, what }),
        }
    }

    /// Whether the session stands on a connection. Events that tell of it may still wait in `poll_event`.
    pub fn is_up(&self) -> bool {
        self.link == Link::Up
    }

    /// Whether requests were sent that have no answer. A server may carry them out.
    pub fn has_sent_requests(&self) -> bool {
        self.begun > 0
    }

    /// Whether the session is asked for on a connection and does not stand yet.
    pub fn is_connecting(&self) -> bool {
        matches!(self.link, Link::Connecting { .. } | Link::Authenticating { .. })
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call `handle_timeout`. `poll_transmit` may change it.
    pub fn poll_timeout(&self) -> Option<Time> {
        let gives_up_at = (self.identity.id != 0).then(|| self.heard_at.plus_ms(self.timeout_ms() / 5 * 7));
        match self.link {
            Link::Off => gives_up_at,
            Link::Connecting { since, .. } => {
                let answer_due = since.plus_ms(self.patience_ms());
                Some(gives_up_at.map_or(answer_due, |gives_up_at| gives_up_at.min(answer_due)))
            }
            Link::Authenticating { since, sasl, .. } if sasl != Sasl::Over => Some(self.authenticated_by(since)),
            Link::Authenticating { .. } | Link::Up => Some(match self.owed_since {
                Some(since) => since.plus_ms(self.patience_ms()),
                None => self.sent_at.plus_ms(self.part_ms().min(LONGEST_IDLE_MS)),
            }),
        }
    }

    pub fn handle_timeout(&mut self, now: Time) {
        if self.poll_timeout().is_none_or(|then| now < then) {
            return;
        }
        match self.link {
            Link::Up if self.owed_since.is_none() => {
                self.ping();
                self.owed_since = Some(now);
            }
            Link::Connecting { since, .. } if now < since.plus_ms(self.patience_ms()) => {
                self.hang_up(Cause::GivenUp);
            }
            Link::Authenticating { sasl: Sasl::Ours { .. }, .. } => self.hang_up(Cause::SaslTakesLong),
            Link::Connecting { .. } | Link::Authenticating { .. } | Link::Up => self.hang_up(Cause::Silence),
            Link::Off => self.expire(Cause::GivenUp),
        }
    }

    /// In SASL the server answers in time, and all of it is over long before the session would end.
    fn authenticated_by(&self, since: Time) -> Time {
        let all = since.plus_ms(self.timeout_ms() / 3 * 2);
        self.owed_since.map_or(all, |since| since.plus_ms(self.patience_ms()).min(all))
    }

    fn timeout_ms(&self) -> u64 {
        self.identity.timeout_ms.unsigned_abs().into()
    }

    /// The part of the session timeout that the pace goes by.
    fn part_ms(&self) -> u64 {
        match self.pace {
            Pace::Lease => self.timeout_ms() / 5,
            Pace::Session => self.timeout_ms() / 3,
        }
    }

    fn patience_ms(&self) -> u64 {
        self.part_ms().min(LONGEST_PATIENCE_MS)
    }

    /// Lets go of the connection, and of the session if that is what the cause says.
    fn hang_up(&mut self, cause: Cause) {
        self.disconnect();
        self.events.push_back(Event::HangUp(cause.clone()));
        match cause {
            Cause::Expired | Cause::AnotherSession(_) | Cause::GivenUp => self.expire(cause),
            Cause::Denied(rc) => self.events.push_back(Event::Denied(rc)),
            _ => self.tell_closed(),
        }
    }

    /// The connection is gone. What has no answer is answered: the outcome is unknown.
    fn disconnect(&mut self) {
        self.has_followed &= !matches!(self.link, Link::Connecting { asked_at: None, .. });
        if matches!(self.link, Link::Authenticating { is_resumed: false, .. }) && !self.is_closing {
            // Nobody was told of it, so nobody may be told that it is resumed.
            self.forget();
        }
        self.link = Link::Off;
        self.incoming = Vec::new();
        self.outgoing.clear();
        for flight in std::mem::take(&mut self.flights) {
            if let What::Exchange(exchange) = flight.what {
                if !exchange.has_replied() {
                    self.reply_unanswered(exchange.request, flight.sent_at);
                }
            }
        }
        self.answer_waiting();
        self.watches.expect_nothing();
        (self.begun, self.credentials_due, self.set_watches_due, self.pings_due) = (0, 0, 0, 0);
        (self.rearming, self.owed_since, self.close_written, self.tells_answer) = (None, None, false, false);
        self.confirms = Confirms::No;
    }

    /// Tells it if the session is to be closed, and there is none.
    fn tell_closed(&mut self) {
        if self.is_closing && self.identity.id == 0 {
            self.events.push_back(Event::Closed);
        }
    }

    fn answer_waiting(&mut self) {
        self.waiting_bytes = 0;
        for (what, sent_at) in std::mem::take(&mut self.waiting) {
            if let What::Exchange(exchange) = what {
                self.reply_unanswered(exchange.request, sent_at);
            }
        }
    }

    /// No answer follows. The server may have carried the request out if the socket has taken a byte of it.
    fn reply_unanswered(&mut self, request: RequestId, sent_at: Option<Time>) {
        let is_begun = sent_at.is_some() && self.settings.keeps(Rule::BegunIsUnknown);
        self.reply(request, if is_begun { Reply::Unknown } else { Reply::NotSent }, sent_at);
    }

    fn reply(&mut self, request: RequestId, reply: Reply, sent_at: Option<Time>) {
        self.watches.refuse(request);
        self.events.push_back(Event::Reply { request, reply, sent_at });
    }

    /// The session is over or lost.
    fn expire(&mut self, cause: Cause) {
        self.answer_waiting();
        self.forget();
        self.events.push_back(Event::Expired(cause));
        self.tell_closed();
    }

    fn finish_close(&mut self) {
        self.identity.id = 0;
        self.flights.clear();
        self.disconnect();
        self.tell_closed();
    }

    /// The next connection asks for a new session. The servers may still have this one, even if one of them said
    /// otherwise.
    fn forget(&mut self) {
        let nobody = Session::nobody(&self.settings);
        let identity = std::mem::replace(&mut self.identity, nobody);
        self.orphan = Some(Orphan { identity, last_xid: self.last_xid });
        self.last_zxid = 0;
        (self.asked_since, self.answer_may_come_late) = (None, false);
        self.watches.clear();
    }

    /// The session; 0 for none.
    pub fn id(&self) -> SessionId {
        SessionId(self.identity.id)
    }

    #[cfg(feature = "testing")]
    pub fn last_zxid(&self) -> i64 {
        self.last_zxid
    }

    /// What was written and is not taken by the socket.
    #[cfg(feature = "testing")]
    pub fn bytes_not_sent(&self) -> usize {
        self.outgoing.len()
    }

    /// What has arrived and is no whole frame yet.
    #[cfg(feature = "testing")]
    pub fn bytes_not_read(&self) -> usize {
        self.incoming.len()
    }

    /// Whether a create has no answer.
    #[cfg(feature = "testing")]
    pub fn has_create_under_way(&self) -> bool {
        let waiting = self.waiting.iter().map(|(what, _)| what);
        let all = waiting.chain(self.flights.iter().map(|flight| &flight.what));
        all.filter_map(|what| if let What::Exchange(exchange) = what { Some(exchange) } else { None })
            .any(Exchange::is_create)
    }

    /// The state of the session, for people.
    pub fn describe(&self, now: Time) -> Report {
        let link = match self.link {
            Link::Off => "off",
            Link::Connecting { .. } => "connecting",
            Link::Authenticating { .. } => "authenticating",
            Link::Up => "up",
        };
        Report::from([
            ("link", link.into()),
            ("session", Report::session(self.identity.id)),
            ("session_timeout_ms", self.timeout_ms().into()),
            ("last_zxid", Report::Text(format!("0x{:x}", self.last_zxid))),
            ("heard_ago_ms", Report::ms_between(self.heard_at.0, now.0)),
            ("without_answer", self.flights.len().into()),
            ("not_sent", self.waiting.len().into()),
            ("bytes_not_sent", self.outgoing.len().into()),
            ("bytes_not_read", self.incoming.len().into()),
            ("watches", self.watches.len().into()),
        ])
    }
}

/// The xid `n` requests after `first`. After 2^31 - 1 comes 1: the others are not ours to use.
fn nth_xid(first: i32, n: u32) -> i32 {
    let most = i64::from(i32::MAX);
    ((i64::from(first) - 1 + i64::from(n)) % most + 1) as i32
}

fn ns_of_ms(ms: u64) -> u64 {
    ms.saturating_mul(1_000_000)
}
