//! The releases of Fabric whose programs are tried on the `orderer` processes.

use std::path::PathBuf;

use integration::skip::{fabric_2_5_programs, fabric_programs};

/// A release decides the type of the channel too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// On a channel of type BFT.
    V3,
    /// On a channel of type etcdraft, the only one it knows, where three of four orderers have to sign a block.
    V2_5,
}

/// Programs of a release.
pub struct Fabric {
    pub release: Release,
    pub programs: PathBuf,
}

impl Fabric {
    /// Those of v3; without them, says that `what` is not tried.
    pub fn v3(what: &str) -> Option<Self> {
        fabric_programs(what).map(|programs| Self { release: Release::V3, programs })
    }

    /// The folder of the `orderer.yaml` that comes with it, if the environment names it. An orderer of v2.5 refuses that of v3.
    pub fn sample_file(&self) -> Option<PathBuf> {
        let variable = match self.release {
            Release::V3 => "FABRIC_CFG_PATH",
            Release::V2_5 => "FABRIC_CFG_PATH_25",
        };
        std::env::var_os(variable).map(PathBuf::from)
    }

    /// Those of v2.5.
    pub fn v2_5(what: &str) -> Option<Self> {
        fabric_2_5_programs(&format!("{what}, v2.5")).map(|programs| Self { release: Release::V2_5, programs })
    }
}
