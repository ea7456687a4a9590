//! What is to be done after the delivery agent has spoken for each local recipient while the
//! sender waited: one opinion is passed on as the reply; mixed ones are a yes, and the rest is the
//! queue's. Pure: it decides and does nothing.

use protocol::rejection::Rejection;

use crate::reason::{Failure, Reason};

/// What became of one recipient.
pub(super) type Outcome = Result<String, Failure>;

/// Whether a failure may be told to the sender by letter later on. Not where the sender could be
/// forged: the bounce would go to somebody who never wrote (backscatter).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proven {
    /// The sender is who it says.
    Yes,
    /// It may be anybody.
    No,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// This is the reply; nothing is kept.
    Refuse(Rejection),
    /// Yes; what stands here is to be done for those recipients that were not delivered to.
    Keep(Vec<(usize, Rest)>),
}

/// What is to be done for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// The queue tries again later.
    Later,
    /// The queue asks once more and, after the same answer, tells the sender.
    Bounce,
    /// Nobody is told, since nobody is known; the ledger knows.
    Discard,
}

/// Judges the outcomes of a letter none of which is in the queue.
pub(super) fn judge(outcomes: &[Outcome], proven: Proven) -> Judgement {
    let failures: Vec<(usize, &Failure)> = outcomes
        .iter()
        .enumerate()
        .filter_map(|(index, outcome)| outcome.as_ref().err().map(|failure| (index, failure)))
        .collect();
    let all_failed = failures.len() == outcomes.len();
    let all_said = failures.iter().all(|(_, failure)| was_said(failure));
    let all_permanent = failures.iter().all(|(_, failure)| failure.is_permanent());
    if all_failed && all_said {
        // Nobody has it. A 4xx is good for a server, which tries again, but not for a person's
        // program, which does not: what was submitted and may work later is queued.
        let opinion = match proven {
            Proven::Yes if all_permanent => failures.first(),
            Proven::Yes => None,
            Proven::No => failures.iter().find(|(_, f)| !f.is_permanent()).or(failures.first()),
        };
        if let Some((_, failure)) = opinion {
            return Judgement::Refuse(rejection(failure));
        }
    }
    Judgement::Keep(failures.into_iter().map(|(index, f)| (index, rest(f, proven))).collect())
}

/// What is to be done for a recipient that was not delivered to, where the letter is kept.
pub(super) fn rest(failure: &Failure, proven: Proven) -> Rest {
    match (failure.is_permanent(), proven) {
        (false, _) => Rest::Later,
        (true, Proven::Yes) => Rest::Bounce,
        (true, Proven::No) => Rest::Discard,
    }
}

/// The delivery agent itself said it, in words fit for the sender. A broken connection, or a 421
/// (RFC 5321 §3.8: the service closes), says nothing about the letter.
fn was_said(failure: &Failure) -> bool {
    failure.verb.is_some()
        && failure.reason != Reason::Network
        && failure.reply.code != protocol::reply::ReplyCode::UNAVAILABLE
}

fn rejection(failure: &Failure) -> Rejection {
    Rejection::from_reply(&failure.reply).unwrap_or_else(|| Rejection::internal(failure))
}
