//! Whose certificates a listener takes that requires them (contract §1.2).
//!
//! Those that chain to an authority the operator names, or to a TLS root or intermediate certificate of any organization
//! of any channel; and the consenters, who are known by their keys. Nobody tells this of new configurations: whoever
//! shakes hands looks whether the channels have changed since the last time, so an organization that was added is let in
//! with the next handshake and one that was removed is not. Connections that stand are left alone; what they may read
//! and write is the channels' policies' business.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use fabric_channel::ChannelConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, RootCertStore};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::channels::Channels;
use crate::tls::{Spki, TlsError, presented, provider};

/// Which client certificates are good when the operator demands one.
#[derive(Debug)]
pub struct TrustedClients {
    current: ArcSwap<Trusted>,
    source: Option<Source>,
    /// A certificate that was good so long ago is good.
    time_shift: Duration,
}

/// What is trusted, as it follows from one state of the channels.
#[derive(Debug)]
struct Trusted {
    revision: u64,
    chains: Option<Arc<dyn ClientCertVerifier>>,
    pins: BTreeSet<Spki>,
}

#[derive(Debug)]
struct Source {
    channels: Channels,
    /// Those that the operator names.
    authorities: Vec<CertificateDer<'static>>,
    /// Held by whoever works out what is trusted now.
    change: Mutex<()>,
}

impl TrustedClients {
    /// Trusts certificates that chain to one of `authorities`, and those whose key is one of `pins`, whatever happens.
    ///
    /// # Errors
    /// An authority that does not parse.
    pub fn new(authorities: &[CertificateDer<'static>], pins: Vec<Spki>) -> Result<Self, TlsError> {
        let trusted = Trusted::new(0, roots(authorities)?, pins.into_iter().collect())?;
        Ok(Self { current: ArcSwap::from_pointee(trusted), source: None, time_shift: Duration::ZERO })
    }

    /// Trusts certificates that chain to one of `authorities`, and at any time whom the configurations of these channels
    /// then name.
    ///
    /// # Errors
    /// An authority of the operator that does not parse. One of a channel that does not is left out, and logged.
    pub fn following(channels: Channels, authorities: Vec<CertificateDer<'static>>) -> Result<Self, TlsError> {
        roots(&authorities)?;
        let source = Source { channels, authorities, change: Mutex::new(()) };
        let trusted = source.trusted()?;
        Ok(Self { current: ArcSwap::from_pointee(trusted), source: Some(source), time_shift: Duration::ZERO })
    }

    /// Takes certificates too that were good so long ago: Fabric's `TLSHandshakeTimeShift`, by which clients whose certificates
    /// have ended can still come to have them replaced. What is good now stays so.
    #[must_use]
    pub const fn looking_back(mut self, time_shift: Duration) -> Self {
        self.time_shift = time_shift;
        self
    }

    /// Judges a certificate that was presented with these intermediate ones.
    pub(crate) fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let trusted = self.current();
        if trusted.pins.contains(&presented(end_entity)?) {
            return Ok(ClientCertVerified::assertion());
        }
        match &trusted.chains {
            Some(chains) => chains.verify_client_cert(end_entity, intermediates, now).or_else(|error| {
                let before = Duration::from_secs(now.as_secs()).saturating_sub(self.time_shift);
                let is_shifted = !self.time_shift.is_zero();
                let again = || chains.verify_client_cert(end_entity, intermediates, UnixTime::since_unix_epoch(before));
                if is_shifted { again() } else { Err(error) }
            }),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn current(&self) -> Arc<Trusted> {
        let trusted = self.current.load_full();
        let Some(source) = &self.source else { return trusted };
        if trusted.revision == source.channels.revision() {
            return trusted;
        }
        let _change = source.change.lock().unwrap_or_else(PoisonError::into_inner);
        let trusted = self.current.load_full();
        if trusted.revision == source.channels.revision() {
            return trusted;
        }
        match source.trusted() {
            Ok(next) => {
                let next = Arc::new(next);
                self.current.store(Arc::clone(&next));
                next
            }
            Err(error) => {
                // Nothing that was checked before can fail now.
                tracing::error!("the certificate authorities of clients stay as they were: {error}");
                trusted
            }
        }
    }
}

impl Source {
    fn trusted(&self) -> Result<Trusted, TlsError> {
        // Read first: a change that comes meanwhile is looked at with the next handshake.
        let revision = self.channels.revision();
        let mut roots = roots(&self.authorities)?;
        let (mut seen, mut pins) = (BTreeSet::new(), BTreeSet::new());
        for channel in self.channels.list() {
            let config = channel.config();
            for authority in tls_authorities(&config).filter(|authority| seen.insert(Bytes::clone(authority))) {
                if let Err(error) = roots.add(CertificateDer::from(authority.to_vec())) {
                    tracing::warn!("channel {}: unusable TLS authority of an organization: {error}", channel.id());
                }
            }
            let certificates = config.consenters().iter().flat_map(|it| [&it.client_tls_cert, &it.server_tls_cert]);
            pins.extend(certificates.map(|certificate| Spki::from_der(certificate.spki_der().clone())));
        }
        tracing::debug!("clients are trusted by {} certificate authorities and {} keys", roots.len(), pins.len());
        Trusted::new(revision, roots, pins)
    }
}

impl Trusted {
    fn new(revision: u64, roots: RootCertStore, pins: BTreeSet<Spki>) -> Result<Self, TlsError> {
        let chains = if roots.is_empty() {
            None
        } else {
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
            Some(builder.build().map_err(|error| TlsError::Authority(error.to_string()))?)
        };
        Ok(Self { revision, chains, pins })
    }
}

/// The TLS root and intermediate certificates of all organizations of a channel, in DER.
fn tls_authorities(config: &ChannelConfig) -> impl Iterator<Item = &Bytes> {
    let of_msps = config.msps().iter().flat_map(|msp| msp.tls_roots().iter().chain(msp.tls_intermediates()));
    of_msps.map(|certificate| certificate.der())
}

fn roots(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(|error| TlsError::Authority(error.to_string()))?;
    }
    Ok(roots)
}
