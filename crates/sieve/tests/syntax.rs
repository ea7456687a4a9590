//! The grammar: what parses, where faults are, and that printing leads back.

use proptest::prelude::*;
use sieve::syntax::{Argument, Command, Script, Test, Tests, Text, Value};
use sieve::{Position, compile_text, parse, print};

fn fault(script: &str) -> String {
    compile_text(script.as_bytes()).expect_err(script).first().unwrap().to_string()
}

#[test]
fn faults_have_places() {
    assert!(fault("keep").starts_with("line 1, column 5: \";\" or a block"));
    assert!(fault("keep;\n  frobnicate;").starts_with("line 2, column 3: there is no command"));
    assert!(fault("\nif true { keep; ").starts_with("line 2, column 17: a command or \"}\""));
    assert!(fault("redirect \"a").starts_with("line 1, column 10: this string has no end"));
    assert!(fault("fileinto \"x\";").contains("needs `require \"fileinto\";`"));
    assert!(fault("require \"frob\";").starts_with("line 1, column 9: this server does not have"));
    assert!(fault("keep; require \"fileinto\";").contains("before all other commands"));
    assert!(fault("if header \"Subject:\" \"x\" { }").contains("leave out the colon"));
    assert!(fault("redirect \"not an address\";").contains("is not an address"));
    assert!(fault("if address \"subject\" \"x\" {}").contains("holds no addresses"));
    assert!(fault("require \"regex\"; if header :regex \"a\" \"(\" {}").contains("column 39"));
    assert!(fault("keep 4;").contains("takes no more arguments"));
    assert!(fault("if size 4 {}").contains(":over or :under"));
    assert!(fault("elsif true {}").contains("follows the block"));
    assert!(fault("if true; ").contains("followed by a block"));
    assert!(fault("keep 99999999999999999999;").contains("too large"));
    assert!(fault("if header :is :contains \"a\" \"b\" {}").contains("once"));
    assert!(fault("\u{e9}").contains("does not belong here"));
    let broken = parse(b"keep;\n# \xff").unwrap_err();
    assert_eq!(broken.to_string(), "line 2, column 3: this is not UTF-8; save the script as UTF-8");
}

#[test]
fn all_faults_are_told_at_once() {
    let script = "require \"nope\";\nkeep 1;\nif true { stop 2; }\n";
    let faults = compile_text(script.as_bytes()).unwrap_err();
    let lines: Vec<u32> = faults.iter().map(|fault| fault.at.line).collect();
    assert_eq!(lines, [1, 2, 3]);
}

#[test]
fn texts_and_numbers() {
    let script = "redirect text: # comment\r\n..a\r\nb\r\n.\r\n;keep;";
    let parsed = parse(script.as_bytes()).unwrap();
    let Value::Strings(texts) = &parsed.commands[0].arguments[0].value else { panic!() };
    assert_eq!(texts[0].text, ".a\r\nb\r\n");
    let numbers = parse(b"x 1 2k 3M 4g;").unwrap();
    let values: Vec<_> = numbers.commands[0].arguments.iter().map(|a| a.value.clone()).collect();
    let expected = [1, 2 << 10, 3 << 20, 4 << 30].map(Value::Number);
    assert_eq!(values, expected);
    let quoted = parse(b"x \"a\\\"\\\\\\b\";").unwrap();
    let Value::Strings(texts) = &quoted.commands[0].arguments[0].value else { panic!() };
    assert_eq!(texts[0].text, "a\"\\b");
    for nul in ["x \"\0\";", "x \"\\\0\";", "x text:\n\0\n.\n;"] {
        assert!(fault(nul).contains("holds no NUL"), "{nul:?}");
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let deep = |levels: usize| format!("{}keep;{}", "if true {".repeat(levels), "}".repeat(levels));
    assert!(compile_text(deep(30).as_bytes()).is_ok());
    assert!(fault(&deep(40)).contains("levels of nesting"));
    let nots = format!("if {} true {{}}", "not ".repeat(100_000));
    assert!(fault(&nots).contains("levels of nesting"));
    assert!(fault(&"keep;".repeat(200_000)).contains("too many words"));
    let long = vec![b' '; 2_000_000];
    assert!(parse(&long).is_err());
}

fn name() -> impl Strategy<Value = String> {
    "[a-z_][a-z0-9_]{0,8}".prop_filter("text begins a string", |name| name != "text")
}

fn text() -> impl Strategy<Value = Text> {
    "[^\0]{0,20}".prop_map(|text| {
        // A line end in a script is CRLF whatever the file has.
        let text = text.replace("\r\n", "\n").replace('\r', "").replace('\n', "\r\n");
        Text { at: Position::default(), text }
    })
}

fn argument() -> impl Strategy<Value = Argument> {
    let value = prop_oneof![
        "[a-z_][a-z0-9]{0,8}".prop_map(Value::Tag),
        (0..u64::MAX / 2).prop_map(Value::Number),
        prop::collection::vec(text(), 0..4).prop_map(Value::Strings),
    ];
    value.prop_map(|value| Argument { at: Position::default(), value })
}

fn test() -> impl Strategy<Value = Test> {
    let leaf = (name(), prop::collection::vec(argument(), 0..3)).prop_map(|(name, arguments)| {
        Test { at: Position::default(), name, arguments, tests: Tests::None }
    });
    leaf.prop_recursive(3, 12, 3, |inner| {
        let tests = prop_oneof![
            inner.clone().prop_map(|test| Tests::One(Box::new(test))),
            prop::collection::vec(inner, 1..3).prop_map(Tests::List),
        ];
        (name(), prop::collection::vec(argument(), 0..3), tests).prop_map(
            |(name, arguments, tests)| Test { at: Position::default(), name, arguments, tests },
        )
    })
}

fn command() -> impl Strategy<Value = Command> {
    let tests = prop_oneof![
        Just(Tests::None),
        test().prop_map(|test| Tests::One(Box::new(test))),
        prop::collection::vec(test(), 1..3).prop_map(Tests::List),
    ];
    let leaf = (name(), prop::collection::vec(argument(), 0..4), tests).prop_map(
        |(name, arguments, tests)| Command {
            at: Position::default(),
            name,
            arguments,
            tests,
            block: None,
        },
    );
    leaf.prop_recursive(3, 16, 3, |inner| {
        (inner.clone(), prop::collection::vec(inner, 0..3))
            .prop_map(|(command, block)| Command { block: Some(block), ..command })
    })
}

/// The same tree with every place forgotten.
fn placeless(script: &Script) -> String {
    // Places differ between what was made and what was read; nothing else may.
    let shown = format!("{script:?}");
    let mut out = String::new();
    let mut rest = shown.as_str();
    while let Some((before, after)) = rest.split_once("at: Position {") {
        out.push_str(before);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    out + rest
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same(
        commands in prop::collection::vec(command(), 0..4),
    ) {
        let script = Script { commands };
        let printed = print(&script);
        let read = parse(printed.as_bytes()).map_err(|fault| {
            TestCaseError::fail(format!("{fault} in\n{printed}"))
        })?;
        prop_assert_eq!(placeless(&read), placeless(&script));
        prop_assert_eq!(print(&read), printed);
    }

    #[test]
    fn anything_parses_or_has_a_fault_with_a_place(
        script in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        if let Err(fault) = parse(&script) {
            prop_assert!(fault.at.line >= 1 && fault.at.column >= 1);
        }
    }

    #[test]
    fn near_scripts_do_no_harm(
        words in prop::collection::vec(prop::sample::select(vec![
            "if ", "not ", "anyof", "allof", "(", ")", "{", "}", ";", ",", "[", "]", "header",
            " :is ", ":index 1", "\"a\"", "true", "keep", "stop", "text:\n.\n", " ",
        ]), 0..30),
    ) {
        let script = words.concat();
        // The outcome does not matter: nothing panics, nothing takes long.
        drop(compile_text(script.as_bytes()));
    }
}
