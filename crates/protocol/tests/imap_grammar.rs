//! The IMAP grammar both ways: known answers and their inverse, refusals with their place, and
//! parse-print-parse on anything. Not the machines, which have tests of their own.

use bytes::Bytes;
use proptest::prelude::*;
use protocol::imap::command::{
    Command, FetchItems, ListForm, Numbering, SearchReturn, Store, StoreAction, StoreEcho, Tag,
};
use protocol::imap::fetch::{Content, FetchData, FetchItem, MarkSeen, Partial};
use protocol::imap::grammar::{
    AppendPrefix, Names, ParseErrorKind, Writer, parse_append_prefix, parse_command,
    parse_response, print_command, print_response,
};
use protocol::imap::response::{Continuation, Response, StatusItem, Untagged};
use protocol::imap::search::{DateOrder, SearchField, SearchKey};
use protocol::imap::structure::{BodyStructure, SingleDetail};
use protocol::imap::{Code, Condition, ConditionCode, Date, Flag, MailboxName};

fn command(text: &str) -> Command {
    match parse_command(text.as_bytes()) {
        Ok((_, command)) => command,
        Err((_, error)) => panic!("{text}: {error}"),
    }
}

fn printed(tag: &Tag, command: &Command) -> Vec<u8> {
    // A server's literals need no waiting, so that the text is in one piece.
    let mut writer = Writer::server();
    print_command(&mut writer, tag, command);
    let bytes = writer.into_parts().0.to_vec();
    bytes.strip_suffix(b"\r\n").map(<[u8]>::to_vec).unwrap_or(bytes)
}

/// Each line is its own print.
const COMMANDS: &[&str] = &[
    "a1 CAPABILITY",
    "a1 NOOP",
    "a1 LOGOUT",
    "a1 STARTTLS",
    "a1 AUTHENTICATE PLAIN",
    "a1 AUTHENTICATE PLAIN AGEAYg==",
    "a1 AUTHENTICATE EXTERNAL =",
    "a1 LOGIN alice@red.test secret",
    "a1 LOGIN \"al ice\" \"se\\\"cr\\\\et\"",
    "a1 LOGIN alice {8}\r\npa\r\nss\u{e9}",
    "a1 ENABLE CONDSTORE UTF8=ACCEPT",
    "a1 SELECT INBOX",
    "a1 EXAMINE \"Sent Items\"",
    "a1 CREATE Entw&APw-rfe",
    "a1 CREATE Archive (USE (\\Archive \\All))",
    "a1 DELETE a/b",
    "a1 RENAME INBOX old",
    "a1 SUBSCRIBE x",
    "a1 UNSUBSCRIBE x",
    "a1 LIST \"\" *",
    "a1 LIST \"\" \"\"",
    "a1 LIST Work/ %",
    "a1 LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (INBOX Work/%) RETURN (CHILDREN STATUS (UNSEEN))",
    "a1 LIST \"\" (%) RETURN (SUBSCRIBED SPECIAL-USE)",
    "a1 LSUB \"\" %",
    "a1 NAMESPACE",
    "a1 STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN SIZE DELETED HIGHESTMODSEQ)",
    "a1 IDLE",
    "a1 ID NIL",
    "a1 ID (\"name\" \"mutt\" \"version\" NIL)",
    "a1 CHECK",
    "a1 CLOSE",
    "a1 UNSELECT",
    "a1 EXPUNGE",
    "a1 UID EXPUNGE 3:5,9:*",
    "a1 SELECT INBOX (CONDSTORE)",
    "a1 SELECT INBOX (QRESYNC (67890007 90060115194045000 41:211,214:541))",
    "a1 EXAMINE x (CONDSTORE QRESYNC (67890007 90060115194045000))",
    "a1 SELECT x (QRESYNC (67890007 20 1:29997 (5000,7500,9000,9990:9999 15000,22500,25000)))",
    "a1 SELECT x (QRESYNC (67890007 20 (5000 15000)))",
    "a1 FETCH 1:* FLAGS (CHANGEDSINCE 12345)",
    "a1 UID FETCH 300:500 (UID FLAGS) (CHANGEDSINCE 12345 VANISHED)",
    "a1 FETCH 1 (MODSEQ EMAILID THREADID SAVEDATE PREVIEW PREVIEW (LAZY))",
    "a1 STORE 7,5,9 (UNCHANGEDSINCE 320162338) +FLAGS.SILENT (\\Deleted)",
    "a1 SEARCH MODSEQ 620162338 OLDER 3600 YOUNGER 60 EMAILID M1 THREADID T1",
    "a1 SEARCH SAVEDBEFORE 3-Mar-2020 SAVEDON 3-Mar-2020 SAVEDSINCE 3-Mar-2020 SAVEDATESUPPORTED",
    "a1 SORT (SUBJECT REVERSE DATE) UTF-8 ALL",
    "a1 UID SORT RETURN (COUNT ALL) (ARRIVAL CC FROM SIZE TO) US-ASCII SUBJECT x NOT SEEN",
    "a1 THREAD ORDEREDSUBJECT UTF-8 SINCE 5-Mar-2000",
    "a1 UID THREAD REFERENCES UTF-8 ALL",
    "a1 COMPRESS DEFLATE",
    "a1 GETQUOTA \"\"",
    "a1 GETQUOTAROOT INBOX",
    "a1 STATUS INBOX (APPENDLIMIT DELETED-STORAGE MAILBOXID)",
    "a1 GETMETADATA (MAXSIZE 1024 DEPTH infinity) INBOX (/private/filters /shared/comment)",
    "a1 GETMETADATA \"\" (/shared/comment)",
    "a1 SETMETADATA INBOX (/private/comment {33}\r\nMy new comment across\r\ntwo lines. /shared/x NIL)",
    "a1 SEARCH ALL",
    "a1 SEARCH CHARSET UTF-8 TEXT {4}\r\n\u{e9}\u{e9}",
    "a1 SEARCH RETURN (MIN COUNT SAVE) UNSEEN",
    "a1 SEARCH RETURN () UID $",
    "a1 UID SEARCH 1:*,7 NOT DELETED OR FROM a (SUBJECT b BODY \"\") SINCE 1-Feb-1994",
    "a1 SEARCH ANSWERED DRAFT FLAGGED RECENT SEEN UNANSWERED UNDELETED UNDRAFT UNFLAGGED OLD NEW",
    "a1 SEARCH BCC a CC b TO c HEADER Message-ID <x@y> KEYWORD $Junk UNKEYWORD todo LARGER 5",
    "a1 SEARCH BEFORE 3-Mar-2020 ON 3-Mar-2020 SENTBEFORE 3-Mar-2020 SENTON 3-Mar-2020 SMALLER 9",
    "a1 FETCH 1 ALL",
    "a1 FETCH 1:* FAST",
    "a1 FETCH 2,4 FULL",
    "a1 FETCH 1 FLAGS",
    "a1 UID FETCH 1:* (UID FLAGS INTERNALDATE ENVELOPE BODY BODYSTRUCTURE RFC822 RFC822.SIZE)",
    "a1 FETCH 1 (RFC822.HEADER RFC822.TEXT)",
    "a1 FETCH 1 (BODY[] BODY.PEEK[]<0.100> BODY[HEADER] BODY[TEXT] BODY[1] BODY[1.2.MIME])",
    "a1 FETCH 1 (BODY[3.HEADER] BODY[4.TEXT])",
    "a1 FETCH 1 BODY.PEEK[HEADER.FIELDS (From To)]",
    "a1 FETCH 1 BODY[2.HEADER.FIELDS.NOT (Received)]<5.9>",
    "a1 FETCH 1 (BINARY[1.2] BINARY.PEEK[]<0.5> BINARY.SIZE[1])",
    "a1 STORE 1:3 +FLAGS (\\Seen $Forwarded)",
    "a1 UID STORE 7 -FLAGS.SILENT (\\Deleted)",
    "a1 STORE * FLAGS ()",
    "a1 COPY 1:2 x",
    "a1 UID COPY 1:2 x",
    "a1 MOVE 1:2 \"a b\"",
    "a1 UID MOVE $ x",
];

#[test]
fn commands_come_back_as_they_were() {
    for text in COMMANDS {
        let (tag, parsed) =
            parse_command(text.as_bytes()).unwrap_or_else(|(_, e)| panic!("{text}: {e}"));
        let again = printed(&tag, &parsed);
        assert_eq!(String::from_utf8_lossy(&again), *text);
    }
}

#[test]
fn commands_mean_what_they_say() {
    assert_eq!(command("x select inbox"), Command::Select(MailboxName::inbox().into()));
    assert_eq!(command("x SELECT &AOQ-"), Command::Select(MailboxName::new("ä").unwrap().into()));
    assert_eq!(command("x SELECT \"ä\""), Command::Select(MailboxName::new("ä").unwrap().into()));
    let Command::Store(store) = command("x uid store 1 +flags.silent \\Seen todo") else {
        panic!()
    };
    let Store { numbering, action, echo, flags, .. } = store;
    assert_eq!((numbering, action, echo), (Numbering::Uid, StoreAction::Add, StoreEcho::Silent));
    assert_eq!(flags, [Flag::Seen, Flag::from_name("todo").unwrap()]);
    let Command::Fetch { items: FetchItems::List(items), .. } =
        command("x FETCH 1 body.peek[1.mime]<7.8>")
    else {
        panic!()
    };
    let [FetchItem::Section { section, partial, seen }] = items.as_slice() else { panic!() };
    assert_eq!(section.part.len(), 1);
    assert_eq!(*partial, Some(Partial { offset: 7, length: 8 }));
    assert_eq!(*seen, MarkSeen::Peek);
    let Command::List(list) = command("x LIST (SPECIAL-USE) \"\" *") else { panic!() };
    assert_eq!(list.form, ListForm::Extended);
    let Command::Status { items, .. } = command("x STATUS b (unseen)") else { panic!() };
    assert_eq!(items, [StatusItem::Unseen]);
}

#[test]
fn search_is_a_tree() {
    let text =
        "x SEARCH RETURN (ALL) CHARSET us-ascii (NOT SEEN SUBJECT hi) OR 1 SENTON 2-Jan-2003";
    let Command::Search(search) = command(text) else { panic!() };
    assert_eq!(search.returns, Some(vec![SearchReturn::All]));
    assert_eq!(search.charset.as_deref(), Some("US-ASCII"));
    let SearchKey::And(keys) = search.key else { panic!() };
    let [SearchKey::And(inner), SearchKey::Or(_, right)] = keys.as_slice() else { panic!() };
    assert_eq!(inner.first(), Some(&SearchKey::Not(Box::new(SearchKey::Flag(Flag::Seen)))));
    let subject = SearchKey::Header { field: SearchField::Subject, value: b"hi".to_vec() };
    assert_eq!(inner.get(1), Some(&subject));
    let day = Date::new(2003, 1, 2).unwrap();
    assert_eq!(**right, SearchKey::Sent(DateOrder::On, day));
}

#[test]
fn refusals_say_what_and_where() {
    for (text, column, what) in [
        ("", 1, "a tag"),
        ("+ NOOP", 1, "a tag"),
        ("a", 2, "a space"),
        ("a FROBNICATE", 3, "unknown command"),
        ("a UID NOOP", 7, "unknown command after UID"),
        ("a NOOP x", 7, "the end of the line"),
        ("a LOGIN x", 10, "a space"),
        ("a LOGIN \"x y", 9, "no closing"),
        ("a FETCH 0 FLAGS", 9, "must not be 0"),
        ("a FETCH 1: FLAGS", 11, "a number or '*'"),
        ("a FETCH 1 (FLAGS", 17, "a space"),
        ("a FETCH 1 BODY[MIME]", 16, "unknown section"),
        ("a FETCH 1 BODY[1.]", 18, "HEADER, TEXT, MIME"),
        ("a FETCH 1 BODY[]<0.0>", 21, "0 octets"),
        ("a FETCH 4294967296 FLAGS", 9, "over 4294967295"),
        ("a STORE 1 FLAG (\\Seen)", 11, "FLAGS"),
        ("a STORE 1 FLAGS (\\*)", 19, "a flag"),
        ("a SEARCH", 9, "a space"),
        ("a SEARCH ON 31-Feb-2020", 13, "no such day"),
        ("a SEARCH ()", 12, "a search key"),
        ("a STATUS x ()", 14, "a STATUS item"),
        ("a SELECT \"a\u{7}b\"", 10, "US-ASCII"),
        ("a SELECT {3}\r\na\0b", 10, "NUL"),
        ("a AUTHENTICATE PLAIN !", 23, "base64"),
        ("a APPEND x \"text\"", 9, "literal"),
    ] {
        let (_, error) = parse_command(text.as_bytes()).expect_err(text);
        assert_eq!(error.position + 1, column, "{text}: {error}");
        assert!(error.to_string().contains(what), "{text}: {error}");
    }
}

#[test]
fn limits_hold() {
    let deep = format!("a SEARCH {}ALL", "NOT ".repeat(1000));
    let wide = format!("a SEARCH{}", " ALL".repeat(5000));
    let parens = format!("a SEARCH {}ALL{}", "(".repeat(1000), ")".repeat(1000));
    let set = format!("a FETCH {} FLAGS", vec!["1"; 20_000].join(","));
    let flags = format!("a STORE 1 FLAGS ({})", vec!["k"; 500].join(" "));
    let keyword = format!("a STORE 1 FLAGS ({})", "k".repeat(500));
    let items = format!("a FETCH 1 ({})", vec!["UID"; 5000].join(" "));
    let part = format!("a FETCH 1 BODY[{}]", vec!["1"; 500].join("."));
    let tag = format!("{} NOOP", "t".repeat(500));
    for text in [deep, wide, parens, set, flags, keyword, items, part, tag] {
        let (_, error) = parse_command(text.as_bytes()).expect_err("over a limit");
        assert_eq!(error.kind, ParseErrorKind::Limit, "{error}");
    }
}

#[test]
fn append_is_known_before_its_message() {
    let text = b"t APPEND \"Sent\" (\\Seen x) \" 7-Feb-1994 21:52:25 -0800\" {310+}\r\n";
    let Ok(AppendPrefix::Message(tag, append)) = parse_append_prefix(text, Names::Utf7) else {
        panic!()
    };
    assert_eq!(append.literal.size, 310);
    assert_eq!(append.flags.len(), 2);
    assert_eq!(append.date.unwrap().timestamp().to_rfc3339(), "1994-02-08T05:52:25.000Z");
    let again = printed(&tag, &Command::Append(append));
    assert_eq!(
        String::from_utf8_lossy(&again),
        "t APPEND Sent (\\Seen x) \" 7-Feb-1994 21:52:25 -0800\" {310}"
    );
    for argument in [&b"t APPEND {4}\r\n"[..], b"t LOGIN {4}\r\n", b"t SEARCH TEXT {4}\r\n"] {
        assert_eq!(parse_append_prefix(argument, Names::Utf7), Ok(AppendPrefix::Argument));
    }
    let named = parse_append_prefix(b"t APPEND {1}\r\nx {5}\r\n", Names::Utf7);
    assert!(matches!(named, Ok(AppendPrefix::Message(..))));
    for wrong in [&b"t APPEND x (\\Seen {4}\r\n"[..], b"t APPEND x y {4}\r\n"] {
        parse_append_prefix(wrong, Names::Utf7).expect_err("not an APPEND");
    }
}

/// Each line is its own print.
const RESPONSES: &[&str] = &[
    "* OK IMAP4rev1 server ready",
    "* OK [CAPABILITY IMAP4REV1 LITERAL+] hello",
    "* PREAUTH hello",
    "* BYE so long",
    "* NO [ALERT] disk is full",
    "* BAD what?",
    "a1 OK [READ-WRITE] SELECT done",
    "a1 OK [READ-ONLY] EXAMINE done",
    "a1 NO [TRYCREATE] no such mailbox",
    "a1 NO [OVERQUOTA] full",
    "a1 NO [BADCHARSET (UTF-8 US-ASCII)] unknown",
    "a1 NO [BADCHARSET] unknown",
    "a1 BAD [TOOBIG] no",
    "a1 OK [APPENDUID 38505 3955] done",
    "a1 OK [APPENDUID 38505 3955:3957,4000] done",
    "a1 OK [COPYUID 38505 304,319:320 3956:3958] done",
    "a1 OK [X-OWN some thing] done",
    "* OK [PERMANENTFLAGS (\\Deleted \\Seen \\*)] limited",
    "* OK [UIDNEXT 4392] next",
    "* OK [UIDVALIDITY 3857529045] valid",
    "* OK [UNSEEN 12] first",
    "* OK [HIGHESTMODSEQ 715194045007] high",
    "* OK [CLOSED] previous",
    "a1 OK [MODIFIED 7,9] failed",
    "* CAPABILITY IMAP4REV1 STARTTLS AUTH=PLAIN",
    "* ENABLED CONDSTORE",
    "* ENABLED",
    "* FLAGS (\\Answered \\Flagged work)",
    "* LIST (\\Noselect) \"/\" foo",
    "* LIST (\\HasChildren \\Sent) \".\" \"Sent Items\"",
    "* LIST (\\Noselect) \"/\" \"\"",
    "* LIST () NIL flat",
    "* LIST () \"/\" Work (\"CHILDINFO\" (\"SUBSCRIBED\"))",
    "* LSUB () \"/\" Entw&APw-rfe",
    "* NAMESPACE ((\"\" \"/\")) NIL ((\"Public/\" \"/\")(\"#news.\" \".\"))",
    "* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292)",
    "* SEARCH 2 84 882",
    "* SEARCH",
    "* ESEARCH (TAG \"a1\") UID MIN 2 MAX 47 COUNT 25 ALL 2:3,47 MODSEQ 9",
    "* ESEARCH",
    "* SEARCH 2 5 6 7 11 12 18 19 20 23 (MODSEQ 917162500)",
    "* SORT 2 84 882",
    "* SORT",
    "* THREAD (2)(3 6 (4 23)(44 7 96))",
    "* THREAD (166)(167)(168)(169)(172)((170)(179))(171)(173)((174)(175)(176)(178)(181)(180))",
    "* THREAD (1 (2)(3 4 (5)(6))(7))",
    "* THREAD",
    "* QUOTA \"\" (STORAGE 10 512 MESSAGE 3 100)",
    "* QUOTAROOT INBOX \"\"",
    "* METADATA INBOX (/private/comment \"My comment\" /shared/comment NIL)",
    "* METADATA \"\" (/shared/x ~{3}\r\na\0b)",
    "* 4 FETCH (EMAILID (M25f) THREADID (T4) SAVEDATE \"17-Jul-1996 02:44:25 -0700\")",
    "* 4 FETCH (THREADID NIL SAVEDATE NIL PREVIEW \"Hello there\" MODSEQ (9))",
    "* ID (\"name\" \"Posthaste\" \"x\" NIL)",
    "* ID NIL",
    "* 23 EXISTS",
    "* 0 RECENT",
    "* 44 EXPUNGE",
    "* VANISHED (EARLIER) 41,43:116",
    "* VANISHED 405",
    "* 12 FETCH (FLAGS (\\Seen) UID 4 RFC822.SIZE 44827 MODSEQ (12))",
    "* 12 FETCH (INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")",
    "* 1 FETCH (BODY[HEADER.FIELDS (Date)]<0> {5}\r\nDate: BODY[1.2] NIL RFC822 {0}\r\n)",
    "* 1 FETCH (BINARY[1] ~{3}\r\na\0b BINARY.SIZE[1.2] 7)",
    "* 1 FETCH (ENVELOPE (\"Wed\" \"Subj \\\"q\\\"\" ((\"T G\" NIL \"gray\" \"cac.test\")) NIL NIL \
     ((NIL NIL \"imap\" \"x.test\")(NIL NIL \"m\" NIL)(NIL NIL NIL NIL)) NIL NIL NIL \"<a@b>\"))",
    "* 1 FETCH (BODY (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 3028 92))",
    "* 1 FETCH (BODYSTRUCTURE ((\"text\" \"plain\" NIL NIL NIL \"7bit\" 3 1 NIL NIL NIL NIL)\
     (\"image\" \"png\" (\"name\" \"a\") \"<i>\" \"d\" \"base64\" 9 NIL (\"attachment\" \
     (\"filename\" \"a\")) \"en\" \"loc\") \"mixed\" (\"boundary\" \"b\") NIL (\"en\" \"de\") NIL))",
    "* 1 FETCH (BODY (\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 30 (NIL NIL NIL NIL NIL NIL NIL \
     NIL NIL NIL) (\"text\" \"plain\" NIL NIL NIL \"7bit\" 3 1) 4))",
    "* XFUTURE (something) else",
    "+ go ahead, please",
    "+ AGEAYg==",
];

#[test]
fn responses_come_back_as_they_were() {
    for text in RESPONSES {
        let parsed = parse_response(text.as_bytes(), &[]).unwrap_or_else(|e| panic!("{text}: {e}"));
        let mut writer = Writer::server();
        print_response(&mut writer, &parsed);
        let printed = writer.into_parts().0;
        assert_eq!(String::from_utf8_lossy(&printed), format!("{text}\r\n"));
    }
}

#[test]
fn responses_mean_what_they_say() {
    let parse = |text: &str| parse_response(text.as_bytes(), &[]).expect(text);
    let Response::Tagged { condition, text, .. } = parse("t no [overquota] x") else { panic!() };
    assert_eq!(condition, Condition::No);
    assert_eq!(text.code, Some(Code::Condition(ConditionCode::OverQuota)));
    assert_eq!(parse("+ "), Response::Continue(Continuation::Challenge(Vec::new())));
    assert_eq!(parse("+"), Response::Continue(Continuation::Challenge(Vec::new())));
    // Sloppy servers: a code that is none, a name that is not modified UTF-7, a trailing space.
    let Response::Untagged(Untagged::Status(_, text)) = parse("* OK [UIDNEXT x] y") else {
        panic!()
    };
    assert_eq!((text.code, text.text.as_str()), (None, "[UIDNEXT x] y"));
    assert!(matches!(parse("* LIST () \"/\" a&b"), Response::Untagged(Untagged::Other(_))));
    assert_eq!(
        parse("* SEARCH "),
        Response::Untagged(Untagged::Search { found: Vec::new(), mod_seq: None })
    );
    let Response::Untagged(Untagged::Fetch { data, .. }) = parse(
        "* 1 FETCH (BODYSTRUCTURE (\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 30 (NIL NIL NIL NIL \
         NIL NIL NIL NIL NIL NIL) (\"text\" \"plain\" NIL NIL NIL NIL 3 1) 4 NIL NIL NIL NIL))",
    ) else {
        panic!()
    };
    let [FetchData::BodyStructure(body)] = data.as_slice() else { panic!() };
    let BodyStructure::Single(part) = &**body else { panic!() };
    assert!(matches!(part.detail, SingleDetail::Message { lines: 4, .. }));
    assert!(part.extension.is_some());
    let BodyStructure::Single(plain) = body.without_extension() else { panic!() };
    assert_eq!(plain.extension, None);
}

#[test]
fn streamed_bodies_leave_their_size() {
    let text = b"* 1 FETCH (UID 3 BODY[] {70000}\r\n FLAGS ())";
    let place = text.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let Ok(Response::Untagged(Untagged::Fetch { data, .. })) = parse_response(text, &[place])
    else {
        panic!()
    };
    let FetchData::Section { content, .. } = &data[1] else { panic!() };
    assert_eq!(*content, Content::Streamed(70_000));
    assert_eq!(data[2], FetchData::Flags(Vec::new()));
}

#[test]
fn inline_bodies_come_back() {
    let content = Content::Inline(Bytes::from_static(b"a\0b\r\n)"));
    let data = vec![FetchData::Rfc822(content)];
    let response = Response::Untagged(Untagged::Fetch { sequence: 1.try_into().unwrap(), data });
    let mut writer = Writer::server();
    print_response(&mut writer, &response);
    let printed = writer.into_parts().0;
    assert_eq!(parse_response(&printed[..printed.len() - 2], &[]), Ok(response));
}

#[test]
fn texts_of_ours_stay_one_line() {
    let mut writer = Writer::server();
    let text = protocol::imap::StatusText::new("[ALERT] a\r\nb OK c");
    let tag = Tag::new(b"t").unwrap();
    print_response(&mut writer, &Response::Tagged { tag, condition: Condition::No, text });
    assert_eq!(&writer.into_parts().0[..], b"t NO ALERT] a  b OK c\r\n");
}

#[test]
fn nested_structures_are_bounded() {
    let mut text = b"* 1 FETCH (BODY ".to_vec();
    text.extend(std::iter::repeat_n(b'(', 100_000));
    parse_response(&text, &[]).expect_err("too deep");
}

fn bytes_like(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(proptest::sample::select(words), 0..24)
        .prop_map(|words| words.concat().into_bytes())
}

const PIECES: &[&str] = &[
    "a ",
    "UID ",
    "FETCH ",
    "STORE ",
    "SEARCH ",
    "LIST ",
    "LOGIN ",
    "1",
    ":",
    "*",
    ",",
    "4",
    " ",
    "(",
    ")",
    "FLAGS",
    "+FLAGS",
    "BODY",
    "[",
    "]",
    "1.2",
    "HEADER",
    ".FIELDS",
    "<0.5>",
    "\"",
    "\\",
    "\\Seen",
    "NOT ",
    "OR ",
    "TEXT ",
    "x",
    "{1}\r\n",
    "{2+}\r\n",
    "é",
    "NIL",
    "~",
    "$",
    "RETURN (",
    "CHARSET ",
    "2-Jan-2020",
    "SINCE ",
    "STATUS ",
    "ID ",
    "&AOk-",
    "ALL",
];

const RESPONSE_PIECES: &[&str] = &[
    "* ",
    "+ ",
    "a ",
    "OK ",
    "NO ",
    "[",
    "]",
    "UIDNEXT ",
    "CAPABILITY ",
    "1",
    " ",
    "FETCH ",
    "(",
    ")",
    "FLAGS ",
    "\\Seen",
    "BODY",
    "ENVELOPE ",
    "BODYSTRUCTURE ",
    "NIL",
    "\"",
    "text",
    "{1}\r\n",
    "LIST ",
    "\"/\"",
    "x",
    "SEARCH",
    "ESEARCH",
    " ALL ",
    "1:3",
    "STATUS ",
    "NAMESPACE ",
    "ID ",
    "VANISHED ",
    "COPYUID ",
    "EXISTS",
    "EXPUNGE",
    "UID ",
    "INTERNALDATE ",
    "RFC822 ",
    "~{2}\r\n",
];

/// Texts that look like a code, or are empty, are printed otherwise on purpose.
fn has_text(response: &Response) -> bool {
    !matches!(response, Response::Untagged(untagged)
        if !matches!(untagged, Untagged::Status(..) | Untagged::Bye(_) | Untagged::PreAuth(_)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn commands_parse_print_parse(text in bytes_like(PIECES)) {
        if let Ok((tag, parsed)) = parse_command(&text) {
            let again = printed(&tag, &parsed);
            prop_assert_eq!(parse_command(&again).ok(), Some((tag, parsed)));
        }
    }

    #[test]
    fn responses_parse_print_parse(text in bytes_like(RESPONSE_PIECES)) {
        if let Ok(parsed) = parse_response(&text, &[]) {
            let mut writer = Writer::server();
            print_response(&mut writer, &parsed);
            let printed = writer.into_parts().0;
            let again = parse_response(&printed[..printed.len() - 2], &[]);
            prop_assert!(again.is_ok());
            if !has_text(&parsed) {
                prop_assert_eq!(again.ok(), Some(parsed));
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_command(&text);
        let _ = parse_append_prefix(&text, Names::Utf7);
        let _ = parse_response(&text, &[]);
    }

    #[test]
    fn any_string_comes_back(value in proptest::collection::vec(1u8.., 0..60)) {
        let command = Command::Login { user: value.clone(), password: value.into() };
        let tag = Tag::new(b"t").unwrap();
        let text = printed(&tag, &command);
        prop_assert_eq!(parse_command(&text).ok(), Some((tag, command)));
    }
}
