//! What a file holds, recognised by its content.
//!
//! Protobuf messages do not say what they are, so each kind is tried and has to make sense: a block has a header and
//! data, an envelope has a channel header, an update names a channel and writes something, a configuration has a
//! channel group with an orderer group in it.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use fabric_channel::authoring::SignedUpdate;
use fabric_channel::config_tree::ConfigTree;
use fabric_channel::{Bundle, ConfigContent};
use fabric_proto::Envelope;
use fabric_proto::common::{Block, ConfigUpdateEnvelope, HeaderType};
use prost::Message as _;

use crate::arguments::Kind;
use crate::files;

/// A file's content.
#[derive(Debug)]
pub(crate) enum Artifact {
    Block(Block),
    Envelope(Envelope),
    Config(ConfigTree),
    /// A `ConfigUpdateEnvelope`.
    UpdateEnvelope(SignedUpdate),
    /// A bare `ConfigUpdate`.
    Update(SignedUpdate),
}

impl Artifact {
    pub(crate) fn read(path: &Path, kind: Option<Kind>) -> anyhow::Result<Self> {
        let bytes = files::read(path)?;
        let artifact = match kind {
            Some(kind) => Self::decode(&bytes, kind).ok_or_else(|| anyhow!("not {}", described(kind))),
            None => Self::recognise(&bytes),
        };
        artifact.with_context(|| path.display().to_string())
    }

    pub(crate) fn recognise(bytes: &Bytes) -> anyhow::Result<Self> {
        match bytes.first() {
            None => bail!("the file is empty"),
            Some(b'{' | b'[') => {
                bail!("this is JSON; the binary form is needed (`configtxlator proto_encode` makes it)")
            }
            Some(_) if bytes.starts_with(b"-----BEGIN ") => {
                bail!("this is a PEM file, not a block, an envelope, a configuration or an update")
            }
            Some(_) => {}
        }
        let kinds = [Kind::Block, Kind::Update, Kind::UpdateEnvelope, Kind::Envelope, Kind::Config];
        kinds.into_iter().find_map(|kind| Self::decode(bytes, kind)).ok_or_else(|| {
            anyhow!("not recognised as a block, an envelope, a configuration or an update (--as says which it is)")
        })
    }

    fn decode(bytes: &Bytes, kind: Kind) -> Option<Self> {
        match kind {
            Kind::Block => {
                let block = Block::decode(bytes.clone()).ok()?;
                (block.header.is_some() && block.data.is_some()).then_some(Self::Block(block))
            }
            Kind::Envelope => Envelope::decode(bytes.clone()).ok().map(Self::Envelope),
            Kind::Config => {
                let tree = ConfigTree::decode(bytes).ok()?;
                tree.group("Orderer").is_some().then_some(Self::Config(tree))
            }
            // The reader of updates takes all forms of one; here they are told apart.
            Kind::UpdateEnvelope => {
                let update = SignedUpdate::read(bytes).ok()?;
                let outer = ConfigUpdateEnvelope::decode(bytes.clone()).ok()?;
                (outer.config_update == update.content().config_update).then_some(Self::UpdateEnvelope(update))
            }
            Kind::Update => {
                let update = SignedUpdate::read(bytes).ok()?;
                (update.content().config_update == bytes).then_some(Self::Update(update))
            }
        }
    }
}

/// The configuration of a channel, out of a configuration block, a CONFIG envelope or a bare `Config`, for which the
/// channel has to be named.
pub(crate) fn read_bundle(path: &Path, channel: Option<&str>) -> anyhow::Result<Bundle> {
    let (named, tree) = read_config(path)?;
    let channel = match (&named, channel) {
        (Some(named), Some(asked)) if named != asked => {
            bail!("{}: the configuration of channel {named}, not of {asked}", path.display())
        }
        (Some(named), _) => named,
        (None, Some(asked)) => asked,
        (None, None) => bail!("{}: a Config message does not say of which channel; --channel does", path.display()),
    };
    Bundle::from_tree(channel, tree).with_context(|| format!("{}: not a valid configuration", path.display()))
}

/// The channel, if the file names it, and its configuration.
pub(crate) fn read_config(path: &Path) -> anyhow::Result<(Option<String>, ConfigTree)> {
    let found = match Artifact::read(path, None)? {
        Artifact::Config(tree) => return Ok((None, tree)),
        Artifact::Envelope(envelope) => config_of(&envelope),
        Artifact::Block(block) => match block.entries() {
            [entry] => Envelope::decode(entry.clone()).map_err(anyhow::Error::from).and_then(|entry| config_of(&entry)),
            entries => Err(anyhow!("a block with {} entries holds no configuration", entries.len())),
        },
        Artifact::UpdateEnvelope(_) | Artifact::Update(_) => {
            Err(anyhow!("an update where a configuration is expected"))
        }
    };
    let (channel, tree) = found.with_context(|| path.display().to_string())?;
    Ok((Some(channel), tree))
}

fn config_of(envelope: &Envelope) -> anyhow::Result<(String, ConfigTree)> {
    if !envelope.is_config() {
        bail!("an envelope of type {} holds no configuration", type_name(envelope.header_type()));
    }
    let content = ConfigContent::decode(envelope.data()).context("the content of the CONFIG envelope")?;
    let tree = content.config.context("the CONFIG envelope holds no configuration")?;
    Ok((envelope.channel_id().to_owned(), tree))
}

/// The name of a header type.
pub(crate) fn type_name(header_type: i32) -> String {
    HeaderType::try_from(header_type)
        .map_or_else(|_| header_type.to_string(), |header_type| header_type.as_str_name().to_owned())
}

fn described(kind: Kind) -> &'static str {
    match kind {
        Kind::Block => "a block with header and data",
        Kind::Envelope => "an envelope with a channel header",
        Kind::Config => "a configuration with an orderer group",
        Kind::UpdateEnvelope => "a ConfigUpdateEnvelope around an update",
        Kind::Update => "an update that names a channel and writes something",
    }
}
