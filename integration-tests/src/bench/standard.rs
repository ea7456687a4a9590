//! The workloads behind the tables of docs/performance.md, in one list, so that one command makes
//! the page anew. Called by the runner for `--tables`.

use super::job::Job;

/// One line of the list.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// The workload, as on the command line.
    pub workload: &'static str,
    /// Who is measured beside us; `None`: the usual one.
    pub peer: Option<&'static str>,
    /// Measured runs at most: some take long, or take place once in the life of a server.
    pub rounds: usize,
}

/// About twenty minutes on two processors with three rounds of two seconds. Mailboxes of a million
/// letters are not among them: they take longer to fill than all this (`--keep`).
pub const LINES: [Line; 30] = [
    usual("limits"),
    usual("inbound:4:1"),
    usual("inbound:4:10"),
    usual("inbound:4:50"),
    usual("inbound:4:10:10"),
    usual("inbound:4:10:conn"),
    usual("inbound:64:1"),
    usual("inbound:64:10"),
    usual("inbound:64:50"),
    usual("relay:4:1"),
    usual("relay:4:10"),
    usual("relay:4:50"),
    usual("relay:64:10"),
    usual("submission:4:1"),
    usual("submission:4:10"),
    usual("big:20:2"),
    usual("fan:100"),
    usual("checked:4:10"),
    beside("inbound:4:10", "postfix+dovecot"),
    beside("inbound:4:10", "exim"),
    beside("inbound:4:10", "opensmtpd"),
    beside("inbound:4:10", "chasquid"),
    beside("relay:4:10", "exim"),
    once("hold-smtp:1000"),
    once("passing:50"),
    once("hold-imap:2000"),
    once("queue:1000"),
    once("queue:100000"),
    usual("imap:1000"),
    once("imap:100000"),
];

const fn usual(workload: &'static str) -> Line {
    Line { workload, peer: None, rounds: usize::MAX }
}

const fn beside(workload: &'static str, peer: &'static str) -> Line {
    Line { workload, peer: Some(peer), rounds: 2 }
}

const fn once(workload: &'static str) -> Line {
    Line { workload, peer: None, rounds: 1 }
}

impl Line {
    /// What it names.
    pub fn job(&self) -> Option<Job> {
        Job::parse(self.workload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::peer::Peer;

    #[test]
    fn every_line_is_a_workload_that_the_runner_knows() {
        for line in LINES {
            assert!(line.job().is_some(), "{}", line.workload);
            assert!(line.peer.is_none_or(|name| Peer::parse(name).is_some()), "{line:?}");
        }
    }
}
