//! `loadgen sign`: envelopes signed beforehand, on all processors, into a file.

use orderer_node::client::EnvelopeFactory;
use orderer_node::dev::NetworkFile;

use anyhow::Context as _;
use fabric_proto::ChannelId;

use super::args::SignArgs;
use super::limits::SIGNED_AT_ONCE;
use super::plan::{ArgsError, Signatures};
use super::progress::Progress;
use super::replay;
use super::stock::{Maker, Stock};

/// Writes the file and says so.
///
/// # Errors
/// A key cannot be read, or the file cannot be written.
pub fn sign(args: &SignArgs) -> anyhow::Result<()> {
    let factory = factory(args)?;
    let channel = factory.channel().clone();
    let signatures = if args.unsigned { Signatures::Reused } else { Signatures::Fresh };
    let maker = Maker::new(factory, args.size, signatures)?;
    let bar = Progress::new().envelopes("signing", args.count);
    let shares = (0..args.count).step_by(SIGNED_AT_ONCE as usize).map(|from| SIGNED_AT_ONCE.min(args.count - from));
    let envelopes = shares.flat_map(|count| {
        let stock = Stock::prepare(maker.clone(), count, 1, || bar.inc(1));
        (0..count).map(move |_| stock.take().1)
    });
    let written = replay::write(&args.out, &channel, envelopes)?;
    bar.finish_and_clear();
    println!("{written} envelopes of channel {channel} in {}", args.out.display());
    Ok(())
}

fn factory(args: &SignArgs) -> anyhow::Result<EnvelopeFactory> {
    if let Some(file) = &args.network {
        let network = NetworkFile::read(file)?;
        let channel = match &args.channel {
            Some(channel) => channel.clone(),
            None => ChannelId::new(&network.channel).with_context(|| file.display().to_string())?,
        };
        return Ok(EnvelopeFactory::load(channel, &network.client.msp_dir, &network.client.msp_id)?);
    }
    let (Some(msp), Some(mspid), Some(channel)) = (&args.msp, &args.mspid, &args.channel) else {
        return Err(ArgsError::NoTarget.into());
    };
    Ok(EnvelopeFactory::load(channel.clone(), msp, mspid)?)
}
