//! Parameters: refusals by kind, and printing as the inverse of parsing.

use proptest::prelude::*;

use super::super::capabilities::SizeOffer;
use super::*;

fn all() -> Capabilities {
    Capabilities {
        size: SizeOffer::Limit(1000),
        eight_bit_mime: true,
        smtputf8: true,
        dsn: true,
        recall: true,
        xposthaste: true,
        auth: vec!["PLAIN".into()],
        ..Capabilities::default()
    }
}

#[test]
fn everything_at_once() {
    let text = "SIZE=10 BODY=8BITMIME SMTPUTF8 AUTH=a+2Bb@x.test RET=HDRS ENVID=q+20q \
                XJOURNEY=01jd3kq8z0000000 XHOLD=too+20many";
    let read = MailParameters::parse(text, &all()).unwrap();
    assert_eq!(read.size, Some(10));
    assert_eq!(read.auth, Some(AuthParameter::Account("a+b@x.test".parse().unwrap())));
    assert_eq!(read.envid.as_deref(), Some("q q"));
    assert_eq!(read.hold.as_deref(), Some("too many"));
    let mut printed = String::new();
    read.print(&all(), &mut printed);
    assert_eq!(printed.trim_start(), text);
}

#[test]
fn what_was_not_offered_is_unknown() {
    for text in
        ["SIZE=1", "BODY=7BIT", "SMTPUTF8", "AUTH=<>", "XJOURNEY=01jd3kq8z0000000", "RET=FULL"]
    {
        let refused = MailParameters::parse(text, &Capabilities::default());
        assert!(matches!(refused, Err(ParameterError::Unknown(_))), "{text}: {refused:?}");
    }
    let mut printed = String::new();
    MailParameters::parse("SIZE=5 SMTPUTF8", &all())
        .unwrap()
        .print(&Capabilities::default(), &mut printed);
    assert_eq!(printed, "");
}

#[test]
fn what_is_wrong_is_named() {
    use ParameterError as E;
    for (text, error) in [
        ("SIZE=", E::BadValue("SIZE")),
        ("SIZE=-1", E::BadValue("SIZE")),
        ("SIZE", E::BadValue("SIZE")),
        ("SIZE=1 SIZE=1", E::Twice("SIZE")),
        ("BODY=BINARYMIME", E::NotImplemented("BODY=BINARYMIME")),
        ("BODY=x", E::BadValue("BODY")),
        ("SMTPUTF8=yes", E::BadValue("SMTPUTF8")),
        ("RET=SOME", E::BadValue("RET")),
        ("XJOURNEY=zz", E::BadValue("XJOURNEY")),
        ("NOTIFY=NEVER", E::Unknown("NOTIFY".into())),
    ] {
        assert_eq!(MailParameters::parse(text, &all()), Err(error), "{text}");
    }
    for text in ["NOTIFY=NEVER,DELAY", "NOTIFY=", "ORCPT=bob", "ORCPT=rfc822;+4"] {
        let refused = RcptParameters::parse(text, &all());
        assert!(matches!(refused, Err(E::BadValue(_))), "{text}: {refused:?}");
    }
    let huge = MailParameters::parse("SIZE=99999999999999999999", &all()).unwrap();
    assert_eq!(huge.size, Some(u64::MAX));
}

proptest! {
    #[test]
    fn original_recipients_survive_printing(address in "[ -~]{1,60}") {
        let original = OriginalRecipient { kind: "rfc822".into(), address: address.into() };
        let read = RcptParameters::parse(&format!("ORCPT={}", original.to_text()), &all());
        prop_assert_eq!(read.unwrap().orcpt, Some(original));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,60}") {
        let _ = MailParameters::parse(&text, &all());
        let _ = RcptParameters::parse(&text, &all());
    }
}
