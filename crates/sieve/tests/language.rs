//! Commands and tests of RFC 5228 and of the extensions, on one letter; examples from the RFCs.

mod support;

use sieve::Act;
use support::{Given, LETTER, deeds, facts, holds, run, run_in};

#[test]
fn what_is_not_said_is_kept() {
    assert_eq!(deeds(&run("")), ["keep"]);
    assert_eq!(deeds(&run("if false { discard; }")), ["keep"]);
    assert_eq!(deeds(&run("discard;")), ["discard"]);
    assert_eq!(deeds(&run("discard; keep;")), ["discard", "keep"]);
    assert_eq!(deeds(&run("stop; discard;")), ["keep"]);
    assert_eq!(deeds(&run("require \"fileinto\"; fileinto \"A\"; fileinto \"A\";")), ["file A"]);
    let copies =
        "require [\"fileinto\", \"copy\"]; fileinto :copy \"A\"; redirect :copy \"x@y.test\";";
    assert_eq!(deeds(&run(copies)), ["file A", "redirect x@y.test", "keep"]);
    assert_eq!(deeds(&run("redirect \"x@y.test\"; redirect \"X@Y.test\";")), ["redirect X@y.test"]);
}

#[test]
fn branches() {
    let script = |test: &str| {
        format!(
            "require \"fileinto\"; if {test} {{ fileinto \"a\"; }}
             elsif header :contains \"subject\" \"grüße\" {{ fileinto \"b\"; }}
             else {{ fileinto \"c\"; }}"
        )
    };
    assert_eq!(deeds(&run(&script("true"))), ["file a"]);
    assert_eq!(deeds(&run(&script("false"))), ["file b"]);
    let none = run(&script("false").replace("grüße", "nothing"));
    assert_eq!(deeds(&none), ["file c"]);
}

#[test]
fn header_and_address_tests() {
    for test in [
        "header :is \"x-twice\" \"two\"",
        "header :contains [\"x-none\", \"subject\"] \"[SIEVE]\"",
        "header :matches \"subject\" \"[*] *from*\"",
        "header :is \"subject\" \"[sieve] Grüße from Tim\"",
        "not header :comparator \"i;octet\" :contains \"subject\" \"[SIEVE]\"",
        "exists [\"from\", \"date\"]",
        "not exists [\"from\", \"x-none\"]",
        "address :domain \"from\" \"EXAMPLE.com\"",
        "address :localpart \"to\" [\"x\", \"other\"]",
        "address \"from\" \"tim@example.com\"",
        "not address :is \"from\" \"Tim\"",
        "size :over 100",
        "size :under 1k",
        "anyof (false, true)",
        "not allof (true, false)",
    ] {
        assert!(holds("", test), "{test}");
    }
    assert!(holds(", \"envelope\"", "envelope \"from\" \"tim@example.com\""));
    assert!(holds(", \"envelope\", \"subaddress\"", "envelope :detail \"to\" \"lists\""));
    assert!(holds(", \"envelope\", \"subaddress\"", "envelope :user \"to\" \"ken\""));
    assert!(holds(", \"subaddress\"", "not address :detail \"to\" \"\""));
    assert!(holds(", \"index\"", "header :index 2 \"x-twice\" \"two\""));
    assert!(holds(", \"index\"", "header :index 2 :last \"x-twice\" \"one\""));
    assert!(holds(", \"index\"", "not header :index 3 \"x-twice\" \"one\""));
    assert!(holds(
        ", \"relational\", \"comparator-i;ascii-numeric\"",
        "header :count \"ge\" :comparator \"i;ascii-numeric\" [\"x-twice\", \"from\"] \"3\""
    ));
    assert!(holds(", \"relational\"", "header :value \"gt\" \"x-twice\" \"onf\""));
    assert!(holds(", \"regex\"", "header :regex \"subject\" \"^\\\\[.*\\\\] Gr..e\""));
}

#[test]
fn bodies_dates_and_the_environment() {
    assert!(holds(", \"body\"", "body :raw :contains \"MAKE MONEY FAST\""));
    assert!(holds(", \"body\"", "body :contains \"make money\""));
    assert!(holds(", \"body\"", "body :content \"text/plain\" :contains \"make money\""));
    assert!(holds(", \"body\"", "not body :content \"text/html\" :contains \"make money\""));
    assert!(holds(", \"date\"", "date :originalzone \"date\" \"hour\" \"21\""));
    assert!(holds(", \"date\"", "date :zone \"-0500\" \"date\" \"hour\" \"15\""));
    assert!(holds(", \"date\"", "date \"received\" \"hour\" \"21\""));
    assert!(holds(", \"date\"", "currentdate \"iso8601\" \"2026-11-22T22:06:36+01:00\""));
    assert!(holds(
        ", \"date\", \"relational\"",
        "currentdate :value \"ge\" \"date\" \"2026-11-01\""
    ));
    assert!(holds(", \"environment\"", "environment \"name\" \"posthaste\""));
    assert!(holds(", \"environment\"", "not environment \"nothing\" \"\""));
    assert!(holds(
        ", \"spamtest\", \"relational\", \"comparator-i;ascii-numeric\"",
        "spamtest :value \"ge\" :comparator \"i;ascii-numeric\" \"9\""
    ));
    assert!(holds(", \"spamtestplus\"", "spamtest :percent \"95\""));
    assert!(holds(", \"virustest\"", "virustest \"0\""));
    assert!(holds(", \"ihave\"", "ihave \"fileinto\""));
    assert!(holds(", \"ihave\"", "not ihave [\"fileinto\", \"nothing\"]"));
    assert!(holds(", \"special-use\"", "specialuse_exists \"\\\\Junk\""));
    assert!(holds(", \"enotify\"", "valid_notify_method \"mailto:a@b.test\""));
    assert!(holds(", \"enotify\"", "not valid_notify_method \"tel:1\""));
    assert!(holds(
        ", \"enotify\"",
        "notify_method_capability \"mailto:a@b.test\" \"online\" \"maybe\""
    ));
}

#[test]
fn variables_of_rfc_5229() {
    let script = r#"require ["variables", "fileinto"];
        set "honorific" "Mr"; set "first_name" "Wile"; set "last_name" "Coyote";
        set "vendor" "ACME";
        set :length "n" "${vendor}x";
        set :upperfirst :lower "who" "juMBlEd lETteRS";
        set :quotewildcard "q" "Rock*";
        if header :matches "subject" "[*] *" { set "list" "${1}"; }
        fileinto "${honorific}.${last_name}.${n}.${who}.${q}.${list}.${nothing}.${&%}";"#;
    assert_eq!(deeds(&run(script)), ["file Mr.Coyote.5.Jumbled letters.Rock\\*.sieve..${&%}"]);
    // A later :matches that fails leaves the variables alone.
    let kept = r#"require ["variables", "fileinto"];
        if header :matches "subject" "[*] *" {
            if header :matches "subject" "(*)" { stop; }
            fileinto "${1}";
        }"#;
    assert_eq!(deeds(&run(kept)), ["file sieve"]);
    assert!(holds(", \"variables\"", "string :is \"${nothing}\" \"\""));
}

#[test]
fn flags_of_rfc_5232() {
    let script = r#"require ["imap4flags", "fileinto", "variables"];
        addflag "\\Seen"; addflag ["$a \\seen", "$b"]; removeflag "$a";
        setflag "mine" "x y"; addflag "mine" "Z";
        if allof (hasflag "\\seen", hasflag "mine" "z", not hasflag "$a") {
            fileinto :flags "${mine}" "A"; keep;
        }"#;
    assert_eq!(deeds(&run(script)), ["file A (x y Z)", "keep (\\Seen $b)"]);
    assert_eq!(deeds(&run("require \"imap4flags\"; addflag \"$x\";")), ["keep ($x)"]);
}

#[test]
fn a_letter_is_given_back_or_taken_not_both() {
    assert_eq!(deeds(&run("require \"reject\"; reject \"no\";")), ["reject no"]);
    let both = run("require [\"ereject\", \"fileinto\"]; fileinto \"x\"; ereject \"no\";");
    assert!(both.fault.unwrap().what.contains("cannot be rejected"));
    assert_eq!(both.actions.len(), 1);
    assert!(matches!(both.actions[0].what, Act::Keep { .. }));
}

#[test]
fn vacation_answers_people_and_nobody_else() {
    let script = "require \"vacation\"; vacation :days 3 :subject \"Away\" \"I am away\";";
    assert_eq!(deeds(&run(script)), ["answer tim@example.com", "keep"]);
    let with = |field: &str| {
        let letter = format!("{field}\n{LETTER}");
        deeds(&run_in(&Given::default(), script, &letter, &facts()))
    };
    for silent in [
        "List-Id: <x.test>",
        "Auto-Submitted: auto-replied",
        "Precedence: bulk",
        "X-Auto-Response-Suppress: All",
    ] {
        assert_eq!(with(silent), ["keep"], "{silent}");
    }
    assert_eq!(with("Auto-Submitted: no")[0], "answer tim@example.com");
    for sender in ["", "owner-list@x.test", "MAILER-DAEMON@x.test", "ken@example.org"] {
        let from = sieve::Facts { sender: sender.to_owned(), ..facts() };
        let outcome = run_in(&Given::default(), script, LETTER, &from);
        assert_eq!(deeds(&outcome), ["keep"], "{sender}");
    }
    let elsewhere = LETTER.replace("ken@", "kim@");
    let outcome = run_in(&Given::default(), script, &elsewhere, &facts());
    assert_eq!(deeds(&outcome), ["keep"]);
    let answer = run(script);
    let Act::Vacation(answer) = &answer.actions[0].what else { panic!() };
    assert_eq!((answer.seconds, answer.subject.as_str()), (3 * 86_400, "Away"));
    let stamp =
        sieve::Stamp { owner: "ken@example.org", message_id: "<2@example.org>", date: facts().now };
    let letter = String::from_utf8(answer.to_letter(&stamp)).unwrap();
    for line in [
        "From: ken@example.org\r\n",
        "To: tim@example.com\r\n",
        "In-Reply-To: <1@example.com>\r\n",
        "Auto-Submitted: auto-replied (vacation)\r\n",
        "\r\n\r\nI am away",
    ] {
        assert!(letter.contains(line), "{line:?} in {letter}");
    }
}

#[test]
fn notifications_by_mail() {
    let script = r#"require ["enotify", "variables", "fcc"];
        set :encodeurl "s" "a b";
        notify :importance "1" :message "new: ${s}" :fcc "Sent" "mailto:me@phone.test?body=look";"#;
    let outcome = run(script);
    assert_eq!(deeds(&outcome), ["notify me@phone.test", "keep"]);
    let Act::Notify(notice) = &outcome.actions[0].what else { panic!() };
    assert_eq!((notice.subject.as_str(), notice.text.as_str()), ("new: a%20b", "look"));
    assert_eq!((notice.importance, notice.copy.as_ref().unwrap().mailbox.as_str()), (1, "Sent"));
}

#[test]
fn headers_are_edited() {
    let script = r#"require ["editheader", "fileinto"];
        addheader "X-New" "Grüße"; addheader :last "X-Last" "end";
        deleteheader :index 1 "X-Twice"; deleteheader :matches "Subject" "*sieve*";
        deleteheader "Received";
        fileinto "A"; addheader "X-After" "x"; keep;"#;
    let outcome = run(script);
    let text =
        |index: usize| String::from_utf8(outcome.actions[index].letter.clone().unwrap()).unwrap();
    assert_eq!(deeds(&outcome), ["file A", "keep"]);
    let filed = text(0);
    assert!(filed.starts_with("X-New: =?utf-8?"), "{filed}");
    assert!(filed.contains("X-Twice: two\r\nX-Last: end\r\n\r\nThis is the body"), "{filed}");
    assert!(!filed.contains("X-Twice: one") && !filed.contains("Subject:"));
    assert!(filed.contains("Received: from a by b"), "trace fields stay");
    assert!(!filed.contains("X-After") && text(1).starts_with("X-After: x\r\n"));
}

#[test]
fn included_scripts_share_what_they_declare() {
    let world = Given {
        scripts: vec![
            (
                "a",
                "require [\"include\", \"variables\"]; global \"x\"; \
                 set \"x\" \"1\"; set \"y\" \"2\"; return; discard;",
            ),
            ("me", "require \"include\"; include \"me\";"),
            ("stops", "stop;"),
            ("bad", "frob;"),
        ],
        ..Given::default()
    };
    let go = |script: &str| run_in(&world, script, LETTER, &facts());
    let script = r#"require ["include", "variables", "fileinto"]; global "x";
        include :once "a"; include :once "a"; include :optional "none";
        fileinto "${x}${global.x}${y}";"#;
    assert_eq!(deeds(&go(script)), ["file 11"]);
    assert!(go("require \"include\"; include \"me\";").fault.unwrap().what.contains("itself"));
    assert_eq!(deeds(&go("require \"include\"; include \"stops\"; discard;")), ["keep"]);
    assert!(go("require \"include\"; include \"bad\";").fault.unwrap().what.contains("fault"));
    assert!(go("require \"include\"; include \"none\";").fault.is_some());
}

#[test]
fn duplicates_are_remembered_after_the_run() {
    let world = Given { seen: vec!["<1@example.com>"], ..Given::default() };
    let script = "require \"duplicate\"; if duplicate { discard; }";
    let again = run_in(&world, script, LETTER, &facts());
    assert_eq!((deeds(&again), again.remember.len()), (vec!["discard".to_owned()], 0));
    let first = run(script);
    assert_eq!(deeds(&first), ["keep"]);
    assert_eq!(first.remember, [("\nheader\n<1@example.com>".to_owned(), 7 * 86_400)]);
}

#[test]
fn ihave_lets_a_script_meet_what_is_not_there() {
    let script = "require \"ihave\"; if ihave \"frob\" { frob; } else { discard; }";
    assert_eq!(deeds(&run(script)), ["discard"]);
    let reached = run("require \"ihave\"; frob;");
    assert!(reached.fault.unwrap().what.contains("there is no command"));
    assert!(run("require \"ihave\"; error \"own\";").fault.unwrap().what.contains("own"));
}

#[test]
fn mailboxes_are_asked_for() {
    let world = Given { mailboxes: vec!["Lists"], ..Given::default() };
    let script = r#"require ["mailbox", "fileinto"];
        if mailboxexists "Lists" { fileinto "Lists"; } 
        if not mailboxexists ["Lists", "Other"] { fileinto :create "Other"; }"#;
    assert_eq!(deeds(&run_in(&world, script, LETTER, &facts())), ["file Lists", "file Other"]);
}

const PARTS: &str = "From: tim@example.com
To: ken@example.org
Subject: parts
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

before
--b
Content-Type: text/html; charset=utf-8

<p>make <b>money</b></p>
--b
Content-Type: application/x-evil; name=\"virus.exe\"
Content-Disposition: attachment; filename*=utf-8''v%69rus.exe

x
--b--
";

#[test]
fn parts_are_seen_and_replaced() {
    let go = |script: &str| run_in(&Given::default(), script, PARTS, &facts());
    let script = r#"require ["mime", "foreverypart", "fileinto", "extracttext", "variables"];
        if header :mime :anychild :param "filename" "Content-Disposition" "virus.exe" {
            fileinto "Infected";
        }
        foreverypart :name "all" {
            if header :mime :subtype "Content-Type" "html" {
                extracttext :first 9 "text"; break :name "all";
            }
        }
        fileinto "${text}";"#;
    assert_eq!(deeds(&go(script)), ["file Infected", "file <p>make <"]);
    let replaced = go(r#"require ["mime", "foreverypart", "replace"];
        foreverypart {
            if header :mime :contenttype "Content-Type" "application/x-evil" {
                replace "removed";
            }
        }"#);
    assert_eq!(replaced.fault, None);
    let letter = String::from_utf8(replaced.actions[0].letter.clone().unwrap()).unwrap();
    assert!(letter.contains("--b\r\nContent-Type: text/plain"), "{letter}");
    assert!(letter.ends_with("removed\r\n--b--\r\n") && !letter.contains("evil"), "{letter}");
    let enclosed = go("require \"enclose\"; enclose :subject \"Warned\" \"Careful\";");
    let letter = String::from_utf8(enclosed.actions[0].letter.clone().unwrap()).unwrap();
    assert!(letter.contains("Subject: Warned\r\n") && letter.contains("message/rfc822"));
    assert!(letter.contains("x-evil"), "the first letter is in it");
    let text = go("require \"body\"; if body :contains \"make money\" { discard; }");
    assert_eq!(deeds(&text), ["discard"]);
}

#[test]
fn work_actions_and_redirects_are_bounded() {
    let many: String = (0..6).map(|n| format!("redirect \"a{n}@b.test\";")).collect();
    assert!(run(&many).fault.unwrap().what.contains("redirects"));
    let many: String = (0..40).map(|n| format!("fileinto \"{n}\";")).collect();
    let script = format!("require \"fileinto\"; {many}");
    assert!(run(&script).fault.unwrap().what.contains("actions"));
    let big = format!("Subject: {}\n\nx\n", "a".repeat(100_000));
    let bomb = format!("header :matches \"subject\" \"{}b\"", "*a".repeat(1000));
    let script = format!("if anyof ({}) {{ }}", vec![bomb; 50].join(", "));
    let outcome = run_in(&Given::default(), &script, &big, &facts());
    assert!(outcome.fault.unwrap().what.contains("work"));
    let regex = "require \"regex\"; if header :regex \"subject\" \"^(a+)+$(b|c)\" { discard; }";
    assert_eq!(deeds(&run_in(&Given::default(), regex, &big, &facts())), ["keep"]);
}

#[test]
fn explanations_name_lines_and_values() {
    let outcome = run("if header :contains \"subject\" \"tim\" {\n  discard;\n}");
    let told: Vec<String> =
        outcome.explanation.iter().map(|step| format!("{}: {}", step.at, step.what)).collect();
    assert_eq!(
        told,
        [
            "line 1, column 4: header is true: \"[sieve] Grüße from Tim\" contains \"tim\"",
            "line 2, column 3: discard",
        ]
    );
}
