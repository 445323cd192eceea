//! `geo`: what a request costs between continents. See [`integration::geo`].
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use integration::geo::args::GeoArgs;
use integration::geo::command::run;

/// Exits with 1 when a target is missed, with 2 when the arguments make no sense or something went wrong.
fn main() -> ExitCode {
    match run(&GeoArgs::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("geo: {error:#}");
            ExitCode::from(2)
        }
    }
}
