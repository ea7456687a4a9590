//! The verbs of the queue on the MTA's control socket, for `posthaste queue`, and the facts of
//! custody for `posthaste ledger`. The same shapes serve a queue whose MTA is away
//! ([`letters_on_disk`]).

mod act;
mod batch;
mod facts;
mod shape;
mod show;

use std::path::Path;
use std::sync::Arc;

use disk::Disk;
use protocol::ipc::{Fault, FaultKind};
use protocol::time::Timestamp;
use queue::{Listed, Queue};
use service::Context;
use service::ledger::{self, AskCustody};

use crate::relay::Relay;
pub use act::{Acted, AskAct, Verb};
pub use batch::{AskExport, AskImport, Batched};
pub use facts::of_queue as facts;
pub use shape::{AGES, AskShape, Shape, ShapeRow};
pub use show::{AskLetter, AskLetters, Filter, LetterPage, QueueLetter, QueueRecipient};

/// Answers the queue's verbs from now on.
pub(crate) fn answer(context: &Context, relay: &Arc<Relay>) {
    let control = &context.control;
    let asked = relay.clone();
    control.on_stream::<AskLetters, _, _>(move |ask, mut respond| {
        let relay = asked.clone();
        async move {
            let letters = relay.queue.list(|letter| ask.filter.wants(letter));
            let mut pages = letters.chunks(show::LETTERS_PER_PAGE).peekable();
            loop {
                let page = pages.next().unwrap_or_default();
                let page = LetterPage { letters: page.iter().map(show::brief).collect() };
                if pages.peek().is_none() {
                    return respond.answer(&page).await;
                }
                if !respond.part(&page).await {
                    return;
                }
            }
        }
    });
    let asked = relay.clone();
    control.on::<AskLetter, _, _>(move |ask| {
        let found = asked.queue.show(ask.journey).map(|listed| show::whole(&listed));
        async move { found.ok_or_else(unknown) }
    });
    let asked = relay.clone();
    control.on::<AskShape, _, _>(move |_| {
        let now = asked.context.clock.now();
        let letters = asked.queue.list(|_| true);
        async move { Ok(Shape::of(letters.iter().map(|listed| listed.letter.as_ref()), now)) }
    });
    let asked = relay.clone();
    control.on::<AskAct, _, _>(move |ask| {
        let relay = asked.clone();
        async move { act::act(&relay, ask).await }
    });
    let asked = relay.clone();
    control.on::<AskExport, _, _>(move |ask| {
        let relay = asked.clone();
        async move { batch::export(&relay, ask).await }
    });
    let asked = relay.clone();
    control.on::<AskImport, _, _>(move |ask| {
        let relay = asked.clone();
        async move { batch::import(&relay, ask).await }
    });
    let asked = relay.clone();
    control.on_stream::<AskCustody, _, _>(move |_, respond| {
        let queue = asked.queue.clone();
        async move {
            match facts::of_queue(&queue).await {
                Ok(facts) => ledger::answer(facts, respond).await,
                Err(error) => {
                    tracing::error!(%error, "the queue's custody cannot be told");
                    let text = "the queue cannot be read; the MTA's log says why";
                    respond.refuse(Fault::new(FaultKind::Internal, text)).await;
                }
            }
        }
    });
}

/// The letters in the queue of an MTA that is away; nothing is changed. Missing means empty.
///
/// # Errors
/// The disk's, e.g. when we may not read it.
pub fn letters_on_disk(disk: Arc<dyn Disk>, queue: &Path) -> disk::Result<Vec<QueueLetter>> {
    Ok(look(disk, queue)?.iter().map(show::whole).collect())
}

/// The shape of the queue of an MTA that is away.
///
/// # Errors
/// As [`letters_on_disk`].
pub fn shape_on_disk(disk: Arc<dyn Disk>, queue: &Path, now: Timestamp) -> disk::Result<Shape> {
    let letters = look(disk, queue)?;
    Ok(Shape::of(letters.iter().map(|listed| listed.letter.as_ref()), now))
}

fn look(disk: Arc<dyn Disk>, queue: &Path) -> disk::Result<Vec<Listed>> {
    match Queue::look(disk, queue) {
        Err(error) if error.is_missing() => Ok(Vec::new()),
        other => other,
    }
}

fn unknown() -> Fault {
    Fault::new(FaultKind::NotFound, "there is no such letter in the queue (any more)")
}
