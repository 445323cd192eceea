//! A TLS authority of an organisation, and keys of consenters, for tests.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use fabric_channel::{Certificate, Msp, MspVersion, PublicKey};
use fabric_proto::msp::{FabricMspConfig, MspConfig};
use frontend_shim::tls_identity::TlsIdentity;
use prost::Message as _;

use crate::keys::SigningKey;

/// Issues certificates.
pub(crate) struct TestAuthority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

impl TestAuthority {
    pub(crate) fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: rcgen::Issuer::new(params, key), pem }
    }

    /// An organisation whose authority this is, for identities and for TLS.
    pub(crate) fn msp(&self, msp_id: &str) -> Msp {
        let pem = Bytes::from(self.pem.clone());
        let definition = FabricMspConfig {
            name: msp_id.to_owned(),
            root_certs: vec![pem.clone()],
            tls_root_certs: vec![pem],
            ..FabricMspConfig::default()
        };
        let config = MspConfig { config: definition.encode_to_vec().into(), ..MspConfig::default() };
        Msp::from_config(&config, MspVersion::V1_0).unwrap()
    }

    pub(crate) fn issue(&self, common_name: &str) -> TlsIdentity {
        self.issue_until(common_name, 2100)
    }

    /// A certificate from 2010 until the beginning of this year.
    pub(crate) fn issue_until(&self, common_name: &str, year: i32) -> TlsIdentity {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
        params.not_before = rcgen::date_time_ymd(2010, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        TlsIdentity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }
}

/// A fresh pinned key with its public half as a channel configuration gives it.
pub(crate) fn pinned() -> (SigningKey, PublicKey) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let public = Certificate::from_der(certificate.der()).unwrap().public_key().clone();
    (SigningKey::from_pem(key.serialize_pem().as_bytes()).unwrap(), public)
}
