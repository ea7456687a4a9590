//! What a bearer token is worth: asked of the configured authorization server (RFC 7662), and
//! remembered for a minute, since a mail program opens several connections at once.
//!
//! What it is not: it issues no tokens, and it does not know the accounts; the `desk` does. The
//! server is asked rather than the token read here, so that one that was taken back counts no more,
//! and tokens of any form work.

use crate::limits::{TOKEN_QUESTION, TOKEN_QUESTIONS, TOKENS_REMEMBERED, TOKENS_REMEMBERED_FOR};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use net::{Clock, dns, https, tls};
use protocol::{machine::Tick, sasl::TokenHint, secret::Secret};
use serde_json::{Map, Value};
use service::{
    ConfigHandle,
    config::{Config, OAuth, Security, WebAddress, values::Target},
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Semaphore;

/// Asks about tokens.
pub(crate) struct Tokens {
    clock: Clock,
    config: ConfigHandle,
    state: Mutex<State>,
    asking: Semaphore,
}

#[derive(Default)]
struct State {
    means: Option<Arc<Means>>,
    good: HashMap<[u8; 32], (String, Tick)>,
}

/// What questions are asked with; made anew after a reload.
struct Means {
    config: Arc<Config>,
    resolver: dns::Resolver,
    client: tls::Client,
    /// The value of the Authorization field.
    authorization: Option<Secret<String>>,
}

/// Why a token logs nobody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Worthless {
    /// It is not good, for the reason in the log.
    Refused(String),
    /// Nobody knows: the server could not be asked.
    Unknown(String),
}

impl Tokens {
    pub(crate) fn new(clock: Clock, config: ConfigHandle) -> Self {
        let asking = Semaphore::new(TOKEN_QUESTIONS);
        Self { clock, config, state: Mutex::default(), asking }
    }

    /// What a client whose token was refused is told.
    pub(crate) fn hint(&self) -> TokenHint {
        let oauth = &self.config.current().oauth;
        TokenHint { scope: oauth.scope.clone(), openid_configuration: oauth.discovery_url.clone() }
    }

    /// The name of the account whose token it is.
    pub(crate) async fn owner(&self, token: &Secret<String>) -> Result<String, Worthless> {
        let config = self.config.current();
        let Some(server) = &config.oauth.introspection_url else {
            return Err(Worthless::Refused("tokens are not taken here".to_owned()));
        };
        if token.reveal().is_empty() {
            // RFC 7628 §3.2.2: a client that has none yet asks so where to get one.
            return Err(Worthless::Refused("it is empty".to_owned()));
        }
        let entry: [u8; 32] = Sha256::digest(token.reveal()).into();
        let now = self.clock.tick();
        if let Some((name, _)) = self.state().good.get(&entry).filter(|(_, until)| now < *until) {
            return Ok(name.clone());
        }
        let means = self.means(&config).map_err(Worthless::Unknown)?;
        let asked = self.clock.timeout(TOKEN_QUESTION, async {
            let _turn = self.asking.acquire().await;
            means.ask(server, token, &self.clock).await
        });
        let answer = match asked.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => return Err(Worthless::Unknown(why)),
            Err(_) => {
                let seconds = TOKEN_QUESTION.as_secs();
                return Err(Worthless::Unknown(format!("no answer within {seconds} s")));
            }
        };
        let worth = judge(&answer, &config.oauth, self.clock.now().as_seconds())?;
        self.remember(entry, &worth);
        Ok(worth.name)
    }

    fn remember(&self, entry: [u8; 32], worth: &Worth) {
        let now = self.clock.tick();
        let mut state = self.state();
        if state.good.len() >= TOKENS_REMEMBERED {
            state.good.retain(|_, (_, until)| now < *until);
        }
        if state.good.len() < TOKENS_REMEMBERED {
            let until = now.after(worth.lasts.min(TOKENS_REMEMBERED_FOR));
            state.good.insert(entry, (worth.name.clone(), until));
        }
    }

    fn means(&self, config: &Arc<Config>) -> Result<Arc<Means>, String> {
        let mut state = self.state();
        if let Some(means) = state.means.as_ref().filter(|it| Arc::ptr_eq(&it.config, config)) {
            return Ok(means.clone());
        }
        // Another server, or another view of what its tokens are worth.
        state.good.clear();
        let means = Arc::new(Means::new(config)?);
        state.means = Some(means.clone());
        Ok(means)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held left at worst one memory too few.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Means {
    fn new(config: &Arc<Config>) -> Result<Self, String> {
        let setting = dns::Setting {
            servers: config.dns.servers.clone(),
            trust_anchor_file: config.dns.trust_anchor_file.clone(),
        };
        let roots = tls::Roots::load(config.tls.extra_roots_file.as_deref())
            .map_err(|error| error.to_string())?;
        let oauth = &config.oauth;
        let secret = match &oauth.client_secret_file {
            Some(file) => std::fs::read_to_string(file)
                .map_err(|error| format!("cannot read {}: {error}", file.display()))?,
            None => String::new(),
        };
        // RFC 6749 §2.3.1: both are encoded as in forms first.
        let authorization = (!oauth.client_id.is_empty()).then(|| {
            let pair = format!("{}:{}", encoded(&oauth.client_id), encoded(secret.trim_end()));
            Secret::new(format!("Basic {}", STANDARD.encode(pair)))
        });
        Ok(Means {
            resolver: dns::Resolver::new(&setting)?,
            client: tls::Client::verifying(&roots),
            config: config.clone(),
            authorization,
        })
    }

    /// RFC 7662 §2.1.
    async fn ask(
        &self,
        server: &WebAddress,
        token: &Secret<String>,
        clock: &Clock,
    ) -> Result<Map<String, Value>, String> {
        let addresses = self.addresses(server).await?;
        let host = match &server.at.host {
            Target::Name(name) => name.as_str().to_owned(),
            Target::Address(address) => address.to_string(),
        };
        let fields = format!("token={}&token_type_hint=access_token", encoded(token.reveal()));
        let form = https::Form {
            host: &host,
            authority: &server.authority,
            path: &server.path,
            authorization: self.authorization.as_ref().map(|it| it.reveal().as_str()),
            fields: &fields,
        };
        let client = (server.security == Security::Tls).then_some(&self.client);
        let answer = https::post(form, &addresses, client, clock).await?;
        match serde_json::from_str(&answer) {
            Ok(Value::Object(answer)) => Ok(answer),
            _ => Err("the answer is no JSON object".to_owned()),
        }
    }

    async fn addresses(&self, server: &WebAddress) -> Result<Vec<SocketAddr>, String> {
        let name = match &server.at.host {
            Target::Address(address) => return Ok(vec![(*address, server.at.port).into()]),
            Target::Name(name) if name.as_str() == "localhost" => {
                let both = [IpAddr::from([127, 0, 0, 1]), std::net::Ipv6Addr::LOCALHOST.into()];
                return Ok(both.map(|address| (address, server.at.port).into()).to_vec());
            }
            Target::Name(name) => name.as_str(),
        };
        let (four, six) = tokio::join!(self.resolver.a(name), self.resolver.aaaa(name));
        if let (Err(failure), Err(_)) = (&four, &six) {
            return Err(format!("{name} has no address: {failure}"));
        }
        let six = six.into_iter().flat_map(|answer| answer.records).map(IpAddr::from);
        let four = four.into_iter().flat_map(|answer| answer.records).map(IpAddr::from);
        Ok(four.chain(six).map(|address| (address, server.at.port).into()).collect())
    }
}

/// A good token.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Worth {
    name: String,
    lasts: Duration,
}

/// Reads the answer of the server (RFC 7662 §2.2).
fn judge(answer: &Map<String, Value>, oauth: &OAuth, now: i64) -> Result<Worth, Worthless> {
    let refused = |why: &str| Err(Worthless::Refused(why.to_owned()));
    if answer.get("active") != Some(&Value::Bool(true)) {
        return refused("it is not active");
    }
    let time = |name: &str| answer.get(name).and_then(Value::as_f64).map(|it| it as i64);
    let lasts = match time("exp") {
        Some(until) if until <= now => return refused("it has expired"),
        Some(until) => Duration::from_secs(u64::try_from(until - now).unwrap_or(0)),
        None => TOKENS_REMEMBERED_FOR,
    };
    if time("nbf").is_some_and(|from| from > now) {
        return refused("it is not valid yet");
    }
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let scopes: Vec<&str> = text("scope").unwrap_or_default().split(' ').collect();
    if oauth.scope.split_ascii_whitespace().any(|scope| !scopes.contains(&scope)) {
        return refused("it lacks a scope");
    }
    let audience = &Value::from(oauth.audience.as_str());
    let is_for_us = match answer.get("aud") {
        Some(Value::Array(several)) => several.contains(audience),
        Some(one) => one == audience,
        None => false,
    };
    if !oauth.audience.is_empty() && !is_for_us {
        return refused("it was issued for somebody else");
    }
    // An address that a person typed in and nobody has verified is no proof of anything.
    if oauth.account_claim == "email" && answer.get("email_verified") == Some(&false.into()) {
        return refused("its address is not verified");
    }
    match text(&oauth.account_claim) {
        Some(name) if !name.is_empty() => Ok(Worth { name: name.to_owned(), lasts }),
        _ => refused("it does not say whose it is"),
    }
}

/// As in `application/x-www-form-urlencoded`.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(octet));
            }
            _ => encoded.push_str(&format!("%{octet:02X}")),
        }
    }
    encoded
}

impl std::fmt::Display for Worthless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the token is refused: {why}"),
            Self::Unknown(why) => {
                write!(f, "the authorization server cannot be asked about a token: {why}")
            }
        }
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({} remembered)", self.state().good.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(answer: &str, change: impl FnOnce(&mut OAuth)) -> Result<Worth, Worthless> {
        let mut oauth = OAuth::default();
        change(&mut oauth);
        let answer: Map<String, Value> = serde_json::from_str(answer).unwrap();
        judge(&answer, &oauth, 1_000)
    }

    #[test]
    fn an_active_token_names_its_owner_for_as_long_as_it_lasts() {
        let answer = r#"{"active":true,"email":"ann@red.test","exp":1030,"scope":"mail openid",
            "aud":["web","imap"],"email_verified":true}"#;
        let strict = |oauth: &mut OAuth| {
            oauth.scope = "openid mail".into();
            oauth.audience = "imap".into();
        };
        let worth = judged(answer, strict).unwrap();
        assert_eq!(worth, Worth { name: "ann@red.test".into(), lasts: Duration::from_secs(30) });
        let other = |oauth: &mut OAuth| oauth.account_claim = "username".into();
        let answer = r#"{"active":true,"username":"ann","email_verified":false}"#;
        assert_eq!(judged(answer, other).unwrap().name, "ann");
    }

    #[test]
    fn whatever_is_missing_or_wrong_is_a_no() {
        for bad in [
            r#"{}"#,
            r#"{"active":false,"email":"ann@red.test"}"#,
            r#"{"active":"true","email":"ann@red.test"}"#,
            r#"{"active":true}"#,
            r#"{"active":true,"email":""}"#,
            r#"{"active":true,"email":["ann@red.test"]}"#,
            r#"{"active":true,"email":"ann@red.test","exp":1000}"#,
            r#"{"active":true,"email":"ann@red.test","nbf":1001}"#,
            r#"{"active":true,"email":"ann@red.test","email_verified":false}"#,
        ] {
            assert!(matches!(judged(bad, |_| {}), Err(Worthless::Refused(_))), "{bad}");
        }
        let answer = r#"{"active":true,"email":"ann@red.test","scope":"mailbox","aud":"web"}"#;
        assert!(judged(answer, |oauth| oauth.scope = "mail".into()).is_err());
        assert!(judged(answer, |oauth| oauth.audience = "imap".into()).is_err());
        assert!(judged(answer, |oauth| oauth.audience = "web".into()).is_ok());
    }

    #[test]
    fn what_goes_into_a_form_is_encoded() {
        assert_eq!(encoded("a-b.c_d~e F&G=h%/+é"), "a-b.c_d~e%20F%26G%3Dh%25%2F%2B%C3%A9");
    }
}
