//! One attempt for one letter: who of its recipients goes which way, the trips, and what became of
//! each recipient. How a trip is made is `courier`'s; what is written down is `outcome`'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use disk::{Body, ErrorKind};
use protocol::address::ForwardPath;
use protocol::smtp::{MailParameters, RcptParameters};
use protocol::time::Timestamp;
use queue::Lease;
use service::config::Config;

use super::backoff;
use super::outcome::Fate;
use super::route::{self, Way};
use super::runner::Relay;
use crate::courier::{Journal, Load};
use crate::reason::{Failure, Reason};

/// An attempt for one letter.
pub(crate) struct Trip {
    pub(crate) relay: Arc<Relay>,
    pub(crate) lease: Lease,
    pub(crate) config: Arc<Config>,
    pub(crate) journal: Journal,
    pub(crate) body: Body,
}

impl Trip {
    /// Tries every recipient that is due; done when each has an outcome that is written down.
    pub(crate) async fn go(relay: Arc<Relay>, lease: Lease) {
        let letter = lease.letter().clone();
        let config = relay.context.config.current();
        let journal = Journal::new(&relay.context.trail, letter.journey);
        let body = match relay.queue.bytes(letter.journey) {
            Ok(body) => body,
            // It left this moment; an operator removed it.
            Err(error) if error.kind() == ErrorKind::Missing && relay.is_gone(&lease) => return,
            Err(error) => {
                tracing::error!(journey = %letter.journey, %error, "a letter cannot be read");
                let text = "the letter's file on our side cannot be read at the moment";
                let failure = Failure::temporary(Reason::Ours, (3, 0), text);
                let trip = Arc::new(Trip { relay, lease, config, journal, body: Body::default() });
                let due = trip.due();
                let fates = due.into_iter().map(|index| (index, Fate::Failed(failure.clone())));
                return trip.settle(&Way::Local, fates.collect()).await;
            }
        };
        let trip = Arc::new(Trip { relay, lease, config, journal, body });
        trip.all_ways().await;
    }

    /// Recipients that are due, by index.
    fn due(&self) -> Vec<usize> {
        let now = self.relay.context.clock.now();
        let due = |(index, recipient): (usize, &queue::Recipient)| {
            (recipient.progress.next <= now).then_some(index)
        };
        self.lease.letter().waiting().filter_map(due).collect()
    }

    async fn all_ways(self: Arc<Self>) {
        let mut ways: BTreeMap<Way, Vec<usize>> = BTreeMap::new();
        let mut nowhere = Vec::new();
        let directory = self.relay.directory.current(self.relay.context.clock.tick());
        for index in self.due() {
            let address = &self.lease.letter().recipients[index].address;
            let is_ours = |domain: &_| directory.domain(domain).is_some();
            match route::way(&self.config.mta, address, is_ours) {
                Ok(way) => ways.entry(way).or_default().push(index),
                Err(failure) => nowhere.push((index, Fate::Failed(failure))),
            }
        }
        if !nowhere.is_empty() {
            self.settle(&Way::Local, nowhere).await;
        }
        // Each way on its own: a slow one keeps no other recipient waiting.
        let mut trips = tokio::task::JoinSet::new();
        for (way, recipients) in ways {
            let trip = self.clone();
            trips.spawn(async move { trip.one_way(way, recipients).await });
        }
        while let Some(ended) = trips.join_next().await {
            if let Err(panic) = ended {
                tracing::error!(journey = %self.lease.letter().journey, %panic, "a trip broke off");
            }
        }
    }

    async fn one_way(&self, way: Way, recipients: Vec<usize>) {
        let relay = &self.relay;
        let Some(_slot) = relay.slots.take(&way).await else { return };
        if relay.context.drain.is_cancelled() {
            // The letter keeps its place and is tried after the restart.
            return;
        }
        if let Some(failure) = relay.slots.unwell(&way, relay.context.clock.tick()) {
            let fates = recipients.into_iter().map(|it| (it, Fate::Failed(failure.clone())));
            return self.settle(&way, fates.collect()).await;
        }
        let most = self.config.limits.recipients_per_letter.clamp(1, RECIPIENTS_PER_TRIP);
        for group in recipients.chunks(most) {
            let fates = self.carry(&way, group).await;
            let failed = fates.iter().find_map(|(_, fate)| match fate {
                Fate::Failed(failure) => Some(failure),
                Fate::Carried { .. } => None,
            });
            let spoken = fates.iter().any(|(_, fate)| matches!(fate, Fate::Carried { .. }));
            let retry = &self.config.mta.retry;
            let first = match way {
                Way::Local => backoff::next_door(retry).first,
                _ => retry.first,
            };
            let now = relay.context.clock.tick();
            relay.slots.learn(&way, failed.filter(|_| !spoken), (now, first));
            self.settle(&way, fates).await;
        }
    }

    async fn carry(&self, way: &Way, group: &[usize]) -> Vec<(usize, Fate)> {
        let letter = self.lease.letter();
        let recipients: Vec<(ForwardPath, RcptParameters)> = group
            .iter()
            .map(|index| &letter.recipients[*index])
            .map(|one| (ForwardPath::from(one.address.clone()), one.parameters.clone()))
            .collect();
        let parameters = self.parameters(way);
        let load = Load {
            path: &letter.sender,
            parameters: &parameters,
            recipients: &recipients,
            body: &self.body,
        };
        let trip = (self.config.as_ref(), way);
        let outcomes = self.relay.transport.carry(trip, load, &self.journal).await;
        let fate = |outcome| match outcome {
            Ok((host, reply)) => Fate::Carried { host, reply },
            Err(failure) => Fate::Failed(failure),
        };
        group.iter().copied().zip(outcomes.into_iter().map(fate)).collect()
    }

    fn parameters(&self, way: &Way) -> MailParameters {
        let letter = self.lease.letter();
        let inner = matches!(way, Way::Local);
        MailParameters {
            size: Some(self.body.length()),
            // RFC 4954 §5: who submitted a letter is told only where we are trusted.
            auth: letter.parameters.auth.clone().filter(|_| inner),
            journey: Some(letter.journey).filter(|_| inner),
            hold: None,
            ..letter.parameters.clone()
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.relay.context.clock.now()
    }
}

impl Relay {
    fn is_gone(&self, lease: &Lease) -> bool {
        self.queue.show(lease.letter().journey).is_none()
    }
}

/// Recipients of one transaction. RFC 5321 §4.5.3.1.8: a server must take a hundred.
const RECIPIENTS_PER_TRIP: usize = 100;
