//! The commands of `election run` ran, and never two of one path at once. A command writes its run down as a belief, so
//! [`super::beliefs`] finds two commands as it finds two masters. This file counts the runs that were checked.

use super::beliefs::spans;
use super::{ms, Verdict};
use crate::history::History;

pub fn check(history: &History, verdict: &mut Verdict) {
    let is_command = |who: &str| history.lives.iter().any(|life| life.language == "Command" && life.name == who);
    let processes = history.lives.iter().filter(|life| life.language == "Command").count();
    if processes == 0 {
        return;
    }
    let (mut runs, mut closest) = (0, None::<i64>);
    for (_, path) in &history.elections {
        let spans: Vec<_> = spans(history, path).into_iter().filter(|span| is_command(&span.belief.who)).collect();
        runs += spans.len();
        for pair in spans.windows(2) {
            let apart = pair[1].from - pair[0].to;
            closest = Some(closest.map_or(apart, |closest| closest.min(apart)));
        }
    }
    if runs == 0 {
        verdict.violation("no command of election run ever ran: nothing was tried".to_owned());
    }
    let closest = closest.map_or("-".to_owned(), |closest| ms(closest).to_string());
    verdict.figure(format!(
        "{runs} runs of commands under {processes} processes of election run, the closest two {closest} ms apart"
    ));
}
