//! The verbs `sieve.*` of the control socket, which `posthaste sieve` asks: list, show, put,
//! activate, remove. People use ManageSieve for the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use mailbox::AccountId;
use protocol::ipc::{Fault, FaultKind, Method};
use serde::{Deserialize, Serialize};
use service::Context;

use super::limits::{COMING, SCRIPT_BYTES};
use super::{Rules, ShelfError};

/// `sieve.list`: an account's scripts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListScripts {
    /// The account's address.
    pub account: String,
}

/// The answer to [`ListScripts`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scripts {
    /// By name.
    pub scripts: Vec<ScriptListed>,
}

/// A script in a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScriptListed {
    /// Its name.
    pub name: String,
    /// Octets.
    pub size: u64,
    /// Letters go through this one.
    pub active: bool,
}

/// `sieve.show`: a script's text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShowScript {
    /// The account's address.
    pub account: String,
    /// The script; none: the active one.
    pub name: Option<String>,
}

/// A part of the answer to [`ShowScript`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScriptText {
    /// The next characters of the script.
    pub text: String,
}

/// `sieve.put`: stores a script, or takes the next part of one that no frame can hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PutScript {
    /// The account's address.
    pub account: String,
    /// The script's name.
    pub name: String,
    /// The script, or at most [`PUT_MOST`] octets of it.
    pub text: String,
    /// Octets of it that were brought before.
    #[serde(default, skip_serializing_if = "is_none")]
    pub before: u64,
    /// Octets of it that are still to come; with none, it is stored.
    #[serde(default, skip_serializing_if = "is_none")]
    pub after: u64,
}

/// Zero goes without saying.
fn is_none(octets: &u64) -> bool {
    *octets == 0
}

/// `sieve.activate`: which script letters go through.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ActivateScript {
    /// The account's address.
    pub account: String,
    /// The script; none: no script.
    pub name: Option<String>,
}

/// `sieve.remove`: deletes a script that is not active.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveScript {
    /// The account's address.
    pub account: String,
    /// The script.
    pub name: String,
}

/// It is done, and on disk.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ScriptsChanged {}

/// Octets of a script that fit a frame however they are written. Longer ones come in parts.
pub const PUT_MOST: usize = 20 * 1024;

/// Octets of one part of a script that is shown.
const PART: usize = 8 * 1024;

macro_rules! methods {
    ($($ask:ty, $name:literal, $answer:ty;)+) => {$(
        impl Method for $ask {
            const NAME: &'static str = $name;
            type Answer = $answer;
        }
    )+};
}

methods! {
    ListScripts, "sieve.list", Scripts;
    ShowScript, "sieve.show", ScriptText;
    PutScript, "sieve.put", ScriptsChanged;
    ActivateScript, "sieve.activate", ScriptsChanged;
    RemoveScript, "sieve.remove", ScriptsChanged;
}

/// Scripts of which parts have come, by account and name.
#[derive(Debug, Default)]
struct Coming {
    parts: HashMap<(String, String), String>,
}

impl Coming {
    /// The whole script, when this was its last part.
    fn take(&mut self, mut part: PutScript) -> Result<Option<PutScript>, Fault> {
        let key = (part.account.clone(), part.name.clone());
        let mut text = match part.before {
            0 => String::new(),
            _ => self.parts.remove(&key).unwrap_or_default(),
        };
        if text.len() as u64 != part.before {
            let said = "a part of the script is missing; store it again from its beginning";
            return Err(Fault::new(FaultKind::Parameters, said));
        }
        text.push_str(&part.text);
        if (text.len() as u64).saturating_add(part.after) > SCRIPT_BYTES {
            return Err(failed(ShelfError::TooLarge));
        }
        if part.after == 0 {
            part.text = text;
            return Ok(Some(part));
        }
        if self.parts.len() >= COMING {
            // Somebody began and never ended.
            self.parts.clear();
        }
        self.parts.insert(key, text);
        Ok(None)
    }
}

/// Answers the verbs.
pub(crate) fn register(context: &Context, rules: &Rules) {
    let shelf = rules.shelf.clone();
    context.control.on::<ListScripts, _, _>(move |ask| {
        let shelf = shelf.clone();
        async move {
            let account = account(&ask.account)?;
            let active = shelf.active_name(&account).map_err(failed)?;
            let scripts = shelf.list(&account).map_err(failed)?.into_iter();
            let scripts = scripts.map(|(name, size)| {
                let active = active.as_ref() == Some(&name);
                ScriptListed { name, size, active }
            });
            Ok(Scripts { scripts: scripts.collect() })
        }
    });
    let shelf = rules.shelf.clone();
    context.control.on_stream::<ShowScript, _, _>(move |ask, mut respond| {
        let shelf = shelf.clone();
        async move {
            let read = || {
                let account = account(&ask.account)?;
                let name = match ask.name {
                    Some(name) => Some(name),
                    None => shelf.active_name(&account).map_err(failed)?,
                };
                let name = name.ok_or_else(|| failed(ShelfError::Missing))?;
                shelf.get(&account, &name).map_err(failed)
            };
            let text = match read() {
                Ok(text) => String::from_utf8_lossy(&text).into_owned(),
                Err(fault) => return respond.refuse(fault).await,
            };
            let mut rest = text.as_str();
            while rest.len() > PART {
                let (part, after) = rest.split_at(rest.floor_char_boundary(PART));
                if !respond.part(&ScriptText { text: part.to_owned() }).await {
                    return;
                }
                rest = after;
            }
            respond.answer(&ScriptText { text: rest.to_owned() }).await;
        }
    });
    register_put(context, rules);
    let shelf = rules.shelf.clone();
    context.control.on::<ActivateScript, _, _>(move |ask| {
        let shelf = shelf.clone();
        async move {
            let account = account(&ask.account)?;
            aside(move || shelf.activate(&account, ask.name.as_deref())).await
        }
    });
    let shelf = rules.shelf.clone();
    context.control.on::<RemoveScript, _, _>(move |ask| {
        let shelf = shelf.clone();
        async move {
            let account = account(&ask.account)?;
            aside(move || shelf.delete(&account, &ask.name)).await
        }
    });
}

/// Answers `sieve.put`.
fn register_put(context: &Context, rules: &Rules) {
    let shelf = rules.shelf.clone();
    let coming = Arc::<Mutex<Coming>>::default();
    context.control.on::<PutScript, _, _>(move |ask| {
        let (shelf, coming) = (shelf.clone(), coming.clone());
        async move {
            let account = account(&ask.account)?;
            // A panic while it was held left at worst a script to be brought again.
            let whole = coming.lock().unwrap_or_else(PoisonError::into_inner).take(ask)?;
            let Some(ask) = whole else { return Ok(ScriptsChanged {}) };
            aside(move || shelf.put(&account, &ask.name, ask.text.as_bytes())).await
        }
    });
}

/// Writes to the disk where nobody waits for it but who asked.
async fn aside(
    work: impl FnOnce() -> Result<(), ShelfError> + Send + 'static,
) -> Result<ScriptsChanged, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map(|()| ScriptsChanged {}).map_err(failed),
        Err(error) => Err(Fault::new(FaultKind::Internal, error.to_string())),
    }
}

fn account(address: &str) -> Result<AccountId, Fault> {
    let wrong = || Fault::new(FaultKind::Parameters, format!("{address} is not an account"));
    let (name, domain) = address.rsplit_once('@').ok_or_else(wrong)?;
    AccountId::new(domain, name).map_err(|_| wrong())
}

fn failed(error: ShelfError) -> Fault {
    let kind = match error {
        ShelfError::Disk(_) => FaultKind::Internal,
        _ => FaultKind::Parameters,
    };
    let text = match &error {
        ShelfError::Disk(error) => error.to_string(),
        other => other.to_string().replace("\r\n", "\n"),
    };
    Fault::new(kind, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str, before: u64, after: u64) -> PutScript {
        let (account, name) = ("bob@red.test".to_owned(), "main".to_owned());
        PutScript { account, name, text: text.to_owned(), before, after }
    }

    #[test]
    fn a_script_comes_in_parts_or_not_at_all() {
        let mut coming = Coming::default();
        let whole = coming.take(part("keep;", 0, 0)).expect("good").expect("whole");
        assert_eq!(whole.text, "keep;");
        assert!(coming.take(part("ke", 0, 3)).expect("good").is_none());
        assert!(coming.take(part("e", 2, 2)).expect("good").is_none());
        let whole = coming.take(part("p;", 3, 0)).expect("good").expect("whole");
        assert_eq!(whole.text, "keep;");
        assert!(coming.take(part("p;", 3, 0)).is_err(), "it is gone");
        assert!(coming.take(part("ke", 0, 3)).expect("good").is_none());
        assert!(coming.take(part(";", 4, 0)).is_err(), "a part is missing");
        assert!(coming.take(part("ke", 0, SCRIPT_BYTES)).is_err(), "too large in the end");
    }
}
