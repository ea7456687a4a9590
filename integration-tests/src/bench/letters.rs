//! Letters for a load: each is made from its number alone, so that two servers get the same ones
//! and a search has the same hits in both. Sent by `load`, filed by `fill`.

/// In every hundredth subject.
pub const SUBJECT_MARK: &str = "needle7f3";
/// In every 250th body.
pub const BODY_MARK: &str = "haystackpin";
/// The longest line of a body, without its CRLF.
const LINE: usize = 76;

/// The number of letters of `1..=count` that hold the mark of a subject, of a body.
pub fn marked(count: usize) -> (usize, usize) {
    (count / 100, count / 250)
}

/// Letter `number`, of about `size` octets: a header as letters of the Internet have, and a body
/// of words; every tenth is multipart/alternative.
pub fn letter(number: usize, size: usize) -> Vec<u8> {
    let mut words = Words(number as u64 + 1);
    let mut subject: Vec<&str> = (0..5).map(|_| words.next()).collect();
    if number.is_multiple_of(100) {
        subject.push(SUBJECT_MARK);
    }
    let (domain, person) = (number % 53, number % 977);
    let (day, minute, second) = (1 + number % 28, number / 60 % 60, number % 60);
    let date = format!("{day} Jan 2026 10:{minute:02}:{second:02} +0000");
    let mut text = String::with_capacity(size + 128);
    text.push_str(&format!(
        "From: Sender Number {number} <s{person}@sender{domain}.test>\r\n\
         To: Box <box@bench.test>\r\nSubject: {}\r\nDate: {date}\r\n\
         Message-ID: <{number}.{size}@sender{domain}.test>\r\nMIME-Version: 1.0\r\n",
        subject.join(" ")
    ));
    if number > 5 {
        let parent = number - number % 5;
        text.push_str(&format!("In-Reply-To: <{parent}.{size}@sender{domain}.test>\r\n"));
    }
    let mark = number.is_multiple_of(250).then_some(BODY_MARK);
    if number % 10 == 3 {
        text.push_str("Content-Type: multipart/alternative; boundary=\"=_part\"\r\n\r\n");
        let rest = size.saturating_sub(text.len() + 200);
        text.push_str("--=_part\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
        words.fill(&mut text, rest / 2, mark);
        text.push_str("--=_part\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>\r\n");
        words.fill(&mut text, rest / 2, None);
        text.push_str("</body></html>\r\n--=_part--\r\n");
    } else {
        text.push_str("Content-Type: text/plain; charset=utf-8\r\n\r\n");
        let rest = size.saturating_sub(text.len());
        words.fill(&mut text, rest, mark);
    }
    text.into_bytes()
}

/// Words in an order that follows from a number (xorshift).
struct Words(u64);

impl Words {
    fn next(&mut self) -> &'static str {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        WORDS[(self.0 >> 32) as usize % WORDS.len()]
    }

    /// Lines of words, `size` octets together, `mark` in the middle.
    fn fill(&mut self, text: &mut String, size: usize, mut mark: Option<&str>) {
        let (begin, mut line) = (text.len(), 0);
        while text.len() - begin < size {
            let word = match mark.take_if(|_| text.len() - begin >= size / 2) {
                Some(mark) => mark,
                None => self.next(),
            };
            if line + word.len() > LINE {
                text.push_str("\r\n");
                line = 0;
            }
            text.push_str(word);
            text.push(' ');
            line += word.len() + 1;
        }
        if let Some(mark) = mark {
            text.push_str(mark);
        }
        text.push_str("\r\n");
    }
}

const WORDS: [&str; 64] = [
    "about", "anchor", "answer", "autumn", "barrel", "beside", "bridge", "butter", "candle",
    "carpet", "castle", "circle", "copper", "corner", "cotton", "danger", "dinner", "doctor",
    "dragon", "eleven", "engine", "evening", "father", "finger", "flower", "forest", "friend",
    "garden", "golden", "hammer", "harbour", "honest", "island", "jacket", "journey", "kettle",
    "kitchen", "ladder", "lantern", "letter", "market", "meadow", "mirror", "morning", "mother",
    "needle", "number", "orange", "painter", "pepper", "pocket", "potato", "quarter", "ribbon",
    "river", "saddle", "school", "silver", "summer", "temple", "ticket", "valley", "window",
    "yellow",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_has_its_size_its_marks_and_no_line_of_a_lone_dot() {
        for number in [1, 3, 100, 250, 1500] {
            for size in [512, 4096, 65_536] {
                let text = String::from_utf8(letter(number, size)).unwrap();
                assert!(
                    (size.min(400)..size + 320).contains(&text.len()),
                    "{number}: {}",
                    text.len()
                );
                assert!(text.ends_with("\r\n") && !text.contains("\r\n."));
                assert!(text.split("\r\n").all(|line| line.len() <= 100));
                assert_eq!(text.contains(SUBJECT_MARK), number % 100 == 0);
                assert_eq!(text.contains(BODY_MARK), number % 250 == 0);
            }
        }
        assert_eq!(letter(7, 4096), letter(7, 4096));
        assert_eq!(marked(1000), (10, 4));
    }
}
