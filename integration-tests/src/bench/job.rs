//! The workloads by name, as people give them to the runner and as results keep them.

use super::{Reuse, Way, Workload};

/// One thing to measure.
#[derive(Debug, Clone)]
pub enum Job {
    /// Letters in, or through.
    Flow(Way, Workload),
    /// Letters in, SPF, DKIM and DMARC checked; beside them the same letters unchecked.
    Checked(Workload),
    /// IMAP on a mailbox of so many letters.
    Reading(usize),
    /// Memory of an idle server, and of so many idle SMTP sessions.
    HoldingSmtp(usize),
    /// Memory of so many idle IMAP sessions under TLS.
    HoldingImap(usize),
    /// Memory while a letter of so many MB passes.
    Passing(usize),
    /// So many deferred letters in the queue.
    Queue(usize),
    /// What disk and processors can do at all.
    Limits,
}

impl Job {
    /// Reads a name: `WAY:KIB:SESSIONS[:BOXES][:conn]`, `checked:KIB:SESSIONS`, `big:MB:SESSIONS`,
    /// `fan:RECIPIENTS`, `imap:LETTERS`, `hold-smtp:SESSIONS`, `hold-imap:SESSIONS`, `passing:MB`,
    /// `queue:LETTERS`,
    /// `limits`.
    pub fn parse(text: &str) -> Option<Job> {
        let (text, reuse) = match text.strip_suffix(":conn") {
            Some(rest) => (rest, Reuse::Nothing),
            None => (text, Reuse::Session),
        };
        let mut parts = text.split(':');
        let kind = parts.next()?;
        let numbers: Vec<usize> = parts.map(|part| part.parse().ok()).collect::<Option<_>>()?;
        let way = match kind {
            "inbound" | "big" | "fan" => Some(Way::Inbound),
            "submission" => Some(Way::Submission),
            "relay" => Some(Way::Relay),
            _ => None,
        };
        let work =
            |size, sessions, boxes, fan| Workload { letters: 0, sessions, size, boxes, fan, reuse };
        Some(match (kind, numbers.as_slice()) {
            ("inbound" | "submission" | "relay", [kib, sessions]) => {
                Job::Flow(way?, work(kib * 1024, *sessions, 1, 1))
            }
            ("inbound" | "submission" | "relay", [kib, sessions, boxes]) => {
                Job::Flow(way?, work(kib * 1024, *sessions, *boxes, 1))
            }
            ("checked", [kib, sessions]) => Job::Checked(work(kib * 1024, *sessions, 1, 1)),
            ("big", [mb, sessions]) => Job::Flow(way?, work(mb * 1_000_000, *sessions, 1, 1)),
            ("fan", [recipients]) => Job::Flow(way?, work(4096, 1, *recipients, *recipients)),
            ("imap", [letters]) => Job::Reading(*letters),
            ("hold-smtp", [sessions]) => Job::HoldingSmtp(*sessions),
            ("hold-imap", [sessions]) => Job::HoldingImap(*sessions),
            ("passing", [mb]) => Job::Passing(*mb),
            ("queue", [letters]) => Job::Queue(*letters),
            ("limits", []) => Job::Limits,
            _ => return None,
        })
    }

    /// Whether the peers of this job are those that people read with.
    pub fn is_reading(&self) -> bool {
        matches!(self, Job::Reading(_) | Job::HoldingImap(_))
    }

    /// What the name means, in a few words for a table.
    pub fn title(&self) -> String {
        match self {
            Job::Flow(way, work) => flow_title(*way, work),
            Job::Checked(work) => {
                format!("{}, SPF, DKIM, DMARC checked or not", flow_title(Way::Inbound, work))
            }
            Job::Reading(letters) => format!("IMAP, {letters} letters"),
            Job::HoldingSmtp(sessions) => format!("{sessions} idle SMTP sessions"),
            Job::HoldingImap(sessions) => format!("{sessions} idle IMAP sessions under TLS"),
            Job::Passing(mb) => format!("a letter of {mb} MB passes"),
            Job::Queue(letters) => format!("{letters} deferred letters"),
            Job::Limits => "the machine's own limits".into(),
        }
    }
}

fn flow_title(way: Way, work: &Workload) -> String {
    let Workload { sessions, size, boxes, fan, reuse, .. } = *work;
    let way = match way {
        Way::Inbound => "inbound",
        Way::Submission => "submission (TLS, AUTH)",
        Way::Relay => "relay",
    };
    let size = match size {
        1_000_000.. => format!("{} MB", size / 1_000_000),
        _ => format!("{} KiB", size / 1024),
    };
    let sessions = if sessions == 1 { "1 session".into() } else { format!("{sessions} sessions") };
    let mut title = format!("{way}, {size}, {sessions}");
    if fan > 1 {
        title.push_str(&format!(", {fan} recipients"));
    } else if boxes > 1 {
        title.push_str(&format!(", {boxes} mailboxes"));
    }
    if reuse == Reuse::Nothing {
        title.push_str(", a connection per letter");
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_help_says() {
        let title = |name: &str| Job::parse(name).map(|job| job.title());
        let known = [
            ("inbound:4:10", "inbound, 4 KiB, 10 sessions"),
            (
                "inbound:64:1:10:conn",
                "inbound, 64 KiB, 1 session, 10 mailboxes, a connection per letter",
            ),
            ("submission:4:10", "submission (TLS, AUTH), 4 KiB, 10 sessions"),
            ("big:20:2", "inbound, 20 MB, 2 sessions"),
            ("fan:100", "inbound, 4 KiB, 1 session, 100 recipients"),
            ("imap:1000", "IMAP, 1000 letters"),
        ];
        for (name, expected) in known {
            assert_eq!(title(name).as_deref(), Some(expected));
        }
        for wrong in ["", "inbound", "inbound:4", "imap", "imap:x", "relay:4:1:1:1", "limits:3"] {
            assert!(Job::parse(wrong).is_none(), "{wrong}");
        }
    }
}
