//! rspamd over HTTP: one letter is posted to `/checkv2`, one JSON object comes back. Whatever is
//! wrong with the answer is an error with a reason; what follows then is for the caller. The
//! connection is given, so that this knows no addresses.

use std::fmt;
use std::net::IpAddr;

use disk::Body;
use net::Stream;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::limits;

/// A letter and who brings it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The letter as it came.
    pub letter: &'a Body,
    /// From where.
    pub ip: Option<IpAddr>,
    /// By what name.
    pub helo: &'a str,
    /// The reverse-path, without brackets; empty for the null one.
    pub sender: &'a str,
    /// The recipients.
    pub recipients: &'a [String],
    /// The journey, by which both logs name the letter.
    pub id: &'a str,
}

/// What it says.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What to do.
    pub action: Action,
    /// The score, and the one from which a letter is refused.
    pub score: f64,
    /// Likewise.
    pub required: f64,
    /// The symbols that counted most, with their scores.
    pub symbols: Vec<(String, f64)>,
    /// Its words for the sender.
    pub message: Option<String>,
}

/// What rspamd wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// To mark the letter as junk.
    Junk,
    /// To refuse it for now.
    Later,
    /// To refuse it.
    Reject,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RspamdError(pub String);

/// Asks. Bounded in octets; the caller bounds the time.
///
/// # Errors
/// What went wrong, in words.
pub async fn check(mut stream: Stream, question: Question<'_>) -> Result<Answer, RspamdError> {
    let broken = |error: std::io::Error| RspamdError(format!("the connection broke: {error}"));
    stream.write_all(head(question).as_bytes()).await.map_err(broken)?;
    for chunk in question.letter.chunks() {
        let chunk =
            chunk.map_err(|error| RspamdError(format!("cannot read the letter: {error}")))?;
        stream.write_all(&chunk).await.map_err(broken)?;
    }
    stream.flush().await.map_err(broken)?;
    let mut heard = Vec::new();
    let most = limits::RSPAMD_ANSWER as u64;
    // It was asked to close the connection after its answer.
    let mut bounded = tokio::io::AsyncReadExt::take(&mut stream, most + 1);
    bounded.read_to_end(&mut heard).await.map_err(broken)?;
    if heard.len() > limits::RSPAMD_ANSWER {
        return Err(RspamdError("the answer is too long".to_owned()));
    }
    parse(&heard)
}

fn head(question: Question<'_>) -> String {
    let mut head = format!(
        "POST /checkv2 HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n",
        question.letter.length()
    );
    let mut field = |name: &str, value: &str| {
        // Nothing that a sender said may end the field.
        let value: String = value.chars().filter(|c| !c.is_control()).collect();
        head.push_str(&format!("{name}: {value}\r\n"));
    };
    if let Some(ip) = question.ip {
        field("IP", &ip.to_string());
    }
    field("Helo", question.helo);
    field("From", question.sender);
    for recipient in question.recipients.iter().take(limits::RSPAMD_RECIPIENTS) {
        field("Rcpt", recipient);
    }
    field("Queue-Id", question.id);
    head.push_str("\r\n");
    head
}

/// An HTTP answer with JSON in it.
fn parse(heard: &[u8]) -> Result<Answer, RspamdError> {
    let wrong = |why: &str| RspamdError(format!("no answer of rspamd: {why}"));
    let end = heard.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = match end.and_then(|end| heard.split_at_checked(end + 4)) {
        Some(parts) => parts,
        None => return Err(wrong("not HTTP")),
    };
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.") {
        return Err(wrong("not HTTP"));
    }
    if status.split(' ').nth(1) != Some("200") {
        return Err(wrong(status));
    }
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let body = match length {
        Some(length) => body.get(..length).ok_or_else(|| wrong("it is cut off"))?,
        None => body,
    };
    let said: Said = serde_json::from_slice(body).map_err(|error| wrong(&error.to_string()))?;
    Ok(said.into())
}

/// The parts of the answer that count here.
#[derive(Deserialize)]
struct Said {
    action: String,
    #[serde(default)]
    score: f64,
    #[serde(default)]
    required_score: f64,
    #[serde(default)]
    symbols: std::collections::BTreeMap<String, Symbol>,
    #[serde(default)]
    messages: std::collections::BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct Symbol {
    #[serde(default)]
    score: f64,
}

impl From<Said> for Answer {
    fn from(said: Said) -> Self {
        let mut symbols: Vec<(String, f64)> =
            said.symbols.into_iter().map(|(name, symbol)| (name, symbol.score)).collect();
        symbols.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
        symbols.truncate(limits::RSPAMD_SYMBOLS);
        let message = said.messages.get("smtp_message").and_then(|value| value.as_str());
        let plain = |text: &str| -> String {
            let shown = text.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' });
            shown.take(limits::LIST_TEXT).collect()
        };
        Answer {
            action: match said.action.as_str() {
                "reject" => Action::Reject,
                "soft reject" => Action::Later,
                "add header" | "rewrite subject" | "quarantine" => Action::Junk,
                // "greylist" is a hint for who has none of their own.
                _ => Action::Nothing,
            },
            score: said.score,
            required: said.required_score,
            symbols,
            message: message.map(plain),
        }
    }
}

impl Answer {
    /// `7.2 of 15.0: BAYES_SPAM 5.1, ...`.
    pub fn told(&self) -> String {
        let symbols: Vec<String> =
            self.symbols.iter().map(|(name, score)| format!("{name} {score:.1}")).collect();
        format!("{:.1} of {:.1}: {}", self.score, self.required, symbols.join(", "))
    }
}

impl fmt::Display for RspamdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RspamdError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Vec<u8> {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
    }

    #[test]
    fn answers_and_what_only_looks_like_one() {
        let said = answer(
            "{\"action\":\"add header\",\"score\":7.25,\"required_score\":15.0,\"symbols\":{\
             \"A\":{\"score\":0.1},\"BAD\":{\"score\":6.0,\"x\":1}},\"messages\":{}}",
        );
        let found = parse(&said).unwrap();
        assert_eq!(found.action, Action::Junk);
        assert_eq!(found.told(), "7.2 of 15.0: BAD 6.0, A 0.1");
        for (action, wanted) in [
            ("reject", Action::Reject),
            ("soft reject", Action::Later),
            ("greylist", Action::Nothing),
            ("no action", Action::Nothing),
            ("something new", Action::Nothing),
        ] {
            let found = parse(&answer(&format!("{{\"action\":\"{action}\"}}"))).unwrap();
            assert_eq!(found.action, wanted, "{action}");
        }
        for wrong in [
            &b""[..],
            b"220 mail ESMTP\r\n\r\n",
            b"HTTP/1.1 500 no\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\n\r\n[1]",
            b"HTTP/1.1 200 OK\r\n\r\n{\"action\":5}",
        ] {
            assert!(parse(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn what_a_sender_says_stays_in_its_field() {
        let letter = Body::from(b"x".to_vec());
        let question = Question {
            letter: &letter,
            ip: None,
            helo: "a\r\nPass: all",
            sender: "",
            recipients: &["b@red.test".to_owned()],
            id: "1",
        };
        let text = head(question);
        assert!(text.contains("Helo: aPass: all\r\n") && text.contains("Content-Length: 1\r\n"));
    }
}
