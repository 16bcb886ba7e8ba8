//! The same handover without the library. Each contender has one thread and one blocking socket, and sends only the
//! three requests that a handover needs. If a handover here already takes longer than two writes, the library does not
//! cause that time. ZooKeeper causes it: the watch events need time to arrive, and all contenders watch one znode and
//! create it at the same moment.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use testkit::opcode;

use crate::raw::{self, EPHEMERAL, SESSION_TIMEOUT_MS};
use crate::{Result, PATIENCE};

const PATH: &str = "/by-hand";

/// Contenders of which one has the znode. The others learn of it in each round.
pub struct Contenders {
    contenders: Vec<Contender>,
    owner: usize,
}

impl Contenders {
    pub fn start(hosts: &[String], count: usize) -> Result<Contenders> {
        let hosts = hosts.iter().cycle().take(count);
        let mut contenders = hosts.map(|host| Contender::connect(host)).collect::<Result<Vec<_>>>()?;
        match contenders[0].create()? {
            true => Ok(Contenders { contenders, owner: 0 }),
            false => Err(format!("somebody else is at {PATH}").into()),
        }
    }

    /// The owner deletes its znode. Returns the time until another contender has the answer that it made its own.
    pub fn hand_over(&mut self) -> Result<Duration> {
        let all_watch = Barrier::new(self.contenders.len());
        let (began, outcomes) = thread::scope(|scope| {
            let mut owner = None;
            let mut threads = Vec::new();
            for (who, contender) in self.contenders.iter_mut().enumerate() {
                match who == self.owner {
                    true => owner = Some(contender),
                    false => threads.push((who, scope.spawn(|| contender.contend(&all_watch)))),
                }
            }
            all_watch.wait();
            let began = Instant::now();
            let deleted = owner.map_or(Ok(()), Contender::delete);
            let join = |(who, thread): (usize, ScopedJoinHandle<_>)| (who, thread.join());
            let outcomes: Vec<_> = threads.into_iter().map(join).collect();
            deleted.map(|()| (began, outcomes))
        })?;
        let mut winners = Vec::new();
        for (who, outcome) in outcomes {
            let won_at = outcome.map_err(|_| "a contender panicked")??;
            winners.extend(won_at.map(|at| (who, at)));
        }
        match winners[..] {
            [(owner, at)] => {
                self.owner = owner;
                Ok(at - began)
            }
            _ => Err(format!("{} contenders made one znode", winners.len()).into()),
        }
    }

    pub fn close(self) -> Result<()> {
        self.contenders.into_iter().try_for_each(|mut contender| {
            contender.send(opcode::CLOSE_SESSION, &[])?;
            expect("close session", contender.answer()?, &[0]).map(drop)
        })
    }
}

/// A connection with a session. It sends one request at a time, and has one watch.
struct Contender {
    stream: TcpStream,
    xid: i32,
}

impl Contender {
    fn connect(host: &str) -> Result<Contender> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut contender = Contender { stream, xid: 0 };
        let mut request = vec![0; 12]; // protocol version, last zxid seen
        request.extend(SESSION_TIMEOUT_MS.to_be_bytes());
        request.extend([0; 8]); // a new session
        request.extend(raw::buffer(&[0; 16])); // its password
        contender.write_frame(&request)?;
        contender.read_frame()?;
        Ok(contender)
    }

    /// Sets a watch, reports that it is set, and creates the znode when the old one is deleted. Returns the moment of
    /// success if the create succeeded.
    fn contend(&mut self, all_watch: &Barrier) -> Result<Option<Instant>> {
        let watches = self.watch();
        all_watch.wait();
        watches?;
        self.hear_of_change()?;
        let is_ours = self.create()?;
        Ok(is_ours.then(Instant::now))
    }

    /// Whether the znode is now ours.
    fn create(&mut self) -> Result<bool> {
        const NODE_EXISTS: i32 = -110;
        self.send(opcode::CREATE, &raw::create_body(PATH, EPHEMERAL))?;
        Ok(expect("create", self.answer()?, &[0, NODE_EXISTS])? == 0)
    }

    fn delete(&mut self) -> Result<()> {
        self.send(opcode::DELETE, &raw::delete_body(PATH))?;
        expect("delete", self.answer()?, &[0]).map(drop)
    }

    /// The contender's server may learn of the znode later than the server on which it was made: asks until it has.
    fn watch(&mut self) -> Result<()> {
        const NO_NODE: i32 = -101;
        let mut body = raw::buffer(PATH.as_bytes());
        body.push(1);
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.send(opcode::GET_DATA, &body)?;
            match expect("get data", self.answer()?, &[0, NO_NODE])? {
                0 => return Ok(()),
                _ if Instant::now() > deadline => return Err(format!("{PATH} is not seen everywhere").into()),
                _ => {}
            }
        }
    }

    fn hear_of_change(&mut self) -> Result<()> {
        const UNASKED: i32 = -1;
        match self.answer()? {
            (UNASKED, _) => Ok(()),
            (xid, _) => Err(format!("an answer to request {xid} where news were expected").into()),
        }
    }

    fn send(&mut self, opcode: i32, body: &[u8]) -> Result<()> {
        self.xid += 1;
        self.write_frame(&[&self.xid.to_be_bytes(), &opcode.to_be_bytes(), body].concat())
    }

    /// The number of the answered request, and ZooKeeper's error.
    fn answer(&mut self) -> Result<(i32, i32)> {
        let frame = self.read_frame()?;
        let number = |at: usize| -> Result<i32> {
            let bytes = frame.get(at..at + 4).ok_or("an answer is too short")?;
            Ok(i32::from_be_bytes(bytes.try_into()?))
        };
        Ok((number(0)?, number(12)?))
    }

    fn write_frame(&mut self, frame: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(&raw::buffer(frame))?)
    }

    fn read_frame(&mut self) -> Result<Vec<u8>> {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len)?;
        let mut frame = vec![0; u32::from_be_bytes(len) as usize];
        self.stream.read_exact(&mut frame)?;
        Ok(frame)
    }
}

fn expect(what: &str, (_, err): (i32, i32), allowed: &[i32]) -> Result<i32> {
    match allowed.contains(&err) {
        true => Ok(err),
        false => Err(format!("{what} by hand: ZooKeeper's error {err}").into()),
    }
}
