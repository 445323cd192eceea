//! The credentials of admitted frontends, kept on the disk.
//!
//! A body that this node promised to hold can be ordered only by replicas that believe its frontend. The frontend may never
//! come back, and every node may have restarted; so a credential is durable here before the first request under it is
//! acknowledged, and is told to the others again after a restart. The file is small and replaced as a whole.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use frontend_shim::keys::Credential;
use mod_smart::GroupId;
use mod_smart::codec::{CodecError, Reader, Writer};

use crate::disk::{Disk, DiskError};
use crate::keys::{FRONTENDS_MAX, NodeKeyring};

/// The file of one ordering group.
#[derive(Debug)]
pub struct CredentialStore {
    disk: Arc<dyn Disk>,
    group: GroupId,
    /// What the file holds. Its owner is the one who writes.
    stored: Mutex<Vec<Credential>>,
}

/// Why credentials cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file does not verify.
    #[error("the file {FILE} of frontends' credentials is damaged: {0}")]
    Damaged(&'static str),
}

impl From<CodecError> for CredentialError {
    fn from(_: CodecError) -> Self {
        Self::Damaged("it does not parse")
    }
}

impl CredentialStore {
    /// Opens the store; what it holds is believed again. A credential that is no longer good, because its certificate
    /// expired or its organisation left, is left out with a line in the log.
    ///
    /// # Errors
    /// The disk fails or the file is damaged.
    pub fn open(disk: Arc<dyn Disk>, group: GroupId, keyring: &NodeKeyring) -> Result<Self, CredentialError> {
        let stored = if disk.list()?.iter().any(|name| name == FILE) { read(&*disk, group)? } else { Vec::new() };
        for credential in &stored {
            if let Err(error) = keyring.learn(credential) {
                tracing::warn!(frontend = %credential.frontend, %error, "a frontend admitted before the restart is not believed any more");
            }
        }
        Ok(Self { disk, group, stored: Mutex::new(stored) })
    }

    /// Makes durable that the frontends in the keyring were admitted. Does nothing if that is so already. Writes to the
    /// disk: not for a task that must not block.
    ///
    /// # Errors
    /// The disk fails; then nobody may be promised anything.
    pub fn keep(&self, keyring: &NodeKeyring) -> Result<(), CredentialError> {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let credentials = keyring.credentials();
        if *stored == credentials {
            return Ok(());
        }
        let temporary = format!("{FILE}.new");
        self.disk.remove(&temporary)?;
        let file = self.disk.create(&temporary)?;
        file.write_at(0, &encode(self.group, &credentials))?;
        file.sync()?;
        self.disk.rename(&temporary, FILE)?;
        self.disk.sync_names()?;
        *stored = credentials;
        Ok(())
    }
}

fn encode(group: GroupId, credentials: &[Credential]) -> Bytes {
    let mut writer = Writer::with_capacity(64 + 1024 * credentials.len());
    writer.raw(MAGIC);
    writer.raw(&group.0);
    writer.count(credentials.len());
    for credential in credentials {
        credential.encode(&mut writer);
    }
    let body = writer.finish();
    let mut whole = Writer::with_capacity(body.len() + 4);
    whole.u32(crc32c::crc32c(&body));
    whole.raw(&body);
    whole.finish()
}

fn read(disk: &dyn Disk, group: GroupId) -> Result<Vec<Credential>, CredentialError> {
    let file = disk.open(FILE)?;
    let length = file.len()?;
    if length > FILE_BYTES_MAX {
        return Err(CredentialError::Damaged("it is longer than any such file"));
    }
    let mut bytes = vec![0; length as usize];
    file.read_at(0, &mut bytes)?;
    let mut reader = Reader::new(bytes.into());
    let sum = reader.u32()?;
    let mut reader = Reader::new(reader.rest());
    if crc32c::crc32c(&reader.rest()) != sum {
        return Err(CredentialError::Damaged("its checksum is wrong"));
    }
    if reader.array()? != *MAGIC {
        return Err(CredentialError::Damaged("it is of another version"));
    }
    if reader.array()? != group.0 {
        return Err(CredentialError::Damaged("it belongs to another ordering group"));
    }
    let credentials = reader.list(FRONTENDS_MAX, 40, Credential::decode)?;
    reader.finish()?;
    Ok(credentials)
}

const FILE: &str = "credentials";
const MAGIC: &[u8; 8] = b"frontds1";
const FILE_BYTES_MAX: u64 = 64 << 20;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use frontend_shim::keys::FrontendKey;

    use super::*;
    use crate::disk::MemDisk;
    use crate::keys::test_authority::TestAuthority;

    const GROUP: GroupId = GroupId([5; 32]);

    fn keyring(authority: &TestAuthority) -> NodeKeyring {
        NodeKeyring::new(GROUP, Vec::new(), vec![authority.msp("OrdererMSP")])
    }

    fn admit(keyring: &NodeKeyring, authority: &TestAuthority) -> Credential {
        let key = FrontendKey::generate().unwrap();
        let credential = Credential::issue(GROUP, key.id(), &authority.issue("frontend")).unwrap();
        assert!(keyring.admit(&credential).unwrap());
        credential
    }

    #[test]
    fn a_frontend_admitted_before_a_loss_of_power_is_believed_after_it() {
        let (authority, disk) = (TestAuthority::new(), MemDisk::default());
        let before = keyring(&authority);
        let store = CredentialStore::open(Arc::new(disk.clone()), GROUP, &before).unwrap();
        let kept = admit(&before, &authority);
        store.keep(&before).unwrap();
        let forgotten = admit(&before, &authority);
        disk.crash();
        let after = keyring(&authority);
        CredentialStore::open(Arc::new(disk.clone()), GROUP, &after).unwrap();
        assert_eq!(after.credentials(), [kept]);
        assert!(!after.credentials().contains(&forgotten), "what was not kept was promised to nobody");
    }

    #[test]
    fn damage_and_other_groups_are_named() {
        let (authority, disk) = (TestAuthority::new(), MemDisk::default());
        let before = keyring(&authority);
        let store = CredentialStore::open(Arc::new(disk.clone()), GROUP, &before).unwrap();
        admit(&before, &authority);
        store.keep(&before).unwrap();
        let whole = disk.content(FILE).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            disk.plant(FILE, &bytes);
            let opened = CredentialStore::open(Arc::new(disk.clone()), GROUP, &keyring(&authority));
            assert!(matches!(opened, Err(CredentialError::Damaged(_))), "byte {at}");
        }
        disk.plant(FILE, &whole);
        let other = CredentialStore::open(Arc::new(disk), GroupId([6; 32]), &keyring(&authority));
        assert!(matches!(other, Err(CredentialError::Damaged("it belongs to another ordering group"))));
    }
}
