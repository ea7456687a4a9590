//! Makes foreign text safe for a terminal. Letters, server replies, file names and folder names can
//! hold escape sequences that set titles, move the cursor over what was said before, or, on some
//! terminals, type commands. Everything that is not plain text becomes visible or goes.

/// Text for one line: line ends and tabs become spaces too.
pub fn line(text: &str) -> String {
    text.chars()
        .filter_map(|c| if matches!(c, '\t' | '\n' | '\r') { Some(' ') } else { plain(c) })
        .collect()
}

/// Text of several lines: LF and tabs stay, CRLF becomes LF.
pub fn text(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .filter_map(|c| if matches!(c, '\t' | '\n') { Some(c) } else { plain(c) })
        .collect()
}

/// The character, a mark for one that commands, or nothing for one that misleads.
fn plain(c: char) -> Option<char> {
    match c {
        // C0, DEL and C1: escape sequences begin with ESC or, in eight bits, with U+009B.
        c if c.is_control() => Some('\u{fffd}'),
        // Overrides of direction make `exe.txt` of `txt.exe`; marks for single words are harmless
        // and needed.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => None,
        // Invisible, and used to hide text from people or filters. The joiners stay: scripts and
        // emoji need them.
        '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{00ad}' | '\u{034f}' | '\u{180e}' => None,
        // Tags and other unassigned commands of plane 14; the variation selectors there stay out
        // as well: no text needs them on a terminal.
        '\u{e0000}'..='\u{e0fff}' => None,
        // Line and paragraph separators end lines in some programs.
        '\u{2028}' | '\u{2029}' => Some(' '),
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_commands_the_terminal() {
        assert_eq!(line("a\x1b]0;title\x07b"), "a\u{fffd}]0;title\u{fffd}b");
        assert_eq!(line("\u{9b}31mred"), "\u{fffd}31mred");
        assert_eq!(line("one\r\ntwo\tthree"), "one  two three");
        assert_eq!(text("one\r\ntwo\rthree\n\tfour"), "one\ntwo\u{fffd}three\n\tfour");
        assert_eq!(line("invoice\u{202e}fdp.exe"), "invoicefdp.exe");
        assert_eq!(line("zero\u{200b}width"), "zerowidth");
        assert_eq!(line("Grüße 日本 👩\u{200d}👩 שלום"), "Grüße 日本 👩\u{200d}👩 שלום");
    }

    proptest! {
        #[test]
        fn no_control_comes_through(any in "\\PC*|[\\x00-\\u{9f}]*") {
            prop_assert!(!line(&any).chars().any(char::is_control));
            prop_assert!(!text(&any).chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
        }
    }
}
