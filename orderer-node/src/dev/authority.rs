//! A certificate authority that issues what Fabric's cryptogen issues: the same subjects, extensions and key kind.
//!
//! Keys are P-256, kept as PKCS#8 in PEM. Signatures on certificates are low-S, because Fabric compares identities by
//! their bytes after rewriting high ones (contract 7.4): a certificate that needs no rewriting has one form only.
//! A leaf also carries its own subject key identifier, which cryptogen leaves away and nobody minds.

use std::time::{Duration, SystemTime};

use fabric_proto::low_s::{Curve, to_low_s};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SigningKey,
};
use sha2::{Digest as _, Sha256};

/// Issues certificates of one organisation for one purpose: enrolment or TLS.
pub(super) struct Authority {
    issuer: Issuer<'static, LowS>,
    certificate_pem: String,
    lifetime: Lifetime,
}

/// A certificate and its private key, both PEM.
pub(super) struct Issued {
    pub(super) certificate_pem: String,
    pub(super) key_pem: String,
}

/// What a leaf is good for.
pub(super) enum Purpose {
    /// To sign as a member: the organisational unit says in which role.
    Enrolment {
        /// `orderer`, `peer`, `client` or `admin`.
        unit: &'static str,
    },
    /// To shake hands on either side of a connection.
    Tls {
        /// Names and addresses at which it may serve; none for a client.
        names: Vec<String>,
    },
}

/// From when to when certificates are valid. All of one making have the same, so that none is valid before its issuer.
#[derive(Clone, Copy)]
pub(super) struct Lifetime {
    from: SystemTime,
}

impl Lifetime {
    /// Ten years from now. They begin a little earlier, for clocks that are behind.
    pub(super) fn from_now() -> Self {
        Self { from: SystemTime::now() - CLOCK_TOLERANCE }
    }

    fn limit(self, params: &mut CertificateParams) {
        params.not_before = self.from.into();
        params.not_after = (self.from + LIFETIME).into();
    }
}

impl Authority {
    /// A new authority, self-signed. `name` is `ca` or `tlsca`.
    pub(super) fn new(name: &str, domain: &str, lifetime: Lifetime) -> Result<Self, rcgen::Error> {
        let key = LowS(KeyPair::generate()?);
        let mut params = subject(&format!("{name}.{domain}"), DnType::OrganizationName, domain);
        lifetime.limit(&mut params);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        params.extended_key_usages = both_sides();
        params.key_identifier_method = key.identifier();
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate_pem, lifetime })
    }

    /// Makes a key and a certificate for it.
    pub(super) fn issue(&self, common_name: &str, purpose: Purpose) -> Result<Issued, rcgen::Error> {
        let key = LowS(KeyPair::generate()?);
        let mut params = match purpose {
            Purpose::Enrolment { unit } => {
                let mut params = subject(common_name, DnType::OrganizationalUnitName, unit);
                params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
                params
            }
            Purpose::Tls { names } => {
                let mut params = subject(common_name, DnType::CommonName, common_name);
                params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
                params.extended_key_usages = both_sides();
                params.subject_alt_names = names.iter().map(|name| alternative(name)).collect::<Result<_, _>>()?;
                params
            }
        };
        self.lifetime.limit(&mut params);
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_identifier_method = key.identifier();
        let certificate_pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Issued { certificate_pem, key_pem: key.0.serialize_pem() })
    }

    pub(super) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    pub(super) fn key_pem(&self) -> String {
        self.issuer.key().0.serialize_pem()
    }
}

/// cryptogen's subject: a place, then what tells the holder apart, then its name.
fn subject(common_name: &str, kind: DnType, value: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let name = &mut params.distinguished_name;
    *name = rcgen::DistinguishedName::new();
    name.push(DnType::CountryName, "US");
    name.push(DnType::StateOrProvinceName, "California");
    name.push(DnType::LocalityName, "San Francisco");
    name.push(kind, value);
    name.push(DnType::CommonName, common_name);
    params
}

fn alternative(name: &str) -> Result<SanType, rcgen::Error> {
    match name.parse() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => Ok(SanType::DnsName(name.try_into()?)),
    }
}

fn both_sides() -> Vec<ExtendedKeyUsagePurpose> {
    vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
}

/// A key whose signatures have the smaller of the two `s`.
struct LowS(KeyPair);

impl LowS {
    /// SHA-256 over the public point: the SKI by which Fabric's key stores find a key.
    fn identifier(&self) -> KeyIdMethod {
        KeyIdMethod::PreSpecified(Sha256::digest(self.0.public_key_raw()).to_vec())
    }
}

impl PublicKeyData for LowS {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        PublicKeyData::algorithm(&self.0)
    }
}

impl SigningKey for LowS {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        to_low_s(Curve::P256, &self.0.sign(message)?).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

const CLOCK_TOLERANCE: Duration = Duration::from_secs(5 * 60);
const LIFETIME: Duration = Duration::from_secs(3650 * 24 * 60 * 60);
