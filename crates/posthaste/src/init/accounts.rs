//! The first accounts of a domain. Later ones are `posthaste account add`'s. Called by `init`.

use std::sync::Arc;

use directory::{Account, ChangeError, Draft, PasswordVerifier, Quota, Store};
use disk::RealDisk;
use protocol::address::{Address, LocalPart};
use protocol::secret::Secret;
use service::Fatal;

use super::layout::Plan;
use crate::exit;

/// RFC 5321 §4.5.1 and RFC 2142 §4: names that somebody must read.
const ROLES: [&str; 2] = ["postmaster", "abuse"];
/// Without i, l, o and u: what people read to each other on the telephone.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Groups of four letters, five bits each: 100 bits.
const GROUPS: usize = 5;

/// An account with its password.
type Made = (String, Secret<String>);

/// Makes the accounts that are missing; gives those whose passwords were made up.
pub(super) fn ensure(
    plan: &Plan,
    passwords: Vec<Secret<String>>,
    made: &mut Vec<String>,
) -> Result<Vec<Made>, Fatal> {
    let store = Store::new(Arc::new(RealDisk), plan.data().join("directory"));
    store.create().map_err(unchanged)?;
    let before = store.snapshot().map_err(|error| Fatal::new(exit::NO, error.to_string()))?;
    let mut given = passwords.into_iter();
    let mut new = Vec::new();
    let mut shown = Vec::new();
    for address in &plan.accounts {
        let password = given.next();
        if before.account(address).is_some() {
            continue;
        }
        let password = match password {
            Some(password) => password,
            None => {
                let password = invent()?;
                shown.push((address.to_string(), password.clone()));
                password
            }
        };
        let verifier = PasswordVerifier::new(password.reveal())
            .map_err(|error| Fatal::new(exit::USAGE, format!("password of {address}: {error}")))?;
        made.push(format!("account {address}"));
        new.push((address.clone(), verifier));
    }
    let changed = store.change(|draft| fill(plan, draft, new, made));
    changed.map_err(unchanged)?;
    Ok(shown)
}

/// The domain, the accounts, the roles.
fn fill(
    plan: &Plan,
    draft: &mut Draft,
    new: Vec<(Address, PasswordVerifier)>,
    made: &mut Vec<String>,
) -> Result<(), ChangeError> {
    if draft.snapshot().domain(&plan.domain).is_none() {
        draft.add_domain(plan.domain.clone())?;
        made.push(format!("domain {}", plan.domain));
    }
    for (address, verifier) in new {
        let account = Account {
            address,
            quota: Quota::default(),
            subaddressing: true,
            gateway_for: Vec::new(),
        };
        draft.add_account(account, verifier)?;
    }
    let Some(first) = plan.accounts.first() else { return Ok(()) };
    for role in ROLES {
        let Ok(local) = LocalPart::from_meaning(role) else { continue };
        let name = Address::new(local, plan.domain.clone());
        let snapshot = draft.snapshot();
        let taken = snapshot.account(&name).is_some()
            || snapshot.aliases().any(|alias| alias.address == name);
        if !taken {
            draft.add_alias(&name, std::slice::from_ref(first))?;
            made.push(format!("alias {name} for {first}"));
        }
    }
    Ok(())
}

/// A password that nobody else has: 100 random bits in groups of four.
fn invent() -> Result<Secret<String>, Fatal> {
    let mut random = [0; GROUPS * 4];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| Fatal::new(exit::TRY_AGAIN, "the system gives no random numbers"))?;
    let letters = random.map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
    Ok(Secret::new(groups.join("-")))
}

fn unchanged(error: ChangeError) -> Fatal {
    Fatal::new(exit::NO, error.to_string())
}
