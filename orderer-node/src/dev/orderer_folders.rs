//! Which orderer folder below `ordererOrganizations/` belongs to which consenter of a channel.
//!
//! A consenter is known by the certificate that the channel configuration names: its identity on type BFT, its server
//! TLS certificate on type etcdraft. Folder names mean nothing. What matches is then read as the node itself will read
//! it, so that a wrong certificate or key is named before anything starts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use fabric_channel::{Certificate, Consenter};
use frontend_shim::tls_identity::TlsIdentity;

use crate::keys::LocalMsp;

/// The orderer folders of a crypto folder.
pub(super) struct OrdererFolders {
    searched: PathBuf,
    found: Vec<OrdererFolder>,
}

/// One of them: as much of it as could be read.
struct OrdererFolder {
    path: PathBuf,
    identity: anyhow::Result<Certificate>,
    server_tls: anyhow::Result<Certificate>,
}

/// Which certificate tells consenters apart.
#[derive(Clone, Copy)]
enum Mark {
    Identity,
    ServerTls,
}

impl OrdererFolders {
    /// Finds the folders below `crypto`.
    ///
    /// # Errors
    /// `crypto` is not a folder with orderer organisations in it.
    pub(super) fn find(crypto: &Path) -> anyhow::Result<Self> {
        let searched = crypto.join("ordererOrganizations");
        let mut found = Vec::new();
        for organisation in folders_in(&searched)? {
            for path in folders_in(&organisation.join("orderers"))? {
                let identity = first_certificate(&path.join("msp/signcerts"));
                let server_tls = read_certificate(&path.join("tls/server.crt"));
                found.push(OrdererFolder { path, identity, server_tls });
            }
        }
        if found.is_empty() {
            bail!("no orderer folders in {}/*/orderers", searched.display());
        }
        Ok(Self { searched, found })
    }

    /// The folder of a consenter whose organisation is `msp_id`, after a check of everything in it that a node needs.
    ///
    /// # Errors
    /// No folder has its certificate, or something in the folder does not fit.
    pub(super) fn folder_of(&self, consenter: &Consenter, msp_id: &str) -> anyhow::Result<&Path> {
        let mark = if consenter.identity.is_some() { Mark::Identity } else { Mark::ServerTls };
        let wanted = mark.of_consenter(consenter);
        let folder = self.found.iter().find(|folder| mark.of_folder(folder).is_some_and(|it| it.der() == wanted.der()));
        let folder = folder.ok_or_else(|| self.reject_missing(consenter, mark))?;
        folder.check(consenter, msp_id)?;
        Ok(&folder.path)
    }

    fn reject_missing(&self, consenter: &Consenter, mark: Mark) -> anyhow::Error {
        let wanted = mark.of_consenter(consenter);
        let mut text = format!(
            "consenter {} ({}): no folder in {}/*/orderers has its {}, {}",
            consenter.id,
            consenter.address(),
            self.searched.display(),
            mark.name(),
            wanted.subject_text(),
        );
        for folder in &self.found {
            match mark.of_read(folder) {
                Err(error) => text += &format!("; {error:#}"),
                Ok(other) if other.subject_text() == wanted.subject_text() => {
                    text += &format!("; {} has a certificate of the same name, but another one", folder.path.display());
                }
                Ok(_) => {}
            }
        }
        anyhow!(text)
    }
}

impl OrdererFolder {
    fn check(&self, consenter: &Consenter, msp_id: &str) -> anyhow::Result<()> {
        LocalMsp::load(&self.path.join("msp"), msp_id)?;
        let (certificate, key) = (self.path.join("tls/server.crt"), self.path.join("tls/server.key"));
        TlsIdentity::load(&certificate, &key)?;
        let server_tls = self.server_tls.as_ref().map_err(|error| anyhow!("{error:#}"))?;
        for (named, what) in [(&consenter.server_tls_cert, "server"), (&consenter.client_tls_cert, "client")] {
            if named.der() != server_tls.der() {
                bail!(
                    "{}: not the {what} TLS certificate that the channel names for consenter {}, {}",
                    certificate.display(),
                    consenter.id,
                    named.subject_text(),
                );
            }
        }
        Ok(())
    }
}

impl Mark {
    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity certificate",
            Self::ServerTls => "server TLS certificate",
        }
    }

    fn of_consenter(self, consenter: &Consenter) -> &Certificate {
        match (self, &consenter.identity) {
            (Self::Identity, Some(identity)) => &identity.certificate,
            _ => &consenter.server_tls_cert,
        }
    }

    fn of_read(self, folder: &OrdererFolder) -> &anyhow::Result<Certificate> {
        match self {
            Self::Identity => &folder.identity,
            Self::ServerTls => &folder.server_tls,
        }
    }

    fn of_folder(self, folder: &OrdererFolder) -> Option<&Certificate> {
        self.of_read(folder).as_ref().ok()
    }
}

/// The folders in a folder, by name.
///
/// # Errors
/// It cannot be read.
pub(super) fn folders_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The first file of a folder, by name, as a certificate.
///
/// # Errors
/// There is none, or it is none.
pub(super) fn first_certificate(folder: &Path) -> anyhow::Result<Certificate> {
    let unreadable = || format!("cannot read {}", folder.display());
    let entries = fs::read_dir(folder).with_context(unreadable)?;
    let mut files =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().with_context(unreadable)?;
    files.sort();
    let first = files.first().with_context(|| format!("{}: no certificate in this folder", folder.display()))?;
    read_certificate(first)
}

fn read_certificate(path: &Path) -> anyhow::Result<Certificate> {
    let pem = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Certificate::from_pem(&pem).with_context(|| path.display().to_string())
}
