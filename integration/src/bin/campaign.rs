//! `campaign`: real nodes, killed, stopped, wiped and starved; prints conditions and figures. See [`integration::campaign`].
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser as _;
use integration::campaign::CampaignArgs;

/// Exits with 1 when something is not as it should be; then the nodes' files are kept, and their place is printed. Exits
/// with 2 when the arguments make no sense.
#[tokio::main]
async fn main() -> ExitCode {
    let args = CampaignArgs::parse();
    let since = Instant::now();
    match args.run().await {
        Ok(figures) => {
            print!("{figures}");
            println!("passed in {:.0} s", since.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("campaign: {error:#}");
            ExitCode::FAILURE
        }
    }
}
