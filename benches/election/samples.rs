//! Samples of one quantity, and the few numbers that summarise them.

/// In the order in which they were taken, in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn add(&mut self, sample: impl Into<Sample>) {
        self.0.push(sample.into().0);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn min(&self) -> f64 {
        self.quantile(0.0)
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The value that this share of the samples does not exceed, if at least ten samples lie beyond it: fewer samples
    /// prove nothing about a tail.
    pub fn percentile(&self, percent: u32) -> Option<f64> {
        let beyond = self.len() * (100 - percent as usize) / 100;
        (beyond >= 10).then(|| self.quantile(f64::from(percent) / 100.0))
    }

    pub fn max(&self) -> f64 {
        self.quantile(1.0)
    }

    /// The smallest sample that is not below `share` of all samples. It is never a value between two samples.
    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted[rank.max(1) - 1]
    }
}

/// A number of nanoseconds.
pub struct Sample(f64);

impl From<std::time::Duration> for Sample {
    fn from(duration: std::time::Duration) -> Sample {
        Sample(duration.as_nanos() as f64)
    }
}

impl From<f64> for Sample {
    fn from(ns: f64) -> Sample {
        Sample(ns)
    }
}

/// A time with the unit that suits it.
pub fn time(ns: f64) -> String {
    match ns {
        _ if ns < 1e4 => format!("{ns:.1} ns"),
        _ if ns < 1e9 => format!("{:.3} ms", ns / 1e6),
        _ => format!("{:.2} s", ns / 1e9),
    }
}
