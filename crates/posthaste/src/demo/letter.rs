//! The demo's letter: a few lines and the sound of a post horn, and whether what arrived is what
//! was sent. Called by the scenarios.

/// The attachment's name.
pub(super) const HORN: &str = "posthorn.wav";
/// Samples per second of the horn.
const RATE: u32 = 8_000;
/// Frequencies of its notes, Hz, and how many sixteenths of a second each sounds.
const NOTES: [(u32, u32); 5] = [(466, 2), (466, 1), (466, 1), (622, 2), (932, 4)];

/// The attachment: a WAV file (RIFF, PCM, 8 bit, mono) that any player plays.
pub(super) fn horn() -> Vec<u8> {
    let mut samples = Vec::new();
    for (frequency, sixteenths) in NOTES {
        let count = RATE * sixteenths / 16;
        for index in 0..count {
            // A square wave that fades: brass enough.
            let high = (index * frequency * 2 / RATE).is_multiple_of(2);
            let loud = 90 - 60 * index / count;
            let level = if high { 128 + loud } else { 128 - loud };
            samples.push(u8::try_from(level).unwrap_or(u8::MAX));
        }
    }
    let size = u32::try_from(samples.len()).unwrap_or(u32::MAX);
    let mut wav = Vec::with_capacity(samples.len() + 44);
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(size + 36).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt ");
    for field in [16u32, 0x0001_0001, RATE, RATE, 0x0008_0001] {
        wav.extend_from_slice(&field.to_le_bytes());
    }
    wav.extend_from_slice(b"data");
    wav.extend_from_slice(&size.to_le_bytes());
    wav.extend_from_slice(&samples);
    wav
}

/// What our agents may have put above a letter on its way.
const ADDED: [&str; 5] =
    ["return-path", "received", "delivered-to", "authentication-results", "dkim-signature"];

/// Whether a stored letter is the one that was sent, byte for byte, below nothing but the trace
/// fields of RFC 5321 §4.4.
pub(super) fn is_same(stored: &[u8], sent: &[u8]) -> bool {
    let Some(head) = stored.strip_suffix(sent) else { return false };
    let Ok(head) = std::str::from_utf8(head) else { return false };
    head.split_inclusive("\r\n").all(|line| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        line.starts_with([' ', '\t']) || ADDED.contains(&name.as_str())
    })
}

/// How many hosts the letter says it has passed.
pub(super) fn hops(stored: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(stored);
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    let unfolded = head.replace("\r\n\t", " ").replace("\r\n ", " ");
    let received = unfolded.lines().filter_map(|line| line.strip_prefix("Received: "));
    let by = received.filter_map(|line| line.split(" by ").nth(1)?.split_whitespace().next());
    let mut hops: Vec<String> = by.map(str::to_owned).collect();
    hops.reverse();
    hops
}
