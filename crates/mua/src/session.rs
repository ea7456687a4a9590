//! Sessions with servers: the way to them, TLS, the login. [`imap`] and [`submission`] join the
//! pure machines of `protocol` to `net`; nothing else in this crate touches a connection.

pub mod imap;
pub mod submission;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use net::connect::{self, Outgoing};
use net::tls::{self, PeerName, Roots};
use net::{Cancel, Clock, Stream};
use protocol::sasl::{self, ChannelBinding, Credentials, Mechanism};
use protocol::secret::Secret;
use tokio::sync::OnceCell;

use crate::account::{Account, Security, Server, password};
use crate::failure::Failure;
use crate::limits::{CONNECT, MAX_ADDRESSES, RESOLVE};
use crate::show::safe;

/// What every session of one user needs: the account, the clock, and the password once it was
/// fetched.
pub struct Desk {
    /// Whose sessions these are.
    pub account: Account,
    /// Time.
    pub clock: Clock,
    /// Ends what is under way.
    pub cancel: Cancel,
    password: OnceCell<Secret<String>>,
}

impl Desk {
    /// A desk with the real clock.
    pub fn new(account: Account) -> Self {
        Desk { account, clock: Clock::real(), cancel: Cancel::new(), password: OnceCell::new() }
    }

    /// Twenty random digits for ids and nonces.
    ///
    /// # Errors
    /// The system has no randomness, which it has from the moment it is up.
    pub fn random(&self) -> Result<u64, Failure> {
        let mut octets = [0; 8];
        rustix::rand::getrandom(&mut octets, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| Failure::io("the system gives no random numbers", &error.into()))?;
        Ok(u64::from_ne_bytes(octets))
    }

    /// The password; fetched once, from a thread that may block.
    async fn password(&self) -> Result<Secret<String>, Failure> {
        let fetched = self
            .password
            .get_or_try_init(|| async {
                let account = self.account.clone();
                tokio::task::spawn_blocking(move || password::fetch(&account))
                    .await
                    .unwrap_or_else(|_| Err(Failure::no("the password could not be fetched")))
            })
            .await?;
        Ok(fetched.clone())
    }

    /// Connects to a server; TLS has begun where it begins at once.
    async fn dial(&self, server: &Server) -> Result<Dialled, Failure> {
        let name = PeerName::new(&server.host).map_err(|_| {
            Failure::configuration(format!("{:?} is no host name and no address", server.host))
        })?;
        let roots = Roots::load(self.account.extra_ca.as_deref())
            .map_err(|error| Failure::configuration(format!("extra_ca: {error}")))?;
        let tls = tls::Client::verifying(&roots);
        let stream = self.connect(server).await?;
        let mut dialled = Dialled { stream, tls, name, binding: ChannelBinding::default() };
        if server.security == Security::Tls {
            let connecting = dialled.tls.connect(dialled.stream, &dialled.name, &self.clock);
            let (stream, facts) =
                connecting.await.map_err(|error| handshake_failure(server, &error))?;
            dialled.binding = ChannelBinding::of(&facts);
            dialled.stream = stream;
        }
        Ok(dialled)
    }

    /// The first address of the server that answers.
    async fn connect(&self, server: &Server) -> Result<Stream, Failure> {
        let addresses = self.resolve(server).await?;
        let outgoing = Outgoing { source: None, timeout: CONNECT };
        let mut last = None;
        for address in addresses {
            match connect::tcp(address, outgoing, &self.clock).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        let why = last.map_or_else(|| "it has no address".to_owned(), |error| error.to_string());
        Err(Failure::try_again(format!("cannot connect to {server}: {why}")))
    }

    async fn resolve(&self, server: &Server) -> Result<Vec<SocketAddr>, Failure> {
        let (host, port) = (server.host.clone(), server.port);
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        // The system's own way, /etc/hosts included; it blocks.
        let looking = tokio::task::spawn_blocking(move || {
            (host.as_str(), port).to_socket_addrs().map(|found| found.take(MAX_ADDRESSES).collect())
        });
        let problem = |why: String| {
            Failure::try_again(format!("cannot find the address of {}: {why}", server.host))
        };
        match self.clock.timeout(RESOLVE, looking).await {
            Ok(Ok(Ok(found))) => Ok(found),
            Ok(Ok(Err(error))) => Err(problem(error.to_string())),
            Ok(Err(_)) => Err(problem("the look-up failed".into())),
            Err(_) => Err(problem(format!("no answer within {} s", RESOLVE.as_secs()))),
        }
    }

    /// An exchange with the best mechanism that both sides have.
    async fn sasl(
        &self,
        offered: &[String],
        binding: &ChannelBinding,
    ) -> Result<(Mechanism, sasl::Client), Failure> {
        let offers = offered.iter().map(String::as_str);
        let mechanism = Mechanism::best(offers, binding).ok_or_else(|| {
            Failure::no(format!(
                "the server offers no way to log in that is known here (it offers: {})",
                safe::line(&offered.join(" "))
            ))
        })?;
        let credentials = Credentials {
            authcid: self.account.user.clone(),
            authzid: None,
            password: self.password().await?,
        };
        let known: Vec<Mechanism> =
            offered.iter().filter_map(|name| Mechanism::by_name(name)).collect();
        let connection = sasl::Connection { binding, offers: &known };
        let nonce = format!("{:016x}{:016x}", self.random()?, self.random()?);
        let client = sasl::Client::new(mechanism, credentials, connection, &nonce)
            .map_err(|error| Failure::no(format!("cannot log in: {error}")))?;
        Ok((mechanism, client))
    }
}

/// A connection that is there, and what its TLS needs.
struct Dialled {
    stream: Stream,
    tls: tls::Client,
    name: PeerName,
    binding: ChannelBinding,
}

fn handshake_failure(server: &Server, error: &tls::HandshakeError) -> Failure {
    let hint = match error {
        tls::HandshakeError::Certificate(_) => {
            "; if its certificate is from an authority of your own, name it with extra_ca"
        }
        tls::HandshakeError::Protocol(_) => {
            "; is it the right port? imaps:// and smtps:// begin with TLS, imap:// and smtp:// do not"
        }
        _ => return Failure::try_again(format!("no TLS with {server}: {error}")),
    };
    Failure::no(format!("no TLS with {server}: {}{hint}", safe::line(&error.to_string())))
}
