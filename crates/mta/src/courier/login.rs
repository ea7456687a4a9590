//! Logging in at the smarthost.

use protocol::sasl::{ChannelBinding, Client, Connection, Credentials, Mechanism};
use protocol::secret::Secret;
use service::config::Config;

use super::Journal;
use super::session::Session;
use crate::reason::{Failure, Reason};

/// Logs in as `user` with the password in `mta.smarthost_password_file`, by the best mechanism
/// that both sides know.
pub(super) async fn log_in(
    session: &mut Session,
    user: &str,
    config: &Config,
    journal: &Journal,
) -> Result<(), Failure> {
    let ours = |text: String| Failure::temporary(Reason::Ours, (3, 5), text);
    let password = password(config).map_err(ours)?;
    let binding = session.tls().map(|facts| ChannelBinding::of(&facts)).unwrap_or_default();
    let offered = session.mechanisms();
    let offers: Vec<Mechanism> =
        offered.iter().filter_map(|name| Mechanism::by_name(name)).collect();
    let Some(mechanism) = Mechanism::best(offered.iter().map(String::as_str), &binding) else {
        return Err(ours(format!("{} offers no way to log in that we know", session.host())));
    };
    let credentials = Credentials { authcid: user.to_owned(), authzid: None, password };
    let nonce = crate::random::nonce().ok_or_else(|| ours("no randomness".to_owned()))?;
    let connection = Connection { binding: &binding, offers: &offers };
    let client = Client::new(mechanism, credentials, connection, &nonce)
        .map_err(|error| ours(format!("the login for {} cannot begin: {error}", session.host())))?;
    session.log_in((mechanism, client), journal).await
}

fn password(config: &Config) -> Result<Secret<String>, String> {
    let Some(path) = &config.mta.smarthost_password_file else {
        return Err("mta.smarthost_password_file is not set".to_owned());
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!("mta.smarthost_password_file {} cannot be read: {error}", path.display())
    })?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}
