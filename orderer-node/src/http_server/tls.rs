//! TLS of an HTTP server, as the sections `Admin.TLS` and `Operations.TLS` of `orderer.yaml` describe it (contract 7.1).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use frontend_shim::tls::{ClientAuth, TlsError, TrustedClients, server_config};
use frontend_shim::tls_identity::{TlsIdentity, load_certificates};
use rustls_pki_types::CertificateDer;

/// What a server shows, and which certificates of clients it takes.
#[derive(Clone, Debug)]
pub struct HttpTls {
    /// What the server shows.
    pub identity: TlsIdentity,
    /// Must a client show a certificate? Otherwise it may, and one that is shown must be good all the same.
    pub client_auth_required: bool,
    /// Authorities of clients.
    pub client_root_cas: Vec<CertificateDer<'static>>,
    /// See [`TrustedClients::looking_back`].
    pub time_shift: Duration,
}

impl HttpTls {
    /// Reads it from PEM files.
    ///
    /// # Errors
    /// A file that cannot be read, or holds something else; the text names it.
    pub fn load(
        certificate: &Path,
        key: &Path,
        client_auth_required: bool,
        client_root_cas: &[PathBuf],
    ) -> Result<Self, TlsError> {
        let mut authorities = Vec::new();
        for path in client_root_cas {
            authorities.extend(load_certificates(path)?);
        }
        let identity = TlsIdentity::load(certificate, key)?;
        Ok(Self { identity, client_auth_required, client_root_cas: authorities, time_shift: Duration::ZERO })
    }

    /// Takes certificates of clients too that were good so long ago.
    #[must_use]
    pub const fn looking_back(mut self, time_shift: Duration) -> Self {
        self.time_shift = time_shift;
        self
    }

    pub(super) fn server_config(&self) -> Result<Arc<rustls::ServerConfig>, TlsError> {
        let trusted = TrustedClients::new(&self.client_root_cas, Vec::new())?.looking_back(self.time_shift);
        let trusted = Arc::new(trusted);
        let client_auth = match self.client_auth_required {
            true => ClientAuth::Required(trusted),
            false => ClientAuth::JudgedIfPresented(trusted),
        };
        server_config(&self.identity, &[b"http/1.1"], client_auth)
    }
}
