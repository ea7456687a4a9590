//! What the ledger is told of mailboxes, over the control socket: one fact for each delivery, after
//! a look at the files.

use mailbox::{Error, Fate, Kept, Mailboxes, Whose};
use net::ipc::Responder;
use protocol::ipc::{Fault, FaultKind};
use service::Context;
use service::ledger::{self, Act, AskCustody, Fact};

use crate::rules::Rules;

/// Answers `custody`.
pub(crate) fn register(context: &Context, mailboxes: &Mailboxes, rules: &Rules) {
    let (mailboxes, rules) = (mailboxes.clone(), rules.clone());
    context.control.on_stream::<AskCustody, _, _>(move |_, respond| {
        let (mailboxes, rules) = (mailboxes.clone(), rules.clone());
        async move { tell(&mailboxes, &rules, respond).await }
    });
}

async fn tell(mailboxes: &Mailboxes, rules: &Rules, respond: Responder) {
    let known = match facts(mailboxes).await {
        // And what rules made an end of.
        Ok(stored) => rules.book.facts().map(|ended| [stored, ended].concat()).map_err(Error::from),
        Err(error) => Err(error),
    };
    match known {
        Ok(facts) => ledger::answer(facts, respond).await,
        Err(error) => {
            tracing::error!(?error, "the mailboxes cannot be surveyed");
            let why = format!("the mailboxes cannot be surveyed: {error}; see the log of mda");
            respond.refuse(Fault::new(FaultKind::Internal, why)).await;
        }
    }
}

/// All facts of the store.
///
/// # Errors
/// When a log or the custody book cannot be read.
pub async fn facts(mailboxes: &Mailboxes) -> Result<Vec<Fact>, Error> {
    let survey = mailboxes.survey(Whose::All).await?;
    for report in &survey.reports {
        tracing::warn!("{report}");
    }
    Ok(survey.deliveries.into_iter().map(fact).collect())
}

fn fact(kept: Kept) -> Fact {
    let act = match kept.fate {
        Fate::There | Fate::Isolated => Act::Stored,
        Fate::Taken => Act::Expunged,
        Fate::RemovedExternally => Act::Removed,
        Fate::FileVanished | Fate::RecordVanished => Act::Missing,
    };
    let mut fact = Fact::new(kept.journey, kept.recipient, act);
    fact.detail = match kept.fate {
        Fate::There | Fate::Taken => String::new(),
        Fate::Isolated => "damaged, and set aside".to_owned(),
        Fate::RemovedExternally => "removed by another program".to_owned(),
        Fate::FileVanished => "its record is there, its file is not".to_owned(),
        Fate::RecordVanished => "neither a record nor a word of its end".to_owned(),
    };
    fact
}
