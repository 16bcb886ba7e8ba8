//! Plays a transcript: cuts it into steps, feeds them to the core, and writes down what comes out.

use std::collections::BTreeMap;

use election::testing::logic::{Config, Time};

use crate::fold::{fold_groups, unfold};
use crate::notation::{self, number, Input, Parsed, Words};
use crate::process::Process;

/// Lines of a file between two empty lines: comments alone, or what happens and what comes of it.
struct Paragraph {
    line: usize,
    happens: Vec<String>,
    expected: Option<Vec<String>>,
    actual: Option<Vec<String>>,
}

pub struct Played(Vec<Paragraph>);

/// Fails, with the line, when the text is not a transcript or the core does what it must never do.
pub fn play(text: &str) -> Result<Played, (usize, String)> {
    if !text.starts_with("# ") {
        return Err((1, "the first line says what the story is: \"# ...\"".into()));
    }
    let mut paragraphs: Vec<Paragraph> = Vec::new();
    let mut inside = false;
    for (line, text) in text.lines().enumerate() {
        match (text, paragraphs.last_mut().filter(|_| inside)) {
            ("", _) => inside = false,
            ("----", Some(paragraph)) if paragraph.expected.is_none() => paragraph.expected = Some(Vec::new()),
            ("----", _) => return Err((line + 1, "nothing happens before this".into())),
            (text, Some(paragraph)) => {
                paragraph.expected.as_mut().unwrap_or(&mut paragraph.happens).push(text.to_string());
            }
            (text, None) => {
                inside = true;
                let happens = vec![text.to_string()];
                paragraphs.push(Paragraph { line: line + 1, happens, expected: None, actual: None });
            }
        }
    }
    let mut stage = Stage::default();
    for paragraph in &mut paragraphs {
        for (at, text) in paragraph.happens.iter().enumerate().filter(|(_, text)| !text.starts_with('#')) {
            let outcome =
                stage.line(text).map_err(|error| (paragraph.line + at, format!("{error}, in: {text}")))?;
            if !text.starts_with("config ") {
                paragraph.actual.get_or_insert_default().extend(outcome);
            }
        }
        if let Some(actual) = &mut paragraph.actual {
            actual.extend(stage.changes().map_err(|error| (paragraph.line, error))?);
            if actual.is_empty() {
                actual.push("nothing".into());
            }
        }
    }
    match paragraphs.iter().any(|paragraph| paragraph.actual.is_some()) {
        true => Ok(Played(paragraphs)),
        false => Err((1, "there is no step in this file".into())),
    }
}

impl Played {
    pub fn rewritten(&self) -> String {
        let rewrite = |paragraph: &Paragraph| match &paragraph.actual {
            Some(actual) => [&paragraph.happens[..], &["----".to_string()], actual].concat().join("\n") + "\n",
            None => paragraph.happens.join("\n") + "\n",
        };
        self.0.iter().map(rewrite).collect::<Vec<_>>().join("\n")
    }

    /// The steps of which something else comes than what the file says.
    pub fn differences(&self) -> impl Iterator<Item = (usize, String)> + '_ {
        self.0.iter().filter(|paragraph| paragraph.expected != paragraph.actual).map(|paragraph| {
            let Some(expected) = &paragraph.expected else { return (paragraph.line, "no expectation".into()) };
            let actual = paragraph.actual.as_deref().unwrap_or_default();
            let same = expected.iter().zip(actual).take_while(|(a, b)| a == b).count();
            let tails = expected[same..].iter().rev().zip(actual[same..].iter().rev());
            let tail = tails.take_while(|(a, b)| a == b).count();
            let mark = |mark: &str, lines: &[String]| {
                lines.iter().map(|line| format!("\n  {mark} {line}")).collect::<String>()
            };
            let parts = [
                mark(" ", &paragraph.happens),
                mark(" ", &["----".to_string()]),
                mark(" ", &expected[..same]),
                mark("-", &expected[same..expected.len() - tail]),
                mark("+", &actual[same..actual.len() - tail]),
                mark(" ", &actual[actual.len() - tail..]),
            ];
            (paragraph.line, parts.concat())
        })
    }
}

/// All processes of a story, and the time.
#[derive(Default)]
struct Stage {
    config: Option<Config>,
    processes: BTreeMap<String, Process>,
    now_ms: u64,
    /// The processes did not run until this moment.
    paused_ms: Option<u64>,
}

impl Stage {
    fn line(&mut self, line: &str) -> Parsed<Vec<String>> {
        let groups = unfold(line)?.iter().map(|line| self.one(line)).collect::<Parsed<Vec<_>>>()?;
        Ok(fold_groups(&groups))
    }

    fn one(&mut self, line: &str) -> Parsed<Vec<String>> {
        let mut words = Words::of(line)?;
        if words.next_if(|word| word == "config").is_some() {
            let config = notation::config(&mut words)?;
            words.end()?;
            let late = self.config.replace(config).is_some();
            return if late { Err("config comes first, and once".into()) } else { Ok(Vec::new()) };
        }
        if words.next_if(|word| word == "at").is_some() {
            let at = number(&words.next("a time")?)? as u64;
            if at < std::mem::replace(&mut self.now_ms, at) {
                return Err("time runs backwards".into());
            }
        }
        let name = words.next_if(|word| word.ends_with(':')).unwrap_or_default();
        let input = notation::input(&mut words)?;
        words.end()?;
        let config = *self.config.get_or_insert_default();
        let process = self.processes.entry(name.clone()).or_insert_with(|| Process::new(config));
        if matches!(input, Input::Paused) {
            self.paused_ms = Some(self.now_ms);
        }
        let now = Time(0).plus_ms(self.now_ms);
        let outcome = process.happens(now, input, self.paused_ms == Some(self.now_ms))?;
        Ok(outcome.into_iter().map(|line| under(&name, line)).collect())
    }

    /// What has changed since the last step.
    fn changes(&mut self) -> Parsed<Vec<String>> {
        let mut changes = Vec::new();
        for (name, process) in &mut self.processes {
            changes.extend(process.changes()?.into_iter().map(|line| under(name, line)));
        }
        Ok(changes)
    }
}

fn under(name: &str, line: String) -> String {
    if name.is_empty() {
        line
    } else {
        format!("{name} {line}")
    }
}
