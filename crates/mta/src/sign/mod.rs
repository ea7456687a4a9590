//! DKIM signing (RFC 6376, RFC 8301, RFC 8463) of what is submitted or generated here. The keys of
//! a domain lie in `DATA/keys/dkim/DOMAIN/`; [`selectors`] says which of them sign, [`Signer`]
//! holds them in memory, `rotate` begins to use new ones once DNS shows them.
//!
//! It verifies nothing, and signs nothing that came from outside. Called by `receive` at the end of
//! the data, by `relay` and `receive::notice` for letters of our own, and by `posthaste dkim`.

mod hash;
mod key;
mod rotate;
pub mod selectors;
mod signer;

pub(crate) use hash::LetterHash;
pub use key::{Algorithm, Key, KeyError};
pub(crate) use rotate::tend;
pub(crate) use signer::{Signer, is_born_here};

use protocol::ipc::Method;
use serde::{Deserialize, Serialize};

/// `dkim.renew`: reads the keys again, and looks at once whether new ones may be used.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AskRenew {}

/// The answer to [`AskRenew`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// Domains that have a key that signs.
    pub domains: usize,
    /// Files that cannot be used, and why.
    #[serde(default)]
    pub complaints: Vec<String>,
}

impl Method for AskRenew {
    const NAME: &'static str = "dkim.renew";
    type Answer = Renewed;
}
