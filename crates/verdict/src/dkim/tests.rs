//! Signatures of others, of our own making, and broken ones.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use message::dkim::BodyForm;

use super::*;
use crate::lookup::Dns;
use crate::memory::Zone;

const NOW: u64 = 1_700_000_000;

/// RFC 8463 appendix A: one letter, signed with both kinds of keys.
const EXAMPLE: &str = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r
 d=football.example.com; i=@football.example.com;\r
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r
 subject : date : message-id : from : subject : date;\r
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r
 d=football.example.com; i=@football.example.com;\r
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r
 date : message-id : from : subject : date;\r
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r
From: Joe SixPack <joe@football.example.com>\r
To: Suzie Q <suzie@shopping.example.net>\r
Subject: Is dinner ready?\r
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r
Message-ID: <20030712040037.46341.5F8J@football.example.com>\r
\r
Hi.\r
\r
We lost the game.  Are you hungry yet?\r
\r
Joe.\r
";

fn example_zone() -> Zone {
    let mut zone = Zone::default();
    zone.txt(
        "brisbane._domainkey.football.example.com",
        "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    );
    zone.txt(
        "test._domainkey.football.example.com",
        "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a\
         5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM\
         3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB",
    );
    zone
}

async fn verified(zone: &Zone, letter: &str) -> Vec<Dkim> {
    let dns = Dns::new(zone.clone(), net::Clock::real());
    let bytes = letter.as_bytes();
    let header = &bytes[..header::length(bytes)];
    let whole = Body::from(bytes.to_vec());
    verify(&dns.inquire(), Letter { header, whole: &whole }, NOW).await.unwrap()
}

fn results(all: &[Dkim]) -> Vec<DkimResult> {
    all.iter().map(|one| one.result).collect()
}

#[tokio::test]
async fn the_letter_of_rfc_8463_verifies() {
    let found = verified(&example_zone(), EXAMPLE).await;
    assert_eq!(results(&found), [DkimResult::Pass, DkimResult::Pass], "{found:#?}");
    assert_eq!(found[0].domain, "football.example.com");
    assert_eq!(found[1].start, "F45dVWDf");
    let other_body = EXAMPLE.replace("lost", "won");
    let found = verified(&example_zone(), &other_body).await;
    assert_eq!(results(&found), [DkimResult::Fail, DkimResult::Fail]);
    let other_header = EXAMPLE.replace("Is dinner", "Is lunch");
    assert_eq!(results(&verified(&example_zone(), &other_header).await), [DkimResult::Fail; 2]);
    // A second Subject above the signed one: h= names the field twice, so it counts.
    let doubled = EXAMPLE.replace("Subject: Is", "Subject: Send money\r\nSubject: Is");
    assert_eq!(results(&verified(&example_zone(), &doubled).await), [DkimResult::Fail; 2]);
}

/// Signs `rest` (header fields, empty line, body) with a fresh key of Ed25519; gives the letter
/// and the record of the key.
fn signed(tags: &str, form: Canonicalization, rest: &str) -> (String, String) {
    let key = Ed25519KeyPair::generate().unwrap();
    let mut body = Vec::new();
    let start = header::length(rest.as_bytes());
    let mut run = BodyForm::new(form);
    run.feed(&rest.as_bytes()[start..], &mut |octets| body.extend_from_slice(octets));
    run.finish(&mut |octets| body.extend_from_slice(octets));
    if let Some(length) = tags.split("l=").nth(1).and_then(|rest| rest.split(';').next()) {
        body.truncate(length.parse().unwrap());
    }
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &body);
    let hash = STANDARD.encode(hash.as_ref());
    let field = format!("DKIM-Signature: v=1; a=ed25519-sha256; {tags}; bh={hash}; b=\r\n");
    let from = rest.lines().find(|line| line.starts_with("From:")).unwrap();
    let mut data = Vec::new();
    header_field(Canonicalization::Relaxed, format!("{from}\r\n").as_bytes(), &mut data);
    header_field(Canonicalization::Relaxed, field.as_bytes(), &mut data);
    data.truncate(data.len() - 2);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &data);
    let signature = STANDARD.encode(key.sign(digest.as_ref()).as_ref());
    let field = field.replace("b=\r\n", &format!("b={signature}\r\n"));
    let record = format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(key.public_key().as_ref()));
    (format!("{field}{rest}"), record)
}

const REST: &str = "From: alice@red.test\r\nSubject: x\r\n\r\nHello  \t there \r\n \r\n\t\r\n";

#[tokio::test]
async fn lines_of_white_space_at_the_end_verify_in_both_forms() {
    for (form, name) in
        [(Canonicalization::Relaxed, "relaxed"), (Canonicalization::Simple, "simple")]
    {
        let tags = format!("c=relaxed/{name}; d=red.test; s=k; h=From");
        let (letter, record) = signed(&tags, form, REST);
        let mut zone = Zone::default();
        zone.txt("k._domainkey.red.test", &record);
        assert_eq!(results(&verified(&zone, &letter).await), [DkimResult::Pass], "{name}");
        let trimmed = letter.replace(" \r\n \r\n\t\r\n", "\r\n");
        let wanted = if name == "relaxed" { DkimResult::Pass } else { DkimResult::Fail };
        assert_eq!(results(&verified(&zone, &trimmed).await), [wanted], "{name}, trimmed");
    }
}

#[tokio::test]
async fn what_is_not_believed_and_why() {
    let relaxed = Canonicalization::Relaxed;
    let outcome = async |tags: &str, extra: &str| {
        let (letter, record) = signed(tags, relaxed, REST);
        let mut zone = Zone::default();
        zone.txt("k._domainkey.red.test", &format!("{record}{extra}"));
        let found = verified(&zone, &letter).await;
        (found[0].result, found[0].reason.clone())
    };
    let usual = "c=relaxed/relaxed; d=red.test; s=k; h=From";
    assert_eq!(outcome(usual, "").await.0, DkimResult::Pass);
    assert_eq!(outcome(&format!("{usual}; l=5"), "").await.0, DkimResult::Policy);
    assert_eq!(outcome(&format!("{usual}; x=1600000000"), "").await.0, DkimResult::Policy);
    assert_eq!(outcome(&format!("{usual}; t=1800000000"), "").await.0, DkimResult::Policy);
    let below = format!("{usual}; i=@mail.red.test");
    assert_eq!(outcome(&below, "").await.0, DkimResult::Pass);
    assert_eq!(outcome(&below, "; t=s").await.0, DkimResult::PermError);
    assert_eq!(outcome(&format!("{usual}; i=@blue.test"), "").await.0, DkimResult::Neutral);
    assert_eq!(outcome(usual, "; h=sha1").await.0, DkimResult::PermError);
    assert_eq!(outcome(usual, "; s=web").await.0, DkimResult::PermError);
    let subject_only = "c=relaxed/relaxed; d=red.test; s=k; h=Subject";
    assert_eq!(outcome(subject_only, "").await.0, DkimResult::PermError);
    assert_eq!(outcome("c=odd; d=red.test; s=k; h=From", "").await.0, DkimResult::Neutral);
}

#[tokio::test]
async fn keys_that_are_missing_withdrawn_silent_or_short() {
    let (letter, record) =
        signed("c=relaxed/relaxed; d=red.test; s=k; h=From", Canonicalization::Relaxed, REST);
    let mut zone = Zone::default();
    assert_eq!(results(&verified(&zone, &letter).await), [DkimResult::PermError]);
    zone.txt("k._domainkey.red.test", "v=DKIM1; k=ed25519; p=");
    let withdrawn = verified(&zone, &letter).await;
    assert!(withdrawn[0].reason.contains("withdrawn"), "{}", withdrawn[0].reason);
    zone.silent("k._domainkey.red.test");
    assert_eq!(results(&verified(&zone, &letter).await), [DkimResult::TempError]);
    for garbage in ["", "v=DKIM2; p=x", "p=!!!", "k=ed25519; p=AAAA", "p=AAAA; p=BBBB", "\u{0}"] {
        let mut zone = Zone::default();
        zone.txt("k._domainkey.red.test", garbage);
        assert_eq!(results(&verified(&zone, &letter).await), [DkimResult::PermError], "{garbage}");
    }
    drop(record);
}

#[tokio::test]
async fn rsa_keys_in_both_encodings_and_no_sha1() {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let field = |signature: &str| {
        format!(
            "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=red.test; s=k; h=From; \
             bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b={signature}\r\n"
        )
    };
    let mut data = b"from:alice@red.test\r\n".to_vec();
    header_field(Canonicalization::Relaxed, field("").as_bytes(), &mut data);
    data.truncate(data.len() - 2);
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &data, &mut signature).unwrap();
    let letter = format!("{}From: alice@red.test\r\n\r\n", field(&STANDARD.encode(&signature)));
    let public = key.public_key();
    let spki: aws_lc_rs::encoding::PublicKeyX509Der<'_> = public.as_der().unwrap();
    for der in [public.as_ref(), spki.as_ref()] {
        let mut zone = Zone::default();
        zone.txt("k._domainkey.red.test", &format!("p={}", STANDARD.encode(der)));
        let found = verified(&zone, &letter).await;
        assert_eq!(results(&found), [DkimResult::Pass], "{found:?}");
    }
    let old = letter.replace("rsa-sha256", "rsa-sha1");
    assert_eq!(results(&verified(&Zone::default(), &old).await), [DkimResult::PermError]);
}

#[tokio::test]
async fn many_signatures_cost_a_bounded_number_of_questions() {
    let field = |n: usize| {
        format!(
            "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=d{n}.test; s=k; h=From; \
             bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n"
        )
    };
    let letter: String = (0..100).map(field).collect::<String>() + "From: a@b.test\r\n\r\n";
    let found = verified(&Zone::default(), &letter).await;
    assert_eq!(found.len(), limits::DKIM_SIGNATURES);
}
