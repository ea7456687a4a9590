//! The base subject (RFC 5256 §2.1): what is left of a subject without `Re:`, `Fwd:`, `[list]` and
//! their like. Called by SORT and THREAD.

/// A subject without what answering and forwarding put around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseSubject {
    /// What is left; may be empty. White space is single spaces.
    pub text: String,
    /// Something was taken off that says it is an answer or was forwarded.
    pub is_reply: bool,
}

/// The base subject of a decoded subject.
pub fn base_subject(subject: &str) -> BaseSubject {
    let folded = subject.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut text = folded.as_str();
    let mut is_reply = false;
    loop {
        // Step 2: "(fwd)" at the end.
        while let Some(rest) = strip_suffix(text, "(fwd)") {
            text = rest.trim_end();
            is_reply = true;
        }
        // Steps 3 to 5: "Re:", "[blob]" and both at the beginning.
        loop {
            if let Some(rest) = without_leader(text) {
                text = rest.trim_start();
                is_reply = true;
            } else if let Some(rest) = without_blob(text).filter(|rest| !rest.is_empty()) {
                text = rest;
            } else {
                break;
            }
        }
        // Step 6: "[Fwd: ...]" around it all.
        let inside = strip_prefix(text, "[fwd:").and_then(|rest| rest.strip_suffix(']'));
        let Some(inside) = inside else { break };
        text = inside.trim();
        is_reply = true;
    }
    BaseSubject { text: text.to_owned(), is_reply }
}

/// `*subj-blob subj-refwd`
fn without_leader(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(after) = without_blob(rest) {
        rest = after;
    }
    let rest = ["re", "fwd", "fw"].iter().find_map(|word| {
        let rest = strip_prefix(rest, word)?.trim_start();
        without_blob(rest).unwrap_or(rest).strip_prefix(':')
    })?;
    Some(rest)
}

/// `"[" *BLOBCHAR "]" *WSP`
fn without_blob(text: &str) -> Option<&str> {
    let (inside, rest) = text.strip_prefix('[')?.split_once(']')?;
    (!inside.contains('[')).then(|| rest.trim_start())
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| text.get(prefix.len()..)).flatten()
}

fn strip_suffix<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len())?;
    let tail = text.get(at..)?;
    tail.eq_ignore_ascii_case(suffix).then(|| text.get(..at)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_subjects() {
        for (subject, base, is_reply) in [
            ("Hello", "Hello", false),
            ("Re: Hello", "Hello", true),
            ("re : Hello", "Hello", true),
            ("RE[2]: Fw: FWD:  Hello   there (fwd) (FWD)", "Hello there", true),
            ("[list] Hello", "Hello", false),
            ("[list] [other] Re: Hello", "Hello", true),
            ("[list]", "[list]", false),
            ("Re: [list]", "[list]", true),
            ("[Fwd: Re: Hello]", "Hello", true),
            ("[fwd: [list] Hello (fwd)]", "Hello", true),
            ("[a [b] Hello", "[a [b] Hello", false),
            ("Reply", "Reply", false),
            ("Re:", "", true),
            ("(fwd)", "", true),
            ("", "", false),
            ("\u{1f600}: x", "\u{1f600}: x", false),
        ] {
            let wanted = BaseSubject { text: base.to_owned(), is_reply };
            assert_eq!(base_subject(subject), wanted, "{subject}");
        }
    }
}
