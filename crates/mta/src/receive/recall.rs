//! XRECALL: who submitted a letter takes it back while it waits here, for the time that was asked
//! for (RFC 4865) or because nobody could be reached yet. Offered to who has logged in: the
//! submission agent says who that is. An operator has `posthaste queue remove`.

use std::time::Duration;

use protocol::address::Address;
use protocol::journey::JourneyId;
use protocol::rejection::{Fault, Rejection};
use protocol::reply::{EnhancedCode, ReplyCode};
use protocol::smtp::AuthParameter;
use queue::{Answer, Listed, State, Wait};
use service::trail::{Event, Kind, Outcome};

use super::{Desk, disk_rejection};
use crate::reason::Reason;
use crate::withdraw::{Stopped, ended, stop};

/// How long a transaction that goes on is waited for.
const STOPS: Duration = Duration::from_secs(10);

/// The rule by which it ends, as the ledger and the journey have it.
const RULE: &str = "rule recalled-by-sender: taken back by who sent it";

impl Desk {
    /// Takes a letter of `account` back.
    ///
    /// # Errors
    /// It is not here, or not theirs; some have it already; the disk would not.
    pub(super) async fn recall(
        &self,
        id: JourneyId,
        account: Option<&Address>,
    ) -> Result<(), Rejection> {
        let theirs = |listed: &Listed| match (&listed.letter.parameters.auth, account) {
            (Some(AuthParameter::Account(sender)), Some(account)) => sender == account,
            _ => false,
        };
        // Whether there is somebody else's letter of that name is nobody's business.
        let found = self.queue.show(id).filter(theirs).ok_or_else(gone)?;
        let halt = ("being taken back", self.context.clock.tick().after(STOPS));
        let here = (&self.queue, &self.context.clock);
        let listed = match stop(here, &found, halt).await.map_err(|it| disk_rejection(&it))? {
            Stopped::Rests(listed) => *listed,
            Stopped::Gone => return Err(gone()),
            Stopped::Not => return Err(busy()),
        };
        let at = (id, self.context.clock.now());
        let changed = self.queue.change(at, ended(&listed, State::Discarded, RULE), Wait::Durable);
        if changed.await.map_err(|error| disk_rejection(&error))? == Answer::Unknown {
            return Err(gone());
        }
        for (_, recipient) in listed.letter.waiting() {
            let event = Event::new(Kind::Discarded, id).to(&recipient.address).queue_id(id);
            let event = event.outcome(Outcome::Permanent).class(Reason::Operator);
            self.context.trail.record(event.text(RULE));
        }
        let total = listed.letter.recipients.len();
        match total - listed.waiting() {
            0 => Ok(()),
            done => Err(partly(done, total)),
        }
    }
}

fn gone() -> Rejection {
    no("no letter of yours with this id waits here; it has left, or was never here".to_owned())
}

fn partly(done: usize, total: usize) -> Rejection {
    no(format!("{done} of {total} recipients have it already; the others do not get it"))
}

fn no(text: String) -> Rejection {
    let enhanced = EnhancedCode::permanent(7, 0);
    Rejection::permanent(ReplyCode::MAILBOX_UNAVAILABLE, enhanced, Fault::Sender, text)
}

fn busy() -> Rejection {
    let enhanced = EnhancedCode::temporary(7, 0);
    let text = "the letter is leaving at this moment; ask again in a minute";
    Rejection::temporary(ReplyCode::LOCAL_ERROR, enhanced, Fault::Ours, text)
}
