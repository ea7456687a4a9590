//! Dialogues as text files; `dialogues/README.md` has the grammar. Only their form: who speaks
//! them, and to whom, is the caller's.

/// One step of a dialogue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// The client sends these bytes.
    Send(Vec<u8>),
    /// The server's next line matches.
    Expect(String),
    /// Some coming line matches.
    Await(String),
    /// The server closes.
    End,
    /// The client closes its side.
    Close,
}

/// A dialogue with its title.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dialogue {
    /// The first comment.
    pub title: String,
    /// Line of the file, and what happens there.
    pub steps: Vec<(usize, Step)>,
}

impl Dialogue {
    /// Reads a dialogue.
    ///
    /// # Errors
    /// The line and what is wrong with it.
    pub fn parse(text: &str) -> Result<Dialogue, String> {
        let mut dialogue = Dialogue { title: String::new(), steps: Vec::new() };
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            if let Some(comment) = line.strip_prefix('#') {
                if dialogue.title.is_empty() {
                    dialogue.title = comment.trim().to_owned();
                }
                continue;
            }
            if line.trim().is_empty() {
                continue;
            }
            dialogue.steps.push((number, step(line).map_err(|why| format!("{number}: {why}"))?));
        }
        Ok(dialogue)
    }
}

fn step(line: &str) -> Result<Step, String> {
    let argument = || line.get(3..).unwrap_or_default();
    match line.get(..2).unwrap_or(line) {
        "C:" => Ok(Step::Send(format!("{}\r\n", argument()).into_bytes())),
        "C~" => unescape(argument()).map(Step::Send),
        "S:" => Ok(Step::Expect(argument().to_owned())),
        "S?" => Ok(Step::Await(argument().to_owned())),
        _ if line == "END" => Ok(Step::End),
        _ if line == "CLOSE" => Ok(Step::Close),
        _ => Err(format!("neither C:, C~, S:, S?, END, CLOSE nor #: {line}")),
    }
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        match chars.next() {
            Some('r') => out.push(b'\r'),
            Some('n') => out.push(b'\n'),
            Some('t') => out.push(b'\t'),
            Some('0') => out.push(0),
            Some('\\') => out.push(b'\\'),
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                let byte = u8::from_str_radix(&digits, 16);
                out.push(byte.map_err(|_| format!("\\x{digits} is no byte"))?);
            }
            other => return Err(format!("unknown escape {other:?}")),
        }
    }
    Ok(out)
}

/// Whether a line matches a pattern in which `*` stands for any run of characters.
pub fn matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let text =
            "# Title, RFC 5321 §4\n\nC: EHLO x\nC~ a\\r\\n\\x00\nS: 250-*\nS? 250 *\nCLOSE\nEND\n";
        let dialogue = Dialogue::parse(text).unwrap();
        assert_eq!(dialogue.title, "Title, RFC 5321 §4");
        let steps: Vec<Step> = dialogue.steps.into_iter().map(|(_, step)| step).collect();
        let wanted = [
            Step::Send(b"EHLO x\r\n".to_vec()),
            Step::Send(b"a\r\n\0".to_vec()),
            Step::Expect("250-*".into()),
            Step::Await("250 *".into()),
            Step::Close,
            Step::End,
        ];
        assert_eq!(steps, wanted);
        assert_eq!(Dialogue::parse("X: y").unwrap_err().split(':').next(), Some("1"));
    }

    #[test]
    fn stars_stand_for_anything() {
        assert!(matches("250 *ok*", "250 2.0.0 ok"));
        assert!(matches("250", "250"));
        assert!(matches("*", ""));
        assert!(!matches("250 *x", "250 y"));
        assert!(!matches("250", "250 "));
        assert!(!matches("a*b*c", "acb"));
    }
}
