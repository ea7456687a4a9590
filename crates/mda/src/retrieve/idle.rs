//! IDLE (RFC 2177): changes are told as they happen.

use protocol::imap::server::Event;
use protocol::imap::{Condition, StatusText, Untagged};

use super::failure::{Failure, Outcome};
use super::limits;
use super::selected::Expunges;
use super::session::Session;

/// What ended a wait.
enum Woken {
    Event(Option<Event>),
    Changed,
    Look,
    StillHere,
    Drain,
}

impl Session {
    /// Waits for DONE, telling what changes in the selected mailbox.
    pub(super) async fn idle(&mut self) -> Outcome {
        self.machine().start_idle();
        let clock = self.shared.clock.clone();
        let drain = self.shared.drain.clone();
        let mut say_at = clock.tick().after(limits::STILL_HERE);
        let mut look_at = clock.tick().after(limits::LOOK);
        loop {
            self.synchronize(Expunges::Told).await?;
            let selected =
                self.selected.as_ref().map(|one| (one.mailbox.clone(), one.view.clone()));
            let changed = async {
                match &selected {
                    Some((mailbox, view)) => mailbox.changed(view).await,
                    None => std::future::pending().await,
                }
            };
            let woken = tokio::select! {
                biased;
                () = drain.cancelled() => Woken::Drain,
                event = self.driver.next() => Woken::Event(event),
                () = changed => Woken::Changed,
                () = clock.sleep_until(look_at) => Woken::Look,
                () = clock.sleep_until(say_at) => Woken::StillHere,
            };
            match woken {
                Woken::Event(Some(Event::IdleDone)) => return Ok(StatusText::default()),
                Woken::Event(Some(_)) | Woken::Changed => {}
                Woken::Event(None) => return Err(Failure::bad("the connection is gone")),
                Woken::Drain => {
                    self.machine().bye("the server is stopping; come back in a moment");
                    return Err(Failure::bad("the server is stopping"));
                }
                Woken::Look => {
                    look_at = clock.tick().after(limits::LOOK);
                    if let Some((mailbox, _)) = &selected {
                        Box::pin(self.shared.look(mailbox)).await;
                    }
                }
                Woken::StillHere => {
                    say_at = clock.tick().after(limits::STILL_HERE);
                    let text = StatusText::new("still here");
                    self.machine().untagged(&Untagged::Status(Condition::Ok, text));
                }
            }
        }
    }
}
