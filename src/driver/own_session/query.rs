//! A question of the caller about an election: who is in, or who is master. It is answered once, by the requests of one
//! connection.

use std::sync::Arc;

use crate::driver::telemetry::Asked;
use crate::driver::waits::ReplyTo;
use crate::logic::{rc, Dialect, Master, Member, Op, Recipe, Reply, Stat, Value, Znode};

pub struct Query {
    path: Arc<str>,
    recipe: Recipe,
    answer: Answer,
    asked: Asked,
    step: Step,
}

pub enum Answer {
    Members(ReplyTo<Result<Vec<Member>, i32>>),
    Master(ReplyTo<Result<Master, i32>>),
}

enum Step {
    List,
    /// The znodes are read, in this order. For the master there is one, and its czxid is known if there was a tie.
    Read {
        paths: Vec<Arc<str>>,
        found: Vec<Member>,
        czxid: Option<i64>,
    },
    /// The numbers do not decide who is first: the oldest znode is.
    Stat {
        paths: Vec<Arc<str>>,
        oldest: Option<(i64, Arc<str>)>,
    },
}

/// What follows an answer.
pub enum Next {
    Wait,
    /// Further requests. Their answers are passed to `handle` in this order.
    Ask(Vec<Op>),
    Done,
}

impl Query {
    /// Returns the query and its first request.
    pub fn new(path: Arc<str>, recipe: Recipe, answer: Answer, asked: Asked) -> (Query, Op) {
        let (step, op) = match recipe {
            Recipe::Node => (read(vec![path.clone()], None), read_op(&path)),
            Recipe::Queue(_) => (Step::List, list_op(&path)),
        };
        (Query { path, recipe, answer, asked, step }, op)
    }

    /// The answers come in the order of the requests.
    pub fn handle(&mut self, reply: Reply) -> Result<Next, i32> {
        let is_master = matches!(self.answer, Answer::Master(_));
        match (&mut self.step, reply) {
            (Step::List, Reply::Listed(names)) => {
                let Recipe::Queue(dialect) = self.recipe else { return Err(rc::INTERNAL) };
                Ok(if is_master { self.first(dialect, &names) } else { self.all(dialect, &names) })
            }
            (Step::List, Reply::Refused(rc::NO_NODE)) => Ok(Next::Done),
            (Step::Read { paths, found, czxid }, Reply::Read(znode)) => {
                let path = paths.remove(0);
                if czxid.is_some_and(|czxid| czxid != znode.stat.czxid) {
                    return Ok(self.again());
                }
                let name = path.rsplit('/').next().unwrap_or_default().into();
                found.push(Member { name, znode });
                Ok(if paths.is_empty() { Next::Done } else { Next::Wait })
            }
            (Step::Read { paths, .. }, Reply::Refused(rc::NO_NODE)) => {
                paths.remove(0);
                if is_master && self.recipe != Recipe::Node {
                    // The znode has disappeared since the list was made.
                    return Ok(self.again());
                }
                Ok(if paths.is_empty() { Next::Done } else { Next::Wait })
            }
            (Step::Stat { paths, oldest }, reply @ (Reply::Stat(_) | Reply::Refused(rc::NO_NODE))) => {
                let path = paths.remove(0);
                if let Reply::Stat(stat) = reply {
                    *oldest = oldest.take().into_iter().chain([(stat.czxid, path)]).min();
                }
                if !paths.is_empty() {
                    return Ok(Next::Wait);
                }
                match oldest.take() {
                    None => Ok(self.again()),
                    Some((czxid, path)) => Ok(self.read_first(path, Some(czxid))),
                }
            }
            (_, Reply::Refused(rc)) => Err(rc),
            _ => Err(rc::CONNECTION_LOSS),
        }
    }

    /// The end of the query: with the answer, or with ZooKeeper's number for the failure.
    pub fn end(self, outcome: Result<(), i32>) {
        self.asked.ended(outcome != Err(rc::CONNECTION_LOSS));
        let mut found = match self.step {
            Step::Read { found, .. } => found,
            Step::List | Step::Stat { .. } => Vec::new(),
        };
        match self.answer {
            Answer::Members(members) => {
                if let Recipe::Queue(dialect) = self.recipe {
                    dialect.settle_ties(&mut found, |member| &member.name, |member| member.znode.stat.czxid);
                }
                members.send(outcome.map(|()| found));
            }
            Answer::Master(master) => master.send(outcome.map(|()| match found.pop() {
                Some(Member { znode: Znode { value, stat }, .. }) => {
                    let rc = if stat.is_ephemeral() { rc::OK } else { rc::NOT_EPHEMERAL };
                    Master { rc, value, stat }
                }
                None => Master { rc: rc::NO_NODE, value: Value::from([]), stat: Stat::default() },
            })),
        }
    }

    fn all(&mut self, dialect: Dialect, names: &[Arc<str>]) -> Next {
        let paths: Vec<Arc<str>> = dialect.in_order(names).into_iter().map(|name| self.child(name)).collect();
        let ops: Vec<Op> = paths.iter().map(read_op).collect();
        self.step = read(paths, None);
        if ops.is_empty() {
            Next::Done
        } else {
            Next::Ask(ops)
        }
    }

    fn first(&mut self, dialect: Dialect, names: &[Arc<str>]) -> Next {
        let mut leading: Vec<Arc<str>> = dialect.leading(names).into_iter().map(|name| self.child(name)).collect();
        match leading.len() {
            0 => Next::Done,
            1 => self.read_first(leading.remove(0), None),
            _ => {
                let ops = leading.iter().map(|path| Op::Stat { path: path.clone() }).collect();
                self.step = Step::Stat { paths: leading, oldest: None };
                Next::Ask(ops)
            }
        }
    }

    fn read_first(&mut self, path: Arc<str>, czxid: Option<i64>) -> Next {
        let op = read_op(&path);
        self.step = read(vec![path], czxid);
        Next::Ask(vec![op])
    }

    fn again(&mut self) -> Next {
        self.step = Step::List;
        Next::Ask(vec![list_op(&self.path)])
    }

    fn child(&self, name: &str) -> Arc<str> {
        format!("{}/{name}", self.path).into()
    }
}

fn read(paths: Vec<Arc<str>>, czxid: Option<i64>) -> Step {
    Step::Read { paths, found: Vec::new(), czxid }
}

fn read_op(path: &Arc<str>) -> Op {
    Op::Read { path: path.clone(), sync: false, watch: false }
}

fn list_op(path: &Arc<str>) -> Op {
    Op::List { path: path.clone(), sync: false, watch: false }
}
