//! One process of a story: its elections, and what comes out of them as text.

use std::collections::BTreeMap;

use election::testing::logic::{
    self, Action, Alarm, CallId, Config, Elections, Member, Op, Outcome, Reply, RequestId, SubscriptionId, Time,
    Write, Znode,
};

use crate::audit::Audit;
use crate::fold::fold;
use crate::notation::{name_of, Input, Parsed};

pub struct Process {
    elections: Elections,
    audit: Audit,
    /// All that ever stood or observed, by number: how the story calls them.
    parties: BTreeMap<SubscriptionId, String>,
    /// What was written last of lease, timer and watches.
    written: [String; 3],
}

impl Process {
    pub fn new(config: Config) -> Process {
        let written = ["lease none", "next none", "watches none"].map(String::from);
        let elections = Elections::new(config);
        Process { elections, audit: Audit::default(), parties: BTreeMap::new(), written }
    }

    /// `late`: this process did not run until now.
    pub fn happens(&mut self, now: Time, input: Input, late: bool) -> Parsed<Vec<String>> {
        let next = self.elections.poll_timeout();
        match input {
            Input::Ask(path) => return Ok(vec![self.ask(now, &path)]),
            Input::Beats => return self.beats(now),
            Input::Timeout if next.is_none_or(|next| now < next) => return Err("before next".into()),
            Input::Timeout | Input::Paused => {}
            _ if late => {}
            _ => match next {
                Some(next) if next < now => return Err(format!("the timer of {} was not served", ms(next))),
                _ => {}
            },
        }
        self.audit.before(&input)?;
        match input {
            Input::Connected { session, timeout_ms, asked_ms } => {
                let asked_at = asked_ms.map_or(now, |ms| Time(0).plus_ms(ms));
                let timeout_ns = timeout_ms * 1_000_000;
                let connected = logic::Input::Connected { session, timeout_ns, asked_at, asked_since: asked_at };
                self.elections.handle(now, connected);
            }
            Input::Opening => self.elections.handle(now, logic::Input::Opening),
            Input::NotOpened => self.elections.handle(now, logic::Input::NotOpened),
            Input::Suspended(rc) => self.elections.handle(now, logic::Input::Suspended(rc)),
            Input::Denied(rc) => self.elections.handle(now, logic::Input::Denied(rc)),
            Input::Expired => self.elections.handle(now, logic::Input::Expired),
            Input::Stand { path, value, name, once } => {
                let id = self.enter(name);
                self.audit.candidates.insert(id, (path.to_string(), None));
                let guid = u128::from(id.0);
                self.elections.handle(now, logic::Input::Stand { id, path, value, guid, once });
            }
            Input::Resign(name) => {
                let id = self.party(&name, |id| self.audit.candidates.contains_key(id))?;
                self.elections.handle(now, logic::Input::Leave(id));
            }
            Input::SetValue(name, value) => {
                let id = self.party(&name, |id| self.audit.candidates.contains_key(id))?;
                self.elections.handle(now, logic::Input::SetValue(id, value));
            }
            Input::Observe(path) => {
                let id = self.enter(path.to_string());
                self.audit.observers.insert(id, None);
                self.elections.handle(now, logic::Input::Observe { id, path });
            }
            Input::Unobserve(path) => {
                let id = self.party(&path, |id| self.audit.observers.contains_key(id))?;
                self.elections.handle(now, logic::Input::Leave(id));
            }
            Input::WatchMembers { path, enough } => {
                let id = self.enter(path.to_string());
                self.audit.watchers_of_members.insert(id, None);
                self.elections.handle(now, logic::Input::WatchMembers { id, path, enough });
            }
            Input::UnwatchMembers(path) => {
                let id = self.party(&path, |id| self.audit.watchers_of_members.contains_key(id))?;
                self.elections.handle(now, logic::Input::Leave(id));
            }
            Input::Call(call) => {
                let id = self.audit.calls.begin();
                self.elections.handle(now, logic::Input::Call(id, call));
            }
            Input::Close => self.elections.handle(now, logic::Input::Close),
            Input::Reply(request, reply) => self.elections.handle(now, logic::Input::Reply(request, reply)),
            Input::Watch(request, news) => self.elections.handle(now, logic::Input::WatchEvent(request, news)),
            Input::Timeout => self.elections.handle(now, logic::Input::Timeout),
            Input::Beats | Input::Paused | Input::Ask(_) => {}
        }
        self.drain(now)
    }

    /// What has changed since the last step.
    pub fn changes(&mut self) -> Parsed<Vec<String>> {
        self.audit.after(self.elections.poll_timeout())?;
        let watches: Vec<_> = self.audit.watches.iter().map(|(id, path)| format!(" {} on {path}", id.0)).collect();
        let or_none = |text: Option<String>| text.unwrap_or("none".into());
        let now = [
            format!("lease until {}", or_none(self.audit.lease_end.map(ms))).replace("until none", "none"),
            format!("next at {}", or_none(self.elections.poll_timeout().map(ms))).replace("at none", "none"),
            format!("watches{}", if watches.is_empty() { " none".into() } else { fold(&watches).join(",") }),
        ];
        let former = std::mem::replace(&mut self.written, now.clone());
        let mut changes: Vec<_> =
            now.into_iter().zip(former).filter(|(now, then)| now != then).map(|(now, _)| now).collect();
        if self.audit.waits_for_a_timer() {
            changes.push("only a timer will wake it".into());
        }
        Ok(changes)
    }

    fn enter(&mut self, name: String) -> SubscriptionId {
        let id = SubscriptionId(self.parties.len() as u64 + 1);
        self.parties.insert(id, name);
        id
    }

    fn party(&self, name: &str, fits: impl Fn(&SubscriptionId) -> bool) -> Parsed<SubscriptionId> {
        let found = self.parties.iter().find(|(id, of)| *of == name && fits(id));
        found.map(|(id, _)| *id).ok_or(format!("no candidate or observer {name}"))
    }

    fn ask(&self, now: Time, path: &str) -> String {
        match (self.elections.master_token(now, path), self.elections.fence(now, path), self.audit.lease_end) {
            (Some(token), Some(own), Some(end)) => {
                format!("ask {path}: token={token} for {} ms more, fenced by {own}", ms(Time(end.0 - now.0)))
            }
            (None, None, _) => format!("ask {path}: no"),
            odd => format!("ask {path}: token, fence and lease differ: {odd:?}"),
        }
    }

    /// Serves each timer up to `until`, and answers each proof and touch at once.
    fn beats(&mut self, until: Time) -> Parsed<Vec<String>> {
        let (mut lines, mut proofs, mut touches) = (Vec::new(), 0, 0);
        while let Some(next) = self.elections.poll_timeout().filter(|next| *next <= until) {
            self.elections.handle(next, logic::Input::Timeout);
            while let Some(action) = self.elections.poll_action() {
                let written = self.act(next, &action)?;
                let request = match action {
                    Action::Submit(request, Op::Prove { .. }) => (request, proofs += 1).0,
                    Action::Submit(request, Op::Touch) => (request, touches += 1).0,
                    Action::Lease(_) | Action::Pace(_) => continue,
                    _ => {
                        lines.push(format!("at {} {written}", ms(next)));
                        continue;
                    }
                };
                self.audit.before(&Input::Reply(request, Reply::Done))?;
                self.elections.handle(next, logic::Input::Reply(request, Reply::Done));
            }
        }
        lines.push(format!("{proofs} proofs, {touches} touches"));
        Ok(lines)
    }

    fn drain(&mut self, now: Time) -> Parsed<Vec<String>> {
        let mut lines = Vec::new();
        while let Some(action) = self.elections.poll_action() {
            let line = self.act(now, &action)?;
            // Told once for each step, by what has changed.
            if !matches!(action, Action::Lease(_) | Action::Pace(_)) {
                lines.push(line);
            }
        }
        Ok(lines)
    }

    fn act(&mut self, now: Time, action: &Action) -> Parsed<String> {
        let line = self.text(action);
        self.audit.action(now, action).map_err(|error| format!("{error}: {line}"))?;
        Ok(line)
    }

    fn text(&self, action: &Action) -> String {
        let name = |id: &SubscriptionId| self.parties.get(id).map_or("(nobody)", String::as_str);
        match action {
            Action::Submit(RequestId(number), op) => format!("submit {number} {}", request(op)),
            Action::Unwatch(RequestId(number)) => format!("unwatch {number}"),
            Action::TellRole(id, event) => {
                let [role, reason] =
                    [event.role.name(), event.reason.name()].map(|name| name.to_uppercase().replace(' ', "_"));
                let known = known(event.token, &event.value);
                format!("tell {} {role} reason={reason} rc={}{known}", name(id), name_of(event.rc))
            }
            Action::TellMaster(id, master) => {
                format!("show {} rc={}{}", name(id), name_of(master.rc), known(master.stat.czxid, &master.value))
            }
            Action::TellMembers(id, members) => {
                let alarm = match members.alarm {
                    Alarm::None => "",
                    Alarm::TooFew => " alarm=TOO_FEW",
                    Alarm::Enough => " alarm=ENOUGH",
                };
                let each: Vec<_> =
                    members.members.iter().map(|member| format!(" {}", member_text(member))).collect();
                let each = fold(&each).join(",");
                format!("show-members {} rc={}{alarm}{each}", name(id), name_of(members.rc))
            }
            Action::Finished(id) => format!("dismiss {}", name(id)),
            Action::Answer(CallId(call), outcome) => format!("answer {call} {}", self::outcome(outcome)),
            Action::Lease(Some(end)) => format!("lease until {}", ms(*end)),
            Action::Lease(None) => "lease none".into(),
            Action::Renew => "renew".into(),
            Action::Pace(pace) => format!("pace {pace:?}").to_lowercase(),
        }
    }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Master(master) => format!("rc={}{}", name_of(master.rc), known(master.stat.czxid, &master.value)),
        Outcome::Members(members) => {
            let each: Vec<_> = members.iter().map(|member| format!(" {}", member_text(member))).collect();
            format!("members{}", fold(&each).join(","))
        }
        Outcome::Written => "written".into(),
        Outcome::NotMaster => "not master".into(),
        Outcome::Refused(rc) => format!("refused {}", name_of(*rc)),
        Outcome::Unknown => "unknown".into(),
    }
}

fn known(token: i64, value: &[u8]) -> String {
    match (token, value) {
        (0, []) => String::new(),
        _ => format!(" token={token} value={}", quoted(value)),
    }
}

fn member_text(member: &Member) -> String {
    let Znode { value, stat } = &member.znode;
    let owner = if stat.is_ephemeral() { "" } else { " (of no session)" };
    format!("{}={}{owner}", member.name, quoted(value))
}

fn quoted(value: &[u8]) -> String {
    format!("\"{}\"", String::from_utf8_lossy(value))
}

fn request(op: &Op) -> String {
    let flag = |set: bool, word| if set { word } else { "" };
    match op {
        Op::Create { path, value } => format!("create {path} {}", quoted(value)),
        Op::CreateSequential { prefix, value } => format!("create-sequential {prefix} {}", quoted(value)),
        Op::MakeParents { path } => format!("make-parents {path}"),
        // A read leaves a watch, unless the text says otherwise.
        Op::Read { path, sync, watch } => {
            format!("read {path}{}{}", flag(*sync, " sync"), flag(!*watch, " once"))
        }
        Op::Exists { path } => format!("exists {path}"),
        Op::Stat { path } => format!("stat {path}"),
        Op::List { path, sync, watch } => {
            format!("list {path}{}{}", flag(*sync, " sync"), flag(*watch, " watch"))
        }
        Op::SetValue { path, value, version } => format!("set-value {path} {} version={version}", quoted(value)),
        Op::Delete { path, version } => format!("delete {path} version={version}"),
        Op::Prove { paths } => {
            let paths: Vec<_> = paths.iter().map(|path| path.to_string()).collect();
            format!("prove {}", fold(&paths).join(" "))
        }
        Op::Write { own, write } => format!("write {} if {own}", written(write)),
        Op::Touch => "touch".to_string(),
    }
}

fn written(write: &Write) -> String {
    let version = |version: &Option<i32>| version.map_or(String::new(), |version| format!(" version={version}"));
    match write {
        Write::Create { path, value } => format!("create {path} {}", quoted(value)),
        Write::Set { path, value, version: only } => format!("set {path} {}{}", quoted(value), version(only)),
        Write::Delete { path, version: only } => format!("delete {path}{}", version(only)),
    }
}

/// Milliseconds, with what there is behind the point.
fn ms(time: Time) -> String {
    let text = format!("{}.{:06}", time.0 / 1_000_000, time.0 % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}
