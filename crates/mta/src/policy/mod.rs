//! How well a connection to a mail exchanger must be protected: DANE (RFC 7672) before MTA-STS (RFC
//! 8461), REQUIRETLS (RFC 8689) above both, and never less than it was before without a word. It
//! finds out and decides; `courier` does as it says, and every fact goes into the journey.

mod cache;
mod levels;
mod sts;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use net::dns::{Cause, Proof, Resolver, Tlsa};
use net::{Clock, https, tls};
use protocol::machine::{Tick, TlsFacts, Verification};
use protocol::time::Timestamp;
use service::config::Config;

use crate::courier::{Journal, TlsRule};
use crate::limits::{DNSSEC_PROBE, DNSSEC_PROBE_AGAIN, LEVELS_EVERY};
use crate::reason::{Failure, Reason};
use cache::{Cache, Held};
use levels::{Level, Levels};
use sts::{Mode, Policy};

/// What is known of all domains.
pub(crate) struct Policies {
    sts: Cache,
    levels: Levels,
    /// Whether DNSSEC can be used here, and when that was found out.
    proving: Mutex<Option<(Tick, Option<bool>)>>,
    saved: Mutex<Tick>,
}

/// What the questions are asked with.
#[derive(Clone, Copy)]
pub(crate) struct Means<'a> {
    pub(crate) resolver: &'a Resolver,
    /// Believes only what holds.
    pub(crate) strict: &'a tls::Client,
    pub(crate) config: &'a Config,
    pub(crate) clock: &'a Clock,
    pub(crate) journal: &'a Journal,
}

/// What a letter itself asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing.
    Usual,
    /// REQUIRETLS (RFC 8689 §2).
    Required,
    /// `TLS-Required: No` (RFC 8689 §3): rather in the clear than not at all.
    Waived,
}

/// What holds for all hosts of one domain.
pub(crate) struct Domain<'a> {
    name: &'a str,
    wish: Wish,
    sts: Option<Arc<Held>>,
    /// DNSSEC's word on its MX records; `None`: it was not asked for.
    mx: Option<Proof>,
}

impl Policies {
    /// As they were left in `DATA/state`.
    pub(crate) fn open(state: &Path, clock: &Clock) -> Self {
        Policies {
            sts: Cache::new(state),
            levels: Levels::open(state, clock),
            proving: Mutex::new(None),
            saved: Mutex::new(Tick::from_micros(0)),
        }
    }

    /// Whether MX and TLSA records are to be asked for with their proofs. Where the name servers
    /// cannot prove even the root, nothing could be learnt: everything would look forged.
    pub(crate) async fn is_proving(&self, means: Means<'_>) -> bool {
        if !means.config.mta.dane {
            return false;
        }
        let now = means.clock.tick();
        let known = *self.proving.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, proving)) = known {
            // Who has not answered may prove everything when he is back: asked again soon.
            let believed = if proving.is_some() { DNSSEC_PROBE } else { DNSSEC_PROBE_AGAIN };
            if now.since(when) < believed {
                return proving.unwrap_or(false);
            }
        }
        let proving = means.resolver.is_validating().await;
        if known.is_none_or(|(_, before)| before != proving) {
            tracing::info!(?proving, "DNSSEC: whether the name servers can prove their answers");
        }
        let mut slot = self.proving.lock().unwrap_or_else(PoisonError::into_inner);
        // From the end of the question on: one without an answer takes longer than it is believed.
        *slot = Some((means.clock.tick(), proving));
        proving.unwrap_or(false)
    }

    /// What holds for a domain. `mx` is DNSSEC's word on its exchangers.
    pub(crate) async fn domain<'a>(
        &self,
        name: &'a str,
        (wish, mx): (Wish, Option<Proof>),
        means: Means<'_>,
    ) -> Domain<'a> {
        let sts = match wish {
            Wish::Waived => None,
            _ if !means.config.mta.mta_sts => None,
            _ => self.sts(name, means).await,
        };
        Domain { name, wish, sts, mx }
    }

    /// How a connection to the exchanger `host` must be protected.
    ///
    /// # Errors
    /// Why the host is not to be used, now.
    pub(crate) async fn rule(
        &self,
        domain: &Domain<'_>,
        host: &str,
        means: Means<'_>,
    ) -> Result<TlsRule, Failure> {
        if domain.wish == Wish::Waived {
            means.journal.policy(host, "the letter says TLS-Required: No; TLS is a courtesy");
            return Ok(TlsRule::Courtesy);
        }
        if let Some(records) = self.dane(domain, host, means).await? {
            if records.iter().any(Tlsa::is_usable) {
                let shown: Vec<String> = records.iter().map(Tlsa::to_string).collect();
                let text = format!("DANE demands a certificate by TLSA {}", shown.join(", "));
                means.journal.policy(host, &text);
                return Ok(TlsRule::Dane(records));
            }
            // RFC 7672 §2.2: TLS must be used, with whatever certificate.
            means.journal.policy(host, "DANE: no TLSA record is usable; TLS is demanded, unproven");
            return Ok(TlsRule::Unproven);
        }
        match domain.sts.as_deref().map(|held| (held.policy.mode, held)) {
            Some((Mode::Enforce, held)) if held.policy.allows(host) => return Ok(TlsRule::Sts),
            Some((Mode::Enforce, held)) => {
                // RFC 8461 §5: such a host must not be used.
                let hosts = held.policy.mx.join(", ");
                let text = format!("its MTA-STS policy does not name this host ({hosts})");
                return Err(refused(host, text));
            }
            Some((Mode::Testing, held)) if !held.policy.allows(host) => {
                let text = format!("{TESTING}: the policy does not name it");
                means.journal.policy(host, &text);
            }
            _ => {}
        }
        if domain.wish == Wish::Required {
            return self.required(domain, host, means);
        }
        Ok(self.remembered(domain.name, host, means))
    }

    /// RFC 8689 §4.2.1: the host's name must be trustworthy, and its certificate.
    fn required(
        &self,
        domain: &Domain<'_>,
        host: &str,
        means: Means<'_>,
    ) -> Result<TlsRule, Failure> {
        if domain.mx == Some(Proof::Secure) || domain.name == host {
            means.journal.policy(host, "the letter demands REQUIRETLS: a certificate that holds");
            return Ok(TlsRule::Believed);
        }
        let text = "the letter demands REQUIRETLS, and nothing (DNSSEC, MTA-STS) vouches for this \
                    host of the domain";
        Err(Failure::permanent(Reason::Tls, (7, 30), text).at(host))
    }

    /// No policy: a courtesy, but not worse than before.
    fn remembered(&self, domain: &str, host: &str, means: Means<'_>) -> TlsRule {
        let now = means.clock.now();
        let Some(known) = self.levels.of(domain) else { return TlsRule::Courtesy };
        if known.level < Level::Encrypted {
            return TlsRule::Courtesy;
        }
        if known.is_insisted_on(now, means.config.mta.tls_downgrade_wait) {
            return TlsRule::Remembered;
        }
        if known.less_since.is_some() {
            let text = format!(
                "{domain} had {} until {}; for long enough it offers less: TLS is a courtesy",
                known.level,
                known.seen.to_rfc3339()
            );
            means.journal.policy(host, &text);
        }
        TlsRule::Courtesy
    }

    /// The TLSA records of a host, where DANE holds. No records and not signed: `None`. Forged or
    /// unanswered: an error, never `None` (RFC 7672 §2.1.1, §2.2).
    async fn dane(
        &self,
        domain: &Domain<'_>,
        host: &str,
        means: Means<'_>,
    ) -> Result<Option<Arc<[Tlsa]>>, Failure> {
        let gone = |why: &str| self.without_dane(domain.name, host, why, means);
        match domain.mx {
            None if means.config.mta.dane => return gone("DNSSEC cannot be used").map(|()| None),
            None => return Ok(None),
            // RFC 7672 §2.2.1: whoever can forge the host's name needs no TLSA record.
            Some(Proof::Insecure) => return gone("its MX is not signed").map(|()| None),
            Some(Proof::Secure) => {}
        }
        // §2.2.2: servers that choke on TLSA questions live in zones that are not signed.
        match means.resolver.address_proof(host).await {
            Ok(Proof::Secure) => {}
            Ok(Proof::Insecure) => return gone("its addresses are not signed").map(|()| None),
            Err(failure) if !failure.cause.is_temporary() => return Ok(None),
            Err(failure) => return Err(undecided(host, &failure)),
        }
        let name = format!("_{}._tcp.{host}", means.config.mta.remote_port);
        match means.resolver.tlsa(&name).await {
            Ok((answer, Proof::Secure)) => Ok(Some(answer.records.into())),
            Ok((_, Proof::Insecure)) => gone("its TLSA records are not signed").map(|()| None),
            Err(failure) => match failure.cause {
                Cause::NoSuchName | Cause::NoData | Cause::BadName => {
                    gone("it has no TLSA records").map(|()| None)
                }
                _ => Err(undecided(host, &failure)),
            },
        }
    }

    /// DANE does not hold. Where it did before, that is waited out.
    fn without_dane(
        &self,
        domain: &str,
        host: &str,
        why: &str,
        means: Means<'_>,
    ) -> Result<(), Failure> {
        let now = means.clock.now();
        let wait = means.config.mta.tls_downgrade_wait;
        let known = self.levels.of(domain).filter(|known| known.level == Level::Dane);
        let Some(known) = known.filter(|known| known.is_insisted_on(now, wait)) else {
            return Ok(());
        };
        let since = self.levels.less(domain, now);
        let text = format!(
            "{domain} was protected by DANE until {}, and now {why}; waiting until {} for it to \
             come back",
            known.seen.to_rfc3339(),
            since.after(wait).to_rfc3339()
        );
        Err(refused(host, text))
    }

    /// What a connection came to; `rule` is the one it was made by.
    pub(crate) fn carried(
        &self,
        domain: &str,
        rule: &TlsRule,
        facts: Option<&TlsFacts>,
        now: Timestamp,
    ) {
        let level = match (rule, facts) {
            (_, None) => Level::Clear,
            (TlsRule::Dane(_), Some(_)) => Level::Dane,
            (TlsRule::Sts, Some(_)) => Level::Sts,
            (_, Some(facts)) if facts.verified == Verification::Verified => Level::Believed,
            (_, Some(_)) => Level::Encrypted,
        };
        self.levels.carried(domain, level, now);
    }

    /// A connection that is used although a policy of mode `testing`, enforced, would keep us from
    /// it (RFC 8461 §5): why.
    pub(crate) fn tested(
        &self,
        domain: &str,
        (host, facts): (&str, Option<&TlsFacts>),
        now: Timestamp,
    ) -> Option<String> {
        let held = self.sts.held(domain, now)?;
        if held.policy.mode != Mode::Testing || !held.policy.allows(host) {
            return None;
        }
        let why = match facts.map(|facts| &facts.verified) {
            Some(Verification::Verified) => return None,
            Some(Verification::Unverified(why)) => format!("its certificate does not hold: {why}"),
            Some(Verification::NoCertificate) => "it shows no certificate".to_owned(),
            None => "there is no TLS".to_owned(),
        };
        Some(format!("{TESTING}: {why}"))
    }

    /// A connection by [`TlsRule::Remembered`] failed for want of TLS. Gives what is to be told.
    pub(crate) fn downgraded(
        &self,
        domain: &str,
        failure: Failure,
        config: &Config,
        now: Timestamp,
    ) -> Failure {
        let Some(known) = self.levels.of(domain) else { return failure };
        let since = self.levels.less(domain, now);
        let host = failure.host.clone().unwrap_or_else(|| domain.to_owned());
        let text = format!(
            "{domain} had encrypted connections ({}) until {}, and now: {}; going on in the clear \
             only from {} on",
            known.level,
            known.seen.to_rfc3339(),
            failure.reply.text,
            since.after(config.mta.tls_downgrade_wait).to_rfc3339()
        );
        refused(&host, text)
    }

    /// Whether it is time to write down what was learnt.
    pub(crate) fn tidy(&self, now: Tick) -> bool {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = now.since(*saved) >= LEVELS_EVERY;
        if is_time {
            *saved = now;
        }
        is_time
    }

    /// Writes down what was learnt.
    pub(crate) fn save(&self) {
        self.levels.save();
    }

    /// Waits until it is written.
    pub(crate) fn finish(&self) {
        self.levels.finish();
    }

    /// The MTA-STS policy of a domain, fetched where DNS names another than the one we hold.
    async fn sts(&self, domain: &str, means: Means<'_>) -> Option<Arc<Held>> {
        let now = means.clock.now();
        let held = self.sts.held(domain, now);
        let records = means.resolver.txt(&format!("_mta-sts.{domain}")).await;
        let id = records.ok().and_then(|answer| sts::id(&answer.records));
        let Some(id) = id else {
            // RFC 8461 §3.3: a policy that is held holds, whatever DNS says.
            return self.told(domain, held, "kept", means);
        };
        if let Some(held) = held.as_ref().filter(|held| held.id == id) {
            return self.told(domain, Some(held.clone()), "kept", means);
        }
        if self.sts.is_resting(domain, now) {
            return self.told(domain, held, "kept", means);
        }
        match self.fetch(domain, means).await {
            Ok((text, policy)) => {
                let fresh = self.sts.keep(domain, (&id, &text), policy, now);
                self.told(domain, Some(fresh), "fetched", means)
            }
            Err(why) => {
                self.sts.failed(domain, now);
                means.journal.policy(domain, &format!("MTA-STS {id} cannot be fetched: {why}"));
                self.told(domain, held, "kept", means)
            }
        }
    }

    fn told(
        &self,
        domain: &str,
        held: Option<Arc<Held>>,
        how: &str,
        means: Means<'_>,
    ) -> Option<Arc<Held>> {
        let held = held?;
        let text = format!(
            "MTA-STS {} ({how}): {}, mx {}, until {}",
            held.id,
            held.policy.mode,
            held.policy.mx.join(" "),
            held.until.to_rfc3339()
        );
        means.journal.policy(domain, &text);
        Some(held)
    }

    async fn fetch(&self, domain: &str, means: Means<'_>) -> Result<(String, Policy), String> {
        let host = format!("mta-sts.{domain}");
        let port = means.config.mta.mta_sts_port;
        let (six, four) = tokio::join!(means.resolver.aaaa(&host), means.resolver.a(&host));
        let mut addresses: Vec<SocketAddr> = Vec::new();
        if let (Ok(six), true) = (six, means.config.mta.ipv6) {
            addresses.extend(six.records.iter().map(|ip| SocketAddr::new((*ip).into(), port)));
        }
        if let Ok(four) = four {
            addresses.extend(four.records.iter().map(|ip| SocketAddr::new((*ip).into(), port)));
        }
        let document = https::Document { host: &host, path: "/.well-known/mta-sts.txt" };
        let text = https::get(document, &addresses, means.strict, means.clock).await?;
        let policy = Policy::parse(&text)?;
        Ok((text, policy))
    }
}

/// What is told of a host that a policy in mode `testing` speaks against.
const TESTING: &str = "MTA-STS (testing): enforced, this host would not be used";

/// A host that a policy keeps us from: RFC 3463's 4.7.x, since it may be mended.
fn refused(host: &str, text: String) -> Failure {
    Failure::temporary(Reason::Tls, (7, 5), text).at(host)
}

fn undecided(host: &str, failure: &net::dns::Failure) -> Failure {
    let text = format!("whether DANE holds cannot be told: {failure}");
    Failure::temporary(Reason::Dns, (4, 3), text).at(host)
}
