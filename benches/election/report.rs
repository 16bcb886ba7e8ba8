//! The printed report: a table for each section, and at the end the aims with the library's figures.

use crate::samples::{time, Samples};

/// How many sections the whole run has, so that each section can show the progress.
const SECTIONS: usize = 22;

/// Collects the figures that have an aim, while it prints everything.
#[derive(Default)]
pub struct Report {
    aims: Vec<Aim>,
    /// Whether this section has printed its column heads.
    has_heads: bool,
    /// How many sections have begun.
    sections: usize,
}

struct Aim {
    what: String,
    /// A time, or another quantity with its unit.
    measured: String,
    /// The measured quantity relative to its yardstick.
    compared: String,
    aim: String,
    /// The measured quantity divided by the aim's limit: at 1 the aim is just met.
    used: f64,
}

impl Report {
    pub fn section(&mut self, title: &str) {
        self.sections += 1;
        println!("\n[{}/{SECTIONS}] {title}", self.sections);
        self.has_heads = false;
    }

    pub fn row(&mut self, what: &str, samples: &Samples) {
        if !std::mem::replace(&mut self.has_heads, true) {
            let heads = ["median", "min", "p90", "p99", "max", "samples"].map(|head| format!("{head:>10}"));
            println!("  {:<58} {}", "", heads.join(" "));
        }
        let percentile = |percent| samples.percentile(percent).map_or("-".to_string(), time);
        let [median, min, max] = [samples.median(), samples.min(), samples.max()].map(time);
        let cells = [median, min, percentile(90), percentile(99), max, samples.len().to_string()];
        println!("  {what:<58} {}", cells.map(|cell| format!("{cell:>10}")).join(" "));
    }

    pub fn note(&mut self, text: &str) {
        println!("  {text}");
    }

    /// The median of one quantity has to be at most `limit` times that of another, its yardstick. `remark` is printed
    /// beside it.
    pub fn aim_ratio(
        &mut self,
        what: &str,
        measured: &Samples,
        limit: f64,
        yardstick: &Samples,
        named: &str,
        remark: &str,
    ) {
        let ratio = measured.median() / yardstick.median();
        let remark = if remark.is_empty() { String::new() } else { format!("; {remark}") };
        println!("  = {ratio:.2} x {named}, by the medians{remark}");
        self.aims.push(Aim {
            what: what.to_string(),
            measured: time(measured.median()),
            compared: format!("{ratio:.2} x {named} of {}{remark}", time(yardstick.median())),
            aim: format!("{limit:.1} x {named}"),
            used: ratio / limit,
        });
    }

    /// A quantity has to be at most `limit`, in the same unit.
    pub fn aim(&mut self, what: &str, measured: f64, limit: f64, show: impl Fn(f64) -> String) {
        self.aims.push(Aim {
            what: what.to_string(),
            measured: show(measured),
            compared: String::new(),
            aim: show(limit),
            used: measured / limit,
        });
    }

    /// Whether the numbers before the titles were right.
    pub fn is_complete(&self) -> bool {
        self.sections == SECTIONS
    }

    pub fn print_aims(&self) {
        println!("\nwhere it stands: medians beside the aims of the project, which are goals and not promises");
        println!("  {:<56} {:>10}  {:<48} aim: at most", "", "measured", "compared");
        for Aim { what, measured, compared, aim, used } in &self.aims {
            let verdict = if *used <= 1.0 { "met" } else { "missed" };
            println!("  {what:<56} {measured:>10}  {compared:<48} {aim:<22} {verdict}");
        }
        let met = self.aims.iter().filter(|aim| aim.used <= 1.0).count();
        println!("  {met} of {} aims met", self.aims.len());
    }
}
