//! The `[admin]` and `[operations]` sections: listeners for HTTP.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{CertificateFiles, ConfigError, HttpListener, Place, TlsFiles};

/// What was written. TLS is there if its certificate is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenHttp {
    listen_address: String,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    #[serde(default)]
    client_root_cas: Vec<PathBuf>,
}

impl WrittenHttp {
    /// With TLS the admin listener insists on client certificates, as in Fabric; the operations listener lets each path
    /// decide.
    pub(super) fn resolve(self, place: &Place<'_>, section: &'static str) -> Result<HttpListener, ConfigError> {
        let address = place.address(section, &self.listen_address)?;
        let server = match (self.certificate, self.key) {
            (None, None) => return Ok(HttpListener { address, tls: None }),
            (Some(certificate), Some(key)) => {
                CertificateFiles { certificate: place.file(certificate), key: place.file(key) }
            }
            _ => return Err(place.wrong(section, "`certificate` and `key` go together")),
        };
        let client_root_cas = self.client_root_cas.into_iter().map(|file| place.file(file)).collect();
        Ok(HttpListener {
            address,
            tls: Some(TlsFiles {
                server,
                client_auth_required: section == "admin",
                client_root_cas,
                time_shift: Duration::ZERO,
            }),
        })
    }
}
