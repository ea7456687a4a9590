//! Who exists: domains, accounts, aliases and quotas; and, apart from them, how they prove it.
//!
//! Two files in `DATA/directory/` are the truth:
//!
//! - `directory.toml` holds no secret. Agents read it into a [`Snapshot`], which they keep in their
//!   own memory and renew when it changes ([`Renewing`]). No question crosses a process.
//! - `verifiers.toml` (0600) holds what checks passwords ([`Verifiers`]). Only `auth` opens it, and
//!   the admin's verbs that change it.
//!
//! Both are replaced whole through a [`Store`], under a lock. Nothing outside this crate knows that
//! they are files: the interface speaks of accounts and changes, so that they can move to a
//! database.
//!
//! What it is not: it keeps no letters and no folders (the MDA makes those), hears no passwords
//! over a network and counts no attempts (that is `auth`).

mod app_use;
mod error;
mod file;
pub mod limits;
mod password;
mod renewing;
mod snapshot;
mod store;
#[cfg(test)]
mod tests;
mod verifiers;
mod way;

pub use app_use::{APP_USE_FILE, AppUses};
pub use error::{ChangeError, LoadError};
pub use password::{PasswordVerifier, Unhashable};
pub use renewing::{Renewing, RenewingVerifiers};
pub use snapshot::{
    Account, Alias, Expansion, Found, HostedDomain, Include, Nowhere, Quota, Recipient, Snapshot,
};
pub use store::{Changed, Draft, Store};
pub use verifiers::{AppPassword, Verifier, Verifiers};
pub use way::{Step, Stop};
