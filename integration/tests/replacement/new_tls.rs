//! A second TLS authority of the orderers' organisation, and a certificate for a node that gets a new key.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use integration::material;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rcgen::{KeyUsagePurpose, SanType};

/// Files in PEM.
pub struct NewTls {
    /// The certificate of the new authority.
    pub authority_pem: Bytes,
    /// The certificates of both authorities.
    pub authorities: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl NewTls {
    pub fn in_folder(folder: &Path) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = named("tlsca2.orderer.example.com");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        let authority_pem = params.self_signed(&key).unwrap().pem();
        let authority = Issuer::new(params, key);

        let key = KeyPair::generate().unwrap();
        let mut params = named("renewed.orderer.example.com");
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &authority).unwrap().pem();

        let file = |name: &str, content: String| {
            let path = folder.join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let both = std::fs::read_to_string(material::tls_authority()).unwrap() + &authority_pem;
        Self {
            authority_pem: authority_pem.into(),
            authorities: file("authorities.pem", both),
            certificate: file("new-tls.pem", certificate),
            key: file("new-tls-key.pem", key.serialize_pem()),
        }
    }
}

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}
