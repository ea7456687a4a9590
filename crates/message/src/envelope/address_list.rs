//! Address lists for ENVELOPE.

use super::EnvelopeAddress;

/// The addresses of an unfolded address field in IMAP's form.
pub fn parse_addresses(_value: &[u8]) -> Vec<EnvelopeAddress> {
    todo!()
}
