//! One walk through a letter's body for all signatures: each wants a form and perhaps a length.

use aws_lc_rs::digest::{Context, SHA256};
use disk::Body;
use message::dkim::{BodyForm, Canonicalization};

use crate::limits;

/// What a signature covers of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) form: Canonicalization,
    /// `l=`: octets of the canonical form.
    pub(super) length: Option<u64>,
}

/// The hash of a body.
#[derive(Debug, Clone)]
pub(super) struct BodyHash {
    /// SHA-256 of what is covered.
    pub(super) digest: Vec<u8>,
    /// Octets of the whole canonical form.
    pub(super) octets: u64,
}

/// A hash on its way.
struct Running {
    wanted: Wanted,
    form: BodyForm,
    tally: Tally,
}

struct Tally {
    context: Context,
    /// Octets that are still covered.
    left: u64,
    octets: u64,
}

/// Hashes the body, which begins `skip` octets into the letter; one hash for each of `wanted`.
pub(super) async fn bodies(
    whole: &Body,
    skip: usize,
    wanted: &[Wanted],
) -> Result<Vec<BodyHash>, disk::Error> {
    let mut running: Vec<Running> = Vec::new();
    for one in wanted {
        if !running.iter().any(|known| known.wanted == *one) {
            running.push(Running::new(*one));
        }
    }
    let mut skip = skip;
    let mut since_yield = 0;
    for chunk in whole.chunks() {
        let chunk = chunk?;
        let body = chunk.get(skip.min(chunk.len())..).unwrap_or_default();
        skip = skip.saturating_sub(chunk.len());
        for piece in body.chunks(limits::HASHED_AT_ONCE) {
            running.iter_mut().for_each(|one| one.feed(piece));
            since_yield += piece.len();
            if since_yield >= limits::HASHED_AT_ONCE {
                since_yield = 0;
                tokio::task::yield_now().await;
            }
        }
    }
    let done: Vec<(Wanted, BodyHash)> = running.into_iter().map(Running::finish).collect();
    let of = |wanted: &Wanted| done.iter().find(|(known, _)| known == wanted);
    Ok(wanted.iter().filter_map(|one| of(one).map(|(_, hash)| hash.clone())).collect())
}

impl Running {
    fn new(wanted: Wanted) -> Self {
        let left = wanted.length.unwrap_or(u64::MAX);
        let tally = Tally { context: Context::new(&SHA256), left, octets: 0 };
        Running { wanted, form: BodyForm::new(wanted.form), tally }
    }

    fn feed(&mut self, piece: &[u8]) {
        let tally = &mut self.tally;
        self.form.feed(piece, &mut |octets| tally.take(octets));
    }

    fn finish(self) -> (Wanted, BodyHash) {
        let mut tally = self.tally;
        self.form.finish(&mut |octets| tally.take(octets));
        let digest = tally.context.finish().as_ref().to_vec();
        (self.wanted, BodyHash { digest, octets: tally.octets })
    }
}

impl Tally {
    fn take(&mut self, octets: &[u8]) {
        self.octets += octets.len() as u64;
        let covered = usize::try_from(self.left).unwrap_or(usize::MAX).min(octets.len());
        self.context.update(octets.get(..covered).unwrap_or_default());
        self.left -= covered as u64;
    }
}
