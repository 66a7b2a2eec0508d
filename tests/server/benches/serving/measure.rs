//! Timings, and the table that shows them.

use std::time::{Duration, Instant};

/// The timings of one thing, in the order they were taken.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn take<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.0.push(start.elapsed());
        result
    }

    pub fn extend(&mut self, times: impl IntoIterator<Item = Duration>) {
        self.0.extend(times);
    }

    pub fn append(&mut self, other: &mut Times) {
        self.0.append(&mut other.0);
    }

    pub fn of<T>(work: impl FnOnce() -> T) -> Times {
        let mut times = Times::default();
        times.take(work);
        times
    }

    /// The smallest time that `share` of all do not exceed.
    fn quantile(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        let at = (sorted.len() as f64 * share).ceil() as usize;
        sorted[at.clamp(1, sorted.len()) - 1]
    }

    pub fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    /// The median as a table shows it.
    pub fn shown(&self) -> String {
        milliseconds(self.median())
    }
}

fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1e3;
    match milliseconds {
        ..1.0 => format!("{milliseconds:.3} ms"),
        ..100.0 => format!("{milliseconds:.2} ms"),
        _ => format!("{milliseconds:.0} ms"),
    }
}

/// A number with its thousands apart.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

/// Rows of times, each with its ratio to some references.
pub struct Table {
    references: Vec<(String, Duration)>,
}

impl Table {
    /// Prints a title and the heads of the columns.
    pub fn new(title: &str, references: Vec<(String, Duration)>) -> Table {
        println!("\n{title}\n");
        print!("{:52}{:>12}{:>12}{:>12}", "", "median", "p95", "p99");
        for (name, _) in &references {
            print!("{:>32}", format!("median, p95 / {name}"));
        }
        println!();
        Table { references }
    }

    pub fn row(&self, name: &str, times: &Times) {
        print!("{name:52}{:>12}", milliseconds(times.median()));
        // The worst of a hundred needs a hundred.
        let many = times.0.len() >= 100;
        for share in [0.95, 0.99] {
            print!("{:>12}", if many { milliseconds(times.quantile(share)) } else { "".into() });
        }
        for (_, reference) in &self.references {
            let ratio = |time: Duration| time.as_secs_f64() / reference.as_secs_f64();
            let rare = if many { format!("{:.3}", ratio(times.quantile(0.95))) } else { "".into() };
            print!("{:>22.3}{rare:>10}", ratio(times.median()));
        }
        println!();
    }
}
