//! Extensions whose answers hold numbers that a dialogue file cannot know.

use super::*;

/// What stands between two words of a line.
fn between<'a>(line: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = line.split_once(before).unwrap_or_else(|| panic!("{before} in {line}"));
    rest.split_once(after).unwrap_or_else(|| panic!("{after} in {line}")).0
}

fn find<'a>(lines: &'a [String], part: &str) -> &'a str {
    let found = lines.iter().find(|line| line.contains(part));
    found.unwrap_or_else(|| panic!("{part} in {lines:?}"))
}

#[tokio::test]
async fn a_client_that_was_away_is_told_what_went_and_what_changed() {
    let house = House::build();
    let mut one = house.log_in().await;
    for number in 1..=5 {
        one.append("INBOX", &format!("Subject: {number}\r\n\r\n")).await;
    }
    let opened = one.say("a SELECT INBOX").await;
    let validity = between(find(&opened, "UIDVALIDITY"), "UIDVALIDITY ", "]").to_owned();
    let known = between(find(&opened, "HIGHESTMODSEQ"), "HIGHESTMODSEQ ", "]").to_owned();
    one.say("b STORE 2 +FLAGS (\\Flagged)").await;
    one.say("c STORE 1,4 +FLAGS (\\Deleted)").await;
    one.say("d EXPUNGE").await;

    let mut other = house.log_in().await;
    other.say("a ENABLE QRESYNC").await;
    let told = other.say(&format!("b SELECT INBOX (QRESYNC ({validity} {known} 1:5))")).await;
    find(&told, "* VANISHED (EARLIER) 1,4");
    find(&told, "* 1 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (");
    assert_eq!(told.iter().filter(|line| line.contains("FETCH")).count(), 1, "{told:?}");
    // Only of UIDs that the client knows.
    let told = other.say(&format!("c SELECT INBOX (QRESYNC ({validity} {known} 3:4))")).await;
    find(&told, "* VANISHED (EARLIER) 4");
    assert!(!told.iter().any(|line| line.contains("FETCH")), "{told:?}");
    // Another UIDVALIDITY: nothing that the client knows holds.
    let told = other.say(&format!("d SELECT INBOX (QRESYNC (1 {known} 1:5))")).await;
    assert!(!told.iter().any(|line| line.contains("VANISHED")), "{told:?}");
    // While it is there, it hears of UIDs.
    one.say("e STORE 1 +FLAGS (\\Deleted)").await;
    other.say("e NOOP").await;
    one.say("f EXPUNGE").await;
    let told = other.say("f NOOP").await;
    assert_eq!(told[0], "* VANISHED 2");
    let told = other.say(&format!("g UID FETCH 1:* (FLAGS) (CHANGEDSINCE {known} VANISHED)")).await;
    assert_eq!(told[0], "* VANISHED (EARLIER) 1:2,4");
    assert!(told[1].starts_with("g OK"), "{told:?}");
}

#[tokio::test]
async fn a_store_that_came_second_changes_nothing() {
    let house = House::build();
    let (mut one, mut other) = (house.log_in().await, house.log_in().await);
    one.append("INBOX", "Subject: 1\r\n\r\n").await;
    one.append("INBOX", "Subject: 2\r\n\r\n").await;
    let opened = one.say("a SELECT INBOX").await;
    let known = between(find(&opened, "HIGHESTMODSEQ"), "HIGHESTMODSEQ ", "]").to_owned();
    other.say("a SELECT INBOX").await;
    other.say("b STORE 2 +FLAGS (\\Seen)").await;
    let command = format!("b UID STORE 1:2 (UNCHANGEDSINCE {known}) +FLAGS.SILENT (\\Flagged)");
    let told = one.say(&command).await;
    assert!(told[0].starts_with("* OK [HIGHESTMODSEQ"), "{told:?}");
    assert!(told[1].starts_with("* 1 FETCH (UID 1 MODSEQ ("), "{told:?}");
    find(&told, "b OK [MODIFIED 2]");
    // What the other did is told, and only that.
    find(&told, "* 2 FETCH (UID 2 FLAGS (\\Seen");
}

#[tokio::test]
async fn compressed_sessions_are_flushed_at_each_response_and_while_idling() {
    let house = House::build();
    let mut one = house.log_in().await;
    one.say("a SELECT INBOX").await;
    let answer = one.say("b COMPRESS DEFLATE").await;
    assert!(answer[0].starts_with("b OK"), "{answer:?}");
    one.stream = std::mem::replace(&mut one.stream, Stream::Closed).compressed();
    let answer = one.say("c COMPRESS DEFLATE").await;
    assert!(answer[0].starts_with("c NO [COMPRESSIONACTIVE]"), "{answer:?}");
    one.raw(b"d IDLE\r\n").await;
    assert!(one.line().await.starts_with('+'));
    let mut other = house.log_in().await;
    other.append("INBOX", "Subject: news\r\n\r\n").await;
    assert_eq!(one.line().await, "* 1 EXISTS", "at once, not with the next response");
    one.line().await;
    one.raw(b"DONE\r\n").await;
    assert!(one.line().await.starts_with("d OK"));
    let body: String = (0..40_000).map(|n| format!("line {}\r\n", n * n)).collect();
    one.append("INBOX", &body).await;
    let answer = one.say("e FETCH 2 BODY.PEEK[]").await;
    let got = answer[1..answer.len() - 2].join("\r\n") + "\r\n";
    assert!(got == body, "the octets differ");
}

#[tokio::test]
async fn the_index_of_words_changes_no_answer() {
    let house = House::build();
    let mut talk = house.log_in().await;
    let letters = [
        "Subject: Caf\u{e9} plans\r\n\r\nWe meet at noon, education first.\r\n",
        "Subject: second\r\nFrom: cat@example.test\r\n\r\nNothing of the kind.\r\n",
        "Subject: third\r\nContent-Type: text/html\r\n\r\n<p>Noon <b>is</b> fine</p>\r\n",
        "Subject: fourth\r\nContent-Transfer-Encoding: base64\r\n\r\nZWR1Y2F0aW9uYWwgY2F0\r\n",
        "no header at all",
        "Subject: broken\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nin part\r\n",
    ];
    for letter in letters {
        talk.append("INBOX", letter).await;
    }
    talk.say("a SELECT INBOX").await;
    let searches = [
        "TEXT cat",
        "BODY cat",
        "TEXT \"noon, education\"",
        "BODY noon",
        "TEXT noon",
        "OR BODY noon FROM cat",
        "NOT BODY cat",
        "SUBJECT third BODY fine",
        "TEXT zz",
        "TEXT a",
        "BODY \"in part\"",
        "TEXT example",
        "BODY header",
        "HEADER Subject fourth",
        "NOT TEXT noon",
    ];
    let mut first = Vec::new();
    for search in searches {
        first.push(talk.say(&format!("s SEARCH {search}")).await);
    }
    assert_eq!(first[0][0], "* SEARCH 1 2 4");
    assert_eq!(first[1][0], "* SEARCH 1 4");
    for (search, before) in searches.iter().zip(&first) {
        assert_eq!(&talk.say(&format!("s SEARCH {search}")).await, before, "{search}");
    }
    // A letter that came later is found without having been known.
    talk.append("INBOX", "Subject: late\r\n\r\neducation at noon\r\n").await;
    assert_eq!(talk.say("t SEARCH BODY education").await[0], "* SEARCH 1 4 7");
    assert_eq!(talk.say("u SEARCH BODY noon").await[0], "* SEARCH 1 3 7");
}

#[tokio::test]
async fn a_letter_that_is_replaced_is_never_there_twice() {
    let house = House::build();
    let (mut one, mut other) = (house.log_in().await, house.log_in().await);
    one.append("INBOX", "Subject: draft 1\r\n\r\n").await;
    one.say("a SELECT INBOX").await;
    other.say("a SELECT INBOX").await;
    let letter = "Subject: draft 2\r\n\r\n";
    let said = one.say(&format!("b REPLACE 1 INBOX {{{}+}}\r\n{letter}", letter.len())).await;
    assert!(said[0].starts_with("* OK [APPENDUID"), "{said:?}");
    assert_eq!(said[1..3], ["* 1 EXPUNGE", "* 1 EXISTS"]);
    let told = other.say("b NOOP").await;
    assert_eq!(told[..2], ["* 1 EXPUNGE", "* 1 EXISTS"]);
    // It may not be there any more.
    let said = one.say(&format!("c UID REPLACE 1 INBOX {{{}+}}\r\n{letter}", letter.len())).await;
    assert!(said[0].starts_with("c NO [EXPUNGEISSUED]"), "{said:?}");
}
