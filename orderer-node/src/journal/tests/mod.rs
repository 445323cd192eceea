//! The journal on a disk that forgets, fails and lies.

mod damage;
mod faults;
pub(super) mod fixture;
mod reading;
mod replaying;
mod speed;
mod truncating;
