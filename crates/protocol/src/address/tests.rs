//! Addresses: the examples of the RFCs, what must be refused and why, and printing as the inverse
//! of parsing.

use proptest::prelude::*;

use super::*;

fn address(text: &str) -> Address {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn good_addresses_print_in_their_simplest_form() {
    for (given, printed) in [
        ("bob@blue.test", "bob@blue.test"),
        ("Bob@BLUE.Test", "Bob@blue.test"),
        ("\"bob\"@blue.test", "bob@blue.test"),
        ("\"Joe Q. Public\"@x.test", "\"Joe Q. Public\"@x.test"),
        ("\"a\\\"b\\\\c\"@x.test", "\"a\\\"b\\\\c\"@x.test"),
        ("\"\\b\\o\\b\"@x.test", "bob@x.test"),
        ("\"\"@x.test", "\"\"@x.test"),
        ("a@[192.0.2.1]", "a@[192.0.2.1]"),
        ("a@[ipv6:2001:DB8::1]", "a@[IPv6:2001:db8::1]"),
        ("a@[x400:c=us;a=b]", "a@[x400:c=us;a=b]"),
        ("用户@例え.テスト", "用户@xn--r8jz45g.xn--zckzah"),
        ("a@Bücher.test", "a@xn--bcher-kva.test"),
        ("user+tag=x@a-b.test", "user+tag=x@a-b.test"),
    ] {
        assert_eq!(address(given).to_string(), printed, "{given}");
    }
}

#[test]
fn bad_addresses_say_what_is_wrong() {
    use AddressError as E;
    let long_label = format!("a@{}.test", "x".repeat(64));
    let long_domain = format!("a@{}test", "x.".repeat(127));
    let long_local = format!("{}@x.test", "a".repeat(193));
    for (text, error) in [
        ("", E::Empty),
        ("bob", E::MissingAt),
        ("@x.test", E::MissingLocalPart),
        ("bob@", E::MissingDomain),
        ("bob@x.test ", E::TrailingText),
        ("bob smith@x.test", E::LocalPartCharacter(' ')),
        ("bob..smith@x.test", E::LocalPartDots),
        (".bob@x.test", E::LocalPartDots),
        ("bob.@x.test", E::LocalPartDots),
        ("\"bob@x.test", E::UnclosedQuote),
        ("\"bo\u{0}b\"@x.test", E::LocalPartCharacter('\0')),
        ("bob@x..test", E::DomainLabel),
        ("bob@x.test.", E::DomainLabel),
        ("bob@-x.test", E::DomainLabel),
        ("bob@[300.0.0.1]", E::BadLiteral),
        ("bob@[IPv6:zz]", E::BadLiteral),
        ("bob@[192.0.2.1", E::BadLiteral),
        ("bob@!", E::DomainCharacter('!')),
        (&long_label, E::DomainTooLong),
        (&long_domain, E::DomainTooLong),
        (&long_local, E::LocalPartTooLong),
    ] {
        assert_eq!(text.parse::<Address>(), Err(error), "{text}");
    }
}

#[test]
fn equality_ignores_the_case_of_the_domain_only() {
    assert_eq!(address("bob@BLUE.test"), address("bob@blue.TEST"));
    assert_ne!(address("Bob@blue.test"), address("bob@blue.test"));
    assert_eq!(address("a@bücher.test"), address("a@XN--BCHER-KVA.test"));
}

#[test]
fn unicode_is_shown_and_the_wire_gets_ascii() {
    let international = address("a@bücher.test");
    assert_eq!(international.to_unicode(), "a@bücher.test");
    assert!(!international.needs_smtputf8());
    assert!(address("ü@x.test").needs_smtputf8());
    let broken: Domain = "xn--a-ecp.test".parse().unwrap();
    assert_eq!(broken.to_unicode().parse::<Domain>().unwrap(), broken);
}

#[test]
fn paths() {
    assert_eq!("<>".parse(), Ok(ReversePath::Null));
    assert_eq!("<>".parse::<ForwardPath>(), Err(AddressError::NullForwardPath));
    assert_eq!("<PostMaster>".parse(), Ok(ForwardPath::Postmaster));
    let routed: ForwardPath = "<@a.test,@b.test:bob@c.test>".parse().unwrap();
    assert_eq!(routed.to_string(), "<bob@c.test>");
    for (text, error) in [
        ("bob@x.test", AddressError::MissingOpenBracket),
        ("<bob@x.test", AddressError::MissingCloseBracket),
        ("<@a.test bob@x.test>", AddressError::BadSourceRoute),
        ("<bob>", AddressError::MissingAt),
        ("<bob@x.test>>", AddressError::TrailingText),
    ] {
        assert_eq!(text.parse::<ForwardPath>(), Err(error), "{text}");
    }
    let quoted: ReversePath = "<\"a>b\"@x.test>".parse().unwrap();
    assert_eq!(quoted.address().unwrap().local().as_str(), "a>b");
    let long = format!("<{}@{}test>", "a".repeat(60), "x.".repeat(100));
    assert_eq!(long.parse::<ReversePath>(), Err(AddressError::PathTooLong));
}

#[test]
fn tags_and_relations() {
    let local: LocalPart = "bob+lists+rust".parse().unwrap();
    let (base, tag) = local.split_tag('+');
    assert_eq!((base.as_str(), tag), ("bob", Some("lists+rust")));
    let tagged = LocalPart::from_meaning("+bob").unwrap();
    let (whole, none) = tagged.split_tag('+');
    assert_eq!((whole.as_str(), none), ("+bob", None));
    let domain: Domain = "mail.blue.test".parse().unwrap();
    let above: Domain = "blue.test".parse().unwrap();
    assert!(domain.is_within(&above) && above.is_within(&above) && !above.is_within(&domain));
    let other: Domain = "notblue.test".parse().unwrap();
    assert!(!other.is_within(&above));
}

proptest! {
    #[test]
    fn never_panics_and_prints_what_parses_back(text in "\\PC{0,80}") {
        if let Ok(address) = text.parse::<Address>() {
            prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address.clone()));
            prop_assert_eq!(address.to_unicode().parse::<Address>(), Ok(address));
        }
        let _ = text.parse::<ForwardPath>();
    }

    #[test]
    fn any_local_part_survives_printing(
        meaning in "[^\\p{Cc}]{0,40}",
        host in "[a-z0-9]{1,10}(\\.[a-z]{2,5}){1,3}",
    ) {
        let local = LocalPart::from_meaning(&meaning).unwrap();
        let made = Address::new(local, host.parse::<Domain>().unwrap());
        prop_assert_eq!(made.to_string().len(), made.local().printed_len() + 1 + host.len());
        let path = ForwardPath::Address(made);
        prop_assert_eq!(path.to_string().parse::<ForwardPath>(), Ok(path));
    }

    #[test]
    fn literals_survive_printing(v6: u128) {
        let literal = AddressLiteral::V6(v6.into());
        let text = format!("x@{literal}");
        prop_assert_eq!(address(&text).to_string(), text);
    }
}
