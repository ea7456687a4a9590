//! How an input is changed: octets, words of the language, numbers, lines and pieces of other
//! inputs. Knows nothing of what the input means, except that much of it is text in lines.

/// xorshift64*: reproducible and quick, not for secrets.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `end`; 0 when there is nothing to choose from.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % end.max(1)
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Makes inputs.
pub(crate) struct Mutator {
    pub(crate) random: Random,
    pub(crate) words: &'static [&'static [u8]],
}

/// Longest input; repeated pieces may reach it, and most stay far below.
const LONGEST: usize = 64 * 1024;
/// Numbers at the edges of types and limits.
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "9",
    "10",
    "60",
    "255",
    "256",
    "998",
    "1000",
    "4095",
    "4096",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999",
    "-1",
    "007",
];
/// Octets that mean something somewhere.
const OCTETS: &[u8] = b"\0\t\n\r \"#%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~\x7f\x80\xbf\xc0\xe2\xff";

impl Mutator {
    /// One of the inputs, changed a few times.
    pub(crate) fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = corpus[self.random.below(corpus.len())].clone();
        for _ in 0..=self.random.below(5) {
            self.change(&mut input, corpus);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.random.below(input.len() + 1);
        match self.random.below(13) {
            0 => self.octet(input, at),
            1 => input.insert(at, OCTETS[self.random.below(OCTETS.len())]),
            2 => drop(input.drain(self.range(input.len()))),
            3 => {
                let piece = input[self.range(input.len())].to_vec();
                insert(input, at, &piece);
            }
            4 | 5 => {
                let word =
                    if self.words.is_empty() { &b" "[..] } else { self.random.pick(self.words) };
                insert(input, at, word);
            }
            6 => {
                let word = self.random.pick(self.words).to_vec();
                let range = self.range(input.len());
                input.splice(range, word);
            }
            7 => self.number(input),
            8 => self.lines(input),
            9 => {
                let other = &corpus[self.random.below(corpus.len())];
                let piece = other[self.range(other.len())].to_vec();
                let range = self.range(input.len());
                input.splice(range, piece);
            }
            10 => {
                let other = &corpus[self.random.below(corpus.len())];
                let from = self.random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            11 => input.truncate(at),
            _ => self.repeat(input, at),
        }
    }

    fn octet(&mut self, input: &mut [u8], at: usize) {
        let bit = 1 << self.random.below(8);
        if let Some(octet) = input.get_mut(at) {
            *octet = if self.random.below(2) == 0 {
                *octet ^ bit
            } else {
                OCTETS[self.random.below(OCTETS.len())]
            };
        }
    }

    /// A run of digits becomes a number at some edge, or one more or less.
    fn number(&mut self, input: &mut Vec<u8>) {
        let from = self.random.below(input.len());
        let digit = |at: &usize| input.get(*at).is_some_and(u8::is_ascii_digit);
        let Some(start) = (from..input.len()).find(digit) else { return };
        let end = (start..input.len()).find(|at| !digit(at)).unwrap_or(input.len());
        let text = String::from_utf8_lossy(&input[start..end]).into_owned();
        let new = match (self.random.below(4), text.parse::<u64>()) {
            (0, Ok(value)) => value.wrapping_add(1).to_string(),
            (1, Ok(value)) => value.wrapping_sub(1).to_string(),
            _ => self.random.pick(NUMBERS).to_owned(),
        };
        input.splice(start..end, new.into_bytes());
    }

    /// Lines trade places, or one comes twice.
    fn lines(&mut self, input: &mut Vec<u8>) {
        let mut lines: Vec<Vec<u8>> =
            input.split_inclusive(|&octet| octet == b'\n').map(<[u8]>::to_vec).collect();
        if lines.is_empty() {
            return;
        }
        let (a, b) = (self.random.below(lines.len()), self.random.below(lines.len()));
        match self.random.below(3) {
            0 => lines.swap(a, b),
            1 => lines.insert(b, lines[a].clone()),
            _ => drop(lines.remove(a)),
        }
        *input = lines.concat();
    }

    /// A piece again and again: depth, and long runs of one thing.
    fn repeat(&mut self, input: &mut Vec<u8>, at: usize) {
        let piece = if self.random.below(2) == 0 {
            self.random.pick(self.words).to_vec()
        } else {
            input[self.range(input.len())].to_vec()
        };
        let most = [8, 40, 300, 3_000][self.random.below(4)];
        let times = self.random.below(most).min(LONGEST / piece.len().max(1) / 2);
        insert(input, at, &piece.repeat(times));
    }

    /// A range that is mostly short.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.random.below(length + 1);
        let most = [4, 16, 64, 1_000][self.random.below(4)];
        start..(start + self.random.below(most)).min(length)
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}
