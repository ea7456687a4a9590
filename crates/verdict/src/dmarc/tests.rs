//! Policies and the tree walk, against names held in memory.

use super::*;
use crate::lookup::Dns;
use crate::memory::Zone;
use crate::spf::Identity;

fn spf(result: SpfResult, domain: &str) -> Spf {
    Spf {
        result,
        domain: domain.to_owned(),
        identity: Identity::MailFrom,
        reason: String::new(),
        record: None,
        explanation: None,
    }
}

fn signed(domain: &str) -> Dkim {
    Dkim {
        result: DkimResult::Pass,
        reason: String::new(),
        domain: domain.to_owned(),
        identity: format!("@{domain}"),
        selector: "s".to_owned(),
        algorithm: "rsa-sha256".to_owned(),
        start: String::new(),
        record: None,
        testing: false,
    }
}

async fn judged(zone: &Zone, author: &str, spf: &Spf, dkim: &[Dkim]) -> Dmarc {
    let dns = Dns::new(zone.clone(), net::Clock::real());
    check(&dns.inquire(), author, spf, dkim).await
}

#[tokio::test]
async fn an_aligned_identifier_passes_and_others_do_not() {
    let mut zone = Zone::default();
    zone.txt("_dmarc.red.test", "v=DMARC1; p=reject; sp=quarantine; rua=mailto:a@red.test");
    zone.txt("red.test", "v=spf1 -all");
    let none = spf(SpfResult::None, "");
    let fails = judged(&zone, "red.test", &none, &[]).await;
    assert_eq!((fails.result, fails.policy), (DmarcResult::Fail, Policy::Reject));
    assert_eq!(fails.place.as_deref(), Some("_dmarc.red.test"));
    // Relaxed: the same organisation.
    let by_spf = judged(&zone, "red.test", &spf(SpfResult::Pass, "mail.red.test"), &[]).await;
    assert_eq!(by_spf.result, DmarcResult::Pass);
    let by_dkim = judged(&zone, "news.red.test", &none, &[signed("red.test")]).await;
    assert_eq!(by_dkim.result, DmarcResult::Pass);
    // A subdomain has the organisation's policy for subdomains.
    let other = judged(&zone, "news.red.test", &spf(SpfResult::Pass, "green.test"), &[]).await;
    assert_eq!((other.result, other.policy), (DmarcResult::Fail, Policy::Quarantine));
    let unknown = judged(&zone, "green.test", &none, &[]).await;
    assert_eq!(unknown.result, DmarcResult::None);
}

#[tokio::test]
async fn strictness_testing_and_what_does_not_exist() {
    let mut zone = Zone::default();
    zone.txt("_dmarc.red.test", "v=DMARC1; p=reject; np=reject; sp=none; adkim=s; t=y");
    let none = spf(SpfResult::None, "");
    let strict = judged(&zone, "red.test", &none, &[signed("mail.red.test")]).await;
    assert_eq!((strict.result, strict.policy), (DmarcResult::Fail, Policy::Quarantine));
    // np counts only for names that DNS does not know.
    let nowhere = judged(&zone, "no.red.test", &none, &[]).await;
    assert_eq!(nowhere.policy, Policy::Quarantine, "np=reject, one milder for t=y");
    zone.txt("is.red.test", "hello");
    assert_eq!(judged(&zone, "is.red.test", &none, &[]).await.policy, Policy::None);
}

#[tokio::test]
async fn the_walk_stops_at_a_public_suffix_and_at_seven_labels() {
    let mut zone = Zone::default();
    zone.txt("_dmarc.com.test", "v=DMARC1; p=none; psd=y");
    zone.txt("_dmarc.one.com.test", "v=DMARC1; p=reject");
    let apart = judged(&zone, "one.com.test", &spf(SpfResult::Pass, "two.com.test"), &[]).await;
    assert_eq!(apart.result, DmarcResult::Fail, "neighbours are no organisation");
    let below = judged(&zone, "a.one.com.test", &spf(SpfResult::Pass, "b.one.com.test"), &[]).await;
    assert_eq!(below.result, DmarcResult::Pass);
    let deep = "a.b.c.d.e.f.g.h.i.j.mail.one.com.test";
    let dns = Dns::new(zone.clone(), net::Clock::real());
    let inquiry = dns.inquire();
    let found = check(&inquiry, deep, &spf(SpfResult::Pass, "one.com.test"), &[]).await;
    assert_eq!(found.result, DmarcResult::Pass);
    let asked = inquiry.into_asked();
    let walked = asked.iter().filter(|one| one.name.ends_with(".one.com.test")).count();
    assert!(walked <= 8, "{walked} questions: {asked:?}");
    // psd=n makes an organisation in the middle of another.
    zone.txt("_dmarc.part.one.com.test", "v=DMARC1; p=quarantine; psd=n");
    let part = judged(&zone, "part.one.com.test", &spf(SpfResult::Pass, "one.com.test"), &[]).await;
    assert_eq!((part.result, part.policy), (DmarcResult::Fail, Policy::Quarantine));
}

#[tokio::test]
async fn a_doubt_is_no_proof_of_forgery() {
    let mut zone = Zone::default();
    zone.txt("_dmarc.red.test", "v=DMARC1; p=reject");
    let doubt = judged(&zone, "red.test", &spf(SpfResult::TempError, "red.test"), &[]).await;
    assert_eq!(doubt.result, DmarcResult::TempError);
    let foreign = judged(&zone, "red.test", &spf(SpfResult::TempError, "green.test"), &[]).await;
    assert_eq!(foreign.result, DmarcResult::Fail, "it could not have proven anything");
    zone.silent("_dmarc.slow.test");
    let slow = judged(&zone, "slow.test", &spf(SpfResult::None, ""), &[]).await;
    assert_eq!(slow.result, DmarcResult::TempError);
}

#[test]
fn records_old_new_and_broken() {
    let policy = |text: &str| Record::parse(text.as_bytes()).map(|record| record.policy);
    assert_eq!(policy("v=DMARC1; p=reject; pct=50; ri=3600"), Some(Policy::Reject));
    assert_eq!(policy("v=DMARC1;p=QUARANTINE"), Some(Policy::Quarantine));
    assert!(Record::parse(b"v=DMARC1; p=reject; pct=0").unwrap().testing);
    assert_eq!(policy("v=DMARC1; p=what; rua=mailto:a@b"), Some(Policy::None));
    assert_eq!(policy("v=DMARC1; p=what"), None);
    assert_eq!(policy("v=DMARC1"), None);
    assert_eq!(policy("p=reject; v=DMARC1"), None, "the version comes first");
    assert_eq!(policy("v=dmarc1; p=reject"), None);
    assert_eq!(policy("v=spf1 -all"), None);
}

#[test]
fn every_author_counts_however_they_are_written() {
    let header = b"From: a@red.test, \"b\" <b@Blue.Test>\r\nfrom : c@green.test\r\n\r\n";
    assert_eq!(authors(header), ["red.test", "blue.test", "green.test"]);
    assert!(authors(b"From: nobody\r\n\r\n").is_empty());
}
