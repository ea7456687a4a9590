//! Whatever a stranger writes into DNS or into a letter, it is judged or passed over; nothing
//! panics and nothing runs without end.

use std::sync::Arc;
use std::time::Duration;

use disk::Body;
use net::Clock;
use proptest::prelude::*;
use verdict::lookup::{Asking, Dns, Kind, Records, Source};
use verdict::{dkim, dmarc, junk, spf};

/// Answers every question for text with the same text, every other with what leads in circles.
#[derive(Clone)]
struct Everywhere(Vec<u8>);

impl Source for Everywhere {
    fn ask<'a>(&'a self, kind: Kind, name: &'a str) -> Asking<'a> {
        let records = match kind {
            Kind::Txt => Records::Txt(vec![self.0.clone()]),
            Kind::A | Kind::Aaaa => Records::Addresses(vec![[192, 0, 2, 1].into()]),
            Kind::Mx | Kind::Ptr => Records::Names(vec![name.to_owned(), "a.test".to_owned()]),
        };
        Box::pin(std::future::ready((Ok(Arc::new(records)), Duration::from_secs(60))))
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(future)
}

/// Text that is nearly a record.
fn record() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "v=spf1 ",
        "include:",
        "a:",
        "mx",
        "ptr ",
        "exists:%{i}.",
        "redirect=",
        "exp=",
        "ip4:",
        "ip6:",
        "/24",
        "//64",
        "-all",
        "~",
        "%{",
        "}",
        "%{d2r.-}",
        "%{p}",
        "%%",
        "%",
        "x.test",
        " ",
        "v=DMARC1;",
        "p=reject;",
        "sp=",
        "np=none",
        "psd=y;",
        "t=y",
        "rua=mailto:a@b",
        "v=DKIM1;",
        "k=rsa;",
        "p=",
        "AAAA",
        "h=sha256",
        ";",
        "=",
        "\u{0}",
        "ä",
    ]);
    prop_oneof![
        prop::collection::vec(words, 0..40).prop_map(|words| words.concat().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..300),
    ]
}

/// Text that is nearly a letter.
fn letter() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "DKIM-Signature: ",
        "v=1; ",
        "a=rsa-sha256; ",
        "a=ed25519-sha256; ",
        "c=relaxed/simple; ",
        "d=x.test; ",
        "s=s; ",
        "h=From; ",
        "h=From:From:To; ",
        "bh=",
        "b=AAAA; ",
        "l=3; ",
        "x=1; ",
        "t=9; ",
        "i=@x.test; ",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; ",
        "From: a@x.test",
        "From: ",
        "\"",
        "<",
        ">",
        "(",
        "@",
        ",",
        "Subject: =?utf-8?q?",
        "?=",
        "\r\n",
        "\r\n ",
        "\r\n\r\n",
        "\n",
        "\r",
        "Content-Type: text/html\r\n",
        "Authentication-Results: x; ",
        "boundary=b",
        "--b",
        "<a href=\"http://y.test/\">",
        "hello ",
        "\u{0}",
        "ü",
    ]);
    prop_oneof![
        prop::collection::vec(words, 0..80).prop_map(|words| words.concat().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..400),
    ]
}

proptest! {
    #[test]
    fn any_record_is_judged(text in record(), helo in "[ -~]{0,30}", local in "[ -~]{0,20}") {
        let _ = spf::Record::parse(&text);
        let _ = dmarc::Record::parse(&text);
        run(async {
            let dns = Dns::new(Everywhere(text), Clock::real());
            let inquiry = dns.inquire();
            let query = spf::Query {
                ip: [192, 0, 2, 9].into(),
                helo: &helo,
                sender: Some((&local, "x.test")),
                receiver: "mx.test",
                now: 1,
            };
            let found = spf::check(&inquiry, query).await;
            dmarc::check(&inquiry, "a.b.x.test", &found, &[]).await;
            // The bounds of RFC 7208 §4.6.4 hold, whatever it says.
            assert!(inquiry.into_asked().len() <= 40);
        });
    }

    #[test]
    fn any_letter_is_judged(text in letter(), answer in record()) {
        let header = &text[..message::header::length(&text)];
        dmarc::authors(header);
        junk::of_letter(&text);
        junk::Filter::from_text(&String::from_utf8_lossy(&text));
        run(async {
            let dns = Dns::new(Everywhere(answer), Clock::real());
            let whole = Body::from(text.clone());
            let letter = dkim::Letter { header, whole: &whole };
            let found = dkim::verify(&dns.inquire(), letter, 1_700_000_000).await;
            assert!(found.expect("it is in memory").iter().all(|one| {
                one.result != dkim::DkimResult::Pass
            }));
        });
    }
}
