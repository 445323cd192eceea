//! A channel of type BFT with as many organizations as one likes, made on the spot, and keys of members who sign.

#![allow(dead_code, reason = "each program uses some of it")]

use std::time::Duration;

use bytes::Bytes;
use fabric_channel::{
    ApplicationOrganizationProfile, BatchSize, BftOptions, ChannelConfig, ConsenterProfile, GenesisCapabilities,
    GenesisProfile, MspMaterial, OrdererOrganizationProfile, serialise,
};
use fabric_proto::ChannelId;
use fabric_proto::low_s::{Curve, to_low_s};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SerialNumber, SigningKey as _,
    date_time_ymd,
};

/// An organization with one certificate authority and node OUs.
pub struct Organization {
    pub msp_id: String,
    pub ca_pem: Bytes,
    issuer: Issuer<'static, KeyPair>,
}

/// Somebody who signs.
pub struct Member {
    /// The marshalled `SerializedIdentity`.
    pub creator: Bytes,
    pub pem: Bytes,
    serial: u64,
    key: KeyPair,
}

impl Organization {
    pub fn new(msp_id: &str) -> Self {
        let mut params = named(&format!("ca.{msp_id}"), None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let ca_pem = Bytes::from(params.self_signed(&key).unwrap().pem());
        Self { msp_id: msp_id.to_owned(), ca_pem, issuer: Issuer::new(params, key) }
    }

    /// A member in a role: `client`, `admin`, `peer` or `orderer`. Members of one organization need different serials.
    pub fn member(&self, role: &str, serial: u64) -> Member {
        let mut params = named(&format!("{role}{serial}"), Some(role));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().unwrap();
        let pem = Bytes::from(params.signed_by(&key, &self.issuer).unwrap().pem());
        Member { creator: serialise(&self.msp_id, &pem), pem, serial, key }
    }

    /// A list that revokes these members.
    pub fn revoking(&self, members: &[&Member]) -> Bytes {
        let revoked = |member: &&Member| RevokedCertParams {
            serial_number: SerialNumber::from(member.serial),
            revocation_time: date_time_ymd(2025, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, 1),
            next_update: date_time_ymd(2035, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: members.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Bytes::from(params.signed_by(&self.issuer).unwrap().pem().unwrap())
    }

    /// The definition of its MSP.
    pub fn material(&self) -> MspMaterial {
        MspMaterial {
            msp_id: self.msp_id.clone(),
            root_certs: vec![self.ca_pem.clone()],
            tls_root_certs: vec![self.ca_pem.clone()],
            node_ou_certifier: Some(self.ca_pem.clone()),
            ..MspMaterial::default()
        }
    }
}

impl Member {
    /// A signature as Fabric's clients make it.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        to_low_s(Curve::P256, &self.key.sign(message).unwrap()).unwrap()
    }
}

/// A channel with one organization of orderers, its consenters, and these organizations of peers.
pub fn channel(orderer: &Organization, consenters: &[Member], organizations: Vec<MspMaterial>) -> ChannelConfig {
    let profile = GenesisProfile {
        channel_id: ChannelId::new("made").unwrap(),
        capabilities: GenesisCapabilities::default(),
        orderer_organizations: vec![OrdererOrganizationProfile {
            name: orderer.msp_id.clone(),
            msp: orderer.material(),
            endpoints: vec!["127.0.0.1:7050".to_owned()],
        }],
        application_organizations: organizations
            .into_iter()
            .map(|msp| ApplicationOrganizationProfile { name: msp.msp_id.clone(), msp, anchor_peers: Vec::new() })
            .collect(),
        consenters: (1..).zip(consenters).map(|(id, member)| consenter(orderer, id, member)).collect(),
        batch_size: BatchSize { max_message_count: 10, absolute_max_bytes: 10 << 20, preferred_max_bytes: 2 << 20 },
        batch_timeout: Duration::from_secs(1),
        options: BftOptions::default(),
    };
    ChannelConfig::from_block(&profile.block(1_750_000_000, [7; 24]).unwrap()).unwrap()
}

fn consenter(orderer: &Organization, id: u32, member: &Member) -> ConsenterProfile {
    ConsenterProfile {
        id,
        host: "127.0.0.1".to_owned(),
        port: 7050 + id as u16,
        msp_id: orderer.msp_id.clone(),
        identity_pem: member.pem.clone(),
        client_tls_cert_pem: member.pem.clone(),
        server_tls_cert_pem: member.pem.clone(),
    }
}

fn named(common_name: &str, unit: Option<&str>) -> CertificateParams {
    let mut name = DistinguishedName::new();
    unit.into_iter().for_each(|unit| name.push(DnType::OrganizationalUnitName, unit));
    name.push(DnType::CommonName, common_name);
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params
}
