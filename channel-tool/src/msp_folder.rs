//! MSP folders: the definition of an organisation, and the identity that signs. Contract §7.2.

mod node_units;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use bytes::Bytes;
use fabric_channel::{Certificate, serialise};
use fabric_proto::msp::{FabricCryptoConfig, FabricMspConfig, MspConfig};
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _};
use prost::Message as _;

use crate::files;
use crate::words;

/// The definition of an organisation, as its value MSP holds it.
pub(crate) fn definition(folder: &Path, msp_id: &str) -> anyhow::Result<MspConfig> {
    let root_certs = pem_files(&folder.join("cacerts"))?;
    ensure!(!root_certs.is_empty(), "{}: an MSP folder needs certificates in cacerts", folder.display());
    let units = node_units::read(folder)?;
    let config = FabricMspConfig {
        name: msp_id.to_owned(),
        root_certs,
        intermediate_certs: pem_files(&folder.join("intermediatecerts"))?,
        admins: pem_files(&folder.join("admincerts"))?,
        revocation_list: pem_files(&folder.join("crls"))?,
        signing_identity: None,
        organizational_unit_identifiers: units.organizational_unit_identifiers,
        crypto_config: Some(FabricCryptoConfig {
            signature_hash_family: "SHA2".to_owned(),
            identity_identifier_hash_function: "SHA256".to_owned(),
        }),
        tls_root_certs: pem_files(&folder.join("tlscacerts"))?,
        tls_intermediate_certs: pem_files(&folder.join("tlsintermediatecerts"))?,
        fabric_node_ous: units.node_ous,
    };
    Ok(MspConfig { r#type: 0, config: config.encode_to_vec().into() })
}

/// The PEM files of a folder in order of their names; none if there is no such folder.
fn pem_files(folder: &Path) -> anyhow::Result<Vec<Bytes>> {
    let mut found = Vec::new();
    for path in files_of(folder)? {
        let bytes = files::read(&path)?;
        let is_pem = bytes.windows(PEM_MARK.len()).any(|part| part == PEM_MARK);
        found.extend(is_pem.then_some(bytes));
    }
    Ok(found)
}

fn files_of(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// The certificate of an MSP folder with its private key.
pub(crate) struct SigningIdentity {
    name: String,
    creator: Bytes,
    key: SigningKey,
}

impl SigningIdentity {
    /// The first certificate in `signcerts`, and the key in `keystore` that belongs to it, whatever its file is
    /// called.
    pub(crate) fn read(folder: &Path, msp_id: &str) -> anyhow::Result<Self> {
        let name = || folder.display().to_string();
        let pem = pem_files(&folder.join("signcerts"))?.into_iter().next();
        let pem = pem.with_context(|| format!("{}: no certificate in signcerts", name()))?;
        let certificate = Certificate::from_pem(&pem).with_context(|| format!("{}: signcerts", name()))?;
        for path in files_of(&folder.join("keystore"))? {
            let Some(secret) = read_key(&files::read(&path)?) else {
                continue;
            };
            let public = secret.public_key().to_public_key_der().map_err(|_| anyhow!("{}: the key", path.display()))?;
            if public.as_bytes() == &certificate.spki_der()[..] {
                let creator = serialise(msp_id, certificate.to_pem().as_bytes());
                let name = format!("{msp_id}/{}", words::name(&certificate));
                return Ok(Self { name, creator, key: SigningKey::from(secret) });
            }
        }
        Err(anyhow!(
            "{}: keystore has no P-256 key in PEM that belongs to the certificate of {}",
            name(),
            words::name(&certificate)
        ))
    }

    /// A marshalled `SerializedIdentity`.
    pub(crate) fn creator(&self) -> &Bytes {
        &self.creator
    }

    /// ECDSA over SHA-256, DER with low S, as Fabric demands.
    pub(crate) fn sign(&self, message: &[u8]) -> Bytes {
        let signature: Signature = self.key.sign(message);
        signature.normalize_s().to_der().as_bytes().to_vec().into()
    }
}

/// PKCS#8 as Fabric writes it, or SEC1.
fn read_key(pem: &[u8]) -> Option<SecretKey> {
    let text = std::str::from_utf8(pem).ok()?;
    SecretKey::from_pkcs8_pem(text).or_else(|_| SecretKey::from_sec1_pem(text)).ok()
}

/// MSP and name, never the key.
impl fmt::Display for SigningIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

const PEM_MARK: &[u8] = b"-----BEGIN ";
