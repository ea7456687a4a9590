//! What every protocol machine has in common: how bytes, time and TLS facts go in, and how events
//! and bytes come out. Not a protocol itself. Implemented by `smtp`, `imap` and later machines;
//! driven by `net::drive` and nothing else.

use std::time::Duration;

use bytes::BytesMut;

/// Monotonic time as the driver tells it: microseconds since the driver's epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(u64);

impl Tick {
    /// The given number of microseconds after the driver's epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Tick(micros)
    }

    /// Microseconds since the driver's epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The moment `wait` later; the end of time rather than an overflow.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        Tick(self.0.saturating_add(micros))
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// How far the peer's certificate was believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Verification {
    /// The peer showed no certificate (the usual case for a client of ours).
    #[default]
    NoCertificate,
    /// The chain and the name hold against our roots (PKIX, RFC 6125).
    Verified,
    /// A certificate was shown and not believed, with the reason; opportunistic TLS goes on.
    Unverified(String),
}

/// What is known of an established TLS layer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFacts {
    /// As in Received and logs, e.g. `TLSv1.3`.
    pub version: String,
    /// As in Received and logs, e.g. `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// How keys were exchanged, e.g. `X25519MLKEM768`, where it is known.
    pub group: Option<String>,
    /// The name for which the peer's certificate was checked, if there was one.
    pub peer_name: Option<String>,
    /// The server name that the client asked for (RFC 6066 §3).
    pub sni: Option<String>,
    /// How far the peer's certificate was believed.
    pub verified: Verification,
    /// Keying material for channel binding, label `EXPORTER-Channel-Binding` (RFC 9266).
    pub exporter: Option<[u8; 32]>,
    /// The mailboxes that the client has proven with its certificate: rfc822Name, in the order
    /// found (RFC 5280 §4.2.1.6). Only a server that asks for certificates fills it in.
    pub client_mailboxes: Vec<String>,
    /// The hash of our certificate for `tls-server-end-point` (RFC 5929 §4), if we know it.
    pub server_end_point: Option<Vec<u8>>,
}

/// A protocol machine: a pure state machine between one peer and one agent.
///
/// The methods fall into four classes.
///
/// - **In, from the world**: [`feed`](Machine::feed), [`end_of_input`](Machine::end_of_input),
///   [`tls_established`](Machine::tls_established), [`expire`](Machine::expire).
/// - **In, from the agent**: inherent methods of each machine, such as `answer(question, ..)`.
/// - **Out**: [`poll`](Machine::poll), [`poll_output`](Machine::poll_output).
/// - **Looking**: the others; they change nothing.
///
/// After any call of the first two classes: `poll` until `None` (handling each event, which may
/// mean further answers), then take the output, then look at `is_closed`, `wants_input` and
/// `deadline`. Output must be taken before TLS is begun. A machine whose output is not taken, or
/// whose questions are not answered, stops wanting input.
pub trait Machine {
    /// What the machine tells the agent.
    type Event;

    /// Takes bytes from the peer. The machine copies what it cannot use yet; the driver feeds only
    /// while [`wants_input`](Machine::wants_input), in pieces of its own read buffer's size.
    fn feed(&mut self, now: Tick, input: &[u8]);

    /// The peer closed its side.
    fn end_of_input(&mut self, now: Tick);

    /// TLS is in place; whatever plain text was buffered is thrown away (RFC 3207 §4.2).
    fn tls_established(&mut self, now: Tick, facts: TlsFacts);

    /// Time has passed, at least up to [`deadline`](Machine::deadline).
    fn expire(&mut self, now: Tick);

    /// The next event; `None`: nothing until there is more input or an answer.
    fn poll(&mut self) -> Option<Self::Event>;

    /// Moves what is to be sent to the end of `out`.
    fn poll_output(&mut self, out: &mut BytesMut);

    /// There is something to be sent.
    fn has_output(&self) -> bool;

    /// When [`expire`](Machine::expire) wants to be called, if nothing happens before.
    fn deadline(&self) -> Option<Tick>;

    /// False: feed nothing for now (back-pressure).
    fn wants_input(&self) -> bool;

    /// Whether the next step is the peer's. False: something it asked for is being done, and our
    /// answer will tell it that all it sent has come.
    fn awaits_peer(&self) -> bool {
        true
    }

    /// True: send the remaining output, then close the connection.
    fn is_closed(&self) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_neither_overflow_nor_go_below_zero() {
        let start = Tick::from_micros(10);
        assert_eq!(start.after(Duration::from_micros(5)).as_micros(), 15);
        assert_eq!(start.after(Duration::MAX).as_micros(), u64::MAX);
        assert_eq!(start.since(Tick::from_micros(20)), Duration::ZERO);
        assert_eq!(Tick::from_micros(20).since(start), Duration::from_micros(10));
    }
}
