//! The timeline of a campaign, or of a piece of it, as an SVG. It shows one election, with a lane for each candidate,
//! for each observer, for the operator and for each server. It is made for a README: text stays text, and the colours
//! are those of a light or a dark page. An item that is too small for a label shows its text when the pointer is on it.

mod masters;

use std::fmt::Write as _;

use crate::checker;
use crate::history::{Fault, History, Life, MASTER, SLAVE};

const WIDTH: f64 = 1_200.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 58.0;
const LANE: f64 = 34.0;
const BAR: f64 = 18.0;
const STRIP: f64 = 5.0;
/// The width of a character of the small print.
const CHARACTER: f64 = 5.4;
const AT_MOST: i64 = 70;

const SUSPENDED: i32 = 2;
const OK: i32 = 0;

const STYLE: &str = "
  text { font: 11px -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
  .head { font-size: 13px; font-weight: 600 } .small { font-size: 9px; fill: #59636e } .token { font-size: 9px; fill: #fff }
  .line { stroke: #8c959f; stroke-width: 1 } .grid { stroke: #8c959f; stroke-opacity: .25 } .row { fill: #8c959f; fill-opacity: .07 }
  .master { fill: #1a7f37 } .none { fill: #8c959f; fill-opacity: .18 } .two { fill: #cf222e } .strip { fill: #0969da } .stopped { fill: #8250df } .down { fill: #cf222e; fill-opacity: .75 }
  .mark { stroke: #cf222e; stroke-width: 2; fill: none } .seen { fill: #1a7f37; fill-opacity: .22 }
  .suspended { fill: url(#suspended) } .lost { fill: url(#lost) } .h1 { stroke: #bf8700 } .h2 { stroke: #cf222e }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 } .token { fill: #fff }
    .master { fill: #238636 } .strip { fill: #4493f8 } .stopped { fill: #ab7df8 } .down { fill: #f85149; fill-opacity: .75 }
    .mark { stroke: #f85149 } .seen { fill: #238636; fill-opacity: .4 } .h1 { stroke: #d29922 } .h2 { stroke: #f85149 }
  }";

/// The frame of the drawing: this election, from second to second.
#[derive(Clone, Debug)]
pub struct Frame {
    pub path: String,
    pub from: i64,
    pub to: i64,
}

impl Frame {
    /// The whole campaign, or, if it was long, the piece of it with the most masters. It shows one election of either
    /// recipe.
    pub fn best(history: &History) -> Frame {
        let end = if history.closing > 0 { history.closing } else { i64::MAX };
        let whole = end.saturating_sub(history.began) / 1_000_000_000;
        let length = whole.clamp(1, AT_MOST);
        let mut best = (0, String::new(), 0);
        for (_, path) in history.elections.iter().take(2) {
            for from in (0..=(whole - length).max(0)).step_by(5) {
                let begins = history.lives.iter().flat_map(|life| &life.beliefs).filter(|belief| {
                    let second = (belief.first.before - history.began) / 1_000_000_000;
                    belief.path == *path && (from..from + length).contains(&second)
                });
                best = best.max((begins.count(), path.clone(), from));
            }
        }
        Frame { path: best.1, from: best.2, to: best.2 + length }
    }
}

struct Canvas<'a> {
    history: &'a History,
    frame: &'a Frame,
    out: String,
    y: f64,
    /// The explanations of the long gaps, in their order.
    gaps: Vec<String>,
}

pub fn draw(history: &History, frame: &Frame) -> String {
    let mut canvas = Canvas { history, frame, out: String::new(), y: TOP, gaps: Vec::new() };
    canvas.masters();
    let lanes = |wanted: fn(&Life) -> &Vec<(i64, String)>| {
        let mut lanes: Vec<&str> = Vec::new();
        for life in &history.lives {
            if wanted(life).iter().any(|(_, path)| *path == frame.path) && !lanes.contains(&life.lane.as_str()) {
                lanes.push(&life.lane);
            }
        }
        lanes
    };
    for lane in lanes(|life| &life.stands) {
        canvas.candidate(lane);
    }
    for lane in lanes(|life| &life.watches) {
        canvas.observer(lane);
    }
    canvas.operator();
    for server in 1..=history.servers {
        canvas.server(server);
    }
    canvas.finish()
}

impl Canvas<'_> {
    fn x(&self, at: i64) -> f64 {
        let from = self.history.began + self.frame.from * 1_000_000_000;
        let length = (self.frame.to - self.frame.from) as f64;
        let x = LEFT + (at - from) as f64 / 1e9 / length * (WIDTH - LEFT - RIGHT);
        x.clamp(LEFT, WIDTH - RIGHT)
    }

    fn is_inside(&self, from: i64, to: i64) -> bool {
        let begin = self.history.began + self.frame.from * 1_000_000_000;
        to > begin && from < self.history.began + self.frame.to * 1_000_000_000
    }

    fn title(&self, from: i64, to: i64, text: &str) -> String {
        let second = |at: i64| (at - self.history.began) as f64 / 1e9;
        let until = if to == i64::MAX { "the end".to_owned() } else { format!("{:.2} s", second(to)) };
        format!("<title>{} ({:.2} s to {until})</title>", escape(text), second(from))
    }

    fn rect(&mut self, class: &str, from: i64, to: i64, y: f64, height: f64, text: &str) {
        if !self.is_inside(from, to) {
            return;
        }
        let (x, end) = (self.x(from), self.x(to));
        let width = (end - x).max(1.0);
        let title = self.title(from, to, text);
        let _ = writeln!(
            self.out,
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}">{title}</rect>"#
        );
    }

    /// Text in a box, if it fits.
    fn label(&mut self, class: &str, from: i64, to: i64, y: f64, text: &str) {
        if !self.is_inside(from, to) {
            return;
        }
        let (x, end) = (self.x(from), self.x(to));
        if end - x > text.len() as f64 * CHARACTER + 4.0 {
            let text = escape(text);
            let _ = writeln!(self.out, r#"<text class="{class}" x="{:.1}" y="{y:.1}">{text}</text>"#, x + 3.0);
        }
    }

    fn row(&mut self, name: &str, what: &str) {
        let y = self.y;
        let _ = writeln!(
            self.out,
            r#"<rect class="row" x="{LEFT}" y="{:.1}" width="{:.1}" height="{:.1}"/><text x="4" y="{:.1}">{name}</text><text class="small" x="4" y="{:.1}">{what}</text>"#,
            y + 1.0,
            WIDTH - LEFT - RIGHT,
            LANE - 2.0,
            y + 14.0,
            y + 25.0
        );
    }

    fn cross(&mut self, at: i64, text: &str) {
        if self.is_inside(at, at + 1) {
            let (x, y, title) = (self.x(at), self.y + LANE / 2.0, self.title(at, at, text));
            let _ = writeln!(
                self.out,
                r#"<path class="mark" d="M{:.1} {:.1}l8 8m0 -8l-8 8">{title}</path>"#,
                x - 4.0,
                y - 4.0
            );
        }
    }

    /// The main lane: how many masters exist at this instant. Each long gap has a letter, explained below.
    fn masters(&mut self) {
        self.row("masters", "0 or 1, never 2");
        let begin = self.history.began + self.frame.from * 1_000_000_000;
        let end = self.history.began + self.frame.to * 1_000_000_000;
        let stretches = masters::stretches(self.history, &self.frame.path, begin, end);
        let top = self.y + 4.0;
        for stretch in &stretches {
            let (class, text) = match stretch.masters {
                0 => ("none", "no master"),
                1 => ("master", "one master"),
                _ => ("two", "TWO MASTERS"),
            };
            self.rect(class, stretch.from, stretch.to, top, BAR, text);
            let ink = if stretch.masters == 0 { "small" } else { "token" };
            self.label(ink, stretch.from, stretch.to, top + BAR / 2.0 + 4.0, &stretch.masters.to_string());
        }
        for (gap, why) in masters::long_gaps(self.history, &self.frame.path, &stretches) {
            self.gaps.push(format!("no master for {:.1} s: {why}", (gap.to - gap.from) as f64 / 1e9));
            let (x, y) = ((self.x(gap.from) + self.x(gap.to)) / 2.0, top + BAR / 2.0 + 4.0);
            let name = gap_name(self.gaps.len());
            let _ = writeln!(
                self.out,
                r#"<text class="small" x="{x:.1}" y="{y:.1}" text-anchor="middle">{name}</text>"#
            );
        }
        self.y += LANE + 4.0;
    }

    fn candidate(&mut self, lane: &str) {
        let history = self.history;
        let lives: Vec<&Life> = history.lives.iter().filter(|life| life.lane == lane).collect();
        let what = lives
            .first()
            .map_or(String::new(), |life| format!("{}{}", life.language, if life.has_tls { ", TLS" } else { "" }));
        self.row(lane, &what);
        let top = self.y + 4.0;
        for life in &lives {
            let end = life.ended.as_ref().map_or(i64::MAX, |(at, _)| *at);
            if self.is_inside(life.started, end) {
                let (x, to, y) = (self.x(life.started), self.x(end), top + BAR / 2.0);
                let _ = writeln!(self.out, r#"<path class="line" d="M{x:.1} {y:.1}H{to:.1}"/>"#);
            }
            let told: Vec<_> = life.told.iter().filter(|event| event.path == self.frame.path).collect();
            for (i, event) in told.iter().enumerate() {
                if event.role == MASTER || event.role == SLAVE {
                    continue;
                }
                let to = told.get(i + 1).map_or(end, |next| next.at);
                let class = if event.reason == SUSPENDED { "suspended" } else { "lost" };
                let text = format!("{lane}: {}", reason(event.reason));
                self.rect(class, event.at, to, top, BAR, &text);
            }
            for belief in life.beliefs.iter().filter(|belief| belief.path == self.frame.path) {
                let text =
                    format!("{} is master, token {}, asked {} times", belief.who, belief.token, belief.answers);
                self.rect("master", belief.first.before, belief.last.after, top, BAR, &text);
                let y = top + BAR / 2.0 + 3.0;
                self.label("token", belief.first.before, belief.last.after, y, &short(belief.token));
            }
        }
        let faults: Vec<&Fault> =
            history.faults.iter().filter(|fault| fault.target.split(' ').next() == Some(lane)).collect();
        for fault in faults {
            let text = format!("{} {}", fault.kind, fault.target);
            let y = self.y + LANE - STRIP - 3.0;
            match fault.kind.as_str() {
                "stop-short" | "stop-long" => self.rect("stopped", fault.begin, fault.end, y, STRIP, &text),
                "kill" => self.cross(fault.begin, &text),
                _ => self.rect("strip", fault.begin, fault.end, y, STRIP, &text),
            }
        }
        self.y += LANE;
    }

    fn observer(&mut self, lane: &str) {
        let history = self.history;
        let lives: Vec<&Life> = history.lives.iter().filter(|life| life.lane == lane).collect();
        self.row(lane, "observes");
        let top = self.y + 4.0;
        for life in lives {
            let end = life.ended.as_ref().map_or(i64::MAX, |(at, _)| *at);
            let seen: Vec<_> = life.seen.iter().filter(|seen| seen.path == self.frame.path).collect();
            for (i, it) in seen.iter().enumerate() {
                let to = seen.get(i + 1).map_or(end, |next| next.at);
                if it.rc == OK {
                    let text = format!("{lane} sees {} with token {}", it.value, it.token);
                    self.rect("seen", it.at, to, top, BAR, &text);
                    let name = it.value.split('-').next().unwrap_or_default().to_owned();
                    self.label("small", it.at, to, top + BAR / 2.0 + 3.0, &name);
                } else if it.rc != -101 {
                    self.rect("suspended", it.at, to, top, BAR, &format!("{lane} cannot tell: {}", it.rc));
                }
            }
            if life.ended.as_ref().is_some_and(|(_, how)| how == "killed") {
                self.cross(end, &format!("{lane} killed"));
            }
        }
        for fault in history.faults.iter().filter(|fault| fault.target.split(' ').next() == Some(lane)) {
            let y = self.y + LANE - STRIP - 3.0;
            let class = if fault.kind.starts_with("stop") { "stopped" } else { "strip" };
            self.rect(class, fault.begin, fault.end, y, STRIP, &format!("{} {}", fault.kind, fault.target));
        }
        self.y += LANE;
    }

    fn operator(&mut self) {
        self.row("operator", "meddles");
        let mut marks: Vec<(&Fault, &str)> = Vec::new();
        for fault in &self.history.faults {
            let is_ours = fault.target == self.frame.path;
            let word = match fault.kind.as_str() {
                _ if fault.is_vain => continue,
                "operator-deletes" if is_ours => "deletes the znode",
                "operator-changes" if is_ours => "changes it",
                "expire" => "ends a session",
                _ => continue,
            };
            if self.is_inside(fault.begin, fault.begin + 1) {
                marks.push((fault, word));
            }
        }
        for (i, (fault, word)) in marks.iter().enumerate() {
            let (x, y) = (self.x(fault.begin), self.y + LANE / 2.0);
            let title = self.title(fault.begin, fault.end, &format!("{} {}", fault.kind, fault.target));
            let _ = writeln!(self.out, r#"<path class="mark" d="M{x:.1} {:.1}v16">{title}</path>"#, y - 8.0);
            let next = marks.get(i + 1).map_or(f64::MAX, |(next, _)| self.x(next.begin));
            if x + word.len() as f64 * CHARACTER < next {
                let _ = writeln!(
                    self.out,
                    r#"<text class="small" x="{:.1}" y="{:.1}">{word}</text>"#,
                    x + 3.0,
                    y + 3.0
                );
            }
        }
        self.y += LANE;
    }

    fn server(&mut self, server: usize) {
        self.row(&format!("server {server}"), "ZooKeeper");
        let number = server.to_string();
        for fault in &self.history.faults {
            let first = fault.target.split(' ').next().unwrap_or_default();
            let kind = fault.kind.as_str();
            let is_it = first.split('+').any(|one| one == number);
            let class = match kind {
                "server-kill" | "two-servers-kill" | "all-servers-kill" | "disk-full" => "down",
                "server-stop" | "two-servers-stop" | "all-servers-stop" => "stopped",
                "peers-cut" | "peers-one-way" | "peers-slow" | "server-unreachable" | "disk-slow"
                | "server-restart" | "rolling-restart" => "strip",
                _ => continue,
            };
            if !is_it {
                continue;
            }
            let (y, height) = match class {
                "strip" => (self.y + LANE - STRIP - 3.0, STRIP),
                _ => (self.y + 4.0, BAR),
            };
            let text = format!("{kind} {}", fault.target);
            self.rect(class, fault.begin, fault.end, y, height, &text);
            if class != "strip" {
                self.label("token", fault.begin, fault.end, self.y + 16.0, kind);
            }
        }
        self.y += LANE;
    }

    fn finish(self) -> String {
        let history = self.history;
        let mut grid = String::new();
        for second in (self.frame.from..=self.frame.to).filter(|second| second % 5 == 0) {
            let x = self.x(history.began + second * 1_000_000_000);
            let _ = writeln!(
                grid,
                r#"<path class="grid" d="M{x:.1} {TOP}V{:.1}"/><text class="small" x="{x:.1}" y="{:.1}" text-anchor="middle">{second} s</text>"#,
                self.y,
                self.y + 12.0
            );
        }
        let inside = |from: i64, to: i64| self.is_inside(from, to);
        let faults = history.faults.iter().filter(|it| !it.is_vain && inside(it.begin, it.begin + 1)).count();
        let masters = history.lives.iter().flat_map(|life| &life.beliefs);
        let masters =
            masters.filter(|it| it.path == self.frame.path && inside(it.first.before, it.last.after)).count();
        let verdict = checker::check(history);
        let found = match (verdict.violations.len(), verdict.doubts.len()) {
            (0, 0) => "the checker found no violation".to_owned(),
            (0, count) => format!("IN DOUBT: {count}"),
            (count, _) => format!("VIOLATIONS: {count}"),
        };
        let mut notes = String::new();
        for (i, gap) in self.gaps.iter().enumerate() {
            let y = self.y + 32.0 + i as f64 * 13.0;
            let (name, gap) = (gap_name(i + 1), escape(gap));
            let _ = writeln!(notes, r#"<text class="small" x="{LEFT}" y="{y:.1}">{name}: {gap}</text>"#);
        }
        let height = self.y + 24.0 + self.gaps.len() as f64 * 13.0;
        let head = format!(
            "{}, {} s: {faults} faults, {masters} masterships; {found} (session timeout {} s, seed {})",
            self.frame.path,
            self.frame.to - self.frame.from,
            history.timeout / 1_000_000_000,
            history.seed
        );
        let mut legend = String::new();
        let mut x = LEFT;
        for (class, text) in [
            ("master", "master, with its token (epoch.counter)"),
            ("suspended", "cannot tell: no connection"),
            ("lost", "cannot tell: lease or session over"),
            ("seen", "who an observer sees"),
            ("stopped", "stopped (SIGSTOP)"),
            ("strip", "links or disk in trouble"),
            ("down", "server down"),
        ] {
            let _ = writeln!(
                legend,
                r#"<rect class="{class}" x="{x:.1}" y="32" width="16" height="10"/><text class="small" x="{:.1}" y="41">{text}</text>"#,
                x + 20.0
            );
            x += 20.0 + text.len() as f64 * 4.6 + 14.0;
        }
        let _ = writeln!(
            legend,
            r#"<path class="mark" d="M{x:.1} 33l8 8m0 -8l-8 8"/><text class="small" x="{:.1}" y="41">kill -9</text>"#,
            x + 12.0
        );
        let hatch = |name: &str, class: &str, turn: i32| {
            format!(
                r#"<pattern id="{name}" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate({turn})"><path class="{class}" d="M0 0V5" stroke-width="3"/></pattern>"#
            )
        };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" height=\"{height:.0}\" \
             role=\"img\">\n<title>{head}</title>\n<style>{STYLE}\n</style>\n<defs>{}{}</defs>\n\
             <text class=\"head\" x=\"{LEFT}\" y=\"18\">{head}</text>\n{legend}{}{grid}{notes}</svg>\n",
            hatch("suspended", "h1", 45),
            hatch("lost", "h2", -45),
            self.out
        )
    }
}

/// The letter of a gap, from a on.
fn gap_name(number: usize) -> char {
    char::from(b'a' + ((number - 1) % 26) as u8)
}

/// The epoch and the counter of a zxid.
fn short(token: i64) -> String {
    format!("{}.{}", token >> 32, token & 0xffff_ffff)
}

fn reason(reason: i32) -> &'static str {
    const REASONS: [&str; 14] = [
        "elected",
        "following",
        "suspended",
        "expired",
        "deleted",
        "refused",
        "blocked",
        "resigned",
        "closed",
        "failed",
        "lease expired",
        "grace",
        "foreign contender",
        "denied",
    ];
    usize::try_from(reason).ok().and_then(|at| REASONS.get(at)).copied().unwrap_or("unknown")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The README shows a real run: the picture matches the history beside it.
    #[test]
    fn the_picture_of_the_readme_is_that_of_its_history() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/campaign");
        let history = History::read(&folder.join("timeline.txt")).expect("a history");
        assert_eq!(checker::check(&history).violations, Vec::<String>::new());
        let drawn = draw(&history, &Frame::best(&history));
        let picture = std::fs::read_to_string(folder.join("timeline.svg")).expect("a picture");
        assert!(
            drawn == picture,
            "draw it again: campaign draw tests/campaign/timeline.txt tests/campaign/timeline.svg"
        );
        assert!(picture.len() < 300_000);
    }
}
