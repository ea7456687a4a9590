//! What a server uses: processor time and memory of all its processes from /proc, and its disk
//! barriers as the kernel counts them (`perf stat`).

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{process, wait};

/// The kernel's clock ticks in a second, as /proc counts (sysconf(_SC_CLK_TCK) on every Linux).
const TICKS: f64 = 100.0;
/// How long a server must do nothing to be idle, and how long that is waited for.
const IDLE: Duration = Duration::from_millis(300);
const IDLE_LIMIT: Duration = Duration::from_secs(8);

/// A process and all below it.
pub fn tree(root: u32) -> Vec<u32> {
    let mut all = vec![root];
    let mut next = 0;
    while let Some(&id) = all.get(next) {
        all.extend(process::children(id).into_iter().map(|(child, _)| child));
        next += 1;
    }
    all
}

/// Processor seconds of a tree so far, of its ended children too.
pub fn processor(root: u32) -> f64 {
    tree(root).into_iter().map(one_processor).sum()
}

fn one_processor(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    // proc(5): utime, stime, cutime, cstime are fields 14 to 17; the state after the name is 3.
    let fields = after_name.split_whitespace().skip(11).take(4);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS
}

/// Waits until a tree does nothing, so that what it put off is counted too.
pub fn settle(root: u32) {
    let mut last = (processor(root), std::time::Instant::now());
    wait::try_within(IDLE_LIMIT, || {
        let now = processor(root);
        if now > last.0 {
            last = (now, std::time::Instant::now());
        }
        (last.1.elapsed() > IDLE).then_some(())
    });
}

/// Memory of a tree in KiB: shared pages are counted once (PSS).
pub fn memory(root: u32) -> u64 {
    tree(root).into_iter().map(one_memory).sum()
}

fn one_memory(id: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Counts the barriers of a tree while it lives.
pub struct Barriers {
    perf: Child,
    file: std::path::PathBuf,
}

impl Barriers {
    /// Begins to count; `None` where there is no `perf` or it is not allowed to.
    pub fn count(roots: &[u32], folder: &Path) -> Option<Barriers> {
        let all = roots.iter().flat_map(|&root| tree(root));
        let ids: Vec<String> = all.map(|id| id.to_string()).collect();
        let file = folder.join("barriers.csv");
        let events = ["fsync", "fdatasync", "syncfs", "sync_file_range", "msync"]
            .map(|call| format!("syscalls:sys_enter_{call}"));
        let mut command = Command::new("perf");
        command.args(["stat", "-x,", "-e", &events.join(","), "-p", &ids.join(","), "-o"]);
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let _ = std::fs::remove_file(&file);
        let perf = command.spawn().ok()?;
        // It opens its file when it has attached itself.
        wait::try_within(Duration::from_secs(2), || file.exists().then_some(()))?;
        Some(Barriers { perf, file })
    }

    /// Ends counting: how many there were.
    pub fn end(mut self) -> Option<f64> {
        process::interrupt(self.perf.id());
        let _ = self.perf.wait();
        let text = std::fs::read_to_string(&self.file).ok()?;
        let counts: Vec<f64> = text
            .lines()
            .filter(|line| line.contains("sys_enter_"))
            .filter_map(|line| line.split(',').next()?.parse().ok())
            .collect();
        (!counts.is_empty()).then(|| counts.iter().sum())
    }
}
