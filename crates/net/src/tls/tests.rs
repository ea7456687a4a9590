//! Tests of both sides over a pipe: who is believed, tickets, exchange of certificates, bad files.

use protocol::machine::{TlsFacts, Verification};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// An authority, the roots with it, and a certificate for `name`.
fn authority(folder: &Path, name: &str) -> (Roots, Certificate) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
    let issuer = issuer.expect("an authority");
    let pem = folder.join("ca.pem");
    std::fs::write(&pem, issuer.pem()).expect("written");
    (Roots::load(Some(&pem)).expect("roots"), issued(&issuer, name))
}

fn issued(issuer: &CertifiedIssuer<'_, KeyPair>, name: &str) -> Certificate {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, issuer).expect("signed");
    Certificate::from_pem(&certificate.pem(), &key.serialize_pem()).expect("usable")
}

/// A handshake and a byte each way, so that tickets arrive.
async fn meet(
    server: &Server,
    client: &Client,
    name: &str,
) -> (Result<TlsFacts, HandshakeError>, Result<(TlsFacts, bool), HandshakeError>) {
    let (near, far) = Stream::pair(16 * 1024);
    let clock = Clock::real();
    let name = PeerName::new(name).expect("a name");
    let serve = async {
        let (mut stream, facts) = server.accept(near, &clock).await?;
        stream.write_all(b"!").await?;
        let _ = stream.read_u8().await;
        Ok(facts)
    };
    let connect = async {
        let (mut stream, facts) = client.connect(far, &name, &clock).await?;
        stream.read_u8().await?;
        stream.write_all(b"!").await?;
        let resumed = match &stream {
            Stream::Tls(tls) => tls.get_ref().1.handshake_kind(),
            _ => None,
        };
        Ok((facts, resumed == Some(rustls::HandshakeKind::Resumed)))
    };
    tokio::join!(serve, connect)
}

#[tokio::test]
async fn who_is_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (roots, certificate) = authority(folder.path(), "mx.blue.test");
    let server = Server::new(&certificate).expect("a server");
    let verifying = Client::verifying(&roots);
    let (_, met) = meet(&server, &verifying, "mx.blue.test").await;
    assert_eq!(met.expect("believed").0.verified, Verification::Verified);
    let (_, met) = meet(&server, &verifying, "mx.red.test").await;
    let refused = met.expect_err("another name");
    assert!(matches!(refused, HandshakeError::Certificate(_)), "{refused}");
    assert_eq!(
        refused.to_string(),
        "the certificate is for another name (DnsName(\"mx.blue.test\"))"
    );

    let opportunistic = Client::opportunistic(&roots);
    let (_, met) = meet(&server, &opportunistic, "mx.red.test").await;
    let (facts, _) = met.expect("taken all the same");
    assert!(matches!(facts.verified, Verification::Unverified(_)), "{facts:?}");
    let stranger = Client::opportunistic(&Roots::load(None).expect("roots"));
    let (_, met) = meet(&server, &stranger, "mx.blue.test").await;
    let (facts, _) = met.expect("taken all the same");
    assert!(matches!(facts.verified, Verification::Unverified(_)), "{facts:?}");
}

#[tokio::test]
async fn tickets_resume_also_after_a_new_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let (roots, certificate) = authority(folder.path(), "mx.blue.test");
    let server = Server::new(&certificate).expect("a server");
    let client = Client::opportunistic(&roots);
    let (_, first) = meet(&server, &client, "mx.blue.test").await;
    assert!(!first.expect("met").1, "nothing to resume yet");
    let (_, second) = meet(&server, &client, "mx.blue.test").await;
    let (facts, resumed) = second.expect("met");
    assert!(resumed, "the ticket is taken");
    assert_eq!(facts.verified, Verification::Verified, "also of a resumed session");

    let (_, other) = authority(folder.path(), "mx.blue.test");
    server.replace(&other, None).expect("a good certificate");
    let (_, third) = meet(&server, &client, "mx.blue.test").await;
    assert!(third.expect("met").1, "the ticket outlives the certificate");
    let fresh = Client::opportunistic(&roots);
    let (_, fourth) = meet(&server, &fresh, "mx.blue.test").await;
    let (facts, _) = fourth.expect("met");
    assert!(matches!(facts.verified, Verification::Unverified(_)), "the new one is shown");
}

#[test]
fn bad_files_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let pair = || rcgen::generate_simple_self_signed(["a.test".to_owned()]).expect("a pair");
    let (one, other) = (pair(), pair());
    std::fs::write(path("one.pem"), one.cert.pem()).expect("written");
    std::fs::write(path("one.key"), one.signing_key.serialize_pem()).expect("written");
    std::fs::write(path("other.key"), other.signing_key.serialize_pem()).expect("written");
    std::fs::write(path("empty"), "").expect("written");
    let read = |certificate: &str, key: &str| {
        Certificate::from_files(&path(certificate), &path(key)).map(drop).map_err(|e| e.to_string())
    };
    assert_eq!(read("one.pem", "one.key"), Ok(()));
    let why = |certificate, key| read(certificate, key).expect_err("unusable");
    assert!(why("none.pem", "one.key").starts_with("cannot read"));
    assert!(why("empty", "one.key").contains("no BEGIN CERTIFICATE block"));
    assert!(why("one.pem", "empty").contains("no BEGIN PRIVATE KEY block"));
    assert!(why("one.pem", "other.key").contains("does not belong to the certificate"));
    assert!(Roots::load(Some(&path("empty"))).is_err());
}

#[test]
fn names_of_peers() {
    assert_eq!(PeerName::new("mx.blue.test.").expect("a name").to_string(), "mx.blue.test");
    assert!(PeerName::new("192.0.2.1").is_ok());
    assert!(PeerName::new("not a name").is_err());
}
