//! POP3 on 110 and 995: people fetch what is in INBOX. The machine (`protocol::pop3`) knows what
//! may be said; here are the lock, the letters and the deletions.
//!
//! One session at a time has an account's mailbox (RFC 1939 §8). It sees the letters that were
//! there when it logged in; what it deletes goes at QUIT and not before. IMAP sessions go on
//! beside it.

mod session;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use mailbox::AccountId;
use net::listen::{Accepted, Bound, Hall};

use super::Retrieval;
use super::doorkeeper::Beginning;
use session::Session;

/// What all POP3 sessions share.
#[derive(Debug, Clone)]
pub(crate) struct Pop3 {
    pub(super) shared: Retrieval,
    /// Accounts whose mailbox a session has.
    taken: Arc<Mutex<HashSet<AccountId>>>,
}

/// The exclusive lock on an account's mailbox; dropped, it is free.
#[derive(Debug)]
pub(super) struct Held {
    account: AccountId,
    taken: Arc<Mutex<HashSet<AccountId>>>,
}

impl Pop3 {
    pub(crate) fn new(shared: Retrieval) -> Self {
        Pop3 { shared, taken: Arc::default() }
    }

    /// Serves a listening socket until the hall stops.
    pub(crate) async fn serve(self, bound: Bound, beginning: Beginning, hall: Hall) {
        let address = bound.address().to_string();
        let listener = match bound.listen() {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%address, %error, "cannot watch the POP3 socket");
                return;
            }
        };
        let refusal: &'static [u8] = match beginning {
            Beginning::Clear => b"-ERR [SYS/TEMP] too many sessions, try again later\r\n",
            Beginning::Tls => b"",
        };
        let session = move |accepted: Accepted| {
            let this = self.clone();
            async move {
                if let Some(session) = Session::begin(this, accepted, beginning).await {
                    session.run().await;
                }
            }
        };
        listener.serve(&hall, refusal, session).await;
    }

    /// The lock, if nobody has it (RFC 1939 §8).
    pub(super) fn lock(&self, account: &AccountId) -> Option<Held> {
        let is_free = {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            taken.insert(account.clone())
        };
        is_free.then(|| Held { account: account.clone(), taken: self.taken.clone() })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.account);
    }
}
