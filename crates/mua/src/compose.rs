//! Letters that are written: new ones, replies, forwards; attachments, the editor, and sending with
//! a copy in Sent. Building the octets is `message::compose`; handing them in is
//! [`crate::session::submission`].

pub mod answer;
pub mod attach;
pub mod editor;
pub mod form;
pub mod media_type;
pub mod send;

use message::compose::Correspondent;
use message::values;

use crate::account::Account;
use crate::failure::Failure;

/// People as they are typed: `bob@blue.test`, `Bob <bob@blue.test>`, several between commas.
///
/// # Errors
/// One of them is no address we can send to: which, and why.
pub fn people(typed: &str) -> Result<Vec<Correspondent>, Failure> {
    let mut found = Vec::new();
    for one in values::addresses(typed.as_bytes()) {
        let address = one.address.parse().map_err(|error| {
            Failure::usage(format!(
                "{:?} holds no address that can be sent to: {error}",
                typed.trim()
            ))
        })?;
        found.push(Correspondent { name: one.name, address });
    }
    if found.is_empty() && !typed.trim().is_empty() {
        return Err(Failure::usage(format!("{typed:?} names no address")));
    }
    Ok(found)
}

/// Who writes: the account's own address, or the one asked for.
///
/// # Errors
/// What was asked for is no address. Whether it may be used is the server's to say.
pub fn author(account: &Account, wanted: Option<&str>) -> Result<Correspondent, Failure> {
    let Some(wanted) = wanted else {
        return Ok(Correspondent {
            name: account.person.clone(),
            address: account.address.clone(),
        });
    };
    let mut found = people(wanted)?;
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => {
            let name = one.name.or_else(|| account.person.clone());
            Ok(Correspondent { name, address: one.address })
        }
        _ => Err(Failure::usage("--from wants one address")),
    }
}
