//! New keys take over: looks now and then whether DNS shows what is to sign next. Switching before
//! would make signatures that nobody can check.

use std::sync::Arc;
use std::time::Duration;

use disk::RealDisk;
use net::dns::{Cause, Resolver};
use protocol::ipc::{Fault, FaultKind};
use protocol::time::Timestamp;
use service::daemon::Context;

use super::selectors::Selectors;
use super::{AskRenew, Renewed, Signer};
use crate::courier::Transport;

/// What DNS says of a key that is to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// The record is there, with this key.
    Yes,
    /// It is not, or another is.
    No,
    /// DNS did not answer.
    Unknown,
}

/// Looks after the keys until the agent drains, and when it is asked to.
pub(crate) fn tend(context: &Context, signer: &Arc<Signer>, transport: &Arc<Transport>) {
    let asked = (context.clone(), signer.clone(), transport.clone());
    context.control.on::<AskRenew, _, _>(move |_| {
        let (context, signer, transport) = asked.clone();
        async move {
            look(&context, &signer, &transport.resolver())
                .await
                .map_err(|why| Fault::new(FaultKind::Internal, why))
        }
    });
    let renewed = signer.clone();
    context.control.on_reload(move |_| {
        let signer = renewed.clone();
        Ok(Box::new(move || {
            for complaint in signer.renew() {
                tracing::error!("{complaint}");
            }
        }))
    });
    let (context, signer, transport) = (context.clone(), signer.clone(), transport.clone());
    tokio::spawn(async move {
        loop {
            let wait = context.config.current().dkim.check_every.max(Duration::from_secs(1));
            tokio::select! {
                () = context.drain.cancelled() => return,
                () = context.clock.sleep(wait) => {}
            }
            if let Err(why) = look(&context, &signer, &transport.resolver()).await {
                tracing::error!("DKIM: {why}");
            }
        }
    });
}

async fn look(context: &Context, signer: &Signer, resolver: &Resolver) -> Result<Renewed, String> {
    let after = context.config.current().dkim.switch_after;
    for (domain, folder) in signer.domains() {
        let mut keys = Selectors::read(&folder);
        let Some(since) = keys.next().filter_map(|one| one.since).max() else { continue };
        let now = context.clock.now();
        let mut all = Shown::Yes;
        for one in keys.next() {
            let shown = shown(resolver, &one.record_name(&domain), &one.key.record()).await;
            all = match (all, shown) {
                (Shown::No, _) | (_, Shown::No) => Shown::No,
                (Shown::Unknown, _) | (_, Shown::Unknown) => Shown::Unknown,
                _ => Shown::Yes,
            };
        }
        if !is_time(all, (since, now), after) {
            continue;
        }
        keys.switch(now);
        keys.write(&RealDisk, &folder).map_err(|error| error.to_string())?;
        let names: Vec<&str> = keys.signing().map(|one| one.name.as_str()).collect();
        tracing::info!(domain, selectors = names.join(" "), "new DKIM keys sign from now on");
    }
    let complaints = signer.renew();
    Ok(Renewed { domains: signer.len(), complaints })
}

/// A clear no of DNS is waited out for as long as it takes: signing then would fail everywhere.
fn is_time(shown: Shown, (since, now): (Timestamp, Timestamp), after: Duration) -> bool {
    match shown {
        Shown::Yes => true,
        Shown::No => false,
        Shown::Unknown => now.since(since) >= after,
    }
}

async fn shown(resolver: &Resolver, name: &str, record: &str) -> Shown {
    let key = |text: &str| {
        let tags = text.split(';').filter_map(|tag| tag.split_once('='));
        let value = tags.filter(|(name, _)| name.trim() == "p").map(|(_, value)| value).next();
        value.unwrap_or_default().split_whitespace().collect::<String>()
    };
    match resolver.txt(name).await {
        Ok(answer) => {
            let same = |text: &Vec<u8>| key(&String::from_utf8_lossy(text)) == key(record);
            if answer.records.iter().any(same) { Shown::Yes } else { Shown::No }
        }
        Err(failure) => match failure.cause {
            Cause::NoSuchName | Cause::NoData | Cause::BadName => Shown::No,
            _ => Shown::Unknown,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_signs_when_dns_shows_it_or_cannot_be_asked_for_long() {
        let since = Timestamp::from_seconds(1000);
        let (soon, late) = (Timestamp::from_seconds(1010), Timestamp::from_seconds(2000));
        let after = Duration::from_secs(500);
        assert!(is_time(Shown::Yes, (since, soon), after));
        assert!(!is_time(Shown::Unknown, (since, soon), after));
        assert!(is_time(Shown::Unknown, (since, late), after));
        assert!(!is_time(Shown::No, (since, late), after), "nobody could check what it signs");
    }
}
