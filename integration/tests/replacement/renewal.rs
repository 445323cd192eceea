//! A node's certificates are renewed: its keys stay.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use integration::crypto_folder::CryptoFolder;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};

/// Has both authorities of the orderers' organisation certify the keys of a node anew; the new certificates take the place of
/// the old ones in its folder.
pub fn renew(keys: &CryptoFolder, id: u16) {
    let (node, name) = (keys.orderer(id.into()), format!("o{id}.orderer.example.com"));
    let organisation = keys.orderers_msp();
    let organisation = organisation.parent().unwrap();

    let mut enrolment = named(&name);
    enrolment.distinguished_name.push(DnType::OrganizationalUnitName, "orderer");
    let authority = authority(organisation, "ca");
    certify(
        enrolment,
        &node.join("msp/keystore/priv_sk"),
        &authority,
        &node.join(format!("msp/signcerts/{name}-cert.pem")),
    );

    let mut tls = named(&name);
    tls.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
    tls.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let authority = self::authority(organisation, "tlsca");
    certify(tls, &node.join("tls/server.key"), &authority, &node.join("tls/server.crt"));
}

fn authority(organisation: &Path, kind: &str) -> Issuer<'static, KeyPair> {
    let folder = organisation.join(kind);
    let certificate = fs::read_to_string(folder.join(format!("{kind}.orderer.example.com-cert.pem"))).unwrap();
    Issuer::from_ca_cert_pem(&certificate, key(&folder.join("priv_sk"))).unwrap()
}

fn certify(mut params: CertificateParams, key_file: &Path, authority: &Issuer<'_, KeyPair>, certificate_file: &Path) {
    // No certificate is valid before its authority's.
    let now = SystemTime::now();
    (params.not_before, params.not_after) = (now.into(), (now + YEAR).into());
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key(key_file), authority).unwrap().pem();
    assert_ne!(fs::read_to_string(certificate_file).unwrap(), certificate);
    fs::write(certificate_file, certificate).unwrap();
}

fn key(file: &Path) -> KeyPair {
    KeyPair::from_pem(&fs::read_to_string(file).unwrap()).unwrap()
}

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
