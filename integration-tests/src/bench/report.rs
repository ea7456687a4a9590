//! Figures, their medians, and the tables: for the terminal, and as Markdown for
//! `docs/performance.md`.

use std::fmt;

use super::medium::Limits;
use super::{Reuse, Way, Workload};

/// What one run, or the median of several, gave.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Letters per second until the last was answered.
    pub accepted: f64,
    /// Letters per second until the last had arrived.
    pub rate: f64,
    /// Milliseconds of processor per letter, all processes of the server.
    pub processor: f64,
    /// Disk barriers per letter.
    pub barriers: Option<f64>,
    /// MiB (PSS) at the end of the load, not the peak.
    pub memory: f64,
}

impl Figures {
    /// Each figure's own median.
    pub fn median(runs: &[Figures]) -> Figures {
        let of = |pick: fn(&Figures) -> f64| {
            let mut values: Vec<f64> = runs.iter().map(pick).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        Figures {
            accepted: of(|run| run.accepted),
            rate: of(|run| run.rate),
            processor: of(|run| run.processor),
            barriers: Some(of(|run| run.barriers.unwrap_or(f64::NAN))).filter(|b| !b.is_nan()),
            memory: of(|run| run.memory),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "accepted {:.0}/s  arrived {:.0}/s  ", self.accepted, self.rate)?;
        write!(f, "{:.2} ms CPU  {} barriers  ", self.processor, barriers(self.barriers))?;
        write!(f, "{:.0} MiB", self.memory)
    }
}

fn barriers(count: Option<f64>) -> String {
    count.map_or_else(|| "?".into(), |count| format!("{count:.3}"))
}

/// One workload on every server.
#[derive(Debug, Clone)]
pub struct Row {
    /// Where the letters went.
    pub way: Way,
    /// What was sent.
    pub work: Workload,
    /// The medians; ours first.
    pub each: Vec<(&'static str, Figures)>,
}

impl Row {
    /// What was sent, in a few words.
    pub fn title(&self) -> String {
        let Workload { sessions, size, boxes, reuse, .. } = self.work;
        let way = if self.way == Way::Inbound { "inbound" } else { "relay" };
        let sessions =
            if sessions == 1 { "1 session".into() } else { format!("{sessions} sessions") };
        let mut title = format!("{way}, {} KiB, {sessions}", size / 1024);
        if boxes > 1 {
            title.push_str(&format!(", {boxes} mailboxes"));
        }
        if reuse == Reuse::Nothing {
            title.push_str(", a connection per letter");
        }
        title
    }
}

/// All rows as one Markdown table, with the ratio of ours to each peer.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "| workload | server | accepted/s | ours is | arrived/s | ours is | CPU ms/letter \
         | barriers/letter | memory MiB |\n|---|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        let ours = row.each.first().map(|(_, figures)| *figures);
        for (place, (name, figures)) in row.each.iter().enumerate() {
            let ratio = |pick: fn(&Figures) -> f64| match (place, &ours) {
                (1.., Some(ours)) => format!("**{:.1}×**", pick(ours) / pick(figures)),
                _ => String::new(),
            };
            text.push_str(&format!(
                "| {} | {name} | {:.0} | {} | {:.0} | {} | {:.2} | {} | {:.0} |\n",
                if place == 0 { row.title() } else { String::new() },
                figures.accepted,
                ratio(|figures| figures.accepted),
                figures.rate,
                ratio(|figures| figures.rate),
                figures.processor,
                barriers(figures.barriers),
                figures.memory,
            ));
        }
    }
    text
}

/// What the machine itself can do.
pub fn limits(before: Limits, after: Limits, bare: &[(usize, f64)]) -> String {
    let pair = |pick: fn(&Limits) -> f64| format!("{:.0} – {:.0}", pick(&before), pick(&after));
    let mut text = String::from("| the machine's own limits, letters of 4 KiB | per second |\n");
    text.push_str("|---|---:|\n");
    let rows = [
        ("disk: a file each, synced, renamed, folder synced", pair(|l| l.file_each)),
        ("disk: ten letters behind one barrier in a written log", pair(|l| l.batch_of_ten)),
        ("disk: fifty letters behind one barrier", pair(|l| l.batch_of_fifty)),
    ];
    for (name, value) in rows {
        text.push_str(&format!("| {name} | {value} |\n"));
    }
    for (sessions, rate) in bare {
        let name = format!("bare exchange, generator to sink, sessions: {sessions}");
        text.push_str(&format!("| {name} | {rate:.0} |\n"));
    }
    text
}

/// The machine in a line.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let memory = read("/proc/meminfo");
    let total = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    let gib = total.map_or(0, |kib: u64| kib.div_ceil(1024 * 1024));
    let load = read("/proc/loadavg");
    format!(
        "{} processors ({}), {gib} GiB, Linux {}, load average at the start {}",
        std::thread::available_parallelism().map_or(1, usize::from),
        model.unwrap_or("unknown").trim(),
        read("/proc/sys/kernel/osrelease").trim(),
        load.split_whitespace().next().unwrap_or("?"),
    )
}
