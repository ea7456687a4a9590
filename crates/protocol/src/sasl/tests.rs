//! The examples of the RFCs, each mechanism against itself, downgrade and forgery.

use super::*;
use crate::secret::Secret;
use proptest::prelude::*;

const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const SALT: &[u8] = b"\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";

fn credentials(password: &str) -> Credentials {
    let password = Secret::new(password.to_owned());
    Credentials { authcid: "user".to_owned(), authzid: None, password }
}

fn bound() -> ChannelBinding {
    ChannelBinding { tls_exporter: Some(vec![7; 32]), tls_server_end_point: Some(vec![8; 32]) }
}

fn verifier() -> ScramVerifier {
    ScramVerifier::derive("pencil", SALT.to_vec(), 4096)
}

fn client(
    mechanism: Mechanism,
    password: &str,
    binding: &ChannelBinding,
    offers: &[Mechanism],
) -> Client {
    Client::new(mechanism, credentials(password), Connection { binding, offers }, CLIENT_NONCE)
        .unwrap()
}

/// Runs an exchange to its end.
fn run(
    mut client: Client,
    mut server: Server,
    verifier: &ScramVerifier,
) -> Result<Step, SaslError> {
    let mut message = client.initial();
    loop {
        let challenge = match server.step(message.as_deref())? {
            Step::Challenge(octets) => octets,
            Step::FindVerifier { authcid } => {
                assert_eq!(authcid, "user");
                let Step::Challenge(octets) = server.verifier(verifier.clone())? else { panic!() };
                octets
            }
            end => {
                if matches!(end, Step::Proven(_)) {
                    client.finish(None)?;
                }
                return Ok(end);
            }
        };
        message = Some(client.respond(&challenge)?);
    }
}

#[test]
fn rfc_7677_section_3_octet_by_octet() {
    let none = ChannelBinding::default();
    let mut client = client(Mechanism::ScramSha256, "pencil", &none, &[]);
    let mut server = Server::new(Mechanism::ScramSha256, none, SERVER_NONCE.to_owned());
    let first = client.initial().unwrap();
    assert_eq!(first, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    assert!(
        matches!(server.step(Some(&first)), Ok(Step::FindVerifier { authcid }) if authcid == "user")
    );
    let Ok(Step::Challenge(challenge)) = server.verifier(verifier()) else { panic!() };
    assert_eq!(
        challenge,
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    );
    let last = client.respond(&challenge).unwrap();
    assert_eq!(
        String::from_utf8(last.clone()).unwrap(),
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    );
    let Ok(Step::Challenge(proof)) = server.step(Some(&last)) else { panic!() };
    assert_eq!(proof, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    assert_eq!(client.respond(&proof).unwrap(), b"");
    assert!(matches!(server.step(Some(b"")), Ok(Step::Proven(_))));
    client.finish(None).unwrap();
}

#[test]
fn rfc_4616_section_4() {
    let none = ChannelBinding::default;
    let claim =
        |message: &[u8]| Server::new(Mechanism::Plain, none(), String::new()).step(Some(message));
    let Ok(Step::CheckPassword(claim1)) = claim(b"\0tim\0tanstaaftanstaaf") else { panic!() };
    assert_eq!((claim1.authcid.as_str(), claim1.authzid), ("tim", None));
    assert_eq!(claim1.password.reveal(), "tanstaaftanstaaf");
    let Ok(Step::CheckPassword(claim2)) = claim(b"Ursel\0Kurt\0xipj3plmq") else { panic!() };
    assert_eq!((claim2.authcid.as_str(), claim2.authzid.as_deref()), ("Kurt", Some("Ursel")));
    for bad in
        [&b""[..], b"tim", b"\0tim", b"\0\0x", b"\0tim\0", b"\0a\0b\0c", b"\0\xff\0x", b"\0a\0\x07"]
    {
        assert!(claim(bad).is_err(), "{bad:?}");
    }
    let mut waits = Server::new(Mechanism::Plain, none(), String::new());
    assert!(matches!(waits.step(None), Ok(Step::Challenge(empty)) if empty.is_empty()));
}

#[test]
fn login_prompts_are_those_that_outlook_knows() {
    let mut server = Server::new(Mechanism::Login, ChannelBinding::default(), String::new());
    assert!(matches!(server.step(None), Ok(Step::Challenge(prompt)) if prompt == b"Username:"));
    assert!(
        matches!(server.step(Some(b"user")), Ok(Step::Challenge(prompt)) if prompt == b"Password:")
    );
    let Ok(Step::CheckPassword(claim)) = server.step(Some(b"pencil")) else { panic!() };
    assert_eq!((claim.authcid.as_str(), claim.password.reveal().as_str()), ("user", "pencil"));
    assert_eq!(server.step(Some(b"again")).unwrap_err(), SaslError::OutOfTurn);
    // A name as initial response: many clients send it so.
    let mut server = Server::new(Mechanism::Login, ChannelBinding::default(), String::new());
    assert!(
        matches!(server.step(Some(b"user")), Ok(Step::Challenge(prompt)) if prompt == b"Password:")
    );
}

#[test]
fn every_mechanism_with_a_password_reaches_its_end() {
    for mechanism in Mechanism::PASSWORD {
        let offers = &Mechanism::PASSWORD[..];
        let server = Server::new(mechanism, bound(), SERVER_NONCE.to_owned());
        let end = run(client(mechanism, "pencil", &bound(), offers), server, &verifier()).unwrap();
        match end {
            Step::CheckPassword(claim) => assert_eq!(claim.password.reveal(), "pencil"),
            Step::Proven(identity) => assert_eq!(identity.authcid, "user"),
            other => panic!("{mechanism}: {other:?}"),
        }
    }
}

#[test]
fn a_wrong_password_an_unknown_name_and_another_connection_are_refused() {
    let offers = &Mechanism::ALL[..];
    for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha256Plus] {
        let server = || Server::new(mechanism, bound(), SERVER_NONCE.to_owned());
        let wrong = run(client(mechanism, "pencils", &bound(), offers), server(), &verifier());
        assert!(matches!(wrong, Ok(Step::Refused)));
        let pretended = ScramVerifier::pretended(b"secret", "user");
        let unknown = run(client(mechanism, "pencil", &bound(), offers), server(), &pretended);
        assert!(matches!(unknown, Ok(Step::Refused)));
    }
    let other = ChannelBinding { tls_exporter: Some(vec![9; 32]), tls_server_end_point: None };
    let server = Server::new(Mechanism::ScramSha256Plus, bound(), SERVER_NONCE.to_owned());
    let relayed =
        run(client(Mechanism::ScramSha256Plus, "pencil", &other, offers), server, &verifier());
    assert!(matches!(relayed, Ok(Step::Refused)), "a man in the middle has another TLS connection");
}

#[test]
fn a_removed_plus_is_noticed() {
    // RFC 5802 §6: the client could bind and was not offered it, though the server did offer it.
    let tampered = client(Mechanism::ScramSha256, "pencil", &bound(), &[Mechanism::ScramSha256]);
    let server = Server::new(Mechanism::ScramSha256, bound(), SERVER_NONCE.to_owned());
    assert!(matches!(run(tampered, server, &verifier()), Ok(Step::Refused)));
    // A server that really cannot bind is fine.
    let honest = client(Mechanism::ScramSha256, "pencil", &bound(), &[Mechanism::ScramSha256]);
    let server =
        Server::new(Mechanism::ScramSha256, ChannelBinding::default(), SERVER_NONCE.to_owned());
    assert!(matches!(run(honest, server, &verifier()), Ok(Step::Proven(_))));
    // The flag and the name of the mechanism must agree.
    for (mechanism, first) in [
        (Mechanism::ScramSha256, "p=tls-exporter,,n=user,r=abc"),
        (Mechanism::ScramSha256Plus, "n,,n=user,r=abc"),
        (Mechanism::ScramSha256Plus, "x,,n=user,r=abc"),
    ] {
        let mut server = Server::new(mechanism, bound(), SERVER_NONCE.to_owned());
        assert!(server.step(Some(first.as_bytes())).is_err(), "{first}");
    }
    let mut server = Server::new(Mechanism::ScramSha256Plus, bound(), SERVER_NONCE.to_owned());
    assert!(matches!(server.step(Some(b"p=tls-unique,,n=user,r=abc")), Ok(Step::Refused)));
}

#[test]
fn a_false_server_is_not_believed() {
    let none = ChannelBinding::default();
    let server_first = |text: &str| {
        let mut client = client(Mechanism::ScramSha256, "pencil", &none, &[]);
        client.initial();
        client.respond(text.as_bytes()).map(|_| client)
    };
    let ours = CLIENT_NONCE;
    for bad in [
        "r=other,s=W22Z,i=4096".to_owned(),
        format!("r={ours},s=W22Z,i=4096"),
        format!("r={ours}x,s=W22Z,i=1"),
        format!("r={ours}x,s=W22Z,i=99999999"),
        format!("m=new,r={ours}x,s=W22Z,i=4096"),
        format!("r={ours}x,s=W22Z,i=4096,m=new"),
    ] {
        assert!(server_first(&bad).is_err(), "{bad}");
    }
    let good = format!("r={ours}x,s=W22Z,i=4096,x=extension");
    let unproven = server_first(&good).unwrap();
    assert_eq!(unproven.finish(None), Err(SaslError::ServerUnproven), "a yes without a proof");
    let mut forged = server_first(&good).unwrap();
    assert_eq!(forged.respond(b"v=AAAA").unwrap_err(), SaslError::ServerUnproven);
}

#[test]
fn verifiers_survive_their_text_and_pretended_ones_stay_the_same() {
    let kept: ScramVerifier = verifier().to_string().parse().unwrap();
    assert_eq!(kept, verifier());
    assert!(kept.matches("pencil") && !kept.matches("pencil "));
    for bad in [
        "",
        "SCRAM-SHA-1$4096:W22Z$AA==:AA==",
        "SCRAM-SHA-256$0:W22Z$AA==:AA==",
        "SCRAM-SHA-256$1:W22Z$AA==:AA==",
    ] {
        assert!(bad.parse::<ScramVerifier>().is_err(), "{bad}");
    }
    let of = |name| ScramVerifier::pretended(b"secret", name);
    assert_eq!(of("nobody"), of("nobody"));
    assert_ne!(of("nobody").salt, of("somebody").salt);
    assert_eq!(of("nobody").salt.len(), SALT.len());
    assert_ne!(of("nobody").salt, ScramVerifier::pretended(b"other", "nobody").salt);
}

#[test]
fn names_with_commas_and_equal_signs_travel() {
    let none = ChannelBinding::default();
    let mut odd = credentials("pencil");
    odd.authcid = "a,b=c".to_owned();
    odd.authzid = Some("=,".to_owned());
    let mut client =
        Client::new(Mechanism::ScramSha256, odd, Connection { binding: &none, offers: &[] }, "abc")
            .unwrap();
    let first = client.initial().unwrap();
    assert_eq!(first, b"n,a==3D=2C,n=a=2Cb=3Dc,r=abc");
    let mut server = Server::new(Mechanism::ScramSha256, none, "def".to_owned());
    assert!(
        matches!(server.step(Some(&first)), Ok(Step::FindVerifier { authcid: it }) if it == "a,b=c")
    );
}

#[test]
fn what_is_offered_depends_on_the_connection() {
    let names = |binding: &ChannelBinding| {
        Mechanism::offered(binding).map(Mechanism::name).collect::<Vec<_>>()
    };
    assert_eq!(names(&ChannelBinding::default()), ["SCRAM-SHA-256", "PLAIN", "LOGIN"]);
    assert_eq!(names(&bound()).first(), Some(&"SCRAM-SHA-256-PLUS"));
    let best = |offers: &[&str], binding: &ChannelBinding| {
        Mechanism::best(offers.iter().copied(), binding)
    };
    assert_eq!(best(&["login", "PLAIN", "CRAM-MD5"], &bound()), Some(Mechanism::Plain));
    assert_eq!(
        best(&["SCRAM-SHA-256-PLUS", "PLAIN"], &ChannelBinding::default()),
        Some(Mechanism::Plain)
    );
    assert_eq!(best(&["GSSAPI"], &bound()), None);
}

#[test]
fn an_empty_authorization_name_is_none() {
    let mut server =
        Server::new(Mechanism::ScramSha256, ChannelBinding::default(), SERVER_NONCE.to_owned());
    assert!(matches!(server.step(Some(b"n,a=,n=user,r=abc")), Ok(Step::FindVerifier { .. })));
}

fn token_server(mechanism: Mechanism) -> Server {
    Server::new(mechanism, ChannelBinding::default(), String::new())
}

#[test]
fn rfc_7628_section_4() {
    let mut server = token_server(Mechanism::OAuthBearer);
    // §4.1 and §4.2: the initial response; keys that are not known are passed over.
    let message = b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01\
        auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
    let Ok(Step::CheckToken(claim)) = server.step(Some(message)) else { panic!() };
    assert_eq!(claim.authzid.as_deref(), Some("user@example.com"));
    assert_eq!(claim.token.reveal(), "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
    // §4.3: the refusal, acknowledged.
    let hint = TokenHint {
        scope: "example_scope".into(),
        openid_configuration: "https://example.com/.well-known/openid-configuration".into(),
    };
    let Ok(Step::Challenge(why)) = server.token_refused(&hint) else { panic!() };
    let said: serde_json::Value = serde_json::from_slice(&why).unwrap();
    let expected = serde_json::json!({
        "status": "invalid_token", "scope": "example_scope",
        "openid-configuration": "https://example.com/.well-known/openid-configuration"
    });
    assert_eq!(said, expected);
    assert!(matches!(server.step(Some(b"\x01")), Ok(Step::Refused)));
    assert_eq!(server.step(Some(b"\x01")).unwrap_err(), SaslError::OutOfTurn);
}

#[test]
fn tokens_of_our_own_client_are_read() {
    for mechanism in Mechanism::TOKEN {
        let mut client = client(mechanism, "abc.DEF-1~2+3/4==", &ChannelBinding::default(), &[]);
        let mut server = token_server(mechanism);
        assert!(matches!(server.step(None), Ok(Step::Challenge(empty)) if empty.is_empty()));
        let message = client.initial().unwrap();
        let Ok(Step::CheckToken(claim)) = server.step(Some(&message)) else { panic!() };
        assert_eq!(claim.authzid.as_deref(), Some("user"));
        assert_eq!(claim.token.reveal(), "abc.DEF-1~2+3/4==");
        let Ok(Step::Challenge(why)) = server.token_refused(&TokenHint::default()) else {
            panic!()
        };
        assert_eq!(client.respond(&why).unwrap(), b"\x01");
    }
}

#[test]
fn tokens_that_are_not_of_the_grammar() {
    let claim = |message: &[u8]| token_server(Mechanism::OAuthBearer).step(Some(message));
    for good in [
        &b"n,,\x01auth=Bearer a\x01\x01"[..],
        b"y,a=a=2Cb=3Dc,\x01AUTH=bearer  a\x01\x01",
        // §4.3 in spirit: a client that has no token asks for where to get one.
        b"n,,\x01auth=Bearer \x01\x01",
    ] {
        assert!(matches!(claim(good), Ok(Step::CheckToken(_))), "{good:?}");
    }
    for bad in [
        &b""[..],
        b"\x01",
        b"n,,\x01\x01",
        b"n,,\x01auth=Bearer a\x01",
        b"p=tls-exporter,,\x01auth=Bearer a\x01\x01",
        b"n,user,\x01auth=Bearer a\x01\x01",
        b"n,,\x01auth=Basic a\x01\x01",
        b"n,,\x01auth=Bearer a b\x01\x01",
        b"n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01",
        b"n,,\x01host=x\x01\x01",
        b"n,,\x01auth=Bearer \xff\x01\x01",
    ] {
        assert!(claim(bad).is_err(), "{bad:?}");
    }
    let old = b"user=ann@red.test\x01auth=Bearer a\x01\x01";
    let Ok(Step::CheckToken(claim)) = token_server(Mechanism::XOAuth2).step(Some(old)) else {
        panic!()
    };
    assert_eq!(claim.authzid.as_deref(), Some("ann@red.test"));
}

#[test]
fn external_asks_about_the_connection() {
    let external = || token_server(Mechanism::External);
    let authzid = |message: &[u8]| match external().step(Some(message)) {
        Ok(Step::CheckConnection { authzid }) => authzid,
        other => panic!("{other:?}"),
    };
    // RFC 4422 §A.3.
    assert_eq!(authzid(b""), None);
    assert_eq!(authzid(b"fred@example.com").as_deref(), Some("fred@example.com"));
    assert!(external().step(Some(b"\xff")).is_err());
    let mut waits = external();
    assert!(matches!(waits.step(None), Ok(Step::Challenge(empty)) if empty.is_empty()));
    assert!(matches!(waits.step(Some(b"")), Ok(Step::CheckConnection { authzid: None })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn messages_of_any_kind_break_nothing(
        octets in proptest::collection::vec(any::<u8>(), 0..80),
        which in 0usize..Mechanism::ALL.len(),
    ) {
        let mechanism = Mechanism::ALL[which];
        let mut server = Server::new(mechanism, bound(), SERVER_NONCE.to_owned());
        match server.step(Some(&octets)) {
            Ok(Step::FindVerifier { .. }) => drop(server.verifier(verifier())),
            Ok(Step::CheckToken(_)) => drop(server.token_refused(&TokenHint::default())),
            _ => {}
        }
        let _ = server.step(Some(&octets));
        let mut client = client(mechanism, "pencil", &bound(), &[]);
        let _ = client.respond(&octets);
        let _ = client.respond(&octets);
    }

    #[test]
    fn any_password_proves_itself(password in "\\PC{1,20}") {
        if let Ok(prepared) = prepare(&password) {
            let stored = ScramVerifier::derive(&prepared, SALT.to_vec(), 4096);
            let client = client(Mechanism::ScramSha256, &password, &ChannelBinding::default(), &[]);
            let server = Server::new(Mechanism::ScramSha256, ChannelBinding::default(), "s".to_owned());
            prop_assert!(matches!(run(client, server, &stored), Ok(Step::Proven(_))));
        }
    }
}
