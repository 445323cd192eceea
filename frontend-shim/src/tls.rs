//! TLS for the one listener that everything arrives at, and for the connections we make ourselves.
//!
//! The listener tells its visitors apart by ALPN: Fabric clients and peers (`h2`, or nothing), other replicas
//! ([`ALPN_MESH`]) and frontends ([`ALPN_FRONTEND`]). It asks everyone for a certificate. Fabric's programs always
//! present theirs when asked and expect it not to be judged unless the operator says so (contract 1.2), so the handshake
//! only checks that the key is there; whoever serves a private protocol then judges the key by [`peer_spki`].
//!
//! Replicas and nodes are known by the public keys that the channel configuration names, not by an authority: a pin.
//! The cryptographic provider is passed explicitly everywhere, because a process-wide default belongs to nobody.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::sign::SingleCertAndKey;
use rustls::{
    CertificateError, ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore,
    ServerConfig, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::tls_identity::TlsIdentity;
pub use crate::trusted_clients::TrustedClients;

/// Fabric's gRPC.
pub const ALPN_GRPC: &[u8] = b"h2";

/// Between replicas of a group.
pub const ALPN_MESH: &[u8] = b"ordering-mesh/1";

/// Between a frontend and a node.
pub const ALPN_FRONTEND: &[u8] = b"ordering-frontend/1";

/// How long a connection may take to be made and to shake hands (contract 1.2).
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// What goes wrong around TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file or text that is not what it should be.
    #[error("{origin}: {reason}")]
    Material {
        /// Where it came from.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate that does not parse.
    #[error("malformed certificate: {0}")]
    Certificate(rustls::Error),
    /// A certificate authority that cannot be trusted because it does not parse.
    #[error("unusable certificate authority: {0}")]
    Authority(String),
    /// The private key is neither ECDSA (P-256, P-384) nor Ed25519.
    #[error("a private key of a kind that cannot sign here: ECDSA P-256 or P-384, or Ed25519, is needed")]
    KeyKind,
    /// An address without a host or port.
    #[error("{0:?} is not an address of the form host:port")]
    Address(String),
    /// The connection could not be made or failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No answer in time.
    #[error("no answer within {} s", HANDSHAKE_TIMEOUT.as_secs())]
    TimedOut,
    /// The other side broke the rules of TLS, or is not who it should be.
    #[error(transparent)]
    Protocol(#[from] rustls::Error),
}

/// A certificate's public key: its `SubjectPublicKeyInfo` in DER. What members of a group are pinned by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spki(Bytes);

impl Spki {
    /// Takes the DER bytes as they are.
    #[must_use]
    pub const fn from_der(der: Bytes) -> Self {
        Self(der)
    }

    /// The public key of a certificate.
    ///
    /// # Errors
    /// The certificate does not parse.
    pub fn of_certificate(certificate: &CertificateDer<'_>) -> Result<Self, TlsError> {
        let parsed = ParsedCertificate::try_from(certificate).map_err(TlsError::Certificate)?;
        Ok(Self(Bytes::copy_from_slice(&parsed.subject_public_key_info())))
    }

    /// The DER bytes.
    #[must_use]
    pub fn der(&self) -> &Bytes {
        &self.0
    }
}

impl std::fmt::Display for Spki {
    /// The first eight hexadecimal digits of its SHA-256.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", hex::encode(&Sha256::digest(&self.0)[..4]))
    }
}

impl std::fmt::Debug for Spki {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Spki({self})")
    }
}

/// What the listener demands of a visitor during the handshake.
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// Asks for a certificate, takes any whose key the visitor has, takes none as well. The caller judges afterwards.
    Requested,
    /// A certificate that is presented must be one that [`TrustedClients`] accepts; a visitor may come without one.
    JudgedIfPresented(Arc<TrustedClients>),
    /// A certificate that [`TrustedClients`] accepts must be presented.
    Required(Arc<TrustedClients>),
}

/// Whom we take for the server we dial.
#[derive(Clone, Debug)]
pub enum ServerTrust {
    /// Whoever has this key, whatever its certificate says: names, dates and issuers change, the key is the member.
    Pinned(Spki),
    /// Whoever has a valid certificate of one of these authorities for the name we dial.
    Authorities(Vec<CertificateDer<'static>>),
}

/// The configuration of a listener that speaks these protocols. TLS 1.2 and 1.3, no session tickets (contract 1.2).
///
/// # Errors
/// The provider and the protocol versions do not fit together.
pub fn server_config(
    identity: &TlsIdentity,
    protocols: &[&[u8]],
    client_auth: ClientAuth,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(ClientVerifier { provider: provider(), client_auth }))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key())));
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The configuration of a connection we make for one protocol, presenting `identity` if asked.
///
/// # Errors
/// An authority that does not parse.
pub fn client_config(
    identity: Option<&TlsIdentity>,
    protocol: &[u8],
    trust: ServerTrust,
) -> Result<Arc<ClientConfig>, TlsError> {
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        ServerTrust::Pinned(pin) => Arc::new(PinnedServer { provider: provider(), pin }),
        ServerTrust::Authorities(authorities) => {
            WebPkiServerVerifier::builder_with_provider(root_store(&authorities)?, provider())
                .build()
                .map_err(|e| TlsError::Authority(e.to_string()))?
        }
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key()))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// Connects to `host:port` and shakes hands, within [`HANDSHAKE_TIMEOUT`].
///
/// # Errors
/// The address is none, nobody answers, or it is the wrong one.
pub async fn dial(
    address: &str,
    config: Arc<ClientConfig>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, TlsError> {
    let name = server_name(address)?;
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        tokio_rustls::TlsConnector::from(config).connect(name, stream).await.map_err(told_apart)
    };
    tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting).await.map_err(|_| TlsError::TimedOut)?
}

/// Shakes hands with a visitor, within [`HANDSHAKE_TIMEOUT`].
///
/// # Errors
/// It does not speak TLS, speaks no protocol of ours, or is not trusted.
pub async fn accept<IO>(stream: IO, config: Arc<ServerConfig>) -> Result<tokio_rustls::server::TlsStream<IO>, TlsError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let accepting = tokio_rustls::TlsAcceptor::from(config).accept(stream);
    tokio::time::timeout(HANDSHAKE_TIMEOUT, accepting).await.map_err(|_| TlsError::TimedOut)?.map_err(told_apart)
}

/// What a visitor came for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Fabric's gRPC, also when it named no protocol.
    Grpc,
    /// The mesh of replicas.
    Mesh,
    /// A frontend session.
    Frontend,
}

/// What the visitor at the other end of an accepted connection came for.
#[must_use]
pub fn protocol_of(connection: &CommonState) -> Protocol {
    match connection.alpn_protocol() {
        Some(ALPN_MESH) => Protocol::Mesh,
        Some(ALPN_FRONTEND) => Protocol::Frontend,
        _ => Protocol::Grpc,
    }
}

/// The public key that the other side has proved to own; `None` if it presented no certificate. A private protocol
/// refuses who has none.
///
/// # Errors
/// The certificate does not parse.
pub fn peer_spki(connection: &CommonState) -> Result<Option<Spki>, TlsError> {
    connection.peer_certificates().and_then(<[_]>::first).map(Spki::of_certificate).transpose()
}

/// The name a certificate must be valid for when `host:port` is dialled.
fn server_name(address: &str) -> Result<ServerName<'static>, TlsError> {
    let wrong = || TlsError::Address(address.to_owned());
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    port.parse::<u16>().map_err(|_| wrong())?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(host.to_owned()).map_err(|_| wrong())
}

/// tokio-rustls wraps what rustls says in an I/O error; the difference matters to whoever reads the log.
fn told_apart(error: io::Error) -> TlsError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(inner) => TlsError::Protocol(inner.clone()),
        None => TlsError::Io(error),
    }
}

fn root_store(authorities: &[CertificateDer<'static>]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(|e| TlsError::Authority(e.to_string()))?;
    }
    Ok(Arc::new(roots))
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::OnceLock<Arc<CryptoProvider>> = std::sync::OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(default_provider())).clone()
}

/// The part of a certificate verifier that no policy changes: does the key sign this handshake?
macro_rules! handshake_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.provider.signature_verification_algorithms.supported_schemes()
        }
    };
}

#[derive(Debug)]
struct ClientVerifier {
    provider: Arc<CryptoProvider>,
    client_auth: ClientAuth,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        matches!(self.client_auth, ClientAuth::Required(_))
    }

    /// None: a Go client that finds its issuer missing from such a list presents nothing at all.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match &self.client_auth {
            ClientAuth::Requested => Ok(ClientCertVerified::assertion()),
            ClientAuth::JudgedIfPresented(trusted) | ClientAuth::Required(trusted) => {
                trusted.verify(end_entity, intermediates, now)
            }
        }
    }

    handshake_signatures!();
}

#[derive(Debug)]
struct PinnedServer {
    provider: Arc<CryptoProvider>,
    pin: Spki,
}

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let presented = presented(end_entity)?;
        if presented == self.pin {
            return Ok(ServerCertVerified::assertion());
        }
        let mismatch = PinMismatch { pinned: self.pin.clone(), presented };
        Err(CertificateError::Other(OtherError(Arc::new(mismatch))).into())
    }

    handshake_signatures!();
}

pub(crate) fn presented(certificate: &CertificateDer<'_>) -> Result<Spki, rustls::Error> {
    Spki::of_certificate(certificate).map_err(|_| CertificateError::BadEncoding.into())
}

/// The server is not the one that the channel configuration names.
#[derive(Debug, thiserror::Error)]
#[error("the server's key {presented} is not {pinned}, which the channel configuration names")]
struct PinMismatch {
    pinned: Spki,
    presented: Spki,
}

#[cfg(test)]
mod tests;
