//! ManageSieve (RFC 5804) on 4190: people's programs look after their scripts. The machine
//! (`protocol::managesieve`) knows what may be said, `rules::Shelf` where scripts lie; one that has
//! a fault is not stored, and each fault is told with its line and column.

mod session;

use net::listen::{Accepted, Bound, Hall};

use crate::retrieve::Retrieval;
use crate::rules::Rules;
use session::Session;

/// What all ManageSieve sessions share.
#[derive(Debug, Clone)]
pub(crate) struct Management {
    shared: Retrieval,
    rules: Rules,
}

impl Management {
    pub(crate) fn new(shared: Retrieval, rules: Rules) -> Self {
        Management { shared, rules }
    }

    /// Serves a listening socket until the hall stops.
    pub(crate) async fn serve(self, bound: Bound, hall: Hall) {
        let address = bound.address().to_string();
        let listener = match bound.listen() {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%address, %error, "cannot watch the ManageSieve socket");
                return;
            }
        };
        let refusal = b"BYE (TRYLATER) \"too many sessions, try again later\"\r\n";
        let session = move |accepted: Accepted| {
            let this = self.clone();
            async move {
                if let Some(session) = Session::begin(this, accepted).await {
                    session.run().await;
                }
            }
        };
        listener.serve(&hall, refusal, session).await;
    }
}
