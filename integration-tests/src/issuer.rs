//! An authorization server of a test: it says what tokens are worth (RFC 7662), in clear on the
//! loopback, and counts how often it was asked. It issues none; a test says which there are.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A running server.
pub struct Issuer {
    at: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Token, and the JSON that is answered about it.
    known: Mutex<HashMap<String, String>>,
    questions: AtomicU32,
    stop: AtomicBool,
}

/// What the Authorization field must be: name and secret of [`Issuer::CLIENT`], each encoded as in
/// a form (RFC 6749 §2.3.1), then both in base64.
const AUTHORIZATION: &str = "Basic bWFpbDpzJTI1YyUyNnJldA==";

impl Issuer {
    /// Starts one on a port that is free.
    pub fn start() -> Issuer {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let at = listener.local_addr().expect("it is bound");
        let state = Arc::<State>::default();
        let served = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if served.stop.load(Ordering::Relaxed) {
                    return;
                }
                let state = served.clone();
                std::thread::spawn(move || state.serve(stream));
            }
        });
        Issuer { at, state }
    }

    /// Its address for questions.
    pub fn url(&self) -> String {
        format!("http://{}/introspect", self.at)
    }

    /// Who asks, and with what secret.
    pub const CLIENT: (&'static str, &'static str) = ("mail", "s%c&ret");

    /// From now on this is said about a token.
    pub fn says(&self, token: &str, answer: &str) {
        let mut known = self.state.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(token.to_owned(), answer.to_owned());
    }

    /// How often it was asked.
    pub fn questions(&self) -> u32 {
        self.state.questions.load(Ordering::Relaxed)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.at));
    }
}

impl State {
    fn serve(&self, mut stream: TcpStream) {
        let Some((status, body)) = self.answer(&stream) else { return };
        let text = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        // One that has left hears nothing.
        let _ = stream.write_all(text.as_bytes());
    }

    fn answer(&self, stream: &TcpStream) -> Option<(&'static str, String)> {
        let mut lines = BufReader::new(stream);
        let (mut length, mut authorized) = (0, false);
        let mut first = String::new();
        lines.read_line(&mut first).ok()?;
        loop {
            let mut line = String::new();
            lines.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().ok()?,
                "authorization" => authorized = value == AUTHORIZATION,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        lines.read_exact(&mut body).ok()?;
        if first.trim_end() != "POST /introspect HTTP/1.1" {
            return Some(("404 Not Found", String::new()));
        }
        if !authorized {
            return Some(("401 Unauthorized", String::new()));
        }
        self.questions.fetch_add(1, Ordering::Relaxed);
        let body = String::from_utf8(body).ok()?;
        let token = body.split('&').find_map(|field| field.strip_prefix("token="))?;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = || r#"{"active":false}"#.to_owned();
        Some(("200 OK", known.get(token).cloned().unwrap_or_else(unknown)))
    }
}
