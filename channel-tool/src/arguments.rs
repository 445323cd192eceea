//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Reads, verifies, explains and updates the configuration of a channel, offline.
#[derive(Debug, Parser)]
#[command(name = "channel", version, about, propagate_version = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a block, an envelope, a configuration or an update.
    Inspect(InspectArgs),
    /// Verify a chain of blocks, from its genesis block or from a trusted block.
    Verify(VerifyArgs),
    /// Say what an update would change, who has signed it and who still has to.
    Explain(ExplainArgs),
    /// Make, sign and wrap updates.
    Update {
        /// Which step.
        #[command(subcommand)]
        command: UpdateCommand,
    },
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A file in Fabric's binary form.
    pub file: PathBuf,
    /// Print JSON as `configtxlator proto_decode` does.
    #[arg(long)]
    pub json: bool,
    /// Take the file for this, instead of recognising it.
    #[arg(long = "as", value_enum)]
    pub kind: Option<Kind>,
}

/// What a file can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// `common.Block`
    Block,
    /// `common.Envelope`
    Envelope,
    /// `common.Config`
    Config,
    /// `common.ConfigUpdateEnvelope`
    UpdateEnvelope,
    /// `common.ConfigUpdate`
    Update,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Block files, or folders whose files ending in .block are taken.
    #[arg(required = true)]
    pub blocks: Vec<PathBuf>,
    /// The genesis block; with --from-trusted the configuration block in force there.
    #[arg(long)]
    pub genesis: PathBuf,
    /// Begin at block N, whose header has this hash (hex), instead of block 0.
    #[arg(long, value_name = "N:HASH")]
    pub from_trusted: Option<String>,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The latest configuration block of the channel, or its Config message.
    #[arg(long)]
    pub config: PathBuf,
    /// The update: a CONFIG_UPDATE envelope, a ConfigUpdateEnvelope or a ConfigUpdate.
    #[arg(long)]
    pub update: PathBuf,
}

/// Steps of an update.
#[derive(Debug, Subcommand)]
pub enum UpdateCommand {
    /// Change how blocks are cut.
    BatchSize(BatchSizeArgs),
    /// Change where clients find the orderers of an organisation.
    Endpoints(EndpointsArgs),
    /// Change which policy governs a resource of the peers.
    Acl(AclArgs),
    /// Add or remove an organisation.
    Org {
        /// Which.
        #[command(subcommand)]
        command: OrgCommand,
    },
    /// Add, remove or replace an ordering node.
    Consenter {
        /// Which.
        #[command(subcommand)]
        command: ConsenterCommand,
    },
    /// Compute the update from one configuration to another.
    Compute(ComputeArgs),
    /// Add the signature of an administrator to update files, in place.
    Sign(SignArgs),
    /// Wrap a signed update in the outer envelope that Broadcast takes.
    #[command(alias = "submit-ready")]
    Wrap(WrapArgs),
}

/// From what to what file an update is made.
#[derive(Debug, Args)]
pub struct DraftArgs {
    /// The latest configuration block of the channel, or its Config message.
    #[arg(long)]
    pub config: PathBuf,
    /// The channel; needed only if --config is a Config message, which does not say.
    #[arg(long)]
    pub channel: Option<String>,
    /// Where to write the unsigned CONFIG_UPDATE envelope.
    #[arg(long, short)]
    pub out: PathBuf,
}

/// Arguments of `update batch-size`.
#[derive(Debug, Args)]
#[group(id = "limits", required = true, multiple = true, args = ["max_messages", "absolute_bytes", "preferred_bytes", "timeout"])]
pub struct BatchSizeArgs {
    /// From what to what file.
    #[command(flatten)]
    pub draft: DraftArgs,
    /// Envelopes in a block.
    #[arg(long)]
    pub max_messages: Option<u32>,
    /// Size in bytes above which an envelope is refused.
    #[arg(long)]
    pub absolute_bytes: Option<u32>,
    /// Size in bytes at which a block is cut.
    #[arg(long)]
    pub preferred_bytes: Option<u32>,
    /// How long an envelope waits for its block to fill: 2s, 500ms.
    #[arg(long)]
    pub timeout: Option<String>,
}

/// Arguments of `update endpoints`.
#[derive(Debug, Args)]
pub struct EndpointsArgs {
    /// From what to what file.
    #[command(flatten)]
    pub draft: DraftArgs,
    /// The organisation as it is called in the group /Channel/Orderer.
    #[arg(long)]
    pub org: String,
    /// All its addresses, host:port, separated by commas.
    #[arg(long, value_delimiter = ',', required = true)]
    pub set: Vec<String>,
}

/// Arguments of `update acl`.
#[derive(Debug, Args)]
#[group(id = "acls", required = true, multiple = true, args = ["set", "unset"])]
pub struct AclArgs {
    /// From what to what file.
    #[command(flatten)]
    pub draft: DraftArgs,
    /// RESOURCE=POLICY, for example peer/Propose=/Channel/Application/Writers; may be repeated.
    #[arg(long)]
    pub set: Vec<String>,
    /// A resource to give back to the peers' own rule; may be repeated.
    #[arg(long)]
    pub unset: Vec<String>,
}

/// Updates about organisations.
#[derive(Debug, Subcommand)]
pub enum OrgCommand {
    /// Add an organisation.
    Add(OrgAddArgs),
    /// Remove an organisation.
    Remove(OrgRemoveArgs),
}

/// Which organisation on which side of the channel.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct OrgName {
    /// Name of an organisation that runs peers.
    #[arg(long, value_name = "NAME")]
    pub application: Option<String>,
    /// Name of an organisation that runs orderers.
    #[arg(long, value_name = "NAME")]
    pub orderer: Option<String>,
}

/// Arguments of `update org add`.
#[derive(Debug, Args)]
pub struct OrgAddArgs {
    /// From what to what file.
    #[command(flatten)]
    pub draft: DraftArgs,
    /// Which organisation.
    #[command(flatten)]
    pub name: OrgName,
    /// JSON as `configtxgen -printOrg` prints it, or an MSP folder (then with --msp-id).
    #[arg(long)]
    pub definition: PathBuf,
    /// The MSP ID, for an MSP folder.
    #[arg(long)]
    pub msp_id: Option<String>,
    /// Addresses of its orderers, host:port, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub endpoints: Vec<String>,
    /// Addresses of its anchor peers, host:port, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub anchor_peers: Vec<String>,
}

/// Arguments of `update org remove`.
#[derive(Debug, Args)]
pub struct OrgRemoveArgs {
    /// From what to what file.
    #[command(flatten)]
    pub draft: DraftArgs,
    /// Which organisation.
    #[command(flatten)]
    pub name: OrgName,
}

/// Updates about ordering nodes.
#[derive(Debug, Subcommand)]
pub enum ConsenterCommand {
    /// Add an ordering node.
    Add(ConsenterAddArgs),
    /// Remove an ordering node.
    Remove(ConsenterRemoveArgs),
    /// Give an ordering node other certificates or another address.
    Replace(ConsenterReplaceArgs),
}

/// Arguments of `update consenter add`.
#[derive(Debug, Args)]
pub struct ConsenterAddArgs {
    /// From what to what file.
    #[command(flatten)]
    pub draft: DraftArgs,
    /// Its id (BFT); without one, the number after the greatest.
    #[arg(long)]
    pub id: Option<u32>,
    /// Where other nodes reach it, host:port.
    #[arg(long)]
    pub address: String,
    /// Its organisation's MSP ID (BFT).
    #[arg(long)]
    pub msp_id: Option<String>,
    /// Its signing certificate, a PEM file (BFT).
    #[arg(long)]
    pub identity: Option<PathBuf>,
    /// Its TLS certificate as a client, a PEM file.
    #[arg(long)]
    pub client_tls: PathBuf,
    /// Its TLS certificate as a server, a PEM file.
    #[arg(long)]
    pub server_tls: PathBuf,
    /// Add also an address for clients: ORG=host:port.
    #[arg(long, value_name = "ORG=HOST:PORT")]
    pub endpoint: Option<String>,
}

/// Which ordering node.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ConsenterName {
    /// By its id; on type etcdraft by its position, counted from 1.
    #[arg(long)]
    pub id: Option<u32>,
    /// By the address at which other nodes reach it, host:port.
    #[arg(long)]
    pub at: Option<String>,
}

/// Arguments of `update consenter remove`.
#[derive(Debug, Args)]
pub struct ConsenterRemoveArgs {
    /// From what to what file.
    #[command(flatten)]
    pub draft: DraftArgs,
    /// Which one.
    #[command(flatten)]
    pub name: ConsenterName,
    /// Remove also an address for clients: ORG=host:port.
    #[arg(long, value_name = "ORG=HOST:PORT")]
    pub endpoint: Option<String>,
}

/// Arguments of `update consenter replace`.
#[derive(Debug, Args)]
pub struct ConsenterReplaceArgs {
    /// From what to what file.
    #[command(flatten)]
    pub draft: DraftArgs,
    /// Which one.
    #[command(flatten)]
    pub name: ConsenterName,
    /// Its new address for other nodes, host:port.
    #[arg(long)]
    pub address: Option<String>,
    /// Its new MSP ID (BFT).
    #[arg(long)]
    pub msp_id: Option<String>,
    /// Its new signing certificate, a PEM file (BFT).
    #[arg(long)]
    pub identity: Option<PathBuf>,
    /// Its new TLS certificate as a client, a PEM file.
    #[arg(long)]
    pub client_tls: Option<PathBuf>,
    /// Its new TLS certificate as a server, a PEM file.
    #[arg(long)]
    pub server_tls: Option<PathBuf>,
}

/// Arguments of `update compute`.
#[derive(Debug, Args)]
pub struct ComputeArgs {
    /// From what to what file.
    #[command(flatten)]
    pub draft: DraftArgs,
    /// The configuration as it shall be: a Config message or a configuration block.
    #[arg(long)]
    pub to: PathBuf,
}

/// Whose key signs.
#[derive(Debug, Args)]
pub struct SignerArgs {
    /// The MSP folder of the one who signs, with signcerts and keystore.
    #[arg(long)]
    pub msp_dir: PathBuf,
    /// The MSP ID of the one who signs.
    #[arg(long)]
    pub msp_id: String,
}

/// Arguments of `update sign`.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// Who signs.
    #[command(flatten)]
    pub signer: SignerArgs,
    /// Update files; each is replaced by itself with one signature more.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
}

/// Arguments of `update wrap`.
#[derive(Debug, Args)]
pub struct WrapArgs {
    /// Who sends; the channel's Writers policy has to accept him.
    #[command(flatten)]
    pub signer: SignerArgs,
    /// The update.
    pub file: PathBuf,
    /// Where to write the envelope; without it the file is replaced.
    #[arg(long, short)]
    pub out: Option<PathBuf>,
}
