//! Replies: known prints, bounds, and parsing as the inverse of printing.

use proptest::prelude::*;

use super::*;

fn printed(reply: &Reply) -> String {
    let mut out = BytesMut::new();
    reply.print(&mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

fn parsed(text: &str) -> Result<Option<Reply>, ReplyError> {
    let mut parser = ReplyParser::new();
    let mut result = Ok(None);
    for line in text.split_terminator("\r\n") {
        result = parser.line(line.as_bytes());
        if result != Ok(None) {
            break;
        }
    }
    result
}

#[test]
fn one_line_and_many() {
    let reply = Reply::new(ReplyCode::OK, EnhancedCode::success(1, 0), "ok");
    assert_eq!(printed(&reply), "250 2.1.0 ok\r\n");
    let hello = Reply::plain(ReplyCode::OK, "mx.test\nPIPELINING\nSIZE 10");
    assert_eq!(printed(&hello), "250-mx.test\r\n250-PIPELINING\r\n250 SIZE 10\r\n");
    let both = Reply::new(ReplyCode::FAILED, EnhancedCode::permanent(7, 1), "no\nnever");
    assert_eq!(printed(&both), "554-5.7.1 no\r\n554 5.7.1 never\r\n");
    assert_eq!(both.to_string(), "554 5.7.1 no never");
}

#[test]
fn text_cannot_end_the_line() {
    let reply = Reply::plain(ReplyCode::OK, "a\r\x00b");
    assert_eq!(printed(&reply), "250 a  b\r\n");
}

#[test]
fn long_lines_are_divided_at_the_limit() {
    let reply = Reply::new(ReplyCode::OK, EnhancedCode::success(0, 0), "é".repeat(600));
    for line in printed(&reply).split_inclusive("\r\n") {
        assert!(line.len() <= limits::REPLY_LINE, "{} octets", line.len());
    }
}

#[test]
fn what_other_servers_send() {
    let reply = parsed("250-2.1.0 one\r\n250 2.1.0 two\r\n").unwrap().unwrap();
    assert_eq!(reply.enhanced, Some(EnhancedCode::success(1, 0)));
    assert_eq!(reply.text, "one\ntwo");
    assert_eq!(parsed("250\r\n").unwrap().unwrap().text, "");
    let other = parsed("550 4.2.2 class does not fit\r\n").unwrap().unwrap();
    assert_eq!((other.enhanced, &*other.text), (None, "4.2.2 class does not fit"));
    assert_eq!(parsed("220 2.0\r\n").unwrap().unwrap().enhanced, None);
}

#[test]
fn a_long_text_ends_where_a_reply_must() {
    let reply = Reply::plain(ReplyCode::OK, "word ".repeat(20_000));
    let printed = printed(&reply);
    assert_eq!(printed.lines().count(), crate::limits::REPLY_LINES_READ);
    assert!(parsed(&printed).unwrap().is_some());
}

#[test]
fn what_is_no_reply() {
    assert_eq!(parsed("SSH-2.0-OpenSSH\r\n"), Err(ReplyError::BadLine));
    assert_eq!(parsed("99 x\r\n"), Err(ReplyError::BadLine));
    assert_eq!(parsed("600 x\r\n"), Err(ReplyError::BadLine));
    assert_eq!(parsed("250x\r\n"), Err(ReplyError::BadLine));
    assert_eq!(parsed("250-a\r\n251 b\r\n"), Err(ReplyError::MixedCodes));
    assert_eq!(parsed(&"250-a\r\n".repeat(200)), Err(ReplyError::TooManyLines));
}

#[test]
fn controls_in_a_reply_are_spaces() {
    let reply = parsed("220 2.0.0\rx\ty\r\n").unwrap().unwrap();
    assert_eq!(reply.enhanced, Some(EnhancedCode::success(0, 0)));
    assert_eq!(reply.text, "x y");
}

#[test]
fn enhanced_codes() {
    assert_eq!("5.1.1".parse(), Ok(EnhancedCode::permanent(1, 1)));
    for bad in ["3.1.1", "5.1", "5.1.1000", "5.01.1", "5..1", "a.b.c", "5.1.1.1"] {
        assert_eq!(bad.parse::<EnhancedCode>(), Err(NotAnEnhancedCode), "{bad}");
    }
}

proptest! {
    #[test]
    fn printed_and_read_back(
        code in 200u16..600,
        enhanced in proptest::option::of((0u16..1000, 0u16..1000)),
        lines in proptest::collection::vec("[a-zA-Z][ -~é]{0,80}", 1..6),
    ) {
        let code = ReplyCode::new(code).unwrap();
        let class = u8::try_from(code.as_u16() / 100).unwrap();
        let enhanced = enhanced.and_then(|(s, d)| EnhancedCode::new(class, s, d));
        let reply = Reply { code, enhanced, text: lines.join("\n").into() };
        prop_assert_eq!(parsed(&printed(&reply)), Ok(Some(reply)));
    }

    #[test]
    fn no_line_makes_the_parser_panic(line in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = ReplyParser::new().line(&line);
    }
}
