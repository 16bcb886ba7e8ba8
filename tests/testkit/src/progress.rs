//! Shows the progress of a long piece of work on a terminal, and nothing elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

/// A line on standard error. It is redrawn while the work goes on, and removed at the end of the work.
pub struct Progress(ProgressBar);

impl Progress {
    /// `length` is how many `unit`s the work has.
    pub fn new(what: &str, length: u64, unit: &str) -> Progress {
        let bar = ProgressBar::new(length);
        let style = format!("{what} {{wide_bar}} {{pos}}/{{len}} {unit}, {{elapsed}} gone, {{eta}} to go");
        bar.set_style(ProgressStyle::with_template(&style).expect("the template is well-formed"));
        Progress(bar)
    }

    pub fn advance(&self, by: u64) {
        self.0.inc(by);
    }

    pub fn reach(&self, position: u64) {
        self.0.set_position(position);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
