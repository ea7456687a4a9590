//! One attempt for one letter: who of its recipients goes which way, the trips, and what became of
//! each recipient. How a trip is made is `courier`'s; what is written down is `outcome`'s.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use disk::{Body, ErrorKind};
use protocol::address::{ForwardPath, ReversePath};
use protocol::smtp::{MailParameters, RcptParameters};
use protocol::time::Timestamp;
use queue::Lease;
use service::config::{Config, RoutePattern};

use super::backoff;
use super::outcome::Fate;
use super::report::header_of;
use super::route::{self, Way};
use super::runner::Relay;
use super::slots::{Admission, Pace};
use crate::courier::{Journal, Load};
use crate::limits::HEADER_LOOKED_AT;
use crate::policy::Wish;
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
        if let Some(wait) = relay.is_crowded(&config, &letter) {
            return lease.rest_until(relay.context.clock.now().after(wait));
        }
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
            (recipient.due() <= now).then_some(index)
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
        let pace = self.pace(&way, &recipients);
        let _slot = match relay.slots.take(&way, pace, relay.context.clock.tick()).await {
            Admission::Go(slot) => slot,
            Admission::Rest(wait) => return self.lease.rest_until(self.now().after(wait)),
            Admission::Never => return,
        };
        if relay.context.drain.is_cancelled() {
            // The letter keeps its place and is tried after the restart.
            return;
        }
        let most = self.config.limits.recipients_per_letter.clamp(1, RECIPIENTS_PER_TRIP);
        let mut groups = self.groups(&way, &recipients, most).into_iter();
        let mut is_first = true;
        while let Some((path, group)) = groups.next() {
            if self.is_stopped() || relay.context.drain.is_cancelled() {
                return;
            }
            if let Some(failure) = relay.slots.unwell(&way, relay.context.clock.tick()) {
                // What was found out concerns all who are left.
                let left = group.into_iter().chain(groups.flat_map(|(_, group)| group));
                let fates = left.map(|it| (it, Fate::Failed(failure.clone())));
                return self.settle(&way, fates.collect()).await;
            }
            // The rest of a letter to thousands keeps to the rate like other letters.
            if !std::mem::take(&mut is_first)
                && let Some(wait) = relay.slots.rated(&way, pace, relay.context.clock.tick())
            {
                return self.lease.rest_until(self.now().after(wait));
            }
            let fates = self.carry(&way, &path, &group).await;
            let failed = fates.iter().find_map(|(_, fate)| match fate {
                Fate::Failed(failure) => Some(failure),
                Fate::Carried(_) => None,
            });
            let spoken = fates.iter().any(|(_, fate)| matches!(fate, Fate::Carried(_)));
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

    /// How much the configuration grants a way.
    fn pace(&self, way: &Way, recipients: &[usize]) -> Pace {
        let mta = &self.config.mta;
        let most = match way {
            // Next door nobody counts.
            Way::Local => self.config.limits.outgoing,
            _ => mta.outgoing_per_domain,
        };
        let letter = self.lease.letter();
        let domain = recipients.first().and_then(|index| letter.recipients.get(*index));
        let domain = domain.and_then(|one| one.address.domain());
        let own = domain.and_then(|it| mta.rates.get(&RoutePattern::Domain(it.clone())));
        let rate = own.or_else(|| mta.rates.get(&RoutePattern::Any)).copied();
        Pace { most, per_minute: rate.filter(|_| *way != Way::Local) }
    }

    /// Whether an operator holds the letter meanwhile: a letter to thousands can be stopped.
    fn is_stopped(&self) -> bool {
        let listed = self.relay.queue.show(self.lease.letter().journey);
        listed.is_none_or(|listed| listed.letter.held.is_some())
    }

    /// Recipients that travel in one transaction, with its reverse-path: what an alias sends on
    /// goes under a path of ours.
    fn groups(
        &self,
        way: &Way,
        recipients: &[usize],
        most: usize,
    ) -> Vec<(ReversePath, Vec<usize>)> {
        let letter = self.lease.letter();
        let mut by_path: Vec<(ReversePath, Vec<usize>)> = Vec::new();
        let clock = &self.relay.context.clock;
        let directory = self.relay.directory.current(clock.tick());
        let returns = self.relay.transport.returns().filter(|_| *way != Way::Local);
        for index in recipients {
            let path = match (returns, letter.recipients.get(*index)) {
                (Some(returns), Some(one)) => {
                    returns.path(&letter.sender, one, &directory, clock.now())
                }
                _ => letter.sender.clone(),
            };
            match by_path.iter_mut().find(|(known, group)| *known == path && group.len() < most) {
                Some((_, group)) => group.push(*index),
                None => by_path.push((path, vec![*index])),
            }
        }
        by_path
    }

    async fn carry(&self, way: &Way, path: &ReversePath, group: &[usize]) -> Vec<(usize, Fate)> {
        let letter = self.lease.letter();
        let recipients: Vec<(ForwardPath, RcptParameters)> = group
            .iter()
            .map(|index| &letter.recipients[*index])
            .map(|one| (ForwardPath::from(one.address.clone()), one.parameters.clone()))
            .collect();
        let parameters = self.parameters(way);
        let load = Load {
            path,
            parameters: &parameters,
            recipients: &recipients,
            body: &self.body,
            wish: self.wish(),
            signer: Some(self.relay.signer.as_ref()),
        };
        let trip = (self.config.as_ref(), way);
        let outcomes = self.relay.transport.carry(trip, load, &self.journal).await;
        let fate = |outcome| match outcome {
            Ok(taken) => Fate::Carried(taken),
            Err(failure) => Fate::Failed(failure),
        };
        group.iter().copied().zip(outcomes.into_iter().map(fate)).collect()
    }

    /// What the letter asks for as to TLS (RFC 8689).
    fn wish(&self) -> Wish {
        if self.lease.letter().parameters.requiretls {
            return Wish::Required;
        }
        let start = self.body.read_start(HEADER_LOOKED_AT).unwrap_or_default();
        let value = message::header::value(header_of(&start), "TLS-Required");
        match value {
            Some(value) if value.trim_ascii().eq_ignore_ascii_case(b"no") => Wish::Waived,
            _ => Wish::Usual,
        }
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
            release: None,
            // RFC 8689 §2: a matter of the way between systems.
            requiretls: letter.parameters.requiretls && !inner,
            ..letter.parameters.clone()
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.relay.context.clock.now()
    }
}

impl Relay {
    /// Whether the one way of this letter is crowded: then it need not be opened.
    fn is_crowded(&self, config: &Config, letter: &queue::Letter) -> Option<Duration> {
        let (_, first) = letter.waiting().next()?;
        if letter.recipients.len() > 1 {
            return None;
        }
        let directory = self.directory.current(self.context.clock.tick());
        let is_ours = |domain: &_| directory.domain(domain).is_some();
        let way = route::way(&config.mta, &first.address, is_ours).ok()?;
        self.slots.crowded(&way, self.context.clock.tick())
    }

    fn is_gone(&self, lease: &Lease) -> bool {
        self.queue.show(lease.letter().journey).is_none()
    }
}

/// Recipients of one transaction. RFC 5321 §4.5.3.1.8: a server must take a hundred.
const RECIPIENTS_PER_TRIP: usize = 100;
