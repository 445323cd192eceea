//! The folder that a network lives in: its keys and genesis block, and a folder for each node.
//!
//! ```text
//! DATA/lock                held while a network runs on this folder
//! DATA/crypto/             keys and certificates, unless they were given
//! DATA/genesis.block       of the channel; the one that was given, or made here
//! DATA/genesis2.block      of a second channel, and so on
//! DATA/network.json        what runs, for programs
//! DATA/nodes/oN/node.toml  configuration of a node, written at every start
//! DATA/nodes/oN/node.log   what it says
//! DATA/nodes/oN/data/      its journal and ledgers
//! DATA/frontends/fN/       the same of a frontend of its own
//! ```
//!
//! Keys, genesis block and ledgers are made once and never written over. What is asked for at a later start has to
//! agree with them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

use super::crypto_folder;
use super::genesis::ChannelPlan;
use super::network::{NodePlan, read_genesis};
use super::plan::ChannelOptions;

/// The folder, held by this process.
pub(super) struct DataFolder {
    root: PathBuf,
    _lock: File,
}

/// Where the things are that make a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Material {
    pub(super) genesis: PathBuf,
    /// Genesis blocks of further channels of the same nodes.
    pub(super) further: Vec<PathBuf>,
    pub(super) crypto: PathBuf,
}

impl Material {
    /// The genesis blocks of all channels.
    pub(super) fn all_genesis(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.genesis).chain(&self.further).map(PathBuf::as_path)
    }
}

/// Files of one node.
#[derive(Clone, Debug)]
pub(super) struct NodeFiles {
    pub(super) config: PathBuf,
    pub(super) log: PathBuf,
    pub(super) data: PathBuf,
    pub(super) status_socket: PathBuf,
    pub(super) broadcast_socket: PathBuf,
}

/// Files of a frontend of its own.
#[derive(Clone, Debug)]
pub(super) struct FrontendFiles {
    pub(super) config: PathBuf,
    pub(super) log: PathBuf,
    pub(super) data: PathBuf,
    pub(super) status_socket: PathBuf,
}

impl DataFolder {
    /// Creates the folder if it is not there, and holds it.
    ///
    /// # Errors
    /// It cannot be created, or another process holds it.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        let root = path.canonicalize().with_context(|| format!("cannot read {}", path.display()))?;
        let lock_file = root.join("lock");
        let lock = File::options().create(true).append(true).open(&lock_file);
        let lock = lock.with_context(|| format!("cannot write {}", lock_file.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { root, _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => bail!("{}: another network is running on this folder", root.display()),
            Err(fs::TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", lock_file.display()))
            }
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Keys and genesis block of this folder's own, made at the first start and kept.
    ///
    /// # Errors
    /// What is there does not agree with `options`, is incomplete, or cannot be read or written.
    pub(super) fn own_material(&self, options: &ChannelOptions) -> anyhow::Result<Material> {
        let mut material = Material {
            genesis: self.root.join("genesis.block"),
            further: self.further_genesis(),
            crypto: self.root.join("crypto"),
        };
        let channels = 1 + material.further.len();
        match (material.crypto.exists(), material.genesis.exists()) {
            (true, true) => options.check_against(&read_genesis(&material.genesis)?, channels).with_context(|| {
                format!(
                    "{} was made with other options; choose another --data, or leave the option away",
                    self.root.display()
                )
            })?,
            (false, true) => bail!(
                "{} has a genesis block but no keys: it was started with --genesis and --crypto, which are needed again",
                self.root.display(),
            ),
            (has_keys, false) => {
                self.reject_ledgers("without a genesis block")?;
                let plan = options.plan()?;
                if !has_keys {
                    crypto_folder::make(&material.crypto, plan.nodes)?;
                }
                self.make_genesis(&plan, &mut material)?;
            }
        }
        Ok(material)
    }

    /// A genesis block and keys that were made elsewhere. The block is copied, so that a later start on other material
    /// is noticed.
    ///
    /// # Errors
    /// The folder belongs to another channel, or a file cannot be read or written.
    pub(super) fn given_material(&self, genesis: &Path, crypto: &Path) -> anyhow::Result<Material> {
        let given = fs::read(genesis).with_context(|| format!("cannot read {}", genesis.display()))?;
        read_genesis(genesis)?;
        let crypto = crypto.canonicalize().with_context(|| format!("cannot read {}", crypto.display()))?;
        let kept = self.root.join("genesis.block");
        if kept.exists() {
            let present = fs::read(&kept).with_context(|| format!("cannot read {}", kept.display()))?;
            if present != given {
                bail!(
                    "{} is not the block that {} was started with; choose another --data",
                    genesis.display(),
                    self.root.display()
                );
            }
        } else {
            self.reject_ledgers("without a genesis block")?;
            write_whole(&kept, &given)?;
        }
        Ok(Material { genesis: kept, further: Vec::new(), crypto })
    }

    /// The files of a node; its folder is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn node_files(&self, node: &NodePlan) -> anyhow::Result<NodeFiles> {
        let (folder, sockets) = self.process_folders("nodes", &node.name)?;
        Ok(NodeFiles {
            config: folder.join("node.toml"),
            log: folder.join("node.log"),
            data: folder.join("data"),
            status_socket: sockets.join("status.sock"),
            broadcast_socket: sockets.join("broadcast.sock"),
        })
    }

    /// The files of a frontend of its own; its folder is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn frontend_files(&self, name: &str) -> anyhow::Result<FrontendFiles> {
        let (folder, sockets) = self.process_folders("frontends", name)?;
        Ok(FrontendFiles {
            config: folder.join("frontend.toml"),
            log: folder.join("frontend.log"),
            data: folder.join("data"),
            status_socket: sockets.join("status.sock"),
        })
    }

    /// A process's folder, and the one for its sockets.
    fn process_folders(&self, kind: &str, name: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
        let folder = self.root.join(kind).join(name);
        let sockets = self.sockets_folder(&folder);
        for needed in [&folder, &sockets] {
            fs::create_dir_all(needed).with_context(|| format!("cannot create {}", needed.display()))?;
        }
        Ok((folder, sockets))
    }

    /// The folder itself, unless the path of a socket in it would be longer than the system takes.
    fn sockets_folder(&self, folder: &Path) -> PathBuf {
        if folder.as_os_str().len() + "/broadcast.sock".len() <= SOCKET_PATH_BYTES_MAX {
            return folder.to_owned();
        }
        let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
        std::env::temp_dir().join(format!("orderer-node-{}", hex::encode(&digest[..8])))
    }

    /// The genesis block of the first channel is written last: without it nothing else counts.
    fn make_genesis(&self, plan: &ChannelPlan, material: &mut Material) -> anyhow::Result<()> {
        for left_behind in material.further.drain(..) {
            fs::remove_file(&left_behind).with_context(|| format!("cannot remove {}", left_behind.display()))?;
        }
        for (number, further) in (2..).zip(plan.further()?) {
            let path = self.further_path(number);
            write_whole(&path, &further.genesis(&material.crypto)?)?;
            material.further.push(path);
        }
        write_whole(&material.genesis, &plan.genesis(&material.crypto)?)
    }

    fn further_genesis(&self) -> Vec<PathBuf> {
        (2..).map(|number| self.further_path(number)).take_while(|path| path.exists()).collect()
    }

    fn further_path(&self, number: u16) -> PathBuf {
        self.root.join(format!("genesis{number}.block"))
    }

    fn reject_ledgers(&self, why: &str) -> anyhow::Result<()> {
        for node in super::orderer_folders::folders_in(&self.root.join("nodes")).unwrap_or_default() {
            let data = node.join("data");
            if data.exists() {
                bail!("{} holds ledgers {why}; restore it, or choose another --data", data.display());
            }
        }
        Ok(())
    }
}

/// Writes a file that is complete when it appears.
///
/// # Errors
/// It cannot be written.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let write = || {
        fs::write(&unfinished, content)?;
        File::open(&unfinished)?.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Longest path of a Unix socket, without the zero behind it.
const SOCKET_PATH_BYTES_MAX: usize = 107;
