//! Keys and certificates of a small network, in the folders and under the names that Fabric's cryptogen uses.
//!
//! One orderer organisation with as many orderers as there are nodes, one peer organisation with a peer and a user.
//! Each organisation has an enrolment authority and a TLS authority, and tells roles apart by organisational unit. What
//! is there already is never written over: the folder appears under its name when it is complete, or not at all.
//! Contract 7.2.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::authority::{Authority, Issued, Lifetime, Purpose};

/// Domain of the organisation that runs the orderers.
pub(super) const ORDERER_DOMAIN: &str = "orderer.example.com";
/// Domain of the organisation that runs a peer.
pub(super) const PEER_DOMAIN: &str = "org1.example.com";

/// Makes the folder `root` for `nodes` orderers.
///
/// # Errors
/// It exists already, or cannot be written.
pub(super) fn make(root: &Path, nodes: u16) -> anyhow::Result<()> {
    if root.exists() {
        bail!("{} exists already; keys are not written over", root.display());
    }
    let unfinished = root.with_extension("unfinished");
    if unfinished.exists() {
        // Nothing has ever used what an interrupted making left behind.
        fs::remove_dir_all(&unfinished).with_context(|| format!("cannot remove {}", unfinished.display()))?;
    }
    let lifetime = Lifetime::from_now();
    let orderers = Organisation::new(&unfinished.join("ordererOrganizations"), ORDERER_DOMAIN, lifetime)?;
    for number in 1..=nodes {
        orderers.write_member("orderers", &format!("o{number}"), "orderer")?;
    }
    orderers.write_user("Admin", "admin")?;
    let peers = Organisation::new(&unfinished.join("peerOrganizations"), PEER_DOMAIN, lifetime)?;
    peers.write_member("peers", "peer0", "peer")?;
    peers.write_user("Admin", "admin")?;
    peers.write_user("User1", "client")?;
    fs::rename(&unfinished, root).with_context(|| format!("cannot create {}", root.display()))
}

/// An organisation under construction.
struct Organisation {
    folder: PathBuf,
    domain: &'static str,
    enrolment: Authority,
    tls: Authority,
}

impl Organisation {
    fn new(parent: &Path, domain: &'static str, lifetime: Lifetime) -> anyhow::Result<Self> {
        let organisation = Self {
            folder: parent.join(domain),
            domain,
            enrolment: Authority::new("ca", domain, lifetime)?,
            tls: Authority::new("tlsca", domain, lifetime)?,
        };
        for (name, authority) in [("ca", &organisation.enrolment), ("tlsca", &organisation.tls)] {
            let folder = organisation.folder.join(name);
            let file = folder.join(format!("{name}.{domain}-cert.pem"));
            write(&file, Mode::Public, authority.certificate_pem())?;
            write(&folder.join("priv_sk"), Mode::Private, &authority.key_pem())?;
        }
        organisation.write_authorities(&organisation.folder.join("msp"))?;
        Ok(organisation)
    }

    /// A machine of the organisation: `kind` is the folder for its like, `unit` its role.
    fn write_member(&self, kind: &str, host: &str, unit: &'static str) -> anyhow::Result<()> {
        let name = format!("{host}.{}", self.domain);
        let folder = self.folder.join(kind).join(&name);
        let names = [&name, host, "localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        let tls = self.tls.issue(&name, Purpose::Tls { names })?;
        self.write_msp(&folder.join("msp"), &name, unit)?;
        self.write_tls(&folder.join("tls"), "server", &tls)
    }

    /// A person or program of the organisation.
    fn write_user(&self, user: &str, unit: &'static str) -> anyhow::Result<()> {
        let name = format!("{user}@{}", self.domain);
        let folder = self.folder.join("users").join(&name);
        let tls = self.tls.issue(&name, Purpose::Tls { names: Vec::new() })?;
        self.write_msp(&folder.join("msp"), &name, unit)?;
        self.write_tls(&folder.join("tls"), "client", &tls)
    }

    fn write_msp(&self, msp: &Path, name: &str, unit: &'static str) -> anyhow::Result<()> {
        let identity = self.enrolment.issue(name, Purpose::Enrolment { unit })?;
        self.write_authorities(msp)?;
        write(&msp.join("keystore/priv_sk"), Mode::Private, &identity.key_pem)?;
        write(&msp.join(format!("signcerts/{name}-cert.pem")), Mode::Public, &identity.certificate_pem)
    }

    fn write_tls(&self, folder: &Path, role: &str, issued: &Issued) -> anyhow::Result<()> {
        write(&folder.join("ca.crt"), Mode::Public, self.tls.certificate_pem())?;
        write(&folder.join(format!("{role}.crt")), Mode::Public, &issued.certificate_pem)?;
        write(&folder.join(format!("{role}.key")), Mode::Private, &issued.key_pem)
    }

    /// What every MSP folder of the organisation has: whom it trusts, and how it tells roles apart.
    fn write_authorities(&self, msp: &Path) -> anyhow::Result<()> {
        let certificate = format!("cacerts/ca.{}-cert.pem", self.domain);
        write(&msp.join(&certificate), Mode::Public, self.enrolment.certificate_pem())?;
        let tls = msp.join(format!("tlscacerts/tlsca.{}-cert.pem", self.domain));
        write(&tls, Mode::Public, self.tls.certificate_pem())?;
        write(&msp.join("config.yaml"), Mode::Public, &node_units(&certificate))?;
        // With units that name administrators the folder stays empty; Fabric's tools warn if it is missing.
        create_folder(&msp.join("admincerts"))
    }
}

fn node_units(certificate: &str) -> String {
    let mut text = "NodeOUs:\n    Enable: true\n".to_owned();
    for (section, unit) in [("Client", "client"), ("Peer", "peer"), ("Admin", "admin"), ("Orderer", "orderer")] {
        text += &format!("    {section}OUIdentifier:\n        Certificate: {certificate}\n");
        text += &format!("        OrganizationalUnitIdentifier: {unit}\n");
    }
    text
}

/// Who may read a file.
#[derive(Clone, Copy)]
enum Mode {
    Private = 0o600,
    Public = 0o644,
}

fn write(path: &Path, mode: Mode, content: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    let context = || format!("cannot write {}", path.display());
    let options = fs::OpenOptions::new().write(true).create_new(true).mode(mode as u32).open(path);
    let mut file = options.with_context(context)?;
    file.write_all(content.as_bytes()).with_context(context)
}

fn create_folder(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}
