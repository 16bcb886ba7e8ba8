//! The candidates that really were elected, by the transaction logs: for each path, the znodes that stood first, one
//! after the other. Also the znodes that a client from outside took away: for these the library cannot promise
//! anything.
//!
//! If only a minority of the servers has a transaction in its log, these rules apply. A created znode counts if some
//! process was told of it. The end of a session counts if nothing of that session comes later. A deletion counts unless
//! some process was told of the znode long afterwards: see [`crate::transactions`].
//!
//! ZooKeeper 3.8.0 itself may lose committed transactions if followers are killed while they are brought up to date
//! (like ZOOKEEPER-4646). Its logs show it: a znode is created where one stands, a queue gives a number again, or a session
//! that has ended ends again. The logs cannot show the true state in between. Such a loss is counted, and no observer is blamed for it. The
//! beliefs alone decide that there are never two masters and that tokens rise, and they decide it during a loss, too.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Change, History};

/// A znode that stood first at its path for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reign {
    pub token: i64,
    pub session: i64,
    pub value: String,
    pub from: i64,
    /// `i64::MAX` if it did not end.
    pub to: i64,
}

#[derive(Debug, Default)]
pub struct Truth {
    /// By path, in order.
    pub reigns: BTreeMap<String, Vec<Reign>>,
    /// Tokens of znodes that an operator deleted or whose session was ended from outside. And of those that a deletion
    /// of the robbed one hit: in the node recipe all have one name, and it may have been under way.
    pub taken_away: BTreeSet<i64>,
    /// The times when ZooKeeper lost committed transactions: from the lost transaction to the moment when that was
    /// seen, and the transaction that showed it.
    pub losses: Vec<(i64, i64, String)>,
}

#[derive(Clone)]
struct Znode {
    path: String,
    from: i64,
    token: i64,
    session: i64,
    value: String,
}

impl Truth {
    pub fn of(history: &History) -> Truth {
        let mut truth = Truth::default();
        let mut standing: BTreeMap<&str, Vec<Znode>> = BTreeMap::new();
        let mut ended: BTreeMap<i64, i64> = BTreeMap::new();
        // By path: the sessions whose znode an operator deleted, until they make another one there.
        let mut robbed: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
        let told = told(history);
        let last_of: BTreeMap<i64, i64> = history.transactions.iter().map(|it| (it.session, it.zxid)).collect();
        for transaction in &history.transactions {
            let is_counted = match transaction.change {
                _ if transaction.is_sure => true,
                Change::Create { .. } => told.contains_key(&transaction.zxid),
                Change::Over => last_of.get(&transaction.session) == Some(&transaction.zxid),
                Change::Delete { .. } | Change::Set { .. } => true,
            };
            if !is_counted {
                continue;
            }
            let session = transaction.session;
            let election = |path: &str| {
                let is_at = |(recipe, at): &&(i32, String)| match recipe {
                    0 => path == at,
                    _ => path.strip_prefix(at.as_str()).is_some_and(|rest| rest.starts_with('/')),
                };
                history.elections.iter().find(is_at).map(|(_, at)| at.as_str())
            };
            match &transaction.change {
                Change::Create { path, value } => {
                    if let Some(election) = election(path) {
                        robbed.entry(path).or_default().remove(&session);
                        let (token, value) = (transaction.zxid, value.clone());
                        let znode = Znode { path: path.clone(), from: transaction.at, token, session, value };
                        let znodes = standing.entry(election).or_default();
                        let is_queue = path != election;
                        let is_lost =
                            |it: &Znode| it.path == *path || (is_queue && number(&it.path) >= number(path));
                        for former in znodes.iter().filter(|it| is_lost(it)) {
                            let what = format!("{path} was created as {token} where {} stood", former.token);
                            truth.losses.push((former.from, transaction.at + history.timeout, what));
                        }
                        znodes.retain(|it| !is_lost(it));
                        znodes.push(znode);
                    }
                }
                Change::Delete { path } => {
                    let znodes = election(path).and_then(|election| standing.get_mut(election));
                    if let Some(znodes) = znodes {
                        let is_told_of = |it: &Znode| {
                            told.get(&it.token).is_some_and(|last| *last > transaction.at + history.timeout)
                        };
                        if !transaction.is_sure && znodes.iter().any(|it| it.path == *path && is_told_of(it)) {
                            continue;
                        }
                        let hit = znodes.iter().filter(|it| it.path == *path);
                        let robbed = robbed.entry(path).or_default();
                        if history.operators.contains(&session) {
                            robbed.extend(hit.clone().map(|it| it.session));
                            truth.taken_away.extend(hit.map(|it| it.token));
                        } else if robbed.contains(&session) {
                            truth.taken_away.extend(hit.map(|it| it.token));
                        }
                        znodes.retain(|it| it.path != *path);
                    }
                }
                Change::Over => {
                    let from_outside = history.expired.iter().any(|(asked, expired)| {
                        // The leader's clock may be a little off, and the client may have given up an answer before the
                        // request was done.
                        let could_be = asked.before - 2 * history.tick..=asked.after + history.timeout;
                        *expired == session && could_be.contains(&transaction.at)
                    });
                    // Two ends at the same time mean that the session was ended from two sides.
                    let former = ended.insert(session, transaction.at).filter(|_| transaction.is_sure);
                    if let Some(former) = former.filter(|former| transaction.at - former > history.timeout) {
                        let what = format!("session {session} ended twice");
                        truth.losses.push((former, transaction.at + history.timeout, what));
                    }
                    for znodes in standing.values_mut() {
                        if from_outside {
                            truth
                                .taken_away
                                .extend(znodes.iter().filter(|it| it.session == session).map(|it| it.token));
                        }
                        znodes.retain(|it| it.session != session);
                    }
                }
                Change::Set { .. } => {}
            }
            for (election, znodes) in &standing {
                truth.first_is(election, first(znodes), transaction.at);
            }
        }
        truth
    }

    fn first_is(&mut self, election: &str, first: Option<&Znode>, at: i64) {
        let reigns = self.reigns.entry(election.to_owned()).or_default();
        let last = reigns.last_mut().filter(|reign| reign.to == i64::MAX);
        if last.as_ref().map(|reign| reign.token) == first.map(|znode| znode.token) {
            return;
        }
        if let Some(last) = last {
            last.to = at;
        }
        if let Some(znode) = first {
            reigns.push(Reign {
                token: znode.token,
                session: znode.session,
                value: znode.value.clone(),
                from: at,
                to: i64::MAX,
            });
        }
    }

    /// Whether ZooKeeper had lost a transaction at that time.
    pub fn is_lost(&self, at: i64) -> bool {
        self.losses.iter().any(|(from, to, _)| (*from..=*to).contains(&at))
    }

    pub fn reign(&self, path: &str, token: i64) -> Option<&Reign> {
        self.reigns.get(path)?.iter().find(|reign| reign.token == token)
    }
}

/// The tokens that a process was told of, and when last.
fn told(history: &History) -> BTreeMap<i64, i64> {
    let mut last = BTreeMap::new();
    for life in &history.lives {
        let seen = life.seen.iter().map(|seen| (seen.token, seen.at));
        let told = life.told.iter().map(|told| (told.token, told.at));
        let believed = life.beliefs.iter().map(|belief| (belief.token, belief.last.after));
        for (token, at) in seen.chain(told).chain(believed) {
            last.entry(token).and_modify(|last: &mut i64| *last = at.max(*last)).or_insert(at);
        }
    }
    last
}

/// The lowest number leads. The node recipe has only one znode.
fn first(znodes: &[Znode]) -> Option<&Znode> {
    znodes.iter().min_by_key(|it| number(&it.path))
}

/// The number at the end of a name in a queue.
fn number(path: &str) -> i64 {
    path[path.len().saturating_sub(10)..].parse().unwrap_or(0)
}
