//! What is printed: a table for each section, and at the end the aims with where the library stands.

use crate::samples::{time, Samples};

/// Collects what is measured against an aim while it prints everything.
#[derive(Default)]
pub struct Report {
    aims: Vec<Aim>,
    /// Whether the columns of this section have their heads.
    has_heads: bool,
}

struct Aim {
    what: String,
    aim: String,
    measured: String,
    /// Measured by what the aim allows: 1 is just met.
    used: f64,
}

impl Report {
    pub fn section(&mut self, title: &str) {
        println!("\n{title}");
        self.has_heads = false;
    }

    pub fn row(&mut self, what: &str, samples: &Samples) {
        if !std::mem::replace(&mut self.has_heads, true) {
            println!("  {:<58} {:>5} {:>10} {:>10} {:>10} {:>10}", "", "n", "min", "median", "p99", "max");
        }
        let [min, median, p99, max] = [samples.min(), samples.median(), samples.p99(), samples.max()].map(time);
        println!("  {what:<58} {:>5} {min:>10} {median:>10} {p99:>10} {max:>10}", samples.len());
    }

    pub fn note(&mut self, text: &str) {
        println!("  {text}");
    }

    /// The median of one thing is to be at most `limit` times that of another, its yardstick. `remark` stands
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
            aim: format!("{limit:.1} x {named}"),
            measured: format!("{ratio:.2} x ({} / {}){remark}", time(measured.median()), time(yardstick.median())),
            used: ratio / limit,
        });
    }

    /// A quantity is to be at most `limit`, in the same unit.
    pub fn aim(&mut self, what: &str, measured: f64, limit: f64, show: impl Fn(f64) -> String) {
        self.aims.push(Aim {
            what: what.to_string(),
            aim: show(limit),
            measured: show(measured),
            used: measured / limit,
        });
    }

    pub fn print_aims(&self) {
        println!("\nwhere it stands");
        println!("  {:<56} {:<24} {:<46} {:>8}", "", "aim: at most", "measured", "of aim");
        for Aim { what, aim, measured, used } in &self.aims {
            let verdict = if *used <= 1.0 { "met" } else { "NOT MET" };
            println!("  {what:<56} {aim:<24} {measured:<46} {:>6.0} %  {verdict}", used * 100.0);
        }
        let met = self.aims.iter().filter(|aim| aim.used <= 1.0).count();
        println!("  {met} of {} met", self.aims.len());
    }
}
