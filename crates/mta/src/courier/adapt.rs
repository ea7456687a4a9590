//! A letter made fit for a hop that offers less than it needs: 8-bit text for one without 8BITMIME
//! (RFC 6152 §3), and SMTPUTF8 left away where nothing in the letter needs it (RFC 6531 §3.2). What
//! cannot be made fit is refused by the client machine, with the reason.

use disk::Body;
use message::seven_bit;
use protocol::address::Address;
use protocol::smtp::{BodyType, Capabilities, MailParameters};
use protocol::time::Timestamp;

use super::session::Load;
use crate::limits::{ADAPTED, HEADER_LOOKED_AT};

/// What is sent instead.
pub(super) struct Adapted {
    pub(super) parameters: MailParameters,
    pub(super) body: Body,
    /// For the journey.
    pub(super) text: String,
}

/// What to send to a hop with these extensions; `None`: the letter as it is.
pub(super) fn adapt(load: &Load<'_>, offered: &Capabilities, now: Timestamp) -> Option<Adapted> {
    let mut parameters = load.parameters.clone();
    let mut body = load.body.clone();
    let mut done = Vec::new();
    if parameters.smtputf8 && !offered.smtputf8 && !needs_smtputf8(load) {
        parameters.smtputf8 = false;
        done.push("nothing in the letter needs SMTPUTF8".to_owned());
    }
    if parameters.body == Some(BodyType::EightBitMime) && !offered.eight_bit_mime {
        match load.body.read_all(ADAPTED).map(|letter| seven_bit::convert(&letter)) {
            Ok(Ok(letter)) => {
                // RFC 6376 §5.3: sign what is sent. Others' signatures over it hold no more.
                let again = load.signer.and_then(|signer| signer.again(&letter, now));
                let (letter, signature) = again
                    .unwrap_or_else(|| (letter, "signatures over them do not hold".to_owned()));
                body = letter.into();
                parameters.body = None;
                parameters.size = Some(body.length());
                done.push(format!("8-bit parts re-encoded; {signature}"));
            }
            // The machine refuses it then; why is worth knowing.
            Ok(Err(why)) => tracing::info!(?why, "a letter with 8-bit text cannot be re-encoded"),
            Err(error) => tracing::info!(%error, "a letter with 8-bit text is not re-encoded"),
        }
    }
    (!done.is_empty()).then(|| Adapted { parameters, body, text: done.join("; ") })
}

fn needs_smtputf8(load: &Load<'_>) -> bool {
    let sender = load.path.address().is_some_and(Address::needs_smtputf8);
    let recipient =
        load.recipients.iter().any(|(path, _)| path.address().is_some_and(Address::needs_smtputf8));
    let start = load.body.read_start(HEADER_LOOKED_AT).unwrap_or_default();
    let block = start.get(..message::header::length(&start)).unwrap_or(&start);
    sender || recipient || !block.is_ascii()
}
