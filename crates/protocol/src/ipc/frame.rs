//! Frames: one JSON object per line, bounded. Not concerned with what the objects mean.

use super::{FaultKind, fault::Fault};
use bytes::{Buf, BytesMut};
use memchr::memchr;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest frame, its newline included, in octets. Lists are sent as streams of frames, bulk
/// data by path or descriptor, so that a connection costs little memory.
pub const FRAME_LIMIT: usize = 64 * 1024;

/// What a client sends.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Question<P = Value> {
    pub(super) method: String,
    #[serde(default)]
    pub(super) parameters: P,
    pub(super) id: u64,
    /// The client wants a stream of answers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) more: bool,
}

/// What a server sends.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer<R = Value> {
    pub(super) id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<R>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Fault>,
    /// Further answers with this id follow.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) continues: bool,
}

/// Octets from the peer, cut into frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: BytesMut,
    /// Octets at the front of `buffer` known to hold no newline.
    searched: usize,
}

impl Frames {
    pub(super) fn push(&mut self, input: &[u8]) {
        self.buffer.extend_from_slice(input);
    }

    /// The next whole frame without its newline; `Err` when it cannot be within the limit.
    pub(super) fn next(&mut self) -> Result<Option<BytesMut>, TooLong> {
        let rest = self.buffer.get(self.searched..).unwrap_or_default();
        match memchr(b'\n', rest) {
            Some(at) if self.searched + at < FRAME_LIMIT => {
                let frame = self.buffer.split_to(self.searched + at);
                self.buffer.advance(1);
                self.searched = 0;
                Ok(Some(frame))
            }
            None if self.buffer.len() < FRAME_LIMIT => {
                self.searched = self.buffer.len();
                Ok(None)
            }
            _ => Err(TooLong),
        }
    }

    /// Whether octets of a frame that has not ended are waiting.
    pub(super) fn has_partial(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Octets held.
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    pub(super) fn clear(&mut self) {
        self.buffer.clear();
        self.searched = 0;
    }
}

/// A frame over [`FRAME_LIMIT`].
#[derive(Debug)]
pub(super) struct TooLong;

/// Appends a message as a frame.
///
/// # Errors
/// A fault when it does not fit a frame or cannot be JSON; nothing is appended then.
pub(super) fn write<T: Serialize>(message: &T, output: &mut BytesMut) -> Result<(), Fault> {
    let text = serde_json::to_vec(message)
        .map_err(|error| Fault::new(FaultKind::Internal, format!("cannot be JSON: {error}")))?;
    if text.len() >= FRAME_LIMIT {
        let said = format!("a message of {} octets does not fit a frame", text.len());
        return Err(Fault::new(FaultKind::TooLarge, said));
    }
    output.extend_from_slice(&text);
    output.extend_from_slice(b"\n");
    Ok(())
}
