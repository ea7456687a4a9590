//! The demo as it is told: the journey of each letter from the trails of all systems, as a ladder
//! for people or as JSON Lines, and every promise with its yes or no. It decides nothing. Called
//! by `demo` and the scenarios.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::time::Timestamp;
use serde_json::json;
use service::trail::{Direction, Follower, Kind, Outcome, Query, Recorded};
use service::{Exit, Fatal};

use super::fault;
use super::scenarios::Scenario;
use super::system::System;
use super::world::World;
use crate::output;

/// How often the trails are looked at while something is awaited.
pub(super) const LOOK: Duration = Duration::from_millis(25);
/// Lines of a log that are shown when something failed.
const LOG_LINES: usize = 30;

/// The teller.
pub(super) struct Story {
    json: bool,
    began: Instant,
    /// Events show how long after this they happened.
    zero: Timestamp,
    followers: BTreeMap<String, Follower>,
    broken: Vec<String>,
}

impl Story {
    /// Begins now.
    pub(super) fn new(json: bool) -> Story {
        Story {
            json,
            began: Instant::now(),
            zero: net::Clock::real().now(),
            followers: BTreeMap::new(),
            broken: Vec::new(),
        }
    }

    /// Shows who is there.
    pub(super) fn opens(&mut self, world: &World) {
        if self.json {
            let systems: Vec<_> = world
                .systems()
                .map(|system| json!({ "domain": system.domain, "address": system.ip }))
                .collect();
            output::json(&json!({ "world": systems, "dns": world.names().to_string() }));
            return;
        }
        self.say(&format!("world up after {:.1} s", self.began.elapsed().as_secs_f64()));
        for system in world.systems() {
            let (host, domain) = (system.host(), &system.domain);
            output::line(&format!("  {domain:<11} {host:<14} {}  auth msa mta mda", system.ip));
        }
        output::line(&format!("  {:<11} authoritative, {}", "DNS", world.names()));
        output::line("  → in the clear, ⇒ under TLS\n");
    }

    /// A line of the teller's own.
    pub(super) fn say(&mut self, text: &str) {
        if self.json {
            output::json(&json!({ "say": text, "after": self.began.elapsed().as_secs_f64() }));
        } else {
            output::line(&format!("— {text}"));
        }
    }

    /// A promise, and whether it was kept.
    pub(super) fn check(&mut self, promise: &str, kept: bool) {
        if !kept {
            self.broken.push(promise.to_owned());
        }
        if self.json {
            output::json(&json!({ "check": promise, "ok": kept }));
        } else {
            output::line(&format!("{} {promise}", if kept { "✓" } else { "✗" }));
        }
    }

    /// Tells what has happened since it was last called.
    pub(super) fn watch(&mut self, world: &World) {
        let mut news = Vec::new();
        for system in world.systems() {
            let follower = self
                .followers
                .entry(system.domain.clone())
                .or_insert_with(|| Follower::new(&system.trail(), Query::All));
            // A trail that cannot be read shows in the checks; the story goes on without it.
            let batch = follower.next_batch().unwrap_or_default();
            news.extend(batch.into_iter().map(|recorded| (system.domain.clone(), recorded)));
        }
        news.sort_by_key(|(_, recorded)| recorded.time);
        for (domain, recorded) in &news {
            self.event(domain, recorded);
        }
    }

    /// [`Story::watch`] until somebody has had enough.
    pub(super) async fn watch_forever(&mut self, world: &World) {
        loop {
            self.watch(world);
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The last words: whether every promise was kept.
    pub(super) fn ends(&mut self, scenario: Scenario) -> Result<Exit, Fatal> {
        let seconds = self.began.elapsed().as_secs_f64();
        let ok = self.broken.is_empty();
        if self.json {
            output::json(&json!({ "scenario": scenario.name(), "ok": ok, "seconds": seconds }));
        } else if ok {
            output::line(&format!("\n{}: all of it held, in {seconds:.1} s", scenario.name()));
        }
        if ok { Ok(Exit::Done) } else { Err(fault(self.broken.join("; "))) }
    }

    /// How to connect a real client.
    pub(super) fn invites(&mut self, world: &World) {
        if self.json {
            for system in world.systems() {
                output::json(&invitation(system, world));
            }
            return;
        }
        output::line("\nIt stays up. To connect a client of yours:\n");
        for system in world.systems() {
            let (person, ip) = (&system.person, system.ip);
            output::line(&format!(
                "  user {}  password {}",
                person.address,
                person.password.reveal()
            ));
            let port = |standard: u16| system.at(standard).port();
            output::line(&format!(
                "    IMAP {ip} port {} (TLS) or {} (STARTTLS); submission port {} (TLS) or {} \
                 (STARTTLS); SMTP {}",
                port(993),
                port(143),
                port(465),
                port(587),
                port(25),
            ));
            output::line(&format!("    configuration {}", system.config().display()));
        }
        output::line(&format!("  certificate authority {}", world.roots().display()));
        output::line(&format!("  everything is in {}", world.path().display()));
        output::line("\nJourneys of further letters appear here. Ctrl-C ends it.\n");
    }

    /// The ends of the agents' logs, when something went wrong.
    pub(super) fn fails(&mut self, world: &World) {
        for system in world.systems() {
            for name in ["up.log", "mta.log"] {
                let log = std::fs::read_to_string(system.root.join(name)).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let from = lines.len().saturating_sub(LOG_LINES);
                for line in &lines[from..] {
                    output::complain(&format!("{} {name}: {}", system.domain, output::safe(line)));
                }
            }
        }
    }

    fn event(&mut self, domain: &str, recorded: &Recorded) {
        if self.json {
            output::json(&json!({ "system": domain, "event": recorded }));
            return;
        }
        let Some(text) = rung(recorded) else { return };
        let micros = recorded.time.as_micros().saturating_sub(self.zero.as_micros());
        let place = format!("{}.{}", domain.trim_end_matches(".test"), recorded.agent);
        let seconds = micros as f64 / 1e6;
        output::line(&format!("{seconds:>7.3}  {place:<10} {}", output::safe(&text)));
    }
}

/// One event as a rung of the ladder; `None` for what is of no interest to a reader.
fn rung(recorded: &Recorded) -> Option<String> {
    let event = &recorded.event;
    let text = event.text.as_deref().unwrap_or_default();
    if event.kind == Kind::SmtpLine {
        let arrow = match (event.direction, event.encrypted) {
            (Some(Direction::In), Some(true)) => "⇐",
            (Some(Direction::In), _) => "←",
            (_, Some(true)) => "⇒",
            _ => "→",
        };
        return Some(format!("  {arrow} {text}"));
    }
    let mut line = format!("{:<13}", event.kind.as_str());
    let mut add = |word: &str| {
        if !word.is_empty() {
            line.push(' ');
            line.push_str(word);
        }
    };
    if let Some(sender) = &event.sender {
        add(&format!("from <{sender}>"));
    }
    if let Some(recipient) = &event.recipient {
        add(&format!("to <{recipient}>"));
    }
    if let Some(peer) = &event.peer {
        add(&format!("[{peer}]"));
    }
    add(text);
    match event.outcome {
        Outcome::Ok => {}
        Outcome::Temporary => add("(not now)"),
        Outcome::Permanent => add("(not ever)"),
    }
    if let Some(took) = event.took_us {
        add(&format!("{:.1} ms", took as f64 / 1000.0));
    }
    Some(line)
}

fn invitation(system: &System, world: &World) -> serde_json::Value {
    json!({
        "domain": system.domain,
        "user": system.person.address,
        "password": system.person.password.reveal(),
        "imaps": system.at(993).to_string(),
        "imap": system.at(143).to_string(),
        "submissions": system.at(465).to_string(),
        "submission": system.at(587).to_string(),
        "smtp": system.at(25).to_string(),
        "authority": world.roots(),
        "configuration": system.config(),
    })
}
