//! TLS for both sides: certificates from PEM files with reload, session tickets, opportunistic and
//! verifying clients, and the facts that a session wants to know afterwards. It decides nothing
//! about policy (DANE, MTA-STS, REQUIRETLS are the callers').

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use protocol::machine::{TlsFacts, Verification};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::dane;
use crate::dns::Tlsa;
use crate::limits::{HANDSHAKE, HANDSHAKES};
use crate::mailboxes;
use crate::stream::Stream;

/// The server side: one certificate that can be replaced while connections go on. Clones share it.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    current: RwLock<Arc<Current>>,
    /// Outlives reloads, so that big senders, which keep tickets, resume across them.
    ticketer: Arc<dyn rustls::server::ProducesTickets>,
}

/// What the next handshake is taken with.
struct Current {
    config: Arc<ServerConfig>,
    /// Whose certificates clients may log in with, if with any.
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

/// A certificate that was read and found usable, ready to be put to use.
#[derive(Debug, Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
}

/// Authorities whose certificates clients may show, to log in with them.
#[derive(Clone, Debug)]
pub struct ClientAuthorities {
    verifier: Arc<dyn ClientCertVerifier>,
}

/// Why a certificate or its key cannot be used.
#[derive(Debug)]
pub enum CertificateError {
    /// A file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// A file holds no such PEM block, or one that does not decode.
    Malformed(PathBuf, String),
    /// Key and certificate do not belong together, or are of a kind that cannot be used.
    Unusable(String),
}

/// Certificate authorities that are believed.
#[derive(Clone)]
pub struct Roots {
    store: Arc<RootCertStore>,
}

/// The client side with one policy. Each policy has session tickets of its own, so that a session
/// begun without verification is never resumed where verification is asked for.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    verifier: Option<Arc<WebPkiServerVerifier>>,
    /// The server must match these (RFC 7672), and is refused if it does not.
    dane: Option<Arc<[Tlsa]>>,
}

/// The name of the server as we look for it in its certificate, and send as SNI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerName(ServerName<'static>);

/// Why there is no TLS.
#[derive(Debug)]
pub enum HandshakeError {
    /// The peer was too slow.
    Timeout,
    /// The peer's certificate is not believed, and the policy asks that it be.
    Certificate(String),
    /// The two sides do not agree, or the peer does not speak TLS.
    Protocol(String),
    /// The connection failed or was closed.
    Io(io::Error),
}

/// Handshakes of the whole process at once.
static HANDSHAKE_PERMITS: Semaphore = Semaphore::const_new(HANDSHAKES);

/// The one provider of cryptography; never rustls' implicit default, which is ambiguous as soon as
/// a dependency brings another.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())))
}

/// Makes [`provider`] what libraries find that ask for the process' default; `main` calls it.
pub fn install_provider() {
    // Again is no harm: it is the same one.
    let _ = aws_lc_rs::default_provider().install_default();
}

impl Certificate {
    /// Reads a chain (our certificate first) and its private key from PEM files.
    ///
    /// # Errors
    /// When a file cannot be read, holds no such thing, or both do not match.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|e| CertificateError::Unreadable(path.to_owned(), e))
        };
        Self::parse((certificate, &read(certificate)?), (key, &read(key)?))
    }

    /// The same from PEM text in memory.
    ///
    /// # Errors
    /// As [`Certificate::from_files`].
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, CertificateError> {
        let memory = Path::new("(memory)");
        Self::parse((memory, certificate.as_bytes()), (memory, key.as_bytes()))
    }

    fn parse(certificate: (&Path, &[u8]), key: (&Path, &[u8])) -> Result<Self, CertificateError> {
        let malformed = |path: &Path, why: &dyn fmt::Display| {
            CertificateError::Malformed(path.to_owned(), why.to_string())
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate.1)
            .collect::<Result<_, _>>()
            .map_err(|e| malformed(certificate.0, &e))?;
        if chain.is_empty() {
            return Err(malformed(certificate.0, &"it holds no BEGIN CERTIFICATE block"));
        }
        let private = PrivateKeyDer::from_pem_slice(key.1)
            .map_err(|_| malformed(key.0, &"it holds no BEGIN PRIVATE KEY block"))?;
        let signing =
            provider().key_provider.load_private_key(private).map_err(|e| malformed(key.0, &e))?;
        let pair = CertifiedKey::new(chain, signing);
        match pair.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(_) => {
                return Err(CertificateError::Unusable(format!(
                    "the key in {} does not belong to the certificate in {}",
                    key.0.display(),
                    certificate.0.display()
                )));
            }
        }
        Ok(Certificate { key: Arc::new(pair) })
    }
}

impl Server {
    /// A server that shows `certificate`.
    ///
    /// # Errors
    /// When the system has no randomness for the ticket keys.
    pub fn new(certificate: &Certificate) -> Result<Self, CertificateError> {
        Self::with_clients(certificate, None)
    }

    /// The same; clients are asked for a certificate of `clients`, and may come without one.
    ///
    /// # Errors
    /// As [`Server::new`].
    pub fn with_clients(
        certificate: &Certificate,
        clients: Option<&ClientAuthorities>,
    ) -> Result<Self, CertificateError> {
        let unusable = |e: rustls::Error| CertificateError::Unusable(e.to_string());
        let ticketer = aws_lc_rs::Ticketer::new().map_err(unusable)?;
        let current = RwLock::new(current(certificate, clients, &ticketer)?);
        Ok(Server { shared: Arc::new(Shared { current, ticketer }) })
    }

    /// Shows `certificate` and asks for those of `clients` from the next handshake on; open
    /// connections go on with the old ones.
    ///
    /// # Errors
    /// When rustls refuses it; the old one stays.
    pub fn replace(
        &self,
        certificate: &Certificate,
        clients: Option<&ClientAuthorities>,
    ) -> Result<(), CertificateError> {
        let fresh = current(certificate, clients, &self.shared.ticketer)?;
        *self.shared.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Takes a handshake.
    ///
    /// # Errors
    /// When it fails or takes longer than [`HANDSHAKE`].
    pub async fn accept(
        &self,
        stream: Stream,
        clock: &Clock,
    ) -> Result<(Stream, TlsFacts), HandshakeError> {
        let current =
            Arc::clone(&self.shared.current.read().unwrap_or_else(PoisonError::into_inner));
        let config = Arc::clone(&current.config);
        let handshake = async {
            let _permit = HANDSHAKE_PERMITS.acquire().await;
            tokio_rustls::TlsAcceptor::from(config).accept(stream).await
        };
        let tls = clock
            .timeout(HANDSHAKE, handshake)
            .await
            .map_err(|_| HandshakeError::Timeout)?
            .map_err(HandshakeError::from)?;
        let connection = tls.get_ref().1;
        let mut facts = facts(connection);
        facts.sni = connection.server_name().map(str::to_owned);
        facts.exporter = exporter(connection);
        facts.client_mailboxes = current.proven(connection.peer_certificates(), unix_time(clock));
        Ok((Stream::Tls(Box::new(tls.into())), facts))
    }
}

impl Current {
    /// The mailboxes of the client's certificate. It is verified again: a resumed session, whose
    /// ticket brings the chain along, has verified nothing since.
    fn proven(&self, chain: Option<&[CertificateDer<'static>]>, now: UnixTime) -> Vec<String> {
        let Some((verifier, (own, others))) =
            self.clients.as_ref().zip(chain.and_then(<[_]>::split_first))
        else {
            return Vec::new();
        };
        match verifier.verify_client_cert(own, others, now) {
            Ok(_) => mailboxes::of(own),
            Err(_) => Vec::new(),
        }
    }
}

impl ClientAuthorities {
    /// Reads the authorities from a PEM file.
    ///
    /// # Errors
    /// When it cannot be read, holds none, or one that cannot be used.
    pub fn from_file(path: &Path) -> Result<Self, CertificateError> {
        let mut store = RootCertStore::empty();
        add_from(path, &mut store)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider())
            .allow_unauthenticated()
            .build()
            .map_err(|e| CertificateError::Malformed(path.to_owned(), e.to_string()))?;
        Ok(ClientAuthorities { verifier })
    }
}

fn current(
    certificate: &Certificate,
    clients: Option<&ClientAuthorities>,
    ticketer: &Arc<dyn rustls::server::ProducesTickets>,
) -> Result<Arc<Current>, CertificateError> {
    let resolver = rustls::sign::SingleCertAndKey::from(Arc::clone(&certificate.key));
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| CertificateError::Unusable(e.to_string()))?;
    let clients = clients.map(|authorities| Arc::clone(&authorities.verifier));
    let builder = match &clients {
        Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    // Big senders give up on servers whose tickets do not resume: stateless ones, for 1.2 and 1.3.
    config.ticketer = Arc::clone(ticketer);
    Ok(Arc::new(Current { config: Arc::new(config), clients }))
}

/// Adds the certificates of a PEM file.
fn add_from(path: &Path, store: &mut RootCertStore) -> Result<(), CertificateError> {
    let pem = std::fs::read(path).map_err(|e| CertificateError::Unreadable(path.to_owned(), e))?;
    let malformed = |why: String| CertificateError::Malformed(path.to_owned(), why);
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|e| malformed(e.to_string()))?;
    if certificates.is_empty() {
        return Err(malformed("it holds no BEGIN CERTIFICATE block".to_owned()));
    }
    for certificate in certificates {
        store.add(certificate).map_err(|e| malformed(e.to_string()))?;
    }
    Ok(())
}

/// The clock's time as rustls has it.
fn unix_time(clock: &Clock) -> UnixTime {
    let seconds = u64::try_from(clock.now().as_seconds()).unwrap_or(0);
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
}

impl Roots {
    /// The system's authorities and those of `extra`, a PEM file.
    ///
    /// # Errors
    /// When `extra` cannot be read or holds no certificate. A system without authorities is no
    /// error: then nothing is verified.
    pub fn load(extra: Option<&Path>) -> Result<Self, CertificateError> {
        let mut store = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::debug!(%error, "a certificate authority of the system cannot be read");
        }
        store.add_parsable_certificates(native.certs);
        if let Some(path) = extra {
            add_from(path, &mut store)?;
        }
        Ok(Roots { store: Arc::new(store) })
    }

    /// How many authorities these are.
    pub fn count(&self) -> usize {
        self.store.len()
    }

    fn verifier(&self) -> Option<Arc<WebPkiServerVerifier>> {
        // The builder refuses an empty store.
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.store), provider())
            .build()
            .ok()
    }
}

impl Client {
    /// Takes any certificate (RFC 7435), and says in the facts whether it would have been believed.
    pub fn opportunistic(roots: &Roots) -> Self {
        let anything = Arc::new(AnyCertificate(provider()));
        let config = client_builder()
            .dangerous()
            .with_custom_certificate_verifier(anything)
            .with_no_client_auth();
        Client { config: Arc::new(config), verifier: roots.verifier(), dane: None }
    }

    /// Refuses a server that matches none of these records (RFC 7672 §3.1); authorities do not
    /// count. To be made of an opportunistic client; tickets are shared, since each session is
    /// judged anew.
    #[must_use]
    pub fn with_dane(&self, records: Arc<[Tlsa]>) -> Self {
        Client { dane: Some(records), ..self.clone() }
    }

    /// Refuses a server whose chain or name (RFC 6125, RFC 8314) does not hold.
    pub fn verifying(roots: &Roots) -> Self {
        let config =
            client_builder().with_root_certificates(Arc::clone(&roots.store)).with_no_client_auth();
        Client { config: Arc::new(config), verifier: roots.verifier(), dane: None }
    }

    /// Does a handshake.
    ///
    /// # Errors
    /// When it fails, takes longer than [`HANDSHAKE`], or the certificate is refused.
    pub async fn connect(
        &self,
        stream: Stream,
        name: &PeerName,
        clock: &Clock,
    ) -> Result<(Stream, TlsFacts), HandshakeError> {
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&self.config));
        let handshake = async {
            let _permit = HANDSHAKE_PERMITS.acquire().await;
            connector.connect(name.0.clone(), stream).await
        };
        let tls = clock
            .timeout(HANDSHAKE, handshake)
            .await
            .map_err(|_| HandshakeError::Timeout)?
            .map_err(HandshakeError::from)?;
        let connection = tls.get_ref().1;
        let mut facts = facts(connection);
        facts.peer_name = Some(name.0.to_str().into_owned());
        facts.sni = match &name.0 {
            ServerName::DnsName(dns) => Some(dns.as_ref().to_owned()),
            _ => None,
        };
        facts.exporter = exporter(connection);
        let now = unix_time(clock);
        // Asked afterwards, not in a verifier: a resumed session verifies nothing, and one verifier
        // per connection would cost the shared tickets.
        facts.verified = match &self.dane {
            None => self.judge(connection.peer_certificates(), &name.0, now),
            Some(records) => {
                let chain = connection.peer_certificates().unwrap_or_default();
                dane::judge(chain, records, &name.0, now).map_err(HandshakeError::Certificate)?;
                Verification::Verified
            }
        };
        Ok((Stream::Tls(Box::new(tls.into())), facts))
    }

    fn judge(
        &self,
        chain: Option<&[CertificateDer<'static>]>,
        name: &ServerName<'static>,
        now: UnixTime,
    ) -> Verification {
        let Some((end_entity, intermediates)) = chain.and_then(<[_]>::split_first) else {
            return Verification::NoCertificate;
        };
        let Some(verifier) = &self.verifier else {
            return Verification::Unverified("no certificate authority is known here".to_owned());
        };
        match verifier.verify_server_cert(end_entity, intermediates, name, &[], now) {
            Ok(_) => Verification::Verified,
            Err(error) => Verification::Unverified(plain_reason(&error)),
        }
    }
}

fn client_builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has cipher suites for TLS 1.2 and 1.3")
}

impl PeerName {
    /// A host name in A-labels, or an IP address. A final dot is taken off.
    ///
    /// # Errors
    /// The name, when it is neither.
    pub fn new(name: &str) -> Result<Self, String> {
        let trimmed = name.strip_suffix('.').unwrap_or(name);
        ServerName::try_from(trimmed.to_owned()).map(PeerName).map_err(|_| name.to_owned())
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_str())
    }
}

/// What both sides know of an established layer.
fn facts<Data>(connection: &rustls::ConnectionCommon<Data>) -> TlsFacts {
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    };
    let cipher = connection
        .negotiated_cipher_suite()
        .and_then(|suite| suite.suite().as_str())
        .unwrap_or("unknown")
        // rustls prefixes the names of TLS 1.3; IANA's registry and everyone's logs do not.
        .replace("TLS13_", "TLS_");
    let group =
        connection.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
    TlsFacts { version, cipher, group, ..TlsFacts::default() }
}

/// RFC 9266 §2. Only for TLS 1.3: in 1.2 the binding is sound only with the extended master secret
/// (§4.2), of which rustls tells nothing.
fn exporter<Data>(connection: &rustls::ConnectionCommon<Data>) -> Option<[u8; 32]> {
    if connection.protocol_version() != Some(rustls::ProtocolVersion::TLSv1_3) {
        return None;
    }
    connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok()
}

/// Believes any certificate, yet checks that the peer holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// rustls' words for a refused certificate, in words for people.
pub(crate) fn plain_reason(error: &rustls::Error) -> String {
    use rustls::CertificateError as Bad;
    let rustls::Error::InvalidCertificate(bad) = error else {
        return error.to_string();
    };
    match bad {
        Bad::Expired | Bad::ExpiredContext { .. } => "the certificate has expired".to_owned(),
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            "the certificate is not valid yet".to_owned()
        }
        Bad::UnknownIssuer => "no authority that is trusted here issued the certificate".to_owned(),
        Bad::NotValidForName => "the certificate is for another name".to_owned(),
        Bad::NotValidForNameContext { presented, .. } => {
            let names: Vec<_> = presented.iter().take(8).map(String::as_str).collect();
            format!("the certificate is for another name ({})", names.join(", "))
        }
        Bad::BadSignature => "a signature in the certificate chain is wrong".to_owned(),
        Bad::Revoked => "the certificate was revoked".to_owned(),
        other => format!("the certificate is refused: {other:?}"),
    }
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls @ rustls::Error::InvalidCertificate(_)) => {
                HandshakeError::Certificate(plain_reason(rustls))
            }
            Some(rustls::Error::InvalidMessage(_)) => {
                HandshakeError::Protocol("the peer does not speak TLS".to_owned())
            }
            Some(rustls) => HandshakeError::Protocol(rustls.to_string()),
            None => HandshakeError::Io(error),
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeError::Timeout => {
                write!(f, "no TLS handshake within {} s", HANDSHAKE.as_secs())
            }
            HandshakeError::Certificate(why) => f.write_str(why),
            HandshakeError::Protocol(why) => write!(f, "TLS: {why}"),
            HandshakeError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the peer closed the connection during the TLS handshake")
            }
            HandshakeError::Io(error) => write!(f, "TLS handshake: {error}"),
        }
    }
}

impl std::error::Error for HandshakeError {}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertificateError::Unreadable(path, error) => {
                write!(f, "cannot read {}: {error}", path.display())
            }
            CertificateError::Malformed(path, why) => {
                write!(f, "{} is not usable: {why}", path.display())
            }
            CertificateError::Unusable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for CertificateError {}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tls::Server")
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tls::Client")
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tls::Roots({})", self.count())
    }
}

#[cfg(test)]
mod tests;
