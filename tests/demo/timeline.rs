//! The live timeline: one row for each event, with a lane for each candidate, so that one sees the mastership move. On a
//! terminal there are colours, and a last row that counts while the demo waits.

use crate::ledger::Moment;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

const BETWEEN_COUNTS: Duration = Duration::from_millis(100);
const WIDTH_WITHOUT_TERMINAL: usize = 100;
const WIDTHS: std::ops::RangeInclusive<usize> = 60..=120;

/// What a lane shows of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Absent,
    Unknown,
    Slave,
    Master,
    Resigned,
    Killed,
}

impl Lane {
    pub const ALL: [(Lane, &'static str); 6] = [
        (Lane::Master, "master"),
        (Lane::Slave, "slave"),
        (Lane::Unknown, "cannot tell"),
        (Lane::Resigned, "resigned"),
        (Lane::Killed, "killed"),
        (Lane::Absent, "not there"),
    ];

    fn symbol(self) -> &'static str {
        match self {
            Lane::Absent => " . ",
            Lane::Unknown => " ? ",
            Lane::Slave => " s ",
            Lane::Master => "[M]",
            Lane::Resigned => " - ",
            Lane::Killed => " x ",
        }
    }

    fn ink(self) -> Ink {
        match self {
            Lane::Absent | Lane::Resigned => Ink::Faint,
            Lane::Unknown => Ink::Yellow,
            Lane::Slave => Ink::Plain,
            Lane::Master => Ink::Green,
            Lane::Killed => Ink::Red,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    Plain,
    Faint,
    Bold,
    Green,
    Yellow,
    Red,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Ink::Plain => "",
            Ink::Faint => "\x1b[2m",
            Ink::Bold => "\x1b[1m",
            Ink::Green => "\x1b[1;32m",
            Ink::Yellow => "\x1b[33m",
            Ink::Red => "\x1b[31m",
        }
    }
}

#[derive(Debug)]
pub struct Timeline {
    began: Instant,
    is_terminal: bool,
    is_coloured: bool,
    width: usize,
    has_reader: bool,
    counted_at: Option<Instant>,
}

impl Timeline {
    pub fn new(began: Instant) -> Timeline {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        let is_terminal = io::stdout().is_terminal() && !is_dumb;
        Timeline {
            began,
            is_terminal,
            is_coloured: is_terminal && !is_set("NO_COLOR"),
            width: terminal_width().unwrap_or(WIDTH_WITHOUT_TERMINAL).clamp(*WIDTHS.start(), *WIDTHS.end()),
            has_reader: true,
            counted_at: None,
        }
    }

    pub fn moment(&self, at: Instant) -> Moment {
        at.saturating_duration_since(self.began)
    }

    /// False once nobody reads any more, as in `make demo | head`.
    pub fn has_reader(&self) -> bool {
        self.has_reader
    }

    /// The names above the lanes, and what the symbols in them mean.
    pub fn head(&mut self, names: &[&str], observer: &str) {
        let legend: Vec<String> =
            Lane::ALL.iter().map(|(lane, what)| format!("{} {what}", lane.symbol().trim())).collect();
        self.text(Ink::Faint, 2, &legend.join("   "));
        let lanes: String = names.iter().map(|name| format!("{name:^5}")).collect();
        self.line(&self.inked(Ink::Bold, &format!("\n     ms  {lanes}  {observer} sees")));
    }

    /// One event.
    pub fn row(&mut self, at: Moment, lanes: &[Lane], sees: &str, ink: Ink, what: &str) {
        let ms = self.inked(Ink::Faint, &format!("{:>7}", at.as_millis()));
        let lanes: String =
            lanes.iter().map(|lane| format!(" {} ", self.inked(lane.ink(), lane.symbol()))).collect();
        let what = self.inked(ink, what);
        self.line(&format!("{ms}  {lanes}  {sees:<8}  {what}"));
    }

    /// The beginning of a scene.
    pub fn scene(&mut self, title: &str) {
        let rule = "-".repeat((self.width - 4).saturating_sub(title.chars().count()));
        self.line(&self.inked(Ink::Bold, &format!("\n-- {title} {rule}")));
    }

    /// How a scene ended.
    pub fn outcome(&mut self, text: &str) {
        self.text(Ink::Green, 3, &format!("=> {text}"));
    }

    /// Text, wrapped to the width of the terminal, from the second line on indented.
    pub fn text(&mut self, ink: Ink, indent: usize, text: &str) {
        for (i, line) in wrapped(text, self.width - indent).iter().enumerate() {
            let indent = if i == 0 { 0 } else { indent };
            self.line(&format!("{:indent$}{}", "", self.inked(ink, line)));
        }
    }

    pub fn line(&mut self, line: &str) {
        let clear = self.clearing();
        self.write(&format!("{clear}{line}\n"));
    }

    /// While nothing happens: shows on a terminal that the demo is alive, and what it waits for.
    pub fn count(&mut self, what: &str, since: Instant) {
        let is_due = self.counted_at.is_none_or(|at| at.elapsed() >= BETWEEN_COUNTS);
        if !self.is_terminal || since.elapsed() < BETWEEN_COUNTS || !is_due {
            return;
        }
        self.counted_at = Some(Instant::now());
        let ms = self.moment(Instant::now()).as_millis();
        let text = format!("{ms:>7}  ... {what}: {:.1} s", since.elapsed().as_secs_f64());
        let text: String = text.chars().take(self.width - 1).collect();
        self.write(&format!("\r\x1b[K{}", self.inked(Ink::Faint, &text)));
    }

    fn clearing(&mut self) -> &'static str {
        match self.counted_at.take() {
            Some(_) => "\r\x1b[K",
            None => "",
        }
    }

    fn inked(&self, ink: Ink, text: &str) -> String {
        match ink.code() {
            code if self.is_coloured && !code.is_empty() => format!("{code}{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }

    fn write(&mut self, text: &str) {
        let mut out = io::stdout().lock();
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            self.has_reader = false;
        }
    }
}

impl Drop for Timeline {
    /// Whatever is printed next, such as why the demo failed, begins on an empty line.
    fn drop(&mut self) {
        let clear = self.clearing();
        self.write(clear);
    }
}

fn terminal_width() -> Option<usize> {
    // SAFETY: all-zero bytes are a valid winsize, and this ioctl writes to nothing else.
    unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        let is_known = libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) == 0;
        (is_known && size.ws_col > 0).then_some(usize::from(size.ws_col))
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is a first line");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
