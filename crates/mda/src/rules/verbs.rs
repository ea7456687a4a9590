//! The verbs `sieve.*` of the control socket, which `posthaste sieve` asks: list, show, put,
//! activate, remove. People use ManageSieve for the same.

use mailbox::AccountId;
use protocol::ipc::{Fault, FaultKind, Method};
use serde::{Deserialize, Serialize};
use service::Context;

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

/// `sieve.put`: stores a script of at most [`PUT_MOST`] octets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PutScript {
    /// The account's address.
    pub account: String,
    /// The script's name.
    pub name: String,
    /// The script.
    pub text: String,
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

/// Octets of a script that fit a frame however they are written. Longer ones come by ManageSieve.
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
    let shelf = rules.shelf.clone();
    context.control.on::<PutScript, _, _>(move |ask| {
        let shelf = shelf.clone();
        async move {
            let account = account(&ask.account)?;
            aside(move || shelf.put(&account, &ask.name, ask.text.as_bytes())).await
        }
    });
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
