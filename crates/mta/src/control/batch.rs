//! Letters on a stick: what waits for a domain is written into a file of SMTP commands (in the
//! manner of RFC 2442), and such a file of somebody else's is taken into the queue. Bounces of
//! either side are letters like any other, and travel back in the next file.
//!
//! It connects to nobody. Asked by `posthaste queue export` and `queue import`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use disk::{Body, Disk, Mode, RealDisk, Spool};
use message::date::DateTime;
use message::received::{Guard, Protocol, Received};
use protocol::address::{Address, Domain, ForwardPath, ReversePath};
use protocol::ipc::{Fault, FaultKind, Method};
use protocol::journey::JourneyId;
use protocol::smtp::capabilities::SizeOffer;
use protocol::smtp::{Capabilities, MailParameters, RcptParameters};
use queue::{Change, Listed, NewLetter, NewRecipient, Origin, Progress, Said, State, Wait};
use serde::{Deserialize, Serialize};
use service::trail::{Event, Kind};

use crate::relay::Relay;

/// `queue.export`: writes what waits for a domain into a file, which takes it over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AskExport {
    /// The domain of the recipients.
    pub domain: Domain,
    /// The file; it must not exist.
    pub file: PathBuf,
}

/// `queue.import`: takes the letters of a file into the queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AskImport {
    /// The file.
    pub file: PathBuf,
}

/// The answer to [`AskExport`] and [`AskImport`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batched {
    /// Letters.
    pub letters: u64,
    /// Their recipients.
    pub recipients: u64,
    /// Letters that were left out because they are being tried at this moment.
    #[serde(default)]
    pub busy: u64,
}

impl Method for AskExport {
    const NAME: &'static str = "queue.export";
    type Answer = Batched;
}

impl Method for AskImport {
    const NAME: &'static str = "queue.import";
    type Answer = Batched;
}

/// Octets of a command line of a batch file (RFC 5321 §4.5.3.1.4, with parameters).
const LINE: usize = 4096;

/// Recipients of one letter of a batch file.
const RECIPIENTS: usize = 10_000;

/// Octets of a letter that is written into a batch file.
const LETTER: u64 = 1 << 30;

/// Writes the file, makes it durable, and lets go of what is in it.
pub(super) async fn export(relay: &Relay, ask: AskExport) -> Result<Batched, Fault> {
    let wanted = |address: &Address| address.domain() == Some(&ask.domain);
    let chosen = relay.queue.list(|letter| {
        letter.held.is_none() && letter.waiting().any(|(_, one)| wanted(&one.address))
    });
    let disk = RealDisk;
    let refused = |error: disk::Error| Fault::new(FaultKind::Refused, error.to_string());
    let file = disk.create_new(&ask.file, Mode(0o600)).map_err(refused)?;
    let hostname = relay.context.config.current().hostname();
    let mut done = Batched::default();
    let mut at = 0;
    let mut write = |bytes: &[u8]| {
        let outcome = file.write_at(at, bytes);
        at += bytes.len() as u64;
        outcome.map_err(refused)
    };
    write(format!("EHLO {hostname}\r\n").as_bytes())?;
    let mut taken: Vec<(Listed, Vec<usize>)> = Vec::new();
    for listed in chosen {
        if listed.active {
            done.busy += 1;
            continue;
        }
        let letter = &listed.letter;
        let to: Vec<usize> = letter
            .waiting()
            .filter(|(_, one)| wanted(&one.address))
            .map(|(index, _)| index)
            .collect();
        let Ok(body) = relay.queue.bytes(letter.journey) else { continue };
        let text = body.read_all(LETTER).map_err(refused)?;
        write(envelope(letter, &to).as_bytes())?;
        write(&stuffed(&text))?;
        done.letters += 1;
        done.recipients += to.len() as u64;
        taken.push((listed, to));
    }
    write(b"QUIT\r\n")?;
    file.sync().map_err(refused)?;
    if let Some(folder) = ask.file.parent() {
        disk.sync_dir(folder).map_err(refused)?;
    }
    for (listed, to) in taken {
        let_go(relay, &listed, &to, &ask.file).await?;
    }
    Ok(done)
}

/// The letter is in the file: that is another system's now.
async fn let_go(relay: &Relay, listed: &Listed, to: &[usize], file: &Path) -> Result<(), Fault> {
    let letter = &listed.letter;
    let now = relay.context.clock.now();
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let text = format!("written into the batch file {}", name.unwrap_or_default());
    let changes = to.iter().filter_map(|index| {
        let one = letter.recipients.get(*index)?;
        let said = Said { text: text.clone(), ..Said::default() };
        let attempts = one.progress.attempts + 1;
        let state = State::Relayed;
        Some(Change::Recipient(*index, Progress { state, attempts, next: now, last: Some(said) }))
    });
    relay
        .queue
        .change((letter.journey, now), changes.collect(), Wait::Durable)
        .await
        .map_err(|error| Fault::new(FaultKind::Internal, error.to_string()))?;
    for one in to.iter().filter_map(|index| letter.recipients.get(*index)) {
        let event = Event::new(Kind::Relayed, letter.journey).to(&one.address).text(&text);
        relay.context.trail.record(event.queue_id(letter.journey));
    }
    Ok(())
}

fn everything() -> Capabilities {
    Capabilities {
        size: SizeOffer::Unlimited,
        eight_bit_mime: true,
        smtputf8: true,
        dsn: true,
        requiretls: true,
        ..Capabilities::default()
    }
}

fn envelope(letter: &queue::Letter, to: &[usize]) -> String {
    let offered = everything();
    let mut text = format!("MAIL FROM:{}", letter.sender);
    let parameters = MailParameters { auth: None, ..letter.parameters.clone() };
    parameters.print(&offered, &mut text);
    for one in to.iter().filter_map(|index| letter.recipients.get(*index)) {
        text.push_str(&format!("\r\nRCPT TO:{}", ForwardPath::from(one.address.clone())));
        one.parameters.print(&offered, &mut text);
    }
    text.push_str("\r\nDATA\r\n");
    text
}

/// With dots doubled and the end marked (RFC 5321 §4.5.2).
fn stuffed(letter: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(letter.len() + letter.len() / 64 + 8);
    for line in letter.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.is_empty() && !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

/// Takes the letters of a file into the queue, each when it is whole.
pub(super) async fn import(relay: &Relay, ask: AskImport) -> Result<Batched, Fault> {
    let refused =
        |why: String| Fault::new(FaultKind::Refused, format!("{}: {why}", ask.file.display()));
    let file = std::fs::File::open(&ask.file).map_err(|error| refused(error.to_string()))?;
    let mut reader = Reader { lines: BufReader::new(file), number: 0 };
    let mut done = Batched::default();
    loop {
        let spool = Spool::new(std::sync::Arc::new(RealDisk), relay.context.paths.queue());
        let told = |why: String| {
            let so_far = done.letters;
            refused(format!("{why}; {so_far} letters before it were taken"))
        };
        let Some(letter) = reader.letter(spool).map_err(told)? else { return Ok(done) };
        done.letters += 1;
        done.recipients += letter.recipients.len() as u64;
        accept(relay, letter).await?;
    }
}

/// One letter of a file.
struct Batch {
    sender: ReversePath,
    parameters: MailParameters,
    recipients: Vec<(ForwardPath, RcptParameters)>,
    body: Body,
}

struct Reader<R> {
    lines: R,
    number: usize,
}

impl<R: BufRead> Reader<R> {
    /// The next letter; `None` at the end. What the commands between letters are does not matter.
    fn letter(&mut self, mut spool: Spool) -> Result<Option<Batch>, String> {
        let offered = everything();
        let mut sender = None;
        let mut recipients = Vec::new();
        loop {
            let Some(line) = self.line()? else { return Ok(None) };
            let wrong = |what: &str| format!("line {}: {what}", self.number);
            let text = String::from_utf8(line).map_err(|_| wrong("a command that is not text"))?;
            let text = text.trim_end_matches(['\r', '\n']);
            let upper = text.to_ascii_uppercase();
            if upper.starts_with("MAIL FROM:") {
                let rest = text.get("MAIL FROM:".len()..).unwrap_or_default().trim_start();
                let (path, rest) =
                    ReversePath::scan(rest).map_err(|error| wrong(&error.to_string()))?;
                let parameters = MailParameters::parse(rest, &offered)
                    .map_err(|error| wrong(&error.to_string()))?;
                sender = Some((path, parameters));
                recipients.clear();
            } else if upper.starts_with("RCPT TO:") {
                let rest = text.get("RCPT TO:".len()..).unwrap_or_default().trim_start();
                let (path, rest) =
                    ForwardPath::scan(rest).map_err(|error| wrong(&error.to_string()))?;
                let parameters = RcptParameters::parse(rest, &offered)
                    .map_err(|error| wrong(&error.to_string()))?;
                if recipients.len() >= RECIPIENTS {
                    return Err(wrong("too many recipients"));
                }
                recipients.push((path, parameters));
            } else if upper == "DATA" {
                let Some((sender, parameters)) = sender.filter(|_| !recipients.is_empty()) else {
                    return Err(wrong("DATA without MAIL and RCPT"));
                };
                self.body(&mut spool)?;
                let body = spool.finish().map_err(|error| error.to_string())?;
                return Ok(Some(Batch { sender, parameters, recipients, body }));
            } else if upper == "RSET" {
                sender = None;
                recipients.clear();
            } else if upper == "QUIT" {
                return Ok(None);
            } else if !upper.starts_with("EHLO") && !upper.starts_with("HELO") {
                return Err(wrong("a command that a batch file does not have"));
            }
        }
    }

    fn body(&mut self, spool: &mut Spool) -> Result<(), String> {
        loop {
            let mut line = Vec::new();
            let read =
                self.lines.read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
            self.number += 1;
            if read == 0 {
                return Err(format!("line {}: the file ends within a letter", self.number));
            }
            let end = line.strip_suffix(b"\r\n").or(line.strip_suffix(b"\n")).unwrap_or(&line);
            if end == b"." {
                return Ok(());
            }
            let text = end.strip_prefix(b".").unwrap_or(end);
            let written = spool.write(text).and_then(|()| spool.write(b"\r\n"));
            written.map_err(|error| error.to_string())?;
        }
    }

    fn line(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut line = Vec::new();
        let mut limited = std::io::Read::take(&mut self.lines, LINE as u64);
        let read = limited.read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
        self.number += 1;
        if line.len() >= LINE {
            return Err(format!("line {}: longer than a command is", self.number));
        }
        Ok((read > 0).then_some(line))
    }
}

async fn accept(relay: &Relay, batch: Batch) -> Result<(), Fault> {
    let context = &relay.context;
    let (config, now) = (context.config.current(), context.clock.now());
    let journey = JourneyId::new(now, context.chance.u32());
    let hostname = config.hostname().to_string();
    let received = Received {
        helo: None,
        address: None,
        by: &hostname,
        // RFC 3848 has no word for a file: it was SMTP.
        with: Protocol::Esmtp(Guard {
            tls: false,
            authenticated: false,
            utf8: batch.parameters.smtputf8,
        }),
        tls: None,
        id: &journey.to_string(),
        recipient: None,
        at: DateTime::utc(now),
    };
    let directory = relay.directory.current(context.clock.tick());
    let mut recipients: Vec<NewRecipient> = Vec::new();
    for (path, parameters) in batch.recipients {
        let (addresses, from) = resolved(&directory, &path);
        for address in addresses {
            if recipients.iter().all(|known| known.address != address) {
                let (parameters, from) = (parameters.clone(), from.clone());
                recipients.push(NewRecipient {
                    address,
                    parameters,
                    from,
                    first_try: now,
                    in_hand: None,
                });
            }
        }
    }
    let event = Event::new(Kind::Accepted, journey)
        .from(batch.sender.address().map(ToString::to_string).unwrap_or_default())
        .text("from a batch file")
        .bytes(batch.body.length());
    let letter = NewLetter {
        journey,
        cause: None,
        origin: Origin::Accepted,
        arrived: now,
        expires: now.after(config.mta.lifetime),
        sender: batch.sender,
        parameters: batch.parameters,
        recipients,
        held: None,
        headers: Bytes::from(received.to_field()),
        body: batch.body,
    };
    relay
        .queue
        .accept(letter)
        .await
        .map_err(|error| Fault::new(FaultKind::Internal, error.to_string()))?;
    context.trail.record(event);
    Ok(())
}

/// Whom a recipient stands for. One that does not exist is kept: the delivery agent refuses it, and
/// the sender hears of it.
fn resolved(
    directory: &directory::Snapshot,
    path: &ForwardPath,
) -> (Vec<Address>, Option<Address>) {
    use directory::Found;
    match (directory.lookup_path(path), path.address()) {
        (Found::Alias(expansion), named) => {
            let accounts = expansion.accounts.iter().map(|one| one.account.address.clone());
            (accounts.chain(expansion.outside.iter().cloned()).collect(), named.cloned())
        }
        (Found::Account(one), None) => (vec![one.account.address.clone()], None),
        (_, Some(address)) => (vec![address.clone()], None),
        (_, None) => (Vec::new(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Batch>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut reader = Reader { lines: text.as_bytes(), number: 0 };
        let mut all = Vec::new();
        loop {
            let spool = Spool::new(std::sync::Arc::new(RealDisk), folder.path());
            match reader.letter(spool)? {
                Some(letter) => all.push(letter),
                None => return Ok(all),
            }
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let letter = b"Subject: x\r\n\r\n.dot\r\n..two\r\nend";
        let mut text = "EHLO a.test\r\nMAIL FROM:<a@a.test> BODY=8BITMIME RET=HDRS\r\n\
                        RCPT TO:<b@b.test> NOTIFY=SUCCESS\r\nRCPT TO:<c@b.test>\r\nDATA\r\n"
            .to_owned();
        text.push_str(&String::from_utf8(stuffed(letter)).expect("text"));
        text.push_str("MAIL FROM:<>\r\nRCPT TO:<d@b.test>\r\nDATA\r\n.\r\nQUIT\r\nrest");
        let all = read(&text).expect("a batch");
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].recipients.len(), all[1].sender.is_null()), (2, true));
        let body = all[0].body.read_all(1000).expect("in memory");
        assert_eq!(&body[..], b"Subject: x\r\n\r\n.dot\r\n..two\r\nend\r\n");
    }

    #[test]
    fn a_bad_file_names_its_line() {
        for (text, wanted) in [
            ("EHLO a\r\nFROB\r\n", "line 2"),
            ("MAIL FROM:<a@a.test>\r\nDATA\r\n", "line 2: DATA without"),
            ("MAIL FROM:<a@a.test>\r\nRCPT TO:<b@b.test>\r\nDATA\r\nhello\r\n", "ends within"),
            ("RCPT TO:nobody\r\n", "line 1"),
            ("MAIL FROM:<a@a.test> FLY=1\r\n", "line 1"),
        ] {
            let error = read(text).map(|all| all.len()).expect_err(text);
            assert!(error.contains(wanted), "{error}");
        }
        assert!(read(&"x".repeat(10_000)).is_err());
    }
}
