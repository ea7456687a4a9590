//! IMAP: the grammar both ways (parse, print, parse), and both machines.

use std::time::Duration;

use bytes::BytesMut;
use protocol::imap::client::{Client, Event as Heard};
use protocol::imap::command::{
    Append, Command, LiteralHeader, LiteralKind, LiteralSync, MessageForm,
};
use protocol::imap::grammar::{
    Names, Writer, parse_append_prefix, parse_command, parse_command_in, parse_response,
    print_command, print_response,
};
use protocol::imap::response::{Condition, Response, StatusText, Untagged};
use protocol::imap::server::{CleartextLogin, Event, Options, Server, Tls};
use protocol::imap::{ListPattern, MailboxName, limits, utf7};
use protocol::machine::{Machine, Tick, TlsFacts};
use protocol::secret::Secret;

use crate::engine::Seen;

pub(crate) const WORDS: &[&[u8]] = &[
    b"a1 ",
    b"UID ",
    b"FETCH ",
    b"STORE ",
    b"SEARCH ",
    b"COPY ",
    b"MOVE ",
    b"SELECT ",
    b"LIST ",
    b"STATUS ",
    b"APPEND ",
    b"LOGIN a b\r\n",
    b"AUTHENTICATE PLAIN\r\n",
    b"IDLE\r\n",
    b"DONE\r\n",
    b"ENABLE CONDSTORE",
    b"1:*",
    b"2,4:7",
    b"$",
    b"(",
    b")",
    b"FLAGS ",
    b"+FLAGS.SILENT ",
    b"(\\Seen)",
    b"BODY[",
    b"BODY.PEEK[]",
    b"]",
    b"<0.5>",
    b"1.2.MIME",
    b"HEADER.FIELDS (From)",
    b"NOT ",
    b"OR ",
    b"SINCE 1-Feb-1994",
    b"HEADER x ",
    b"\"a\\\"b\"",
    b"{3}\r\n",
    b"{3+}\r\n",
    b"~{3}\r\n",
    b"{0}\r\n",
    b"&AOk-",
    b"&-",
    b"\xc3\xa9",
    b"NIL",
    b"*",
    b"%",
    b"RETURN (ALL COUNT)",
    b"CHARSET UTF-8 ",
    b"(UNCHANGEDSINCE 5)",
    b"(CONDSTORE)",
    b"MODSEQ 5",
    b"CHANGEDSINCE 7",
    b"VANISHED",
    b"QRESYNC (1 2 3:4)",
    b"\r\n",
    b" ",
    b"\\Deleted",
    b"THREAD REFERENCES UTF-8 ALL",
    b"SORT (REVERSE DATE) UTF-8 ALL",
    b"BINARY[1]",
    b"INBOX",
    b"METADATA",
    b"COMPRESS DEFLATE",
];
pub(crate) const RESPONSE_WORDS: &[&[u8]] = &[
    b"* ",
    b"+ ",
    b"a0001 ",
    b"a0002 ",
    b"OK ",
    b"NO ",
    b"BAD ",
    b"BYE ",
    b"PREAUTH ",
    b"[CAPABILITY IMAP4rev1]",
    b"[UIDNEXT 5]",
    b"[APPENDUID 1 2]",
    b"[COPYUID 1 2:3 4:5]",
    b"[PERMANENTFLAGS (\\*)]",
    b"[",
    b"]",
    b"CAPABILITY IMAP4rev1 IDLE LITERAL+\r\n",
    b"FLAGS (\\Seen)",
    b"LIST () \"/\" x",
    b"STATUS x (MESSAGES 1)",
    b"SEARCH 1 2",
    b"ESEARCH (TAG \"a\") ALL 1:3",
    b"FETCH (",
    b")",
    b"(",
    b"ENVELOPE ",
    b"BODYSTRUCTURE ",
    b"BODY[] {5}\r\nabcde",
    b"{70000}\r\n",
    b"~{2}\r\n",
    b"NIL",
    b"\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1",
    b"\"x\"",
    b"VANISHED (EARLIER) 1:3",
    b"EXISTS\r\n",
    b"EXPUNGE\r\n",
    b"UID 7",
    b"MODSEQ (9)",
    b"INTERNALDATE \"17-Jul-1996 02:44:25 -0700\"",
    b"NAMESPACE ((\"\" \"/\")) NIL NIL",
    b"ID NIL",
    b"\r\n",
    b" ",
    b"1",
    b"4294967296",
    b"&AOk-",
];

/// Octets a server may say for each that it hears, and besides.
const SAID_FOR_ONE: usize = 400;
const SAID_BESIDES: usize = 64 * 1024;

pub(crate) fn commands(input: &[u8], seen: &mut Seen) {
    for names in [Names::Utf7, Names::Utf8] {
        if let Err(error) = parse_append_prefix(input, names) {
            assert!(error.position <= input.len(), "{error} lies behind the end");
        }
        // UTF-8 names are printed otherwise than they are read here: no panic, no more.
        let _ = parse_command_in(input, names);
    }
    match parse_command(input) {
        Ok((tag, command)) => {
            seen.shape(&command);
            let mut writer = Writer::server();
            print_command(&mut writer, &tag, &command);
            let printed = writer.into_parts().0;
            let line = printed.strip_suffix(b"\r\n").unwrap_or(&printed);
            match parse_command(line) {
                Ok(again) => assert_eq!(again, (tag, command), "as {}", line.escape_ascii()),
                Err((_, error)) => panic!("{error}: printed as {}", line.escape_ascii()),
            }
        }
        Err((_, error)) => {
            assert!(error.position <= input.len(), "{error} lies behind the end");
            seen.shape(&error);
        }
    }
}

pub(crate) fn responses(input: &[u8], seen: &mut Seen) {
    match parse_response(input, &[]) {
        Ok(parsed) => {
            seen.shape(&parsed);
            let mut writer = Writer::server();
            print_response(&mut writer, &parsed);
            let printed = writer.into_parts().0;
            let line = printed.strip_suffix(b"\r\n").expect("responses end with CRLF");
            match parse_response(line, &[]) {
                Ok(again) if has_text(&parsed) => assert!(has_text(&again)),
                Ok(again) => assert_eq!(again, parsed, "as {}", line.escape_ascii()),
                Err(error) => panic!("{error}: printed as {}", line.escape_ascii()),
            }
        }
        Err(error) => {
            assert!(error.position <= input.len(), "{error} lies behind the end");
            seen.shape(&error);
        }
    }
}

/// Texts that look like a code, or are empty, are printed otherwise on purpose.
fn has_text(response: &Response) -> bool {
    !matches!(response, Response::Untagged(untagged)
        if !matches!(untagged, Untagged::Status(..) | Untagged::Bye(_) | Untagged::PreAuth(_)))
}

/// Mailbox names, patterns and modified UTF-7.
pub(crate) fn names(input: &[u8], seen: &mut Seen) {
    match utf7::decode(input) {
        Ok(name) => {
            let wire = utf7::encode(&name);
            assert_eq!(utf7::decode(wire.as_bytes()).as_ref(), Ok(&name), "encoded as {wire}");
        }
        Err(error) => seen.shape(&error),
    }
    if let Ok(text) = std::str::from_utf8(input) {
        assert_eq!(utf7::decode(utf7::encode(text).as_bytes()).as_deref(), Ok(text));
    }
    match MailboxName::from_utf7(input) {
        Ok(name) => {
            let again = MailboxName::from_utf7(name.to_utf7().as_bytes());
            assert_eq!(again.as_ref(), Ok(&name));
            seen.shape(&name.levels('/'));
            if let Some(parent) = name.parent('/') {
                assert!(name.is_below(&parent, '/'));
            }
            let all = ListPattern::new("*").expect("a pattern");
            assert!(all.matches(name.as_str(), '/'), "* does not match {name}");
        }
        Err(error) => seen.shape(&error),
    }
    if let Ok(pattern) = ListPattern::from_utf7(input) {
        // Patterns with many stars must not take for ever.
        let name = "a/".repeat(60);
        seen.note(pattern.matches(&name, '/'));
        seen.note(pattern.under("INBOX").matches("INBOX/x", '/'));
    }
}

/// A session, whole and in pieces; every command is answered with OK.
pub(crate) fn server(input: &[u8], seen: &mut Seen) {
    let whole = serve(input, usize::MAX);
    for size in [1, 11] {
        let cut = serve(input, size);
        assert_eq!(whole.0, cut.0, "in pieces of {size} octets it differs");
        assert_eq!(
            whole.1.escape_ascii().to_string(),
            cut.1.escape_ascii().to_string(),
            "in pieces of {size} octets the answers differ"
        );
    }
    assert!(whole.1.len() <= input.len() * SAID_FOR_ONE + SAID_BESIDES, "it says too much");
    for line in whole.1.split_inclusive(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r\n").expect("lines end with CRLF");
        let read = parse_response(line, &[]);
        assert!(read.is_ok(), "not a response: {}", line.escape_ascii());
    }
    whole.0.iter().for_each(|event| seen.shape(event));
    whole
        .1
        .split(|octet| *octet == b'\n')
        .for_each(|line| seen.shape(&line.escape_ascii().to_string()));
}

fn serve(input: &[u8], size: usize) -> (Vec<String>, Vec<u8>) {
    let options = Options {
        hostname: "imap.test".into(),
        tls: Tls::Active(TlsFacts::default()),
        cleartext_login: CleartextLogin::Refused,
        mechanisms: vec!["PLAIN".into()],
        extensions: vec!["IDLE".into()],
        message_size: 1_000,
        autologout: limits::AUTOLOGOUT,
    };
    let now = Tick::from_micros(7);
    let mut server = Server::new(now, options);
    let (mut events, mut said) = (Vec::<String>::new(), BytesMut::new());
    let mut rest = input;
    loop {
        while let Some(event) = server.poll() {
            answer(&mut server, &event);
            match event {
                Event::MessageChunk(piece) => {
                    let piece = piece.escape_ascii().to_string();
                    match events.last_mut().filter(|last| last.starts_with("chunk ")) {
                        Some(last) => last.push_str(&piece),
                        None => events.push(format!("chunk {piece}")),
                    }
                }
                event => events.push(format!("{event:?}")),
            }
        }
        server.poll_output(&mut said);
        if rest.is_empty() || server.is_closed() {
            break;
        }
        assert!(server.wants_input(), "it waits for nothing, and takes no input");
        let (piece, more) = rest.split_at(size.min(rest.len()));
        server.feed(now, piece);
        rest = more;
    }
    (events, said.to_vec())
}

fn answer(server: &mut Server, event: &Event) {
    match event {
        Event::Command(_, Command::Append(_)) | Event::NextMessage(_) => server.accept_message(),
        Event::Command(_, Command::Idle) => server.start_idle(),
        Event::Command(_, Command::Authenticate { initial: None, .. }) => server.challenge(b""),
        Event::MessageChunk(_) | Event::MessageAborted => {}
        Event::SaslCancelled => server.finish(Condition::Bad, &StatusText::new("cancelled")),
        _ => server.finish(Condition::Ok, &StatusText::new("done")),
    }
}

/// A client that wants a few things from a server that says anything.
pub(crate) fn client(input: &[u8], seen: &mut Seen) {
    let now = Tick::from_micros(7);
    let mut client = Client::new(now);
    let mut wishes = wishes().into_iter();
    for piece in input.chunks(64) {
        client.feed(now, piece);
        while let Some(event) = client.poll() {
            seen.shape(&event);
            match event {
                Heard::SendMessage => {
                    client.message_chunk(b"abc");
                    client.message_end();
                }
                Heard::Idling => client.idle_done(),
                Heard::Challenge(_) => client.respond(&Secret::new(b"x".to_vec())),
                _ => {}
            }
            if client.is_ready()
                && let Some(command) = wishes.next()
            {
                client.send(&command).expect("it is ready");
            }
        }
        client.poll_output(&mut BytesMut::new());
        if client.is_closed() {
            break;
        }
    }
    client.end_of_input(now);
    client.expire(now.after(Duration::from_secs(86_400)));
    while client.poll().is_some() {}
    assert!(client.is_closed(), "the connection ended, and the client goes on");
}

fn wishes() -> Vec<Command> {
    let append = Append {
        mailbox: MailboxName::inbox(),
        flags: Vec::new(),
        date: None,
        literal: LiteralHeader {
            size: 3,
            sync: LiteralSync::Synchronizing,
            kind: LiteralKind::Text,
        },
        form: MessageForm::Plain,
        replaces: None,
    };
    let parsed = ["x LOGIN a {3}\r\nb\"c", "x SELECT INBOX", "x IDLE", "x AUTHENTICATE PLAIN"];
    let mut all: Vec<Command> =
        parsed.iter().map(|text| parse_command(text.as_bytes()).expect("a command").1).collect();
    all.insert(1, Command::Append(append));
    all
}
