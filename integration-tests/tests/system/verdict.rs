//! What we think of letters from other systems, through the real executable: policies of senders
//! and authors, lists, the greylist, filters of others, the junk filter that learns, a load balancer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use integration_tests::{
    Address, Conversation, Instance, NameServer, Service, Zone, clients, process, wait,
};

use crate::cluster::{PASSWORD, await_letters, exists, fetch, letters, stuffed};

/// Port 25 of an instance, after EHLO.
fn guest(here: &Instance) -> Conversation {
    let mut talk = here.connect(Service::Smtp);
    talk.expect("220");
    talk.say("EHLO mail.blue.test", "250");
    talk
}

/// Brings a letter; the reply to its end.
#[track_caller]
fn bring(talk: &mut Conversation, (from, to): (&str, &str), text: &str) -> String {
    talk.say(&format!("MAIL FROM:<{from}>"), "250");
    talk.say(&format!("RCPT TO:<{to}>"), "250");
    talk.say("DATA", "354");
    talk.raw(stuffed(text).as_bytes());
    talk.reply()
}

fn letter(from: &str, subject: &str, body: &str) -> String {
    format!(
        "From: {from}\r\nTo: alice@example.test\r\nSubject: {subject}\r\n\
         Message-ID: <{subject}@blue.test>\r\n\r\n{body}\r\n"
    )
}

/// What the journey of a letter tells, once it tells its end.
fn events(here: &Instance, reply: &str) -> Vec<String> {
    let id = reply.split_whitespace().nth(2).expect("a journey id");
    wait::until("the journey is written", || {
        let all = here.json(&["trace", id]);
        let ended = all.iter().any(|event| event["kind"] == "accepted");
        let told = |event: &serde_json::Value| {
            format!("{} {} {}", event["kind"], event["peer"], event["text"])
        };
        ended.then(|| all.iter().map(told).collect())
    })
}

/// The letters in an account's Junk.
fn junk(here: &Instance, account: &str) -> Vec<String> {
    let mut talk = crate::cluster::imap(here, account);
    let count = exists(&talk.imap("j", "SELECT Junk"));
    (1..=count).map(|n| String::from_utf8_lossy(&fetch(&mut talk, n)).into_owned()).collect()
}

/// An instance that asks this zone.
fn house(zone: Zone, keys: &[(&str, &str)]) -> (Instance, NameServer) {
    let dns = NameServer::start(zone);
    let mut builder =
        Instance::of("example.test").account("alice", PASSWORD).cleartext_login().dns(&dns);
    for (key, value) in keys {
        builder = builder.set(key, *value);
    }
    (builder.start(), dns)
}

#[test]
fn policies_of_others_are_followed_and_told() {
    // Every client is on loopback: the record allows all of it.
    let zone = Zone::new()
        .txt("blue.test", "v=spf1 ip4:127.0.0.0/8 -all")
        .txt("_dmarc.blue.test", "v=DMARC1; p=reject; rua=mailto:d@blue.test")
        .txt("green.test", "v=spf1 -all")
        .txt("_dmarc.green.test", "v=DMARC1; p=quarantine")
        .txt("_dmarc.red.test", "v=DMARC1; p=reject");
    let (here, _dns) = house(zone, &[]);
    let mut talk = guest(&here);
    let alice = "alice@example.test";
    let reply = bring(&mut talk, ("bob@blue.test", alice), &letter("bob@blue.test", "good", "hi"));
    assert!(reply.starts_with("250"), "{reply}");
    let story = events(&here, &reply).join("\n");
    assert!(story.contains("spf=pass (ip4:127.0.0.0/8 matches"), "{story}");
    assert!(story.contains("record: v=DMARC1; p=reject; rua="), "{story}");
    assert!(story.contains("TXT _dmarc.blue.test: "), "{story}");
    let found = await_letters(&here, alice, 1).remove(0);
    let found = String::from_utf8_lossy(&found).into_owned();
    let host = here.hostname().to_owned();
    assert!(found.contains(&format!("Authentication-Results: {host};\r\n\tspf=pass")), "{found}");
    assert!(found.contains("dmarc=pass") && found.contains("iprev="), "{found}");
    let reply = bring(&mut talk, ("x@green.test", alice), &letter("x@green.test", "bad", "hi"));
    assert!(reply.starts_with("250"), "{reply}");
    wait::until("the letter is in Junk", || (junk(&here, alice).len() == 1).then_some(()));
    let filed = junk(&here, alice).remove(0);
    assert!(filed.contains("X-Spam-Flag: YES") && filed.contains("green.test asks for quarantine"));
    let reply = bring(&mut talk, ("bob@blue.test", alice), &letter("ceo@red.test", "worse", "hi"));
    assert!(reply.starts_with("550 5.7.26 "), "{reply}");
    assert_eq!(letters(&here, alice).len(), 1);
    here.assert_balanced();
}

#[test]
fn what_dkimpy_signs_is_believed() {
    let python = "/usr/bin/python3";
    let has = Command::new(python).args(["-c", "import dkim, nacl"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        clients::note_skipped("python3-dkim");
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/sign_dkim.py");
    let said = clients::run(Command::new(python).arg(script).arg("blue.test"), b"").ok();
    let signed: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let mut zone = Zone::new();
    for (name, record) in signed["records"].as_object().expect("records") {
        zone = zone.txt_long(name, record.as_str().expect("text"));
    }
    let (here, _dns) = house(zone, &[]);
    let mut talk = guest(&here);
    let all = signed["letters"].as_array().expect("letters");
    assert_eq!(all.len(), 24);
    for (index, one) in all.iter().enumerate() {
        let text = decoded(one.as_str().expect("text"));
        let reply = bring(&mut talk, ("bob@blue.test", "alice@example.test"), &text);
        let story = events(&here, &reply);
        let passes = story.iter().filter(|line| line.contains("dkim=pass of blue.test")).count();
        assert_eq!(passes, 2, "letter {index}: {story:#?}\n{text:?}");
    }
}

/// Base64 without a crate for it.
fn decoded(text: &str) -> String {
    let mut command = Command::new("base64");
    clients::run(command.arg("-d"), text.as_bytes()).ok().out
}

#[test]
fn the_greylist_outlives_a_restart_and_lists_are_asked() {
    let zone = Zone::new()
        .txt("blue.test", "v=spf1 ip4:127.0.0.0/8 -all")
        .address("1.0.0.127.refuses.test", [127, 255, 255, 254].into());
    let keys = [
        ("antispam.greylist", "true"),
        ("antispam.greylist_delay", "\"1s\""),
        ("antispam.dnsbl", "[\"refuses.test\"]"),
    ];
    let (mut here, _dns) = house(zone, &keys);
    let alice = "alice@example.test";
    let mut talk = guest(&here);
    talk.say("MAIL FROM:<bob@blue.test>", "250");
    talk.say("RCPT TO:<alice@example.test>", "451 4.7.1 greylisted");
    talk.say("RSET", "250");
    let text = letter("bob@blue.test", "again", "hi");
    let reply = wait::until("the second attempt is taken", || {
        talk.say("MAIL FROM:<bob@blue.test>", "250");
        let answer = talk.try_say("RCPT TO:<alice@example.test>")?;
        talk.say("RSET", "250");
        answer.starts_with("250").then(|| bring(&mut talk, ("bob@blue.test", alice), &text))
    });
    assert!(reply.starts_with("250"), "{reply}");
    drop(talk);
    here.stop();
    assert!(here.data().join("state/greylist").is_file());
    here.up();
    let mut talk = guest(&here);
    let reply = bring(&mut talk, ("bob@blue.test", alice), &letter("bob@blue.test", "third", "hi"));
    assert!(reply.starts_with("250"), "{reply}");
    assert!(events(&here, &reply).iter().any(|line| line.contains("greylist: known")));
}

#[test]
fn the_owner_teaches_what_junk_is() {
    let (here, _dns) = house(Zone::new(), &[("antispam.spf_fail", "\"note\"")]);
    let alice = "alice@example.test";
    let mut talk = guest(&here);
    for n in 0..6 {
        let text = letter("s@blue.test", &format!("win{n}"), "casino bonus jackpot click now");
        assert!(bring(&mut talk, ("s@blue.test", alice), &text).starts_with("250"));
    }
    for n in 0..6 {
        let text = letter("c@green.test", &format!("plan{n}"), "agenda of the meeting tomorrow");
        assert!(bring(&mut talk, ("c@green.test", alice), &text).starts_with("250"));
    }
    await_letters(&here, alice, 12);
    let mut imap = crate::cluster::imap(&here, alice);
    imap.imap("b", "CREATE Plans");
    imap.imap("c", "SELECT INBOX");
    imap.imap("d", "MOVE 7:12 Plans");
    imap.imap("e", "MOVE 1:6 Junk");
    // What was taught is written down beside the session.
    let taught = here.data().join("state/junk/example.test/alice");
    wait::until("both kinds are taught", || {
        let text = std::fs::read_to_string(&taught).ok()?;
        text.contains("\nletters 6 6\n").then_some(())
    });
    let text = letter("s@other.test", "new1", "casino jackpot bonus for you, click");
    assert!(bring(&mut talk, ("s@other.test", alice), &text).starts_with("250"));
    wait::until("the new one is in Junk", || {
        junk(&here, alice).iter().any(|it| it.contains("new1")).then_some(())
    });
    let found = junk(&here, alice).into_iter().find(|it| it.contains("new1")).expect("found");
    assert!(found.contains("X-Junk-Evidence: 1.0") && found.contains("casino 0."), "{found}");
    let text = letter("c@other.test", "new2", "the agenda of our meeting");
    assert!(bring(&mut talk, ("c@other.test", alice), &text).starts_with("250"));
    let wanted = await_letters(&here, alice, 1).remove(0);
    assert!(String::from_utf8_lossy(&wanted).contains("X-Junk-Evidence: 0.0"));
    here.assert_balanced();
}

#[test]
fn a_load_balancer_says_who_is_connected() {
    let zone = Zone::new().txt("blue.test", "v=spf1 ip4:192.0.2.7 -all");
    let (here, _dns) = house(zone, &[("listen.proxy_from", "[\"127.0.0.0/8\"]")]);
    let mut talk = here.connect(Service::Smtp);
    talk.raw(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n");
    talk.expect("220");
    talk.say("EHLO mail.blue.test", "250");
    let alice = "alice@example.test";
    let reply = bring(&mut talk, ("bob@blue.test", alice), &letter("bob@blue.test", "lb", "hi"));
    assert!(reply.starts_with("250"), "{reply}");
    let story = events(&here, &reply).join("\n");
    assert!(story.contains("spf=pass") && story.contains("(192.0.2.7:4711)"), "{story}");
    let mut silent = here.connect(Service::Smtp);
    silent.raw(b"EHLO mail.blue.test\r\n");
    silent.expect_closed();
}

#[test]
fn a_server_in_front_says_who_its_client_is() {
    let zone = Zone::new().txt("blue.test", "v=spf1 ip4:192.0.2.7 -all");
    let (here, _dns) = house(zone, &[("listen.xclient_from", "[\"127.0.0.0/8\"]")]);
    let mut talk = guest(&here);
    talk.say("XCLIENT ADDR=192.0.2.7 PORT=4711 NAME=mail.blue.test", "220");
    talk.say("EHLO mail.blue.test", "250");
    let alice = "alice@example.test";
    let reply = bring(&mut talk, ("bob@blue.test", alice), &letter("bob@blue.test", "xc", "hi"));
    assert!(reply.starts_with("250"), "{reply}");
    let found = String::from_utf8_lossy(&await_letters(&here, alice, 1).remove(0)).into_owned();
    assert!(found.contains("spf=pass") && found.contains("[192.0.2.7]"), "{found}");
    let (other, _dns) = house(Zone::new(), &[]);
    let mut stranger = guest(&other);
    stranger.say("XCLIENT ADDR=192.0.2.7", "500");
}

/// A filter of another project that runs for a test.
struct Filter {
    child: Child,
}

impl Drop for Filter {
    fn drop(&mut self) {
        process::terminate(self.child.id());
        let _ = self.child.wait();
    }
}

fn spawn(program: &Path, arguments: &[&str], log: &Path) -> Filter {
    let log = std::fs::File::create(log).expect("the folder is writable");
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file can be shared"))
        .stderr(log)
        .spawn()
        .expect("the filter starts");
    Filter { child }
}

#[test]
fn opendkim_as_a_milter() {
    let Some(program) = clients::find("opendkim") else { return };
    let address = Address::take();
    let port = format!("{}:{MILTER_PORT}", address.ip());
    let milters = format!("[\"{port}\"]");
    let away = ("antispam.filters_away", "\"defer\"");
    let (here, _dns) = house(Zone::new(), &[("antispam.milters", &milters), away]);
    let alice = "alice@example.test";
    let mut talk = guest(&here);
    let text = letter("bob@blue.test", "early", "hi");
    let reply = bring(&mut talk, ("bob@blue.test", alice), &text);
    assert!(reply.starts_with("451 4.7.1 "), "{reply}");
    let config = here.root().join("opendkim.conf");
    std::fs::write(
        &config,
        "Mode v\nAlwaysAddARHeader yes\nAuthservID filter.test\nSyslog no\nUserID root\n",
    )
    .expect("the folder is ours");
    let socket = format!("inet:{MILTER_PORT}@{}", address.ip());
    let config = config.display().to_string();
    let arguments = ["-f", "-x", &config, "-p", &socket];
    let _filter = spawn(&program, &arguments, &here.root().join("opendkim.log"));
    let reply = wait::until("the filter answers", || {
        let reply = bring(&mut talk, ("bob@blue.test", alice), &text);
        reply.starts_with("250").then_some(reply)
    });
    assert!(events(&here, &reply).iter().any(|line| line.contains("nothing against it")));
    let found = String::from_utf8_lossy(&await_letters(&here, alice, 1).remove(0)).into_owned();
    assert!(found.contains("Authentication-Results: filter.test;"), "{found}");
    assert!(found.ends_with("\r\n\r\nhi\r\n"), "{found}");
}

const MILTER_PORT: u16 = 18_891;

/// A clamd of a test: whoever has the word in it is infected. It speaks what clamav-milter asks
/// (clamd(8): `PING`, and `INSTREAM` with chunks behind their length).
fn clamd(listener: TcpListener) {
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || scans(BufReader::new(stream)));
    }
}

fn scans(mut stream: BufReader<TcpStream>) -> Option<()> {
    loop {
        let mut command = Vec::new();
        stream.read_until(b'\n', &mut command).ok().filter(|read| *read > 0)?;
        let command = String::from_utf8_lossy(&command).into_owned();
        let reply = match command.trim_end() {
            "nPING" => "PONG\n".to_owned(),
            "nINSTREAM" => {
                let mut text = Vec::new();
                loop {
                    let mut length = [0_u8; 4];
                    stream.read_exact(&mut length).ok()?;
                    let length = u32::from_be_bytes(length) as usize;
                    if length == 0 {
                        break;
                    }
                    let mut chunk = vec![0; length];
                    stream.read_exact(&mut chunk).ok()?;
                    text.extend(chunk);
                }
                let found = text.windows(8).any(|it| it == b"INFECTED");
                format!("stream: {}\n", if found { "Test.Word FOUND" } else { "OK" })
            }
            _ => "UNKNOWN COMMAND\n".to_owned(),
        };
        stream.get_mut().write_all(reply.as_bytes()).ok()?;
    }
}

#[test]
fn clamav_as_a_milter() {
    let Some(program) = clients::find("clamav-milter") else { return };
    let address = Address::take();
    let scanner = TcpListener::bind((address.ip(), 0)).expect("leased");
    let scanner_port = scanner.local_addr().expect("bound").port();
    std::thread::spawn(move || clamd(scanner));
    let milters = format!("[\"{}:{MILTER_PORT}\"]", address.ip());
    let away = ("antispam.filters_away", "\"defer\"");
    let (here, _dns) = house(Zone::new(), &[("antispam.milters", &milters), away]);
    let config = here.root().join("clamav-milter.conf");
    let text = format!(
        "MilterSocket inet:{MILTER_PORT}@{ip}\nClamdSocket tcp:{ip}:{scanner_port}\n\
         Foreground yes\nUser root\nOnClean Accept\nOnInfected Reject\nOnFail Defer\n\
         RejectMsg infected with %v\nAddHeader Replace\nLogFile {log}\nReadTimeout 60\n",
        ip = address.ip(),
        log = here.root().join("clamav-milter.log").display()
    );
    std::fs::write(&config, text).expect("the folder is ours");
    let config = config.display().to_string();
    let _filter = spawn(&program, &["-c", &config], &here.root().join("clamav-milter.out"));
    let (alice, mut talk) = ("alice@example.test", guest(&here));
    let clean = letter("bob@blue.test", "clean", "nothing in it");
    wait::until("the filter answers", || {
        let reply = bring(&mut talk, ("bob@blue.test", alice), &clean);
        reply.starts_with("250").then_some(())
    });
    let infected = letter("bob@blue.test", "bad", "this is INFECTED");
    let reply = bring(&mut talk, ("bob@blue.test", alice), &infected);
    assert!(reply.starts_with("550") && reply.contains("infected with Test.Word"), "{reply}");
    let found = String::from_utf8_lossy(&await_letters(&here, alice, 1).remove(0)).into_owned();
    assert!(found.contains("X-Virus-Status: Clean"), "{found}");
    here.assert_balanced();
}

/// rspamd of Debian, if it is installed or was unpacked where `POSTHASTE_RSPAMD` says.
fn rspamd() -> Option<PathBuf> {
    match std::env::var_os("POSTHASTE_RSPAMD") {
        Some(path) => Some(path.into()),
        None => clients::find("rspamd"),
    }
}

#[test]
fn rspamd_over_http() {
    let Some(program) = rspamd() else { return };
    let address = Address::take();
    let port = format!("{}:{RSPAMD_PORT}", address.ip());
    let quoted = format!("\"{port}\"");
    let (here, _dns) = house(Zone::new(), &[("antispam.rspamd", &quoted)]);
    let folder = here.root().join("rspamd");
    std::fs::create_dir_all(&folder).expect("the folder is ours");
    let config = folder.join("rspamd.conf");
    std::fs::write(&config, rspamd_config(&folder, address.ip())).expect("the folder is ours");
    let config = config.display().to_string();
    let arguments = ["-f", "-i", "-u", "root", "-g", "root", "-c", &config];
    let _filter = spawn(&program, &arguments, &folder.join("out"));
    let alice = "alice@example.test";
    let mut talk = guest(&here);
    wait::until("rspamd answers", || {
        let text = letter("bob@blue.test", "fine", "hi");
        let reply = bring(&mut talk, ("bob@blue.test", alice), &text);
        events(&here, &reply).iter().any(|line| line.contains("rspamd: Nothing")).then_some(())
    });
    // The pattern that every spam filter knows (RFC 5322 has no say in it).
    let gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";
    let reply = bring(&mut talk, ("x@blue.test", alice), &letter("x@blue.test", "gtube", gtube));
    assert!(reply.starts_with("554 5.7.1 "), "{reply}");
}

const RSPAMD_PORT: u16 = 18_892;

fn rspamd_config(folder: &Path, ip: IpAddr) -> String {
    // Two endings of names instead of ten thousand, which take it half a minute to compile.
    std::fs::write(folder.join("endings"), "com\ntest\n").expect("the folder is ours");
    let folder = folder.display();
    format!(
        "options {{ pidfile = \"{folder}/pid\"; tempdir = \"{folder}\"; disable_hyperscan = true; \
         url_tld = \"{folder}/endings\"; filters = \"\"; gtube_patterns = \"reject\"; \
         dns {{ nameserver = [\"127.0.0.1:1\"]; }} }}\n\
         logging {{ type = \"console\"; level = \"info\"; }}\n\
         actions {{ reject = 15; add_header = 6; greylist = 4; }}\n\
         worker {{ type = \"normal\"; count = 1; bind_socket = \"{ip}:{RSPAMD_PORT}\"; }}\n"
    )
}
