//! Signals, and who is whose child: processes are ended by their number, never by name.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

fn pid(id: u32) -> Pid {
    let id = i32::try_from(id).expect("process numbers are positive");
    Pid::from_raw(id).expect("not process 0")
}

/// `kill -9`. A process that is gone already is no fault.
pub fn kill(id: u32) {
    let _ = kill_process(pid(id), Signal::KILL);
}

/// `kill -9` of a whole group, by its leader.
pub fn kill_group(leader: u32) {
    let _ = kill_process_group(pid(leader), Signal::KILL);
}

/// SIGTERM: please end.
pub fn terminate(id: u32) {
    let _ = kill_process(pid(id), Signal::TERM);
}

/// SIGINT: Ctrl-C at a terminal.
pub fn interrupt(id: u32) {
    let _ = kill_process(pid(id), Signal::INT);
}

/// Whether the process is there and not merely unburied.
pub fn is_alive(id: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
}

/// The direct children, with their command lines.
pub fn children(id: u32) -> Vec<(u32, Vec<String>)> {
    let mut found = Vec::new();
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{id}/task")) else { return found };
    for task in tasks.flatten() {
        let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in list.split_whitespace().filter_map(|child| child.parse().ok()) {
            found.push((child, command_line(child)));
        }
    }
    found
}

/// The words of a process's command line.
pub fn command_line(id: u32) -> Vec<String> {
    let raw = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let words = raw.split(|&byte| byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Every process of this machine whose command line has the text: for "nothing left behind".
pub fn with_command_line(text: &str) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&id| id != std::process::id())
        .filter(|&id| command_line(id).iter().any(|word| word.contains(text)))
        .collect()
}
