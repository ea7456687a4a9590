//! People's rules: a script is read, printed and read again; and a script, which anybody with an
//! account may upload, is run over a letter, which anybody may send. Whatever both say, the letter
//! is not lost, what the run asks for is bounded, and it comes to the same each time.

use message::date::DateTime;
use protocol::time::Timestamp;
use sieve::syntax::{Argument, Command, Script, Test, Tests, Value};
use sieve::{Act, Explain, Facts, Outcome, Shelf, World, limits};

use crate::engine::Seen;

pub(crate) const WORDS: &[&[u8]] = &[
    b"require [\"fileinto\", \"copy\", \"envelope\", \"body\", \"variables\", \"imap4flags\"];\n",
    b"require [\"mime\", \"foreverypart\", \"extracttext\", \"replace\", \"enclose\"];\n",
    b"require [\"regex\", \"relational\", \"comparator-i;ascii-numeric\", \"index\", \"date\"];\n",
    b"require [\"editheader\", \"duplicate\", \"vacation\", \"vacation-seconds\", \"enotify\"];\n",
    b"require [\"reject\", \"ereject\", \"include\", \"ihave\", \"environment\", \"mailbox\"];\n",
    b"require \"encoded-character\";\n",
    b"if ",
    b"elsif ",
    b"else ",
    b" { ",
    b" }\n",
    b"not ",
    b"anyof (",
    b"allof (",
    b"true",
    b", ",
    b")",
    b";\n",
    b"[",
    b"]",
    b"header :contains \"subject\" \"x\"",
    b"header :regex \"subject\" \"(a|b)*(.+)$\"",
    b"header :matches \"subject\" \"*a*b*c*\"",
    b"header :mime :anychild :param \"name\" \"content-type\" \"x\"",
    b"address :all :detail [\"from\", \"to\"] \"a\"",
    b"envelope :domain \"from\" \"b.test\"",
    b"body :text :contains \"x\"",
    b"body :raw :matches \"*x*\"",
    b"string :value \"ge\" :comparator \"i;ascii-numeric\" \"${1}\" \"2\"",
    b"date :zone \"+0100\" \"date\" \"iso8601\" \"2\"",
    b"currentdate :value \"lt\" \"julian\" \"9\"",
    b"duplicate :handle \"x\" :last",
    b"exists \"x\"",
    b"size :over 1K",
    b"ihave \"regex\"",
    b"valid_notify_method \"mailto:a@b.test\"",
    b"keep",
    b"discard",
    b"stop",
    b"fileinto :copy :create :flags \"\\\\Seen\" \"a/b\"",
    b"redirect \"a@b.test\"",
    b"reject \"no\"",
    b"vacation :days 1 :mime \"Content-Type: text/plain\\r\\n\\r\\nx\"",
    b"notify \"mailto:a@b.test?subject=%41\"",
    b"set :upperfirst :lower :quotewildcard :length \"a\" \"${a}${a}${0}\"",
    b"addflag \"v\" [\"\\\\Seen\", \"$x\"]",
    b"addheader :last \"X-A\" \"${1}\"",
    b"deleteheader :index 1 \"Received\"",
    b"foreverypart :name \"l\" { break; }",
    b"extracttext :first 9 \"t\"",
    b"replace :mime text:\nx\n.\n",
    b"enclose :subject \"s\" :headers [\"X: y\"] \"e\"",
    b"include :personal :once \"self\"",
    b"include :global \"twice\"",
    b"return",
    b"global \"g\"",
    b"error \"e\"",
    b"text:\n..x\n.\n",
    b"\"${hex:41 00}${unicode:20ac}\"",
    b"\"${1}\"",
    b"/* c */",
    b"# c\n",
    b"\"",
    b"\\",
    b"4G",
    b"%%\n",
    b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n",
    b"Subject: =?utf-8?q?x=C3=A9?=\r\n",
    b"From: \"x\" <a+b@b.test>\r\n",
    b"\r\n\r\n",
    b"\0",
    b"\xff",
];

/// Parts the script from the letter, at the beginning of a line.
const PARTING: &[u8] = b"\n%%\n";

/// A script reads or has a fault with a place; what is printed reads as the same tree, means the
/// same to the checker, and is printed the same again.
pub(crate) fn syntax(input: &[u8], seen: &mut Seen) {
    let script = match sieve::parse(input) {
        Ok(script) => script,
        Err(fault) => {
            assert!(fault.at.line >= 1 && fault.at.column >= 1, "no place: {fault}");
            return seen.note(fault.what);
        }
    };
    let shape = commands(&script.commands);
    seen.note(&shape);
    let printed = sieve::print(&script);
    match sieve::parse(printed.as_bytes()) {
        Ok(again) => {
            assert_eq!(commands(&again.commands), shape, "printed as {printed:?}");
            assert_eq!(sieve::print(&again), printed);
            checked(&script, &again, seen);
        }
        // Indentation may take a script of the largest size over it.
        Err(fault) => assert!(printed.len() > limits::SCRIPT_BYTES, "{fault}: {printed:?}"),
    }
}

fn checked(script: &Script, again: &Script, seen: &mut Seen) {
    let words = |faults: &Vec<sieve::Fault>| -> Vec<String> {
        faults.iter().map(|fault| fault.what.clone()).collect()
    };
    let first = sieve::compile(script).map_err(|faults| words(&faults));
    let second = sieve::compile(again).map_err(|faults| words(&faults));
    assert_eq!(first.as_ref().err(), second.as_ref().err(), "printing changed what it means");
    if let Err(faults) = first {
        assert!(!faults.is_empty(), "refused without a reason");
        faults.into_iter().for_each(|fault| seen.note(fault));
    }
}

/// The tree without places.
fn commands(all: &[Command]) -> String {
    let one = |command: &Command| {
        let block = command.block.as_deref().map(commands);
        let rest = rest(&command.arguments, &command.tests);
        format!("{:?} {rest} {block:?}", command.name)
    };
    all.iter().map(one).collect::<Vec<_>>().join(";")
}

fn rest(arguments: &[Argument], tests: &Tests) -> String {
    let value = |argument: &Argument| match &argument.value {
        Value::Strings(texts) => {
            format!("{:?}", texts.iter().map(|text| &text.text).collect::<Vec<_>>())
        }
        other => format!("{other:?}"),
    };
    let test = |one: &Test| format!("{:?} {}", one.name, rest(&one.arguments, &one.tests));
    let kind = match tests {
        Tests::None => "none",
        Tests::One(_) => "one",
        Tests::List(_) => "list",
    };
    let arguments: Vec<_> = arguments.iter().map(value).collect();
    let tests: Vec<_> = tests.as_slice().iter().map(test).collect();
    format!("{} {kind} ({})", arguments.join(" "), tests.join(", "))
}

/// A script and a letter; without a letter, the script as well.
pub(crate) fn runs(input: &[u8], seen: &mut Seen) {
    let parting = memchr::memmem::find(input, PARTING);
    let (script, letter) = match parting {
        Some(at) => (&input[..at + 1], &input[at + PARTING.len()..]),
        None => (input, input),
    };
    let program = match sieve::compile_text(script) {
        Ok(program) => program,
        Err(faults) => return faults.iter().for_each(|fault| seen.note(&fault.what)),
    };
    let world = Surroundings { own: String::from_utf8_lossy(script).into_owned() };
    let facts = facts(letter);
    let outcome = sieve::run(&program, letter, (&facts, &world), Explain::No);
    check(&outcome, letter);
    let told = sieve::run(&program, letter, (&facts, &world), Explain::Yes);
    assert_eq!(told.actions, outcome.actions, "explained it comes to something else");
    assert_eq!(told.fault, outcome.fault);
    assert_eq!(told.remember, outcome.remember);
    assert!(told.explanation.len() <= limits::EXPLAINED);
    for action in &outcome.actions {
        seen.shape(&action.what);
        seen.note(action.letter.is_some());
    }
    if let Some(fault) = outcome.fault {
        seen.note(fault.what);
    }
    told.explanation.iter().for_each(|step| seen.shape(&step.what));
}

/// What holds of every outcome.
fn check(outcome: &Outcome, letter: &[u8]) {
    let acts: Vec<&Act> = outcome.actions.iter().map(|action| &action.what).collect();
    assert!(!acts.is_empty(), "nothing is to be done");
    if outcome.fault.is_some() {
        // RFC 5228 §2.10.6: the letter is kept, as it came, and nothing else is done.
        let kept = matches!(acts[..], [Act::Keep { flags }] if flags.is_empty());
        assert!(kept && outcome.actions[0].letter.is_none(), "after a fault: {acts:?}");
        assert!(outcome.remember.is_empty());
    }
    let count = |wanted: fn(&Act) -> bool| acts.iter().filter(|act| wanted(act)).count();
    // The implicit keep comes on top.
    assert!(acts.len() <= limits::ACTIONS + 1, "{} actions", acts.len());
    assert!(count(|act| matches!(act, Act::Redirect { .. })) <= limits::REDIRECTS);
    assert!(count(|act| matches!(act, Act::Notify(_))) <= limits::NOTIFICATIONS);
    assert!(count(|act| matches!(act, Act::Vacation(_))) <= 1, "RFC 5230 §4.7: one answer");
    assert!(count(|act| matches!(act, Act::Keep { .. })) <= 1, "kept twice");
    for act in &acts {
        match act {
            Act::Redirect { address } => one_line(address),
            Act::FileInto(filing) => assert!(!filing.mailbox.is_empty()),
            Act::Reject { reason, .. } => assert!(reason.len() <= limits::ANSWER_TEXT),
            Act::Vacation(answer) => {
                one_line(&answer.to);
                one_line(&answer.subject);
                answer.from.iter().for_each(|from| one_line(from));
            }
            Act::Notify(notice) => {
                assert!(!notice.to.is_empty());
                notice.to.iter().for_each(|to| one_line(to));
                one_line(&notice.subject);
                for (name, value) in &notice.fields {
                    one_line(name);
                    one_line(value);
                }
            }
            Act::Keep { .. } | Act::Discard => {}
        }
    }
    for changed in outcome.actions.iter().filter_map(|action| action.letter.as_ref()) {
        let most = letter.len() * 4 + limits::ADDED_HEADER + 4 * limits::SCRIPT_BYTES;
        assert!(changed.len() <= most, "a letter of {} became {}", letter.len(), changed.len());
    }
}

/// What goes into a header field or an envelope must not begin another one.
fn one_line(text: &str) {
    assert!(!text.contains(['\r', '\n', '\0']), "more than a line: {text:?}");
}

fn facts(letter: &[u8]) -> Facts {
    Facts {
        sender: if letter.len().is_multiple_of(7) { String::new() } else { "t@far.test".into() },
        recipient: "ken+lists@b.test".into(),
        now: DateTime { moment: Timestamp::from_seconds(1_795_381_596), offset_minutes: 60 },
        delimiter: '+',
        owner: vec!["ken@b.test".into()],
        spam: Some(95),
        virus: None,
    }
}

/// A few mailboxes; and scripts that include the script itself.
struct Surroundings {
    own: String,
}

impl World for Surroundings {
    fn mailbox_exists(&self, name: &str) -> bool {
        name.len() < 6
    }

    fn special_use_exists(&self, mailbox: Option<&str>, special_use: &str) -> bool {
        special_use == "\\Junk" && mailbox.is_none_or(|name| name == "Junk")
    }

    fn script(&self, _: Shelf, name: &str) -> Option<String> {
        match name {
            "self" => Some(self.own.clone()),
            "twice" => {
                let each = "include :once \"self\"; include \"self\";";
                Some(format!("require \"include\"; {each} {each}"))
            }
            _ => None,
        }
    }

    fn is_duplicate(&self, id: &str) -> bool {
        id.len().is_multiple_of(2)
    }

    fn environment(&self, item: &str) -> Option<String> {
        (item == "name").then(|| "Posthaste".to_owned())
    }
}
