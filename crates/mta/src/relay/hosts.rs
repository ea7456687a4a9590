//! The hosts of a domain, in the order in which they are to be tried (RFC 5321 §5.1), and their
//! addresses. It connects to nobody.

use std::net::IpAddr;

use net::dns::{Answer, Cause, Failure as DnsFailure, Mx, Proof, Resolver};
use protocol::address::Domain;

use crate::reason::{Failure, Reason};

/// Exchangers of one domain that are tried; more are a mistake or an attack.
const EXCHANGERS: usize = 20;

/// Addresses of one exchanger that are tried (RFC 5321 §5.1 asks for all "up to a limit").
const ADDRESSES: usize = 6;

/// What was learnt on the way, for the journey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Learnt {
    /// Question, e.g. `MX blue.test`.
    pub question: String,
    /// The answer in words.
    pub answer: String,
    /// Whether it is one.
    pub outcome: Result<(), Cause>,
    /// Who was asked.
    pub servers: String,
    /// How long it took.
    pub took: std::time::Duration,
}

/// Hosts to try, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hosts {
    /// Their names.
    pub names: Vec<String>,
    /// Whether the domain has no MX and is taken to be its own host.
    pub implicit: bool,
    /// DNSSEC's word on that; `None`: it was not asked for.
    pub proof: Option<Proof>,
}

/// Whether DNSSEC is to vouch for the exchangers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// It is.
    Proven,
    /// It is not, or cannot.
    Plain,
}

/// The mail exchangers of `domain`. `ours` are the names by which we are known: exchangers from
/// our own preference on are left out (RFC 5321 §5.1). `random` shuffles equals.
pub(crate) async fn exchangers(
    resolver: &Resolver,
    (domain, asks): (&Domain, Asks),
    ours: &[Domain],
    (random, learnt): (impl FnMut() -> u32, &mut Vec<Learnt>),
) -> Result<Hosts, Failure> {
    let answer = match asks {
        Asks::Plain => resolver.mx(domain.as_str()).await.map(|answer| (answer, None)),
        Asks::Proven => {
            let proven = resolver.proven_mx(domain.as_str()).await;
            proven.map(|(answer, proof)| (answer, Some(proof)))
        }
    };
    match answer {
        Ok((answer, proof)) => {
            learnt.push(mx_learnt(&answer, proof));
            let hosts = choose(domain, &answer, ours, random)?;
            Ok(Hosts { proof, ..hosts })
        }
        Err(failure) => {
            learnt.push(failed(&failure));
            match failure.cause {
                // RFC 5321 §5.1: the implicit MX. A name that does not exist has none.
                // Its own addresses have to be proven then; a forged no would have been found out.
                Cause::NoData => Ok(Hosts {
                    names: vec![domain.as_str().to_owned()],
                    implicit: true,
                    proof: (asks == Asks::Proven).then_some(Proof::Secure),
                }),
                Cause::NoSuchName | Cause::BadName => Err(Failure::permanent(
                    Reason::BadDomain,
                    (1, 2),
                    format!("the domain {domain} does not exist"),
                )),
                _ => Err(unanswered(&failure)),
            }
        }
    }
}

fn choose(
    domain: &Domain,
    answer: &Answer<Mx>,
    ours: &[Domain],
    random: impl FnMut() -> u32,
) -> Result<Hosts, Failure> {
    if answer.is_null_mx() {
        // RFC 7505 §4.2.
        let text = format!("the domain {domain} takes no mail (null MX)");
        return Err(Failure::permanent(Reason::BadDomain, (1, 10), text));
    }
    let ordered = order(&answer.records, random);
    let is_ours = |mx: &Mx| ours.iter().any(|name| name.as_str() == mx.exchange);
    let own = ordered.iter().find(|mx| is_ours(mx)).map(|mx| mx.preference);
    let names: Vec<String> = ordered
        .iter()
        .filter(|mx| own.is_none_or(|own| mx.preference < own))
        .map(|mx| mx.exchange.clone())
        .filter(|name| !name.is_empty())
        .take(EXCHANGERS)
        .collect();
    if names.is_empty() {
        if own.is_some() {
            return Err(leads_back(domain));
        }
        let text = format!("the domain {domain} names no host that takes its mail");
        return Err(Failure::permanent(Reason::BadDomain, (1, 2), text));
    }
    Ok(Hosts { names, implicit: false, proof: None })
}

/// Mail for `domain` would come back to us.
pub(crate) fn leads_back(domain: &Domain) -> Failure {
    let text = format!("mail for {domain} leads back to this system, which does not deliver it");
    Failure::permanent(Reason::Loop, (4, 6), text)
}

/// By preference; equals in random order, so that they share the work (RFC 5321 §5.1).
fn order(records: &[Mx], mut random: impl FnMut() -> u32) -> Vec<Mx> {
    let mut keyed: Vec<(u16, u32, &Mx)> =
        records.iter().map(|mx| (mx.preference, random(), mx)).collect();
    keyed.sort_by_key(|(preference, random, _)| (*preference, *random));
    keyed.into_iter().map(|(_, _, mx)| mx.clone()).collect()
}

/// Which kinds of addresses to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Families {
    /// Both; IPv6 is tried first (RFC 6724 §2.1).
    Both,
    /// IPv4 alone.
    V4,
}

/// The addresses of the host `name`.
pub(crate) async fn addresses(
    resolver: &Resolver,
    name: &str,
    families: Families,
    learnt: &mut Vec<Learnt>,
) -> Result<Vec<IpAddr>, Failure> {
    let six = async {
        match families {
            Families::Both => Some(resolver.aaaa(name).await),
            Families::V4 => None,
        }
    };
    let (six, four) = tokio::join!(six, resolver.a(name));
    let mut found: Vec<IpAddr> = Vec::new();
    let mut temporary = None;
    if let Some(six) = six {
        collect(six, &mut found, &mut temporary, learnt);
    }
    collect(four, &mut found, &mut temporary, learnt);
    match (found.is_empty(), temporary) {
        (false, _) => Ok(found),
        (true, Some(failure)) => Err(unanswered(&failure)),
        (true, None) => Err(Failure::permanent(
            Reason::BadDomain,
            (1, 2),
            format!("the mail host {name} has no address"),
        )),
    }
}

fn collect<T: Into<IpAddr> + Copy>(
    outcome: Result<Answer<T>, DnsFailure>,
    found: &mut Vec<IpAddr>,
    temporary: &mut Option<DnsFailure>,
    learnt: &mut Vec<Learnt>,
) {
    match outcome {
        Ok(answer) => {
            let addresses: Vec<IpAddr> =
                answer.records.iter().take(ADDRESSES).map(|ip| (*ip).into()).collect();
            let list: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
            learnt.push(Learnt {
                question: format!("{} {}", answer.facts.kind, answer.facts.name),
                answer: format!("{} (ttl {})", list.join(" "), answer.ttl.as_secs()),
                outcome: Ok(()),
                servers: answer.facts.servers,
                took: answer.facts.took,
            });
            found.extend(addresses);
        }
        // Most hosts have addresses of one family only: nothing to tell.
        Err(DnsFailure { cause: Cause::NoData, .. }) => {}
        Err(failure) => {
            learnt.push(failed(&failure));
            if failure.cause.is_temporary() {
                *temporary = Some(failure);
            }
        }
    }
}

fn mx_learnt(answer: &Answer<Mx>, proof: Option<Proof>) -> Learnt {
    let mut records = answer.records.clone();
    records.sort();
    let list = records.iter().map(|mx| {
        let exchange = if mx.exchange.is_empty() { "." } else { &mx.exchange };
        format!("{} {exchange}", mx.preference)
    });
    let proof = match proof {
        Some(Proof::Secure) => ", signed",
        Some(Proof::Insecure) => ", not signed",
        None => "",
    };
    Learnt {
        question: format!("MX {}", answer.facts.name),
        answer: format!(
            "{} (ttl {}{proof})",
            list.collect::<Vec<_>>().join(", "),
            answer.ttl.as_secs()
        ),
        outcome: Ok(()),
        servers: answer.facts.servers.clone(),
        took: answer.facts.took,
    }
}

fn failed(failure: &DnsFailure) -> Learnt {
    Learnt {
        question: format!("{} {}", failure.facts.kind, failure.facts.name),
        answer: failure.cause.to_string(),
        outcome: Err(failure.cause.clone()),
        servers: failure.facts.servers.clone(),
        took: failure.facts.took,
    }
}

fn unanswered(failure: &DnsFailure) -> Failure {
    // RFC 3463 §3.5: X.4.3, directory server failure.
    Failure::temporary(Reason::Dns, (4, 3), failure.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use net::dns::Facts;

    use super::*;

    fn answer(records: &[(u16, &str)]) -> Answer<Mx> {
        let records = records
            .iter()
            .map(|(preference, name)| Mx { preference: *preference, exchange: (*name).to_owned() });
        let facts = Facts {
            name: "blue.test".to_owned(),
            kind: "MX",
            servers: String::new(),
            took: Duration::ZERO,
        };
        Answer { records: records.collect(), ttl: Duration::ZERO, facts }
    }

    fn chosen(records: &[(u16, &str)], ours: &[&str]) -> Result<Vec<String>, Failure> {
        let domain: Domain = "blue.test".parse().expect("a domain");
        let ours: Vec<Domain> = ours.iter().map(|name| name.parse().expect("a name")).collect();
        choose(&domain, &answer(records), &ours, || 0).map(|hosts| hosts.names)
    }

    #[test]
    fn hosts_come_by_preference() {
        let names = chosen(&[(20, "b.test"), (10, "a.test"), (30, "c.test")], &[]);
        assert_eq!(names.expect("hosts"), ["a.test", "b.test", "c.test"]);
    }

    #[test]
    fn equals_are_shuffled() {
        let answer = answer(&[(10, "a.test"), (10, "b.test")]);
        let mut random = [2, 1].into_iter();
        let ordered = order(&answer.records, || random.next().unwrap_or(0));
        assert_eq!(ordered[0].exchange, "b.test");
    }

    #[test]
    fn we_hand_over_only_to_better_ones_than_ourselves() {
        let records = [(10, "a.test"), (20, "us.test"), (20, "b.test"), (30, "c.test")];
        assert_eq!(chosen(&records, &["us.test"]).expect("hosts"), ["a.test"]);
        let looping = chosen(&[(10, "us.test")], &["us.test"]).expect_err("a loop");
        assert_eq!((looping.reason, looping.is_permanent()), (Reason::Loop, true));
    }

    #[test]
    fn null_mx_is_a_no_for_good() {
        let no = chosen(&[(0, "")], &[]).expect_err("takes no mail");
        assert_eq!(no.status().to_string(), "5.1.10");
    }
}
