//! The local MSP folder: the certificate in `signcerts/`, its key in `keystore/`, and the authorities it is judged by.
//!
//! What would make every signature of this process worthless stops the start: a certificate that the authorities in
//! `cacerts/` do not vouch for, or whose key is not there. One that has expired does not: it is said loudly, and the process
//! starts, for only a node that runs can follow the configuration update that brings it a new one. Files that are not PEM are
//! passed over, as Fabric does; the key is found by its public half, which is what an SKI is the hash of, whatever its file
//! is called. `config.yaml` is not read: roles are judged by the channel's definition of the MSP, not by the process's own.
//! Contract 7.2.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fabric_channel::{Certificate, IdentityError, InvalidIdentity, Msp, MspError, MspVersion};
use fabric_proto::msp::{FabricMspConfig, MspConfig};
use prost::Message as _;

use crate::signing::{SigningIdentity, SigningKey};

/// A loaded local MSP.
#[derive(Clone, Debug)]
pub struct LocalMsp {
    identity: SigningIdentity,
    has_expired: bool,
}

/// Why a local MSP cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file or folder that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A folder without what must be in it.
    #[error("{}: no {what} in PEM in this folder", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// A folder with more files than a local MSP has.
    #[error("{}: more than {FILES_MAX} files", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
    /// The authorities are not those of an MSP.
    #[error("{}: {source}", path.display())]
    Authorities {
        /// The MSP folder.
        path: PathBuf,
        /// What is wrong with them.
        source: MspError,
    },
    /// The certificate is not one of this MSP.
    #[error("{}: {source}", path.display())]
    Identity {
        /// The certificate.
        path: PathBuf,
        /// Why not.
        source: IdentityError,
    },
    /// The certificate is one of this MSP that it does not accept.
    #[error("{}: the identity is not valid: {source}", path.display())]
    Invalid {
        /// The certificate.
        path: PathBuf,
        /// Why not.
        source: InvalidIdentity,
    },
    /// There are keys, but not the one of the certificate.
    #[error(
        "certificate and key do not match: none of the {keys} private keys in {} belongs to {}",
        keystore.display(), certificate.display()
    )]
    Mismatch {
        /// The certificate.
        certificate: PathBuf,
        /// The folder of keys.
        keystore: PathBuf,
        /// How many keys of the right kind are in it.
        keys: usize,
    },
}

impl LocalMsp {
    /// Reads the folder `dir` as the local MSP of a member of `msp_id`.
    ///
    /// # Errors
    /// See [`KeyError`]; the text names the file or folder.
    pub fn load(dir: &Path, msp_id: &str) -> Result<Self, KeyError> {
        Self::load_with_keystore(dir, &dir.join("keystore"), msp_id)
    }

    /// As [`LocalMsp::load`], with the private key in another folder.
    ///
    /// # Errors
    /// See [`KeyError`]; the text names the file or folder.
    pub fn load_with_keystore(dir: &Path, keystore: &Path, msp_id: &str) -> Result<Self, KeyError> {
        let (path, pem) = first_certificate(&dir.join("signcerts"))?;
        let msp = read_msp(dir, msp_id)?;
        let identity = msp.deserialise(&pem).map_err(|source| KeyError::Identity { path: path.clone(), source })?;
        identity.validity().map_err(|source| KeyError::Invalid { path: path.clone(), source })?;
        let certificate = identity.certificate().clone();
        let key = find_key(keystore, &certificate, &path)?;
        let has_expired = certificate.not_after_unix_s() < now_unix_s();
        if has_expired {
            tracing::error!(
                certificate = %path.display(),
                "THE CERTIFICATE OF THIS NODE HAS EXPIRED: others may refuse what it signs; renew it for the same key, \
                 or replace it by a configuration update"
            );
        }
        Ok(Self { identity: SigningIdentity::new(msp_id, certificate, Arc::new(key)), has_expired })
    }

    /// Had the certificate expired when it was read?
    #[must_use]
    pub const fn has_expired(&self) -> bool {
        self.has_expired
    }

    /// What this process signs as.
    #[must_use]
    pub const fn identity(&self) -> &SigningIdentity {
        &self.identity
    }
}

/// The first file of `signcerts/`, by name, that holds a certificate.
fn first_certificate(folder: &Path) -> Result<(PathBuf, Bytes), KeyError> {
    pem_files(folder)?
        .into_iter()
        .next()
        .ok_or_else(|| KeyError::Missing { path: folder.to_owned(), what: "certificate" })
}

/// The authorities alone, at the oldest level of behaviour, which asks nothing of roles.
fn read_msp(dir: &Path, msp_id: &str) -> Result<Msp, KeyError> {
    let roots = dir.join("cacerts");
    let root_certs = bytes_of(pem_files(&roots)?);
    if root_certs.is_empty() {
        return Err(KeyError::Missing { path: roots, what: "certificate" });
    }
    let definition = FabricMspConfig {
        name: msp_id.to_owned(),
        root_certs,
        intermediate_certs: bytes_of(pem_files_if_there(&dir.join("intermediatecerts"))?),
        revocation_list: bytes_of(pem_files_if_there(&dir.join("crls"))?),
        ..FabricMspConfig::default()
    };
    let config = MspConfig { config: definition.encode_to_vec().into(), ..MspConfig::default() };
    Msp::from_config(&config, MspVersion::V1_0).map_err(|source| KeyError::Authorities { path: dir.to_owned(), source })
}

fn find_key(keystore: &Path, certificate: &Certificate, path: &Path) -> Result<SigningKey, KeyError> {
    let mut keys = 0;
    for (file, pem) in pem_files(keystore)? {
        match SigningKey::from_pem(&pem) {
            Ok(key) if key.is_key_of(certificate) => return Ok(key),
            Ok(_) => keys += 1,
            Err(error) => tracing::debug!(file = %file.display(), %error, "passed over"),
        }
    }
    if keys == 0 {
        return Err(KeyError::Missing { path: keystore.to_owned(), what: "ECDSA P-256 private key" });
    }
    Err(KeyError::Mismatch { certificate: path.to_owned(), keystore: keystore.to_owned(), keys })
}

fn pem_files_if_there(folder: &Path) -> Result<Vec<(PathBuf, Bytes)>, KeyError> {
    if folder.is_dir() { pem_files(folder) } else { Ok(Vec::new()) }
}

/// The files of a folder that hold PEM, ordered by name.
fn pem_files(folder: &Path) -> Result<Vec<(PathBuf, Bytes)>, KeyError> {
    let mut found = Vec::new();
    for path in paths_in(folder)? {
        let read = |source| KeyError::Unreadable { path: path.clone(), source };
        let metadata = std::fs::metadata(&path).map_err(read)?;
        if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
            continue;
        }
        let content = std::fs::read(&path).map_err(read)?;
        if is_pem(&content) {
            found.push((path, content.into()));
        }
    }
    Ok(found)
}

fn paths_in(folder: &Path) -> Result<Vec<PathBuf>, KeyError> {
    let unreadable = |source| KeyError::Unreadable { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        if paths.len() == FILES_MAX {
            return Err(KeyError::TooMany { path: folder.to_owned() });
        }
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn is_pem(content: &[u8]) -> bool {
    content.windows(PEM_START.len()).any(|window| window == PEM_START)
}

fn bytes_of(files: Vec<(PathBuf, Bytes)>) -> Vec<Bytes> {
    files.into_iter().map(|(_, content)| content).collect()
}

/// A clock before 1970 makes no certificate expired.
fn now_unix_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

const PEM_START: &[u8] = b"-----BEGIN ";
const FILES_MAX: usize = 1000;
const FILE_BYTES_MAX: u64 = 1 << 20;
