//! Who lives outside of the machine: strangers and people who send letters, a person with a mail
//! program, and another system that takes letters. They speak plain lines, and believe only what
//! they are told.

use std::time::Duration;

use net::connect::Outgoing;
use net::stream::Stream;
use net::{Clock, Network};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::house::{FAR, House, at_home};
use crate::model::{Deed, Done};
use crate::promises::{CAROL, Known, NOBODY, Outcome, PEOPLE, Sent, known, token};
use crate::random::Random;

/// How long anybody waits for a line.
const PATIENCE: Duration = Duration::from_secs(400);

/// A dialogue in lines.
struct Talk {
    stream: Stream,
    clock: Clock,
    heard: Vec<u8>,
}

impl Talk {
    async fn to(port: u16, (network, clock): (&Network, &Clock)) -> Option<Talk> {
        let outgoing = Outgoing { source: None, timeout: PATIENCE };
        let stream = network.tcp(at_home(port), outgoing, clock).await.ok()?;
        Some(Talk::over(stream, clock))
    }

    fn over(stream: Stream, clock: &Clock) -> Talk {
        Talk { stream, clock: clock.clone(), heard: Vec::new() }
    }

    /// The next line; `None`: the connection is over, or nobody says anything.
    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            let mut buffer = [0; 4096];
            let read = self.clock.timeout(PATIENCE, self.stream.read(&mut buffer)).await;
            match read {
                Ok(Ok(count)) if count > 0 => self.heard.extend_from_slice(&buffer[..count]),
                _ => return None,
            }
        }
    }

    async fn say(&mut self, text: impl AsRef<[u8]>) -> Option<()> {
        let write = self.stream.write_all(text.as_ref());
        self.clock.timeout(PATIENCE, write).await.ok()?.ok()
    }

    /// The last line of an SMTP reply.
    async fn reply(&mut self) -> Option<String> {
        loop {
            let line = self.line().await?;
            if line.as_bytes().get(3) != Some(&b'-') {
                return Some(line);
            }
        }
    }

    /// Asks, and whether the answer begins so.
    async fn asks(&mut self, text: &str, good: &str) -> Option<bool> {
        self.say(format!("{text}\r\n")).await?;
        Some(self.reply().await?.starts_with(good))
    }

    /// An IMAP command: the lines that came, and whether it was OK.
    async fn command(&mut self, text: &str) -> Option<(Vec<String>, bool)> {
        self.say(format!("a {text}\r\n")).await?;
        self.tagged().await
    }

    async fn tagged(&mut self) -> Option<(Vec<String>, bool)> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await?;
            let done = line.strip_prefix("a ").map(|rest| rest.starts_with("OK"));
            lines.push(line);
            if let Some(ok) = done {
                return Some((lines, ok));
            }
        }
    }
}

/// How a letter is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By a stranger, to port 25.
    Stranger,
    /// By alice, who logs in.
    Submitted,
}

impl House {
    /// A few things begin.
    pub(crate) fn people(&mut self, promises: &Known) {
        for _ in 0..=self.random.below(3) {
            if self.random.once_in(3) {
                self.reader(promises);
            } else {
                self.sender(promises);
            }
        }
    }

    /// Somebody sends a letter.
    fn sender(&mut self, promises: &Known) {
        let ours = PEOPLE.map(|name| format!("{name}@red.test"));
        let way = if self.random.once_in(2) { Way::Submitted } else { Way::Stranger };
        let mut to = Vec::new();
        let (wanted, all) = match way {
            Way::Stranger => (1 + self.random.below(3), ours.to_vec()),
            Way::Submitted => {
                let all = [&ours[..], &[CAROL.to_owned(), NOBODY.to_owned()]].concat();
                (1 + self.random.below(15), all)
            }
        };
        to.extend((0..all.len()).filter(|n| wanted >> n & 1 == 1).map(|n| all[n].clone()));
        let length = match self.random.below(24) {
            // With a file of its own, in the queue and in mailboxes.
            0 => 140_000,
            1 | 2 => 30_000,
            _ => self.random.below(2500) as usize,
        };
        let mut known_now = known(promises);
        let number = known_now.sent.len();
        let mut text = format!("{}Subject: hello\r\n\r\n", token(number)).into_bytes();
        while text.len() < length {
            text.extend_from_slice(b"The quick brown fox jumps over the lazy dog.\r\n");
        }
        known_now.sent.push(Sent { text: text.clone(), to: to.clone(), outcome: Outcome::Unsent });
        known_now.people += 1;
        drop(known_now);
        self.tell(|| format!("letter {number} to {to:?}, {way:?}"));
        let (network, clock, promises) = (self.network(), self.clock.clone(), promises.clone());
        self.outside.spawn(async move {
            let tell = |outcome| known(&promises).sent[number].outcome = outcome;
            // What became of it has been written down on the way.
            let _ = send(way, (&to, &text), (&network, &clock), &tell).await;
            known(&promises).people -= 1;
        });
    }

    /// Alice works with her folders, if nothing is unsure and she is not doing so already.
    fn reader(&mut self, promises: &Known) {
        let mut known_now = known(promises);
        if known_now.busy || !known_now.unsure.is_empty() {
            return;
        }
        known_now.busy = true;
        known_now.people += 1;
        drop(known_now);
        let random = Random::new(self.random.next());
        let (network, clock, promises) = (self.network(), self.clock.clone(), promises.clone());
        self.outside.spawn(async move {
            let _ = read(&promises, random, (&network, &clock)).await;
            let mut known = known(&promises);
            known.busy = false;
            known.people -= 1;
        });
    }

    /// The other system takes letters as long as the machine lives, and longer.
    pub(crate) fn far_away(&mut self, promises: &Known) {
        let mut coming = self.net.listen(FAR.to_string());
        let (clock, promises) = (self.clock.clone(), promises.clone());
        let mut random = Random::new(self.random.next());
        self.outside.spawn(async move {
            while let Some((stream, _)) = coming.recv().await {
                let talk = Talk::over(stream, &clock);
                let moody = random.once_in(4);
                let promises = promises.clone();
                tokio::spawn(async move { take(talk, moody, &promises).await });
            }
        });
    }
}

/// Sends a letter; `tell` hears what is known of it.
async fn send(
    way: Way,
    (to, text): (&[String], &[u8]),
    seam: (&Network, &Clock),
    tell: &(impl Fn(Outcome) + Sync),
) -> Option<()> {
    let port = if way == Way::Submitted { 587 } else { 25 };
    let mut talk = Talk::to(port, seam).await?;
    if !talk.reply().await?.starts_with("220") || !talk.asks("EHLO far.test", "250").await? {
        return None;
    }
    let mut from = "eve@far.test";
    if way == Way::Submitted {
        // alice, sesame
        if !talk.asks("AUTH PLAIN AGFsaWNlAHNlc2FtZQ==", "235").await? {
            return None;
        }
        from = "alice@red.test";
    }
    if !talk.asks(&format!("MAIL FROM:<{from}>"), "250").await? {
        return None;
    }
    for one in to {
        // All or nothing: what is asked for later is for all of them.
        if !talk.asks(&format!("RCPT TO:<{one}>"), "250").await? {
            return None;
        }
    }
    if !talk.asks("DATA", "354").await? {
        return None;
    }
    talk.say(text).await?;
    tell(Outcome::Unknown);
    talk.say(".\r\n").await?;
    let reply = talk.reply().await?;
    tell(if reply.starts_with("250") { Outcome::Accepted } else { Outcome::Refused });
    talk.asks("QUIT", "221").await?;
    Some(())
}

/// The other system, in one session. A moody one puts letters off.
async fn take(mut talk: Talk, moody: bool, promises: &Known) -> Option<()> {
    talk.say("220 mx.blue.test ESMTP\r\n").await?;
    let mut to: Vec<String> = Vec::new();
    loop {
        let line = talk.line().await?;
        let upper = line.to_ascii_uppercase();
        let reply = if upper.starts_with("EHLO") {
            "250-mx.blue.test\r\n250 PIPELINING"
        } else if upper.starts_with("MAIL") {
            to.clear();
            "250 2.1.0 ok"
        } else if upper.starts_with("RCPT TO:<NOBODY") {
            "550 5.1.1 no such person"
        } else if upper.starts_with("RCPT") {
            let address = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
            to.push(address);
            "250 2.1.5 ok"
        } else if upper.starts_with("DATA") {
            if to.is_empty() {
                "503 5.5.1 nobody to send it to"
            } else {
                talk.say("354 go on\r\n").await?;
                let mut number = None;
                loop {
                    let line = talk.line().await?;
                    if line == "." {
                        break;
                    }
                    let token = line.strip_prefix("X-Token: ").and_then(|t| t.parse().ok());
                    number = number.or(token);
                }
                if moody {
                    "451 4.2.0 not now"
                } else {
                    let mut known = known(promises);
                    for address in to.drain(..) {
                        let number = number.unwrap_or(usize::MAX);
                        *known.relayed.entry((number, address)).or_default() += 1;
                    }
                    "250 2.0.0 thank you"
                }
            }
        } else if upper.starts_with("QUIT") {
            talk.say("221 2.0.0 bye\r\n").await?;
            return None;
        } else {
            "250 2.0.0 ok"
        };
        talk.say(format!("{reply}\r\n")).await?;
    }
}

const FOLDERS: [&str; 3] = ["Archive", "Drafts", "Trash"];

/// Alice does a few things to her folders, one after the other.
async fn read(promises: &Known, mut random: Random, seam: (&Network, &Clock)) -> Option<()> {
    let mut talk = Talk::to(143, seam).await?;
    talk.line().await?;
    talk.command("LOGIN alice sesame").await?.1.then_some(())?;
    // INBOX is looked at, and what is in it was seen.
    for _ in 0..=random.below(4) {
        let deed = some_deed(&mut random);
        let Some((command, open)) = words(&deed) else { continue };
        if let Some(folder) = open {
            talk.command(&format!("SELECT {folder}")).await?.1.then_some(())?;
        }
        let answer = act(&mut talk, &deed, &command).await;
        let mut known = known(promises);
        match answer {
            None => {
                known.unsure.push(deed);
                return None;
            }
            Some((lines, false)) => {
                // Its store has stopped in the middle of this: it may be there after the next
                // start.
                if lines.last().is_some_and(|line| line.contains("[UNAVAILABLE]")) {
                    known.unsure.push(deed);
                    return None;
                }
            }
            Some((lines, true)) => known.answered(&deed, &done(&deed, &lines)),
        }
    }
    talk.command("LOGOUT").await?;
    Some(())
}

async fn act(talk: &mut Talk, deed: &Deed, command: &str) -> Option<(Vec<String>, bool)> {
    let Deed::Append(_, _, text) = deed else { return talk.command(command).await };
    talk.say(format!("a {command}\r\n")).await?;
    let line = talk.line().await?;
    if !line.starts_with('+') {
        return Some((vec![line], false));
    }
    talk.say(&[&text[..], b"\r\n"].concat()).await?;
    talk.tagged().await
}

fn some_deed(random: &mut Random) -> Deed {
    let name = |random: &mut Random| (*random.pick(&FOLDERS)).to_owned();
    let range = (1 + random.below(6) as u32, 1 + random.below(6) as u32);
    match random.below(12) {
        0..=4 => {
            let length = if random.once_in(30) { 140_000 } else { random.below(2000) as usize };
            let text = vec![b'a' + random.below(26) as u8; length];
            Deed::Append(name(random), random.below(32) as u8, text.into())
        }
        5 | 6 => {
            let how = [mailbox::How::Replace, mailbox::How::Add, mailbox::How::Remove];
            Deed::Flags(name(random), range, *random.pick(&how), random.below(32) as u8)
        }
        7 => Deed::Expunge(name(random)),
        8 | 9 => Deed::Copy(name(random), range, name(random)),
        _ => Deed::Move(name(random), range, name(random)),
    }
}

/// The command, and the folder to be opened for it.
fn words(deed: &Deed) -> Option<(String, Option<&str>)> {
    let set = |(from, to): &(u32, u32)| format!("{from}:{to}");
    Some(match deed {
        Deed::Append(to, bits, text) => {
            (format!("APPEND {to} ({}) {{{}}}", flags(*bits), text.len()), None)
        }
        Deed::Flags(of, range, how, bits) => {
            let sign = match how {
                mailbox::How::Replace => "",
                mailbox::How::Add => "+",
                mailbox::How::Remove => "-",
            };
            let flags = flags(*bits);
            (format!("UID STORE {} {sign}FLAGS.SILENT ({flags})", set(range)), Some(of))
        }
        Deed::Expunge(of) => ("EXPUNGE".to_owned(), Some(of)),
        Deed::Copy(of, range, to) => (format!("UID COPY {} {to}", set(range)), Some(of)),
        Deed::Move(of, range, to) => (format!("UID MOVE {} {to}", set(range)), Some(of)),
        _ => return None,
    })
}

fn flags(bits: u8) -> String {
    let names = [
        (mailbox::Flags::SEEN, "\\Seen"),
        (mailbox::Flags::ANSWERED, "\\Answered"),
        (mailbox::Flags::FLAGGED, "\\Flagged"),
        (mailbox::Flags::DELETED, "\\Deleted"),
        (mailbox::Flags::DRAFT, "\\Draft"),
    ];
    let set = names.iter().filter(|(flag, _)| bits & flag.bits() != 0);
    set.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
}

/// What the answer says of the UIDs that came.
fn done(deed: &Deed, lines: &[String]) -> Done {
    if !matches!(deed, Deed::Append(..) | Deed::Copy(..) | Deed::Move(..)) {
        return Done::Yes;
    }
    let told = lines.iter().find_map(|line| {
        let code = line.split(['[', ']']).nth(1)?;
        let words: Vec<&str> = code.split(' ').collect();
        match words.as_slice() {
            ["APPENDUID", _, uid] | ["COPYUID", _, _, uid] => Some((*uid).to_owned()),
            _ => None,
        }
    });
    let mut uids = Vec::new();
    for part in told.unwrap_or_default().split(',').filter(|part| !part.is_empty()) {
        let (from, to) = part.split_once(':').unwrap_or((part, part));
        let (from, to) = (from.parse().unwrap_or(0), to.parse().unwrap_or(0));
        uids.extend(from..=to);
    }
    Done::Uids(uids)
}
