//! What follows from the checks on letters from outside, with DNS held in memory.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use verdict::lookup::{Asking, Cause, Dns, Kind, Records, Source};

use super::*;

/// Names with text, addresses with names.
#[derive(Default)]
struct Zone(HashMap<(Kind, String), Records>);

impl Zone {
    fn txt(mut self, name: &str, text: &str) -> Self {
        let texts = Records::Txt(vec![text.as_bytes().to_vec()]);
        self.0.insert((Kind::Txt, name.to_owned()), texts);
        self
    }

    fn a(mut self, name: &str, ip: [u8; 4]) -> Self {
        self.0.insert((Kind::A, name.to_owned()), Records::Addresses(vec![ip.into()]));
        self
    }
}

impl Source for Zone {
    fn ask<'a>(&'a self, kind: Kind, name: &'a str) -> Asking<'a> {
        let found = self.0.get(&(kind, name.to_owned())).cloned().map(Arc::new);
        let answer = found.ok_or(Cause::NoSuchName);
        Box::pin(std::future::ready((answer, Duration::from_secs(60))))
    }
}

const OURS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn reload(context: &Context) {
    let read = context.config.read_again().unwrap();
    context.config.replace(read.config);
}

impl World {
    /// The same with this DNS, and with these lines under `[antispam]`.
    fn with_dns(self, zone: Zone, antispam: &str) -> Self {
        let file = self._folder.path().join("posthaste.toml");
        let mut text = std::fs::read_to_string(&file).unwrap();
        text.push_str(&format!("[antispam]\n{antispam}\n"));
        std::fs::write(&file, text).unwrap();
        reload(&self.context);
        let World { desk, .. } = self;
        let mut desk = Arc::into_inner(desk).expect("nobody else has it yet");
        desk.dns = Dns::new(zone, self.context.clock.clone());
        World { desk: Arc::new(desk), ..self }
    }

    /// A client from this address that has said EHLO.
    async fn guest(&self, ip: IpAddr) -> Client {
        let (ours, theirs) = Stream::pair(64 * 1024);
        let peer = Peer::Inet(SocketAddr::new(ip, 4711));
        let accepted = Accepted { stream: theirs, peer };
        tokio::spawn(super::super::session(self.desk.clone(), accepted, Door::Internet));
        let mut client = Client { stream: ours, heard: String::new() };
        client.expect("220 ").await;
        client.say("EHLO mail.blue.test", "250 ").await;
        client
    }

    fn got(&self) -> String {
        self.delivered().pop().expect("a letter").body
    }
}

impl Client {
    async fn letter(&mut self, from: &str, header: &str, wanted: &str) -> String {
        self.say(&format!("MAIL FROM:<{from}>"), "250 ").await;
        self.say("RCPT TO:<alice@red.test>", "250 ").await;
        self.say("DATA", "354 ").await;
        self.say(&format!("{header}\r\n\r\nhello\r\n."), wanted).await
    }
}

#[tokio::test]
async fn the_policy_of_the_author_counts() {
    let zone = Zone::default()
        .txt("blue.test", "v=spf1 ip4:192.0.2.1 -all")
        .txt("_dmarc.blue.test", "v=DMARC1; p=reject")
        .txt("_dmarc.green.test", "v=DMARC1; p=quarantine");
    let world = world().with_mda().with_dns(zone, "");
    let mut client = world.guest(OURS).await;
    client.letter("bob@blue.test", "From: bob@blue.test", "250 ").await;
    let got = world.got();
    let first = got.split("\r\nReceived:").next().unwrap();
    assert!(first.starts_with("Authentication-Results: mx.red.test;\r\n\tspf=pass "), "{first}");
    assert!(first.contains("smtp.mailfrom=bob@blue.test") && first.contains("dmarc=pass "));
    assert!(first.contains("iprev=permerror") && !first.contains("X-Spam"), "{first}");
    client.letter("bob@blue.test", "From: eve@green.test", "250 ").await;
    let got = world.got();
    assert!(message::junk::is_marked(got.as_bytes()), "{got}");
    // From elsewhere, nothing stands for the author.
    let mut other = world.guest([192, 0, 2, 2].into()).await;
    let reply = other.letter("eve@green.test", "From: bob@blue.test", "550 5.7.26 ").await;
    assert!(reply.contains("blue.test"), "{reply}");
}

#[tokio::test]
async fn spf_alone_is_noted_makes_junk_or_is_refused_as_configured() {
    let zone = || Zone::default().txt("blue.test", "v=spf1 -all");
    let cases = [("spf_fail = \"junk\"", "250 ", true), ("", "250 ", false)];
    for (key, wanted, marked) in cases {
        let world = world().with_mda().with_dns(zone(), key);
        world.guest(OURS).await.letter("bob@blue.test", "From: bob@blue.test", wanted).await;
        assert_eq!(message::junk::is_marked(world.got().as_bytes()), marked, "{key}");
    }
    let world = world().with_mda().with_dns(zone(), "spf_fail = \"reject\"");
    world.guest(OURS).await.letter("bob@blue.test", "From: bob@blue.test", "550 5.7.23 ").await;
}

#[tokio::test]
async fn fields_that_pretend_to_be_ours_are_removed() {
    let world = world().with_mda().with_dns(Zone::default(), "");
    let header = "Authentication-Results: mx.red.test; dkim=pass header.d=blue.test\r\n\
                  X-Spam-Flag: NO\r\nFrom: bob@blue.test\r\n\
                  Authentication-Results: mx.green.test; spf=pass\r\nSubject: x";
    world.guest(OURS).await.letter("bob@blue.test", header, "250 ").await;
    let got = world.got();
    assert!(!got.contains("dkim=pass") && !got.contains("X-Spam-Flag: NO"), "{got}");
    assert!(got.contains("mx.green.test; spf=pass") && got.ends_with("\r\n\r\nhello\r\n"), "{got}");
    // Who is trusted may say what it likes.
    let world = super::world().with_mda();
    let world = world.with_dns(Zone::default(), "trusted_networks = [\"192.0.2.0/24\"]");
    world.guest(OURS).await.letter("bob@blue.test", header, "250 ").await;
    assert!(world.got().contains("dkim=pass"));
}

#[tokio::test]
async fn only_proven_senders_are_told_of_failures() {
    let zone = Zone::default().txt("blue.test", "v=spf1 ip4:192.0.2.1 -all");
    let world = world().with_mda().with_dns(zone, "spf_fail = \"note\"");
    let both = ["<alice@red.test>", "<bob@red.test>"];
    // bob's mailbox is full: the queue tells a proven sender, and nobody else.
    world.guest(OURS).await.send("<c@blue.test>", &both, "250 ").await;
    assert_eq!(world.waiting(), ["bob@red.test"]);
    let letter = world.queued().remove(0).letter;
    assert_eq!(letter.origin, queue::Origin::Accepted);
    let stranger = world.guest([192, 0, 2, 9].into()).await;
    let mut stranger = stranger;
    stranger.send("<c@blue.test>", &both, "250 ").await;
    assert_eq!(world.queued().len(), 1, "nothing more is queued");
}

#[tokio::test]
async fn lists_and_the_greylist_ask_at_rcpt() {
    let zone = Zone::default()
        .a("2.2.0.192.bad.test", [127, 0, 0, 2])
        .txt("2.2.0.192.bad.test", "see https://bad.test/192.0.2.2")
        .a("3.2.0.192.bad.test", [127, 255, 255, 254])
        .a("4.2.0.192.bad.test", [127, 0, 0, 2])
        .a("4.2.0.192.good.test", [127, 0, 9, 1]);
    let keys = "dnsbl = [\"bad.test\"]\ndnswl = [\"good.test\"]\ngreylist = true\n\
                greylist_delay = \"0s\"";
    let world = world().with_mda().with_dns(zone, keys);
    let mut listed = world.guest([192, 0, 2, 2].into()).await;
    listed.say("MAIL FROM:<x@blue.test>", "250 ").await;
    let reply = listed.say("RCPT TO:<alice@red.test>", "550 5.7.1 ").await;
    assert!(reply.contains("bad.test: see https://bad.test/192.0.2.2"), "{reply}");
    listed.say("RCPT TO:<postmaster@red.test>", "250 ").await;
    let mut good = world.guest([192, 0, 2, 4].into()).await;
    good.letter("x@blue.test", "From: x@blue.test", "250 ").await;
    // A list that refuses to answer lists nobody; the greylist asks to come again.
    let mut new = world.guest([192, 0, 2, 3].into()).await;
    new.say("MAIL FROM:<x@green.test>", "250 ").await;
    new.say("RCPT TO:<alice@red.test>", "451 4.7.1 greylisted").await;
    new.say("RCPT TO:<nobody@red.test>", "550 5.1.1 ").await;
    new.say("RCPT TO:<alice@red.test>", "250 ").await;
}

#[tokio::test]
async fn looking_for_names_ends_in_a_ban() {
    let keys = "unknown_recipients_per_hour = 3\nban = \"1h\"";
    let world = world().with_dns(Zone::default(), keys);
    let mut client = world.guest(OURS).await;
    client.say("MAIL FROM:<x@blue.test>", "250 ").await;
    for _ in 0..3 {
        client.say("RCPT TO:<nobody@red.test>", "550 5.1.1 ").await;
    }
    client.say("RCPT TO:<nobody@red.test>", "421 4.7.0 ").await;
    let (ours, theirs) = Stream::pair(64 * 1024);
    let accepted = Accepted { stream: theirs, peer: Peer::Inet(SocketAddr::new(OURS, 1)) };
    tokio::spawn(super::super::session(world.desk.clone(), accepted, Door::Internet));
    let mut banned = Client { stream: ours, heard: String::new() };
    banned.expect("421 4.7.0 your network is not welcome").await;
    world.guest([192, 0, 2, 200].into()).await;
}

#[tokio::test]
async fn who_talks_first_is_refused() {
    let world = world().with_dns(Zone::default(), "greet_delay = \"300ms\"");
    let (mut ours, theirs) = Stream::pair(64 * 1024);
    let accepted = Accepted { stream: theirs, peer: Peer::Inet(SocketAddr::new(OURS, 1)) };
    ours.write_all(b"EHLO mail.blue.test\r\n").await.unwrap();
    tokio::spawn(super::super::session(world.desk.clone(), accepted, Door::Internet));
    let mut early = Client { stream: ours, heard: String::new() };
    early.expect("554 5.5.1 ").await;
    world.guest(OURS).await;
}

#[tokio::test]
async fn rates_of_an_address() {
    let world = world().with_mda().with_dns(Zone::default(), "");
    let file = world._folder.path().join("posthaste.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let keys = "[limits]\nletters_per_hour = 2\nconnections_per_minute = 2\n";
    std::fs::write(&file, text.replace("[limits]\n", keys)).unwrap();
    reload(&world.context);
    let mut client = world.guest(OURS).await;
    for _ in 0..2 {
        client.letter("x@blue.test", "From: x@blue.test", "250 ").await;
    }
    client.say("MAIL FROM:<x@blue.test>", "451 4.7.1 too many letters").await;
    world.guest(OURS).await;
    let (ours, theirs) = Stream::pair(64 * 1024);
    let accepted = Accepted { stream: theirs, peer: Peer::Inet(SocketAddr::new(OURS, 1)) };
    tokio::spawn(super::super::session(world.desk.clone(), accepted, Door::Internet));
    let mut third = Client { stream: ours, heard: String::new() };
    third.expect("421 4.7.0 too many connections").await;
}
